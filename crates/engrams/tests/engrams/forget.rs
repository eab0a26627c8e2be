//! Fear: a version that is forgotten and comes back, or one that is not and goes.

use std::sync::Arc;

use engrams::store::backend::{Fault, FaultyBackend, MemoryBackend};
use engrams::store::{Backend, Space};
use engrams::{EngramStore, ErrorKind, Forget, Retention, StreamingDecoder};

use crate::common::{
    assert_sound, backend_of, fixed, ingest, open, read, records, small_store, text, try_read,
};

/// Five versions of one file.
fn five() -> (EngramStore, Arc<MemoryBackend>) {
    let (store, backend) = small_store(1024);
    for version in 1..=5 {
        ingest(&store, "f", &text(20_000, version));
    }
    (store, backend)
}

pub(crate) fn forget(store: &EngramStore, versions: &[u64]) {
    let what = Forget { versions: versions.to_vec(), ..Forget::default() };
    assert_eq!(store.forget(&what).unwrap().forget, versions);
}

fn keep_last(count: u64) -> Forget {
    let keep = Retention { last: Some(count), ..Retention::default() };
    Forget { keep, ..Forget::default() }
}

fn numbers(store: &EngramStore) -> Vec<u64> {
    store.versions().unwrap().iter().map(|version| version.number).collect()
}

#[test]
fn a_forgotten_version_is_gone_at_once_and_asking_for_it_says_why() {
    let (store, _) = five();
    let before = store.version(2).unwrap();
    forget(&store, &[2, 3]);
    assert_eq!(numbers(&store), [5, 4, 1]);
    assert_eq!(store.forgotten().unwrap(), [(2, 3)]);
    for number in [2, 3] {
        let error = store.version(number).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.to_string(), format!("version {number} was forgotten"));
        assert!(try_read(&store, b"f", Some(number)).unwrap_err().to_string().contains("was forgotten"));
    }
    // A record that was read before does not bring it back.
    assert!(store.tree_of(Some(&before)).get(b"f").unwrap_err().to_string().contains("was forgotten"));
    assert!(store.engram(&before).unwrap_err().to_string().contains("was forgotten"));
    assert!(store.version(6).unwrap_err().to_string().contains("no version 6"));
    assert_sound(&store);
}

#[test]
fn numbers_stay_and_the_next_version_follows_the_newest() {
    let (store, backend) = five();
    let plan = store.forget(&keep_last(1)).unwrap();
    assert_eq!((plan.forget, plan.keep), (vec![1, 2, 3, 4], vec![5]));
    let store = open(Arc::<MemoryBackend>::clone(&backend), 1024).unwrap();
    assert_eq!(ingest(&store, "f", b"six").version, 6);
    assert_eq!(numbers(&store), [6, 5]);
    // Its parent is there; the parent's is not, and nobody minds.
    assert_eq!((store.version(6).unwrap().parent, store.version(5).unwrap().parent), (Some(5), Some(4)));
    assert!(read(&store, "f", 5) == text(20_000, 5));
    assert_eq!(store.stats().unwrap().versions, 2);
    assert_sound(&store);
}

#[test]
fn the_newest_and_the_tagged_are_kept() {
    let (store, backend) = five();
    store.tag("release", 2).unwrap();
    let error = store.forget(&Forget { versions: vec![2], ..Forget::default() }).unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("is tagged"), "{error}");
    let error = store.forget(&Forget { versions: vec![5], ..Forget::default() }).unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("is the newest"), "{error}");
    assert_eq!(numbers(&store), [5, 4, 3, 2, 1]);
    store.forget(&keep_last(1)).unwrap();
    assert_eq!(numbers(&store), [5, 2]);
    let store = open(Arc::<MemoryBackend>::clone(&backend), 1024).unwrap();
    let tags: Vec<_> = store.tags().unwrap().into_iter().map(|tag| (tag.name, tag.version)).collect();
    assert_eq!(tags, [("release".to_owned(), 2)]);
    assert!(store.tag("gone", 3).unwrap_err().to_string().contains("was forgotten"));
    assert!(store.tag("early", 6).unwrap_err().to_string().contains("no version 6"));
    store.untag("release").unwrap();
    assert!(store.untag("release").is_err());
    store.forget(&keep_last(1)).unwrap();
    assert_eq!(numbers(&store), [5]);
    assert_sound(&store);
}

#[test]
fn names_that_are_no_tags_are_refused() {
    let (store, _) = five();
    for name in ["", "12", " a", "a\n", &"x".repeat(201)] {
        assert_eq!(store.tag(name, 1).unwrap_err().kind(), ErrorKind::Invalid, "{name:?}");
    }
    for name in ["v1.2", "a b/c", "ü"] {
        store.tag(name, 1).unwrap();
    }
    assert_eq!(store.tags().unwrap().len(), 3);
}

#[test]
fn a_plan_forgets_nothing_and_tells_what_would() {
    let (store, backend) = five();
    let before = records(&backend, &Space::ALL);
    let plan = store.forget_plan(&keep_last(2)).unwrap();
    assert_eq!(plan.forget, [1, 2, 3]);
    let freeable = store.freeable(&plan.forget).unwrap();
    assert!(freeable.chunks > 30 && freeable.pages >= 3 && freeable.bytes > 10_000, "{freeable:?}");
    assert_eq!(store.freeable(&[]).unwrap().chunks, 0);
    assert_eq!(records(&backend, &Space::ALL), before);
    assert!(store.forget(&Forget::default()).is_err());
    let error = store.forget(&Forget { versions: vec![9], ..Forget::default() }).unwrap_err();
    assert!(error.to_string().contains("version 9 is not there"), "{error}");
    forget(&store, &[1]);
    let error = store.forget(&Forget { versions: vec![1], ..Forget::default() }).unwrap_err();
    assert!(error.to_string().contains("version 1 was forgotten already"), "{error}");
}

#[test]
fn an_open_reader_of_a_forgotten_version_reads_on() {
    let (store, _) = five();
    let tree = store.tree(Some(2)).unwrap();
    let mut decoder = StreamingDecoder::builder(&store, "f").with_version(3).build().unwrap();
    let first = decoder.read_n_bytes(10_000).unwrap();
    forget(&store, &[2, 3]);
    store.collect(&engrams::CollectOptions::default(), &mut |_| {}).unwrap();
    let rest = decoder.read_n_bytes(u64::MAX).unwrap();
    assert!([first, rest].concat() == text(20_000, 3));
    assert!(tree.get(b"f").unwrap().is_some());
    assert!(try_read(&store, b"f", Some(3)).is_err());
    drop((tree, decoder));
    let collected = store.collect(&engrams::CollectOptions::default(), &mut |_| {}).unwrap();
    assert!(collected.chunks > 20, "{collected:?}");
    assert_sound(&store);
}

#[test]
fn forgetting_happens_whole_or_not_at_all() {
    let (store, backend) = five();
    drop(store);
    let before = records(&backend, &Space::ALL);
    for (fault, fatal) in [(0, false), (0, true), (1, true)] {
        let fault = Fault { write: Some(fault), fatal, ..Fault::default() };
        let faulty = Arc::new(FaultyBackend::new(MemoryBackend::new(), fault));
        let mut batch = engrams::store::Batch::new();
        for ((space, key), value) in &before {
            batch.put(*space, key.clone(), value.clone());
        }
        faulty.inner().write(batch, engrams::store::Durability::Durable).unwrap();
        let store = open(Arc::<FaultyBackend<MemoryBackend>>::clone(&faulty), 1024).unwrap();
        let forgotten = store.forget(&keep_last(2)).is_ok();
        if forgotten || !fatal {
            let expected: &[u64] = if forgotten { &[5, 4] } else { &[5, 4, 3, 2, 1] };
            assert_eq!(numbers(&store), expected);
        }
        drop(store);
        let store = open(backend_of(&records(faulty.inner(), &Space::ALL)), 1024).unwrap();
        assert_eq!(numbers(&store).len(), if forgotten { 2 } else { 5 });
        assert_sound(&store);
    }
}

#[test]
fn a_lost_record_is_not_taken_for_a_forgotten_one() {
    let (store, backend) = five();
    forget(&store, &[3]);
    drop(store);
    let mut damaged = records(&backend, &Space::ALL);
    damaged.remove(&(Space::Version, 2u64.to_be_bytes().to_vec()));
    let store = open(backend_of(&damaged), 1024).unwrap();
    assert_eq!(store.version(2).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(store.version(3).unwrap_err().kind(), ErrorKind::NotFound);
    let refused = store.collect(&engrams::CollectOptions::default(), &mut |_| {}).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    assert_eq!(store.forget(&keep_last(1)).unwrap_err().kind(), ErrorKind::Corrupt);
    let mut damaged = records(&backend, &Space::ALL);
    damaged.get_mut(&(Space::Meta, b"forgotten".to_vec())).unwrap()[0] ^= 1;
    let store = open(backend_of(&damaged), 1024).unwrap();
    assert!(read(&store, "f", 4) == text(20_000, 4));
    let report = store.verify(engrams::VerifyOptions::default(), &mut |_| {}).unwrap();
    assert!(report.errors.iter().any(|e| e.contains("wrong seal")), "{report:?}");
    assert!(store.collect(&engrams::CollectOptions::default(), &mut |_| {}).is_err());
}

#[test]
fn a_draft_on_a_forgotten_version_commits_exactly() {
    let (store, _) = five();
    let mut tx = engrams::Transaction::begin(&store, &engrams::IngestOptions::default()).unwrap();
    ingest(&store, "g", b"another");
    store.forget(&keep_last(1)).unwrap();
    store.collect(&engrams::CollectOptions::default(), &mut |_| {}).unwrap();
    tx.copy(b"f", b"h").unwrap();
    tx.put_file(b"i", fixed(), &mut &b"new"[..]).unwrap();
    assert_eq!(tx.commit("").unwrap().version, 7);
    for (path, bytes) in [("f", text(20_000, 5)), ("h", text(20_000, 5)), ("g", b"another".to_vec())] {
        assert!(read(&store, path, 7) == bytes, "{path}");
    }
    assert_sound(&store);
}
