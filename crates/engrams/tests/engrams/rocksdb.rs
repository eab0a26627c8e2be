//! Fear: what holds in memory and not on disk.

use engrams::{EngramStore, ErrorKind, StreamingIngester, VerifyOptions};

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
    std::fs::write(directory.path().join("somebody's"), b"file").unwrap();
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
