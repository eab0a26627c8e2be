//! Fear: two writers, and one of them silently loses.

use std::sync::Barrier;

use engrams::{
    Attributes, Conflict, EngramStore, ErrorKind, IngestOptions, StreamingIngester, StreamingIngesterBuilder,
    Transaction,
};
use proptest::prelude::*;

use crate::common::{assert_sound, cases, fixed, ingest, noise, open, read, root, small_store, sum, text};

fn writer(store: &EngramStore, path: &str) -> StreamingIngester {
    StreamingIngester::builder(store).with_path(path).with_attributes(fixed()).build().unwrap()
}

fn begin(store: &EngramStore) -> Transaction {
    Transaction::begin(store, &IngestOptions::default()).unwrap()
}

fn refused(builder: StreamingIngesterBuilder<'_>) -> Conflict {
    let error = builder.build().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    error.conflict().unwrap().clone()
}

#[test]
fn a_wrong_expected_version_is_refused_before_encoding_and_says_what_was_found() {
    let (store, backend) = small_store(1024);
    ingest(&store, "f", b"one");
    ingest(&store, "g", b"two");
    ingest(&store, "f", b"three");
    let before = crate::common::records(&backend, &engrams::store::Space::ALL);
    let expect = |path: &str, version| {
        StreamingIngester::builder(&store).with_path(path).with_expected_version(version)
    };
    let conflict = |path: &[u8], expected, found| Conflict { path: path.to_vec(), expected, found };
    assert_eq!(refused(expect("f", 1)), conflict(b"f", Some(1), Some(3)));
    assert_eq!(refused(expect("f", 0)), conflict(b"f", None, Some(3)));
    assert_eq!(refused(expect("g", 3)), conflict(b"g", Some(3), Some(2)));
    assert_eq!(refused(expect("new", 3)), conflict(b"new", Some(3), None));
    let error = expect("f", 1).build().err().unwrap().to_string();
    assert!(error.contains("`f`") && error.contains("version 1") && error.contains("version 3"), "{error}");
    assert!(crate::common::records(&backend, &engrams::store::Space::ALL) == before);

    for (path, version) in [("f", 3), ("g", 2), ("new", 0)] {
        let mut ingester = expect(path, version).build().unwrap();
        ingester.ingest_bytes(b"right").unwrap();
        ingester.finalize().unwrap();
    }
    assert_eq!(read(&store, "new", 6), b"right");
}

#[test]
fn two_ingesters_of_one_path_one_wins_and_the_other_gets_a_conflict() {
    for expected in [None, Some(1)] {
        for first_begun_wins in [true, false] {
            let (store, _) = small_store(1024);
            ingest(&store, "f", b"base");
            let build = || {
                let builder = StreamingIngester::builder(&store).with_path("f").with_attributes(fixed());
                match expected {
                    Some(version) => builder.with_expected_version(version),
                    None => builder,
                }
                .build()
                .unwrap()
            };
            let (mut a, mut b) = (build(), build());
            a.ingest_bytes(&noise(30_000, 1)).unwrap();
            b.ingest_bytes(&noise(30_000, 2)).unwrap();
            let (winner, loser, seed) = if first_begun_wins { (a, b, 1) } else { (b, a, 2) };
            assert_eq!(winner.finalize().unwrap().version, 2);
            let error = loser.finalize().err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Conflict);
            let found = error.conflict().unwrap();
            assert_eq!(*found, Conflict { path: b"f".to_vec(), expected: Some(1), found: Some(2) });
            assert_eq!(store.head().unwrap().unwrap().number, 2);
            assert!(read(&store, "f", 2) == noise(30_000, seed));
            assert_eq!(read(&store, "f", 1), b"base");
            assert!(root(&store) == sum([&noise(30_000, seed)[..]]));
            assert_sound(&store);
        }
    }
}

#[test]
fn two_creators_of_one_path_one_wins_and_the_other_learns_of_it() {
    for first_begun_wins in [true, false] {
        let (store, _) = small_store(1024);
        let build =
            || StreamingIngester::builder(&store).with_path("f").with_expected_version(0).build().unwrap();
        let (mut a, mut b) = (build(), build());
        a.ingest_bytes(b"a").unwrap();
        b.ingest_bytes(b"b").unwrap();
        let (winner, loser) = if first_begun_wins { (a, b) } else { (b, a) };
        winner.finalize().unwrap();
        let error = loser.finalize().err().unwrap();
        assert_eq!(
            *error.conflict().unwrap(),
            Conflict { path: b"f".to_vec(), expected: None, found: Some(1) }
        );
        assert_eq!(read(&store, "f", 1), if first_begun_wins { b"a" } else { b"b" });
    }
}

#[test]
fn threads_that_race_for_a_path_have_one_winner_each_round() {
    let (store, _) = small_store(1024);
    for round in 0..20_u64 {
        let barrier = Barrier::new(3);
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let run = |seed: u64| {
                let (store, barrier) = (store.clone(), &barrier);
                scope.spawn(move || {
                    let mut ingester = writer(&store, "f");
                    barrier.wait();
                    ingester.ingest_bytes(&noise(20_000, seed)).unwrap();
                    ingester.finalize().map(|result| (result.version, seed)).map_err(|e| e.kind())
                })
            };
            let handles: Vec<_> = (0..3).map(|at| run(3 * round + at)).collect();
            handles.into_iter().map(|handle| handle.join().unwrap()).collect()
        });
        let winners: Vec<_> = outcomes.iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{outcomes:?}");
        assert!(outcomes.iter().all(|o| o.is_ok() || *o == Err(ErrorKind::Conflict)), "{outcomes:?}");
        let (version, seed) = *winners[0];
        assert_eq!(version, round + 1);
        assert!(read(&store, "f", version) == noise(20_000, seed));
    }
    assert_sound(&store);
}

#[test]
fn threads_on_disjoint_paths_all_succeed() {
    let (store, _) = small_store(1024);
    let shared = text(40_000, 9);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (store, shared) = (store.clone(), &shared);
            scope.spawn(move || {
                for round in 0..8 {
                    // The same bytes in every thread, so that they meet at the deduplication too.
                    let bytes = [&shared[..], &noise(3000, round), &noise(100, thread)].concat();
                    let mut ingester = writer(&store, &format!("t{thread}/f{round}"));
                    ingester.ingest_bytes(&bytes).unwrap();
                    ingester.finalize().unwrap();
                }
            });
        }
    });
    let head = store.head().unwrap().unwrap();
    assert_eq!((head.number, head.files), (32, 32));
    let mut expected = sum([]);
    for thread in 0..4_u64 {
        for round in 0..8 {
            let bytes = [&shared[..], &noise(3000, round), &noise(100, thread)].concat();
            assert!(read(&store, &format!("t{thread}/f{round}"), 32) == bytes);
            expected.merge(&crate::common::engram_of(&bytes));
        }
    }
    assert!(root(&store) == expected);
    assert_sound(&store);
    // One name never gets two ids.
    let names: Vec<_> =
        (1..=store.stats().unwrap().chunks).map(|id| store.chunk_head(id).unwrap().name).collect();
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
}

#[test]
fn transactions_on_different_trees_both_publish() {
    for reversed in [false, true] {
        let (store, _) = small_store(1024);
        let mut tx = begin(&store);
        for tree in ["a", "b"] {
            tx.put_directory(tree.as_bytes(), fixed()).unwrap();
            for file in 0..50 {
                tx.put_file(format!("{tree}/{file}").as_bytes(), fixed(), &mut &text(300, file)[..]).unwrap();
            }
        }
        tx.commit("both").unwrap();
        let (mut a, mut b) = (begin(&store), begin(&store));
        for (tx, tree) in [(&mut a, "a"), (&mut b, "b")] {
            tx.clear(tree.as_bytes()).unwrap();
            tx.put_directory(tree.as_bytes(), fixed()).unwrap();
            tx.keep(format!("{tree}/7").as_bytes()).unwrap();
            tx.put_file(format!("{tree}/new").as_bytes(), fixed(), &mut tree.as_bytes()).unwrap();
        }
        let (first, second) = if reversed { (b, a) } else { (a, b) };
        assert_eq!(first.commit("").unwrap().version, 2);
        assert_eq!(second.commit("").unwrap().version, 3);
        let paths: Vec<_> = store.tree(None).unwrap().entries(b"").map(|e| e.unwrap().path).collect();
        assert_eq!(paths, [&b"a"[..], b"a/7", b"a/new", b"b", b"b/7", b"b/new"]);
        let entry = |path: &[u8]| store.tree(None).unwrap().get(path).unwrap().unwrap().version;
        let (late, early): (&[u8], &[u8]) =
            if reversed { (b"a/new", b"b/new") } else { (b"b/new", b"a/new") };
        assert_eq!((entry(late), entry(early), entry(b"a/7")), (3, 2, 1));
        assert!(root(&store) == sum([&text(300, 7)[..], &text(300, 7), b"a", b"b"]));
        assert_sound(&store);
    }
}

#[test]
fn a_removal_and_an_overwrite_of_one_path_conflict() {
    for removal_first in [true, false] {
        let (store, _) = small_store(1024);
        ingest(&store, "f", b"base");
        let (mut remove, mut write) = (begin(&store), writer(&store, "f"));
        assert_eq!(remove.remove(b"f").unwrap(), 1);
        write.ingest_bytes(b"new").unwrap();
        let second = if removal_first {
            remove.commit("").unwrap();
            write.finalize().map(|_| ())
        } else {
            write.finalize().unwrap();
            remove.commit("").map(|_| ())
        };
        let error = second.unwrap_err();
        let found = if removal_first { None } else { Some(2) };
        assert_eq!(error.conflict().unwrap().found, found);
        assert_sound(&store);
    }
}

#[test]
fn two_writers_of_the_same_content_count_it_once() {
    let (store, _) = small_store(1024);
    let bytes = text(20_000, 1);
    let (mut a, mut b) = (writer(&store, "f"), writer(&store, "f"));
    a.ingest_bytes(&bytes).unwrap();
    b.ingest_bytes(&bytes).unwrap();
    a.finalize().unwrap();
    // Whether the second one is told of a conflict or not, the root is the sum of what is there.
    let _ = b.finalize();
    assert!(root(&store) == sum([&bytes[..]]));
    assert_sound(&store);
}

#[test]
fn two_removals_of_the_same_file_take_it_away_once() {
    let (store, _) = small_store(1024);
    ingest(&store, "f", &text(20_000, 1));
    ingest(&store, "g", &text(10_000, 2));
    let (mut a, mut b) = (begin(&store), begin(&store));
    a.remove(b"f").unwrap();
    b.remove(b"f").unwrap();
    a.commit("").unwrap();
    let _ = b.commit("");
    assert!(root(&store) == sum([&text(10_000, 2)[..]]));
    assert_sound(&store);
}

#[test]
fn a_race_never_puts_a_file_below_a_file() {
    for reversed in [false, true] {
        let (store, _) = small_store(1024);
        let (mut above, mut below) = (writer(&store, "a"), writer(&store, "a/b"));
        above.ingest_bytes(b"a file").unwrap();
        below.ingest_bytes(b"another").unwrap();
        let (first, second) = if reversed { (below, above) } else { (above, below) };
        first.finalize().unwrap();
        let second = second.finalize();
        assert!(second.is_err(), "`a` and `a/b` are both files of version {}", second.unwrap().version);
        assert_eq!(store.head().unwrap().unwrap().number, 1);
    }
}

type Script = Vec<(usize, Option<(usize, u32)>)>;

fn script() -> impl Strategy<Value = Script> {
    proptest::collection::vec((0_usize..5, proptest::option::weighted(0.7, (0_usize..4, 0_u32..2))), 0..5)
}

fn run(tx: &mut Transaction, script: &Script, contents: &[Vec<u8>]) {
    for (path, put) in script {
        let path = [b'a' + *path as u8];
        match put {
            Some((content, mode)) => {
                let attributes = Attributes { mode: *mode, ..fixed() };
                tx.put_file(&path, attributes, &mut &contents[*content][..]).unwrap();
            }
            None => tx.clear(&path).unwrap(),
        }
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn whatever_two_transactions_do_the_root_is_the_sum_of_what_is_there(
        base in script(), first in script(), second in script(),
    ) {
        let contents = [vec![], text(40, 1), text(3000, 2), text(9000, 3)];
        let (store, _) = small_store(1024);
        let mut tx = begin(&store);
        run(&mut tx, &base, &contents);
        tx.commit("").unwrap();
        let (mut a, mut b) = (begin(&store), begin(&store));
        run(&mut a, &first, &contents);
        run(&mut b, &second, &contents);
        a.commit("").unwrap();
        if let Err(error) = b.commit("") {
            prop_assert_eq!(error.kind(), ErrorKind::Conflict);
        }
        let head = store.head().unwrap().unwrap().number;
        let mut expected = sum([]);
        for entry in store.tree(None).unwrap().entries(b"") {
            let bytes = read(&store, std::str::from_utf8(&entry.unwrap().path).unwrap(), head);
            expected.merge(&crate::common::engram_of(&bytes));
        }
        prop_assert!(root(&store) == expected);
    }
}

#[test]
fn a_stream_that_changes_nothing_still_learns_that_another_changed_its_path() {
    for expected in [Some(1), None] {
        for removed in [false, true] {
            let (store, _) = small_store(1024);
            let first = text(5000, 1);
            ingest(&store, "f", &first);
            let mut again = StreamingIngester::builder(&store).with_path("f").with_attributes(fixed());
            if let Some(version) = expected {
                again = again.with_expected_version(version);
            }
            let mut again = again.build().unwrap();
            again.ingest_bytes(&first).unwrap();
            if removed {
                let mut other = begin(&store);
                other.remove(b"f").unwrap();
                other.commit("").unwrap();
            } else {
                ingest(&store, "f", &text(5000, 2));
            }
            let error = again.finalize().unwrap_err();
            let found = (!removed).then_some(2);
            assert_eq!(error.conflict(), Some(&Conflict { path: b"f".to_vec(), expected: Some(1), found }));
        }
    }
}

#[test]
fn a_second_store_over_the_same_backend_overwrites_nothing() {
    let backend = std::sync::Arc::new(engrams::store::backend::MemoryBackend::new());
    let shared = || std::sync::Arc::<engrams::store::backend::MemoryBackend>::clone(&backend);
    let first = open(shared(), 1024).unwrap();
    let second = open(shared(), 1024).unwrap();
    let bytes = text(5000, 1);
    ingest(&first, "a", &bytes);
    let mut late = writer(&second, "c");
    let outcome = late.ingest_bytes(&text(5000, 2)).map(|_| ()).and_then(|()| late.finalize().map(|_| ()));
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Conflict);
    let fresh = open(shared(), 1024).unwrap();
    assert_eq!(read(&fresh, "a", 1), bytes);
    assert_sound(&fresh);
}
