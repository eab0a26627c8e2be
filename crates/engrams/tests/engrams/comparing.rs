//! Fear: a difference that misses or invents, a drift that cries wolf or sleeps, groups of what is not alike, a memory
//! that comes back another.

use engrams::core::{Dimension, Hypervector, ItemMemory, Sketch};
use engrams::{
    Attributes, Change, Difference, EngramStore, ErrorKind, IngestOptions, Transaction, clusters, difference,
    drift, item_memory, read_sketch, sketch_path, sketch_reader,
};
use proptest::prelude::*;

use crate::common::{Random, cases, edit, fixed, ingest, noise, package, small_store, testdata, text};

fn commit(store: &EngramStore, files: &[(&str, &[u8])], removed: &[&str]) {
    let mut transaction = Transaction::begin(store, &IngestOptions::default()).unwrap();
    for path in removed {
        transaction.remove(path.as_bytes()).unwrap();
    }
    for (path, bytes) in files {
        transaction.put_file(path.as_bytes(), fixed(), &mut &**bytes).unwrap();
    }
    transaction.commit("").unwrap();
}

fn diff(store: &EngramStore, before: u64, after: u64, path: &str) -> Difference {
    let (before, after) = (store.version(before).unwrap(), store.version(after).unwrap());
    difference(store, &before, &after, path.as_bytes()).unwrap()
}

fn changes(found: &Difference) -> Vec<(Change, String)> {
    found
        .paths
        .iter()
        .map(|change| (change.change, String::from_utf8(change.path().to_vec()).unwrap()))
        .collect()
}

#[test]
fn a_difference_names_what_was_added_removed_renamed_and_changed() {
    let (store, _) = small_store(1024);
    let (kept, gone, moved) = (text(40_000, 1), text(40_000, 2), text(40_000, 3));
    let (mut changed, mut alike) = (text(40_000, 4), text(40_000, 5));
    commit(
        &store,
        &[
            ("t/a/kept", &kept),
            ("t/a/gone", &gone),
            ("t/b/moved", &moved),
            ("t/b/changed", &changed),
            ("t/b/alike", &alike),
            ("u/other", &kept),
        ],
        &[],
    );
    edit(&mut changed, 30, 6);
    edit(&mut alike, 30, 7);
    let new = text(40_000, 8);
    commit(
        &store,
        &[("t/b/changed", &changed), ("t/c/moved", &moved), ("t/c/like", &alike), ("t/c/new", &new)],
        &["t/a/gone", "t/b/moved", "t/b/alike"],
    );
    let found = diff(&store, 1, 2, "t");
    assert_eq!(
        changes(&found),
        [
            (Change::Removed, "t/a/gone".to_owned()),
            (Change::Changed, "t/b/changed".to_owned()),
            (Change::Renamed, "t/c/like".to_owned()),
            (Change::Renamed, "t/c/moved".to_owned()),
            (Change::Added, "t/c/new".to_owned()),
        ]
    );
    let similarity = |at: usize| found.paths[at].similarity.unwrap().jaccard;
    assert!((0.5..1.0).contains(&similarity(1).value) && (0.5..1.0).contains(&similarity(2).value));
    assert_eq!(
        similarity(1).value,
        Sketch::of_bytes(&text(40_000, 4)).similarity(&Sketch::of_bytes(&changed)).jaccard.value
    );
    assert!(similarity(3).is_exact() && similarity(3).value == 1.0);
    assert_eq!(found.paths[2].before.as_ref().unwrap().path, b"t/b/alike");

    let directories: Vec<_> =
        found.directories.iter().map(|one| (&*one.path, one.similarity.is_some())).collect();
    assert_eq!(directories, [(&b"t"[..], true), (b"t/a", true), (b"t/b", true), (b"t/c", false)]);
    let sum = |files: [&[u8]; 2]| {
        let mut sum = Sketch::of_bytes(files[0]);
        sum.merge(&Sketch::of_bytes(files[1]));
        sum
    };
    let expected = sum([&kept, &gone]).similarity(&Sketch::of_bytes(&kept));
    assert_eq!(found.directories[1].similarity, Some(expected));

    assert!(diff(&store, 2, 2, "").paths.is_empty());
    assert!(diff(&store, 1, 2, "u").paths.is_empty());
    let back: Vec<_> = changes(&diff(&store, 2, 1, "t/a")).into_iter().map(|(change, _)| change).collect();
    assert_eq!(back, [Change::Added]);
}

#[test]
fn attributes_alone_are_told_apart_from_content() {
    let (store, _) = small_store(1024);
    ingest(&store, "f", b"the same");
    let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    transaction.put_file(b"f", Attributes { mode: 0o600, ..fixed() }, &mut &b"the same"[..]).unwrap();
    transaction.commit("").unwrap();
    assert_eq!(changes(&diff(&store, 1, 2, "")), [(Change::Attributes, "f".to_owned())]);
}

proptest! {
    #![proptest_config(cases(12))]

    /// Against the plainest way: two maps compared.
    #[test]
    fn every_path_that_differs_is_named_once(seed: u64) {
        let (store, _) = small_store(1024);
        let mut random = Random(seed);
        let mut trees = Vec::new();
        let mut files = std::collections::BTreeMap::new();
        for _ in 0..2 {
            for _ in 0..30 {
                let path = format!("{}/{}", random.below(4), random.below(12));
                match random.below(4) {
                    0 => drop(files.remove(&path)),
                    _ => drop(files.insert(path, noise(random.below(3) * 700 + 1, random.below(20) as u64))),
                }
            }
            let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
            transaction.clear(b"t").unwrap();
            for (path, bytes) in &files {
                transaction.put_file(format!("t/{path}").as_bytes(), fixed(), &mut &bytes[..]).unwrap();
            }
            transaction.commit("").unwrap();
            trees.push(files.clone());
        }
        let found = diff(&store, 1, 2, "");
        let mut named = Vec::new();
        for change in &found.paths {
            let [before, after] = [&change.before, &change.after]
                .map(|entry| entry.as_ref().map(|entry| String::from_utf8(entry.path[2..].to_vec()).unwrap()));
            named.extend(before.iter().cloned());
            named.extend(after.iter().filter(|after| Some(*after) != before.as_ref()).cloned());
        }
        named.sort();
        let expected: std::collections::BTreeSet<String> = trees[0].keys().chain(trees[1].keys())
            .filter(|path| trees[0].get(*path) != trees[1].get(*path)).cloned().collect();
        prop_assert_eq!(named, expected.into_iter().collect::<Vec<_>>());
    }
}

/// `a-b` sorts between `a` and what lies in `a`.
#[test]
fn directories_whose_names_sort_between_are_summed_once() {
    let (store, _) = small_store(1024);
    let texts: Vec<Vec<u8>> = (0..6).map(|seed| text(30_000, seed)).collect();
    commit(&store, &[("t/a/b/f", &texts[0]), ("t/a-b/f", &texts[1]), ("t/a/f", &texts[2])], &[]);
    commit(&store, &[("t/a/b/f", &texts[3]), ("t/a-b/g", &texts[4])], &[]);
    let found = diff(&store, 1, 2, "t");
    let similarity = |path: &str| {
        let found = found.directories.iter().find(|one| one.path == path.as_bytes()).unwrap();
        found.similarity.unwrap()
    };
    let sum = |texts: &[&Vec<u8>]| {
        texts.iter().fold(Sketch::new(), |mut sum, text| {
            sum.merge(&Sketch::of_bytes(text));
            sum
        })
    };
    let a = sum(&[&texts[0], &texts[2]]).similarity(&sum(&[&texts[3], &texts[2]]));
    assert_eq!(similarity("t/a"), a);
    assert_eq!(similarity("t/a/b"), sum(&[&texts[0]]).similarity(&sum(&[&texts[3]])));
    assert_eq!(similarity("t/a-b"), sum(&[&texts[1]]).similarity(&sum(&[&texts[1], &texts[4]])));
}

/// The project's own sources stand for a user's texts; the cipher is a keystream, which is all that resemblance sees.
fn sources() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let root = package();
    for directory in ["src", "src/ingest", "../store/src", "../core/src", "../store/src/tree"] {
        for entry in root.join(directory).read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                files.push((
                    format!("{directory}/{}", path.file_name().unwrap().display()).replace("../", ""),
                    std::fs::read(path).unwrap(),
                ));
            }
        }
    }
    files.sort();
    files
}

fn encrypt(bytes: &mut [u8], seed: u64) {
    let stream = noise(bytes.len(), seed);
    bytes.iter_mut().zip(stream).for_each(|(byte, key)| *byte ^= key);
}

#[test]
fn a_mass_encryption_is_a_jump_and_daily_work_is_not() {
    for (encrypted, early) in [(100, false), (60, false), (100, true)] {
        let (store, _) = small_store(16 << 10);
        let mut files = sources();
        let version = |files: &[(String, Vec<u8>)]| {
            let files: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
            commit(&store, &files, &[]);
        };
        version(&files);
        for day in 0..if early { 1 } else { 5 } {
            files.iter_mut().skip(day).step_by(7).for_each(|(_, bytes)| edit(bytes, 25, day as u64));
            version(&files);
        }
        let before = store.head().unwrap().unwrap().number;
        let count = files.len() * encrypted / 100;
        files.iter_mut().take(count).enumerate().for_each(|(at, (_, bytes))| encrypt(bytes, at as u64));
        version(&files);
        let found = drift(&store, b"", None).unwrap();
        let jumps: Vec<u64> =
            found.steps.iter().filter(|step| step.is_jump).map(|step| step.version).collect();
        assert_eq!(jumps, [before + 1], "{encrypted} % encrypted: {:#?}", found.steps);
        assert!(found.steps[0].from_before.is_none() && found.steps.len() as u64 == before + 1);
        // What did not change is a step of nothing.
        ingest(&store, "elsewhere", b"small");
        let path = drift(&store, b"store", None).unwrap();
        assert_eq!(path.steps.last().unwrap().from_before.unwrap().jaccard.value, 1.0);
    }
}

/// Five releases of a real library.
#[test]
fn ordinary_releases_are_no_jumps() {
    fn collect(directory: &std::path::Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) {
        for entry in directory.read_dir().unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{prefix}/{}", path.file_name().unwrap().display());
            match path.is_dir() {
                true => collect(&path, &name, files),
                false => files.push((name, std::fs::read(&path).unwrap())),
            }
        }
    }
    let home = testdata("history");
    let mut versions: Vec<_> =
        home.read_dir().unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    versions.sort();
    let (store, _) = small_store(4096);
    for version in &versions {
        let mut files = Vec::new();
        collect(version, "t", &mut files);
        let files: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
        commit(&store, &files, &[]);
    }
    let found = drift(&store, b"t", None).unwrap();
    assert!(versions.len() >= 5 && found.steps.len() == versions.len());
    assert!(found.steps.iter().all(|step| !step.is_jump), "{found:#?}");
}

#[test]
fn near_duplicates_are_in_one_group_and_others_in_none() {
    let (store, _) = small_store(1024);
    let base = text(60_000, 1);
    let mut near = base.clone();
    edit(&mut near, 40, 2);
    let (other, lonely) = (text(30_000, 3), text(30_000, 4));
    commit(
        &store,
        &[
            ("a", &base),
            ("b/near", &near),
            ("b/same", &base),
            ("c", &other),
            ("d", &other),
            ("e", &lonely),
            ("empty", b""),
            ("tiny", b"x"),
            ("tinier", b"y"),
        ],
        &[],
    );
    let found = clusters(&store, &store.version(1).unwrap(), b"").unwrap();
    let names = |at: usize| -> Vec<&[u8]> {
        found.clusters[at].files.iter().map(|at| &*found.files[*at].path).collect()
    };
    assert_eq!(found.clusters.len(), 2);
    assert_eq!(names(0), [&b"a"[..], b"b/near", b"b/same"]);
    assert_eq!(names(1), [b"c", b"d"]);
    assert_eq!((found.clusters[0].contents, found.clusters[1].contents), (2, 1));
    let stored: f64 = found.files.iter().map(|file| file.stored).sum();
    let mut payload = 0;
    let mut chunk = 1;
    while let Some(head) = store.find_chunk_head(chunk).unwrap() {
        payload += head.coded_len;
        chunk += 1;
    }
    assert!((stored - f64::from(payload)).abs() < 1.0, "{stored} of {payload}");
    assert_eq!(clusters(&store, &store.version(1).unwrap(), b"b").unwrap().files.len(), 2);
}

#[test]
fn engrams_without_a_store_are_those_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = small_store(4096);
    let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    for (at, len) in [0, 10, 5000, 300_000].into_iter().enumerate() {
        let path = directory.path().join(format!("{}/{at}", at % 2));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text(len, at as u64)).unwrap();
        transaction
            .put_file(format!("{}/{at}", at % 2).as_bytes(), fixed(), &mut &text(len, at as u64)[..])
            .unwrap();
    }
    transaction.commit("").unwrap();
    let version = store.version(1).unwrap();
    assert_eq!(sketch_path(directory.path()).unwrap(), store.sketch(&version, b"").unwrap());
    assert_eq!(sketch_path(&directory.path().join("1")).unwrap(), store.sketch(&version, b"1").unwrap());
    let one = sketch_reader(&mut &text(300_000, 3)[..]).unwrap();
    assert_eq!(one, store.sketch(&version, b"1/3").unwrap());
    assert_eq!(read_sketch(&mut &one.to_bytes()[..]).unwrap(), one);
    assert_eq!(read_sketch(&mut std::io::repeat(7)).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    assert_eq!(store.sketch(&version, b"2").unwrap_err().kind(), ErrorKind::NotFound);
    assert!(sketch_path(&directory.path().join("2")).is_err());
}

#[test]
fn item_memories_are_kept_with_their_versions() {
    let (store, _) = small_store(1024);
    let atom = |name: u64| Hypervector::from_feature(name, Dimension::RECALL);
    let mut memory = ItemMemory::new(Dimension::RECALL).with_index(8);
    for version in 0..3_u64 {
        for item in 0..200 {
            memory.insert(format!("{version}/{item}"), &atom(version * 1000 + item));
        }
        let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
        transaction.put_item_memory(b"memories/words", fixed(), &memory).unwrap();
        transaction.commit("").unwrap();
    }
    for version in 0..3_u64 {
        let kept = item_memory(&store, b"memories/words", Some(version + 1)).unwrap();
        assert_eq!(kept.len() as u64, 200 * (version + 1));
        let found = kept.cleanup(&atom(version * 1000 + 7), 300).map(|found| found.label.clone());
        assert_eq!(found, Some(format!("{version}/7").into_bytes()));
        assert!(kept.cleanup(&atom((version + 1) * 1000 + 7), 300).is_none(), "not yet in version {version}");
    }
    // What is dropped before its commit is not there.
    let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    transaction.put_item_memory(b"memories/other", fixed(), &memory).unwrap();
    drop(transaction);
    assert_eq!(item_memory(&store, b"memories/other", None).unwrap_err().kind(), ErrorKind::NotFound);
    ingest(&store, "text", b"no memory");
    assert_eq!(item_memory(&store, b"text", None).unwrap_err().kind(), ErrorKind::Corrupt);
}
