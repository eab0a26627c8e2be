//! Fear: that looking changes something, or shows what never was.

use std::sync::Arc;

use engrams::store::backend::MemoryBackend;
use engrams::{
    CollectOptions, EngramStore, ErrorKind, Forget, IngestOptions, OpenOptions, StreamingIngester,
    Transaction,
};

use crate::common::{assert_sound, ingest, read, small_store, text};

#[test]
fn nothing_can_be_changed_through_a_store_that_is_open_for_reading() {
    let (store, backend) = small_store(4096);
    let content = text(100_000, 1);
    ingest(&store, "f", &content);
    ingest(&store, "g", &content[..50_000]);
    let options = OpenOptions { read_only: true, ..OpenOptions::default() };
    let reader = EngramStore::with_backend(Arc::<MemoryBackend>::clone(&backend), &options).unwrap();
    assert!(reader.is_read_only() && !store.is_read_only());
    assert!(read(&reader, "f", 2) == content);
    assert_sound(&reader);
    reader.freeable(&[1]).unwrap();

    let refusals = [
        Transaction::begin(&reader, &IngestOptions::default()).err(),
        StreamingIngester::builder(&reader).with_path("f").build().err(),
        reader.collect(&CollectOptions::default(), &mut |_| {}).err(),
        reader.forget(&Forget { versions: vec![1], ..Forget::default() }).err(),
        reader.tag("x", 1).err(),
        reader.remember(b"f", &[0; 32], b"").err(),
    ];
    for (at, refusal) in refusals.into_iter().enumerate() {
        let error = refusal.unwrap_or_else(|| panic!("{at} was let through"));
        assert_eq!(error.kind(), ErrorKind::Invalid, "{at}: {error}");
        assert!(error.to_string().contains("opened for reading only"), "{at}: {error}");
    }
    // As if none had been tried.
    assert!(reader.forgotten().unwrap().is_empty() && reader.versions().unwrap().len() == 2);
    assert_sound(&store);
}

#[test]
fn what_is_no_store_yet_is_not_made_one_by_looking() {
    let backend = Arc::new(MemoryBackend::new());
    let options = OpenOptions { read_only: true, ..OpenOptions::default() };
    let error = EngramStore::with_backend(Arc::<MemoryBackend>::clone(&backend), &options).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(backend.contents(engrams::store::Space::Meta).unwrap().is_empty());
}

/// A process beside the writer can't share memory with it, so neither does this reader: all it has is the directory.
#[cfg(feature = "rocksdb")]
#[test]
fn readers_beside_a_writer_that_commits_forgets_and_collects_see_whole_versions_only() {
    use std::sync::atomic::{AtomicBool, Ordering};

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let content = |version: u64| {
        let mut bytes = text(60_000, 7);
        crate::common::edit(&mut bytes, 5, version);
        bytes
    };
    let store = EngramStore::open(path).unwrap();
    ingest(&store, "f", &content(1));
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for version in 2..=60 {
                ingest(&store, "f", &content(version));
                if version % 10 == 0 {
                    store.forget(&Forget { versions: vec![version - 5], ..Forget::default() }).unwrap();
                    store.collect(&CollectOptions::default(), &mut |_| {}).unwrap();
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        let (mut opened, mut newest) = (0, 0);
        while !done.load(Ordering::Relaxed) {
            let reader = match EngramStore::open_read_only(path) {
                Ok(reader) => reader,
                // It may come between the parts of one commit after the other.
                Err(error) if error.kind() == ErrorKind::Unavailable => continue,
                Err(error) => panic!("{error:?}"),
            };
            let versions = reader.versions().unwrap();
            assert!(versions[0].number >= newest, "a commit that was seen is gone");
            newest = versions[0].number;
            let gone: u64 = reader.forgotten().unwrap().iter().map(|(first, last)| last - first + 1).sum();
            assert_eq!(versions.len() as u64 + gone, newest);
            for version in [&versions[0], &versions[versions.len() / 2], &versions[versions.len() - 1]] {
                assert!(read(&reader, "f", version.number) == content(version.number), "{}", version.number);
            }
            assert_sound(&reader);
            opened += 1;
        }
        assert!(opened > 0);
    });
}
