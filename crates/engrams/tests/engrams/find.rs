//! A search names what resembles the query, only that, and only what is kept.

use engrams::{
    CollectOptions, EngramStore, ErrorKind, Found, IngestOptions, Match, Query, Search, Transaction,
};
use proptest::prelude::*;

use crate::common::{Random, assert_sound, cases, edit, fixed, ingest, noise, read, small_store, text};
use crate::forget::forget;

fn find(store: &EngramStore, query: &[u8]) -> Found {
    store.find(query).run().unwrap()
}

fn path_of(found: &Match) -> &str {
    std::str::from_utf8(&found.name.path).unwrap()
}

/// A store with files of many lengths, some in one chunk with others; and the files.
fn stocked(seed: u64) -> (EngramStore, Vec<(String, Vec<u8>)>) {
    let (store, _) = small_store(4096);
    let mut random = Random(seed);
    let mut files = Vec::new();
    for number in 0..12 {
        let len = [300, 900, 3000, 20_000, 90_000][random.below(5)] + random.below(500);
        let bytes = if random.below(2) == 0 { text(len, random.next()) } else { noise(len, random.next()) };
        files.push((format!("file-{number:02}"), bytes));
    }
    put(&store, &files, 1);
    (store, files)
}

fn put(store: &EngramStore, files: &[(String, Vec<u8>)], threads: usize) {
    let options = IngestOptions { threads, ..IngestOptions::default() };
    let mut tx = Transaction::begin(store, &options).unwrap();
    for (name, bytes) in files {
        tx.put_file(name.as_bytes(), fixed(), &mut &bytes[..]).unwrap();
    }
    tx.commit("").unwrap();
}

fn assert_ranges_are_equal(store: &EngramStore, query: &[u8], found: &Found) {
    for one in &found.matches {
        let file = read(store, path_of(one), *one.name.versions.last().unwrap());
        assert_eq!(file.len() as u64, one.size);
        let (mut end, mut sum) = (0, 0);
        for range in &one.ranges {
            let of = |bytes: &[u8], from: u64| bytes[from as usize..(from + range.bytes) as usize].to_vec();
            assert!(of(query, range.query) == of(&file, range.file), "{range:?}");
            assert!(range.query >= end, "ranges ascend and do not overlap");
            end = range.query + range.bytes;
            sum += range.bytes;
        }
        assert_eq!(sum, one.bytes);
        assert!((one.containment - sum as f64 / query.len() as f64).abs() < 1e-12);
    }
}

proptest! {
    #![proptest_config(cases(6))]

    #[test]
    fn a_stored_file_is_its_own_best_match(seed: u64) {
        let (store, files) = stocked(seed);
        for (name, bytes) in &files {
            let found = find(&store, bytes);
            let best = &found.matches[0];
            prop_assert!(best.is_exact);
            prop_assert_eq!((path_of(best), best.containment, best.resemblance), (name.as_str(), 1.0, 1.0));
            assert_ranges_are_equal(&store, bytes, &found);
        }
    }

    #[test]
    fn nothing_resembles_random_bytes(seed: u64, len in 0usize..60_000) {
        let (store, _) = stocked(seed);
        prop_assert_eq!(find(&store, &noise(len, !seed)).matches, []);
    }

    #[test]
    fn ranges_are_equal_bytes_and_cover_what_edits_left(seed: u64) {
        let (store, files) = stocked(seed);
        for (name, bytes) in files.iter().filter(|(_, bytes)| bytes.len() > 2000) {
            let mut query = bytes.clone();
            edit(&mut query, bytes.len() / 1000, seed);
            let found = find(&store, &query);
            prop_assert_eq!(path_of(&found.matches[0]), name.as_str());
            // A thousand bytes between two edits have a dozen features, but one of three such stretches may have none.
            let least = if bytes.len() > 15_000 { 0.9 } else { 0.4 };
            prop_assert!(found.matches[0].containment > least, "{}", found.matches[0].containment);
            assert_ranges_are_equal(&store, &query, &found);
        }
    }

    #[test]
    fn a_stretch_of_two_windows_is_found_wherever_it_lies(seed: u64) {
        let (store, files) = stocked(seed);
        for (name, bytes) in files.iter().filter(|(_, bytes)| bytes.len() > 9000) {
            let from = Random(seed).below(bytes.len() - 4096);
            let query = &bytes[from..from + 4096];
            let found = find(&store, query);
            prop_assert_eq!((path_of(&found.matches[0]), found.matches[0].bytes), (name.as_str(), 4096));
            prop_assert_eq!(found.matches[0].ranges[0].file, from as u64);
        }
    }
}

#[test]
fn every_version_that_has_a_snippet_is_named() {
    let (store, _) = small_store(4096);
    let mut content = noise(120_000, 1);
    let kept = content[50_000..58_000].to_vec();
    for version in 0..6 {
        ingest(&store, "growing", &content);
        content.extend(noise(5000, 100 + version));
        content[..2000].copy_from_slice(&noise(2000, 200 + version));
    }
    ingest(&store, "other", &noise(80_000, 3));
    let found = find(&store, &kept);
    let mut versions: Vec<u64> = found.matches.iter().flat_map(|one| one.name.versions.clone()).collect();
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7], "the last content is in two versions");
    assert!(found.matches.iter().all(|one| path_of(one) == "growing" && one.containment == 1.0));

    let old = store.find(&kept).with_versions(2..=3).run().unwrap();
    let versions: Vec<Vec<u64>> = old.matches.iter().map(|one| one.name.versions.clone()).collect();
    assert_eq!(versions, [vec![2], vec![3]], "the shorter file is more alike");
    assert_eq!(store.find(&kept).with_k(2).run().unwrap().matches.len(), 2);
    assert!(
        store.find(&kept).with_least_score(1.0).with_ranges(false).run().unwrap().matches[0]
            .ranges
            .is_empty()
    );
}

#[test]
fn identical_contents_are_one_match_with_several_names() {
    let (store, _) = small_store(4096);
    let content = text(30_000, 4);
    put(&store, &[("a/one".to_owned(), content.clone()), ("b/two".to_owned(), content.clone())], 1);
    let found = find(&store, &content[5000..15_000]);
    assert_eq!(found.matches.len(), 1);
    assert_eq!((path_of(&found.matches[0]), found.matches[0].also.len()), ("a/one", 1));
    assert_eq!(found.matches[0].also[0].path, b"b/two");
}

#[test]
fn a_reader_of_any_pace_finds_what_bytes_find() {
    /// Gives a few bytes at a time.
    struct Slow<'a>(&'a [u8], Random);
    impl std::io::Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let most = buffer.len().min(1 + self.1.below(40_000));
            std::io::Read::read(&mut self.0, &mut buffer[..most])
        }
    }
    let (store, _) = small_store(16 << 10);
    let content = noise(3_500_000, 8);
    ingest(&store, "long", &content);
    let query = [&content[100_000..3_400_000], &noise(10_000, 2)].concat();
    let found = find(&store, &query);
    let slow = store.find(Query::reader(Slow(&query, Random(5)))).run().unwrap();
    assert_eq!(found.matches, slow.matches);
    assert_eq!((found.bytes, found.hash), (slow.bytes, slow.hash));
    assert_eq!(found.matches[0].ranges.len(), 1, "blocks of a query do not show");
    assert_eq!(found.matches[0].bytes, 3_300_000);
}

#[test]
fn threads_of_an_ingest_do_not_change_what_is_found() {
    let mut all = Vec::new();
    for threads in [1, 2, 8] {
        let (store, _) = small_store(4096);
        let mut files: Vec<(String, Vec<u8>)> =
            (0..20u64).map(|i| (format!("f{i:02}"), text(500 + 3000 * i as usize, i))).collect();
        put(&store, &files, threads);
        files.iter_mut().for_each(|(_, bytes)| edit(bytes, 5, 77));
        put(&store, &files, threads);
        let found: Vec<Vec<Match>> =
            files.iter().map(|(_, bytes)| find(&store, &bytes[bytes.len() / 3..]).matches).collect();
        all.push(found);
    }
    assert!(all[0] == all[1] && all[1] == all[2]);
}

#[test]
fn what_was_forgotten_is_not_named_and_what_leaned_on_it_is() {
    let (store, _) = small_store(4096);
    let mut content = noise(200_000, 11);
    let gone = content[..6000].to_vec();
    for version in 0..8 {
        ingest(&store, "file", &content);
        ingest(&store, &format!("only-{version}"), &noise(30_000, 50 + version));
        let at = version as usize * 25_000;
        content.splice(at..at + 8000, noise(9000, 300 + version));
    }
    assert_eq!(find(&store, &gone).matches.len(), 1);
    let newest = store.head().unwrap().unwrap().number;
    let keep = store.find(&content[120_000..140_000]).with_k(1).run().unwrap();
    let old: Vec<u64> = (1..newest - 1).collect();
    forget(&store, &old);
    assert_eq!(find(&store, &gone).matches, [], "forgotten, and not collected yet");
    store.collect(&CollectOptions { rebase_above: 0.0, ..CollectOptions::default() }, &mut |_| {}).unwrap();
    assert_sound(&store);
    assert_eq!(find(&store, &gone).matches, []);
    let kept = find(&store, &content[150_000..170_000]);
    assert_eq!(path_of(&kept.matches[0]), "file");
    assert!(kept.matches.iter().all(|one| one.name.versions.iter().all(|&version| version >= newest - 1)));
    let again = store.find(&content[120_000..140_000]).with_k(1).run().unwrap();
    assert_eq!(again.matches[0].bytes, keep.matches[0].bytes, "chunks that were coded anew are found");
}

#[test]
fn a_search_in_an_empty_store_finds_nothing_and_wrong_options_are_refused() {
    let (store, _) = small_store(4096);
    assert_eq!(find(&store, &noise(5000, 1)).matches, []);
    assert_eq!(find(&store, b"").matches, []);
    assert_eq!(store.find(b"x").with_k(0).run().unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(store.find(b"x").with_least_score(1.5).run().unwrap_err().kind(), ErrorKind::Invalid);
}
