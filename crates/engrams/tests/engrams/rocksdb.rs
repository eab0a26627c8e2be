//! Fear: what holds in memory and not on disk.

use std::fs;
use std::path::{Path, PathBuf};

use engrams::{EngramStore, ErrorKind, Forget, OpenOptions, StoreKey, StreamingIngester, VerifyOptions};

use crate::common::{assert_sound, edit, ingest, noise, read, root, sum, text, try_read};
use crate::history::{assert_exact, ingest_history, releases};

#[test]
fn a_store_on_disk_comes_back_exact_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("memory.engrams");
    let mut bytes = [text(500_000, 1), noise(200_000, 2)].concat();
    let mut versions = Vec::new();
    for round in 0..4 {
        // Opened anew each time: chains grow across processes.
        let store = EngramStore::open(&path).unwrap();
        ingest(&store, "f", &bytes);
        versions.push(bytes.clone());
        edit(&mut bytes, 10, round);
        store.close().unwrap();
    }
    let store = EngramStore::open_existing(&path).unwrap();
    for (at, bytes) in versions.iter().enumerate() {
        assert!(read(&store, "f", at as u64 + 1) == *bytes);
    }
    assert!(root(&store) == sum([&versions[3][..]]));
    assert!(store.stats().unwrap().recalled_chunks > 0);
    assert_sound(&store);
}

#[test]
fn a_real_history_on_disk_is_restored_exactly_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let releases = releases();
    let store = EngramStore::open(directory.path()).unwrap();
    ingest_history(&store, &releases);
    store.close().unwrap();
    drop(store);
    let store = EngramStore::open_existing(directory.path()).unwrap();
    assert_exact(&store, &releases);
    assert_sound(&store);
}

#[test]
fn a_store_in_use_is_unavailable_and_free_again_once_closed_and_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let store = EngramStore::open(directory.path()).unwrap();
    ingest(&store, "f", b"x");
    assert_eq!(EngramStore::open(directory.path()).err().unwrap().kind(), ErrorKind::Unavailable);
    let other = store.clone();
    store.close().unwrap();
    assert_eq!(other.versions().err().unwrap().kind(), ErrorKind::Unavailable);
    assert_eq!(
        other.verify(VerifyOptions::default(), &mut |_| {}).err().unwrap().kind(),
        ErrorKind::Unavailable
    );
    drop((store, other));
    let again = EngramStore::open(directory.path()).unwrap();
    assert_eq!(read(&again, "f", 1), b"x");
}

#[test]
fn a_store_that_nobody_holds_any_more_can_be_opened_again_without_closing_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = EngramStore::open(directory.path()).unwrap();
    ingest(&store, "f", b"x");
    drop(store);
    let again = EngramStore::open(directory.path()).unwrap();
    assert_eq!(read(&again, "f", 1), b"x");
}

#[test]
fn a_directory_without_a_store_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let none = directory.path().join("none");
    let error = EngramStore::open_existing(&none).err().unwrap();
    assert!(error.kind() == ErrorKind::NotFound && error.to_string().contains("none"), "{error}");
    assert!(!none.exists());
    fs::write(directory.path().join("somebody's"), b"file").unwrap();
    assert_eq!(EngramStore::open(directory.path()).err().unwrap().kind(), ErrorKind::Invalid);
}

#[test]
fn what_a_dropped_ingest_left_on_disk_is_invisible_and_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = noise(4 << 20, 3);
    {
        let store = EngramStore::open(directory.path()).unwrap();
        let mut ingester = StreamingIngester::builder(&store).with_path("f").build().unwrap();
        ingester.ingest_bytes(&bytes[..3 << 20]).unwrap();
        drop(ingester);
        store.close().unwrap();
    }
    let store = EngramStore::open(directory.path()).unwrap();
    assert_eq!(store.head().unwrap(), None);
    assert!(try_read(&store, b"f", None).is_err());
    let result = ingest(&store, "f", &bytes);
    assert!(result.reused * 2 > result.chunks, "{result:?}");
    assert!(read(&store, "f", 1) == bytes);
    assert_sound(&store);
}

/// The logs of the database in the store at `path`, with their lengths.
fn logs(path: &Path) -> Vec<(PathBuf, u64)> {
    let files = fs::read_dir(path.join("database")).unwrap().map(|entry| entry.unwrap().path());
    let logs = files.filter(|file| file.extension().is_some_and(|end| end == "log"));
    logs.map(|log| (log.file_name().unwrap().into(), fs::metadata(&log).unwrap().len())).collect()
}

/// What a process that is killed now leaves in `to`.
fn crash_copy(from: &Path, to: &Path) {
    drop(fs::remove_dir_all(to));
    for directory in ["", "database"] {
        fs::create_dir_all(to.join(directory)).unwrap();
        for entry in fs::read_dir(from.join(directory)).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_file() {
                fs::copy(entry.path(), to.join(directory).join(entry.file_name())).unwrap();
            }
        }
    }
}

/// Found: a bit that flips in the length of a record makes the log end before it, as a crash would. Commits have their
/// mark; a tag, a forgetting and a new key were in the log alone until the next flush, and gone without a word.
#[test]
fn what_is_done_outside_of_commits_holds_whatever_becomes_of_the_log() {
    let around = tempfile::tempdir().unwrap();
    let (live, left) = (around.path().join("live"), around.path().join("left"));
    let [old, new] = [1, 2]
        .map(|byte| OpenOptions { key: Some(StoreKey::from_bytes([byte; 32])), ..OpenOptions::default() });
    let store = EngramStore::open_with(&live, &old, true).unwrap();
    for seed in 1..=3 {
        ingest(&store, "f", &text(5000, seed));
    }
    type Step<'s> = (&'s dyn Fn(&EngramStore), &'s OpenOptions, &'s dyn Fn(&EngramStore) -> bool);
    let tagged = |store: &EngramStore| store.tags().unwrap().first().map(|tag| tag.version);
    let rekey = |store: &EngramStore| store.rekey(new.key.as_ref().unwrap()).unwrap();
    let forget = |store: &EngramStore| {
        store.forget(&Forget { versions: vec![1], ..Forget::default() }).map(drop).unwrap();
    };
    let steps: [Step<'_>; 5] = [
        (&|store| store.tag("name", 2).unwrap(), &old, &|store| tagged(store) == Some(2)),
        (&|store| store.tag("name", 3).unwrap(), &old, &|store| tagged(store) == Some(3)),
        (&|store| store.untag("name").unwrap(), &old, &|store| tagged(store).is_none()),
        (&forget, &old, &|store| store.forgotten().unwrap() == [(1, 1)]),
        (&rekey, &new, &|_| true),
    ];
    for (number, (step, options, is_there)) in steps.into_iter().enumerate() {
        let before = logs(&live);
        step(&store);
        let known = |name: &Path| before.iter().find(|(log, _)| log == name).map_or(0, |(_, length)| *length);
        // What the step added to the log is cut off, or a bit of it flips.
        let mut damages = vec![None];
        for (log, length) in logs(&live) {
            let added = known(&log)..length;
            damages
                .extend(added.flat_map(|at| [1, 16, 128].map(|bit| Some((log.clone(), at as usize, bit)))));
        }
        for damage in damages {
            crash_copy(&live, &left);
            for (log, _) in logs(&left) {
                let place = left.join("database").join(&log);
                let mut bytes = fs::read(&place).unwrap();
                match &damage {
                    None => bytes.truncate(known(&log) as usize),
                    Some((damaged, at, bit)) if *damaged == log => bytes[*at] ^= bit,
                    Some(_) => {}
                }
                fs::write(&place, bytes).unwrap();
            }
            match EngramStore::open_with(&left, options, false) {
                Ok(left) => assert!(is_there(&left), "step {number}, {damage:?}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "step {number}, {damage:?}"),
            }
        }
    }
}
