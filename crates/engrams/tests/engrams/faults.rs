//! Fear: a medium that fails in the middle of an ingest, and a store that is worse off than before.

use std::sync::Arc;

use engrams::store::backend::{Fault, FaultyBackend, MemoryBackend};
use engrams::store::{Backend, Space};
use engrams::{Chunking, EngramStore, Result, StreamingIngester};

use crate::common::{assert_sound, backend_of, fixed, noise, open, records, text, try_read};

type Faulty = FaultyBackend<MemoryBackend>;

fn try_ingest(store: &EngramStore, path: &str, bytes: &[u8]) -> Result<u64> {
    let mut ingester = StreamingIngester::builder(store)
        .with_path(path)
        .with_attributes(fixed())
        .with_chunking(Chunking::Fixed(1024))
        .build()?;
    ingester.ingest_bytes(bytes)?;
    Ok(ingester.finalize()?.version)
}

/// 32 chunks that nothing resembles, 20 more after them, and the same with a byte changed in each of the 20.
fn contents() -> [(&'static str, Vec<u8>); 3] {
    let (old, new) = (noise(32 * 1024, 1), noise(20 * 1024, 2));
    let mut like = new.clone();
    like.iter_mut().step_by(1024).for_each(|b| *b ^= 0x55);
    [("a", old.clone()), ("b", [&old[..], &new].concat()), ("c", [&old[..], &like].concat())]
}

/// What a crash leaves: the records as they are, opened anew.
fn reopened(faulty: &Faulty) -> EngramStore {
    open(backend_of(&records(faulty.inner(), &Space::ALL)), 1024).unwrap()
}

fn calls() -> (u64, u64) {
    let backend = Arc::new(Faulty::new(MemoryBackend::new(), Fault::default()));
    let store = open(Arc::<Faulty>::clone(&backend), 1024).unwrap();
    for (path, bytes) in &contents() {
        try_ingest(&store, path, bytes).unwrap();
    }
    (backend.writes(), backend.flushes())
}

fn each_fault(fatal: bool) -> impl Iterator<Item = Fault> {
    let (writes, flushes) = calls();
    let write = (0..writes).map(move |at| Fault { write: Some(at), fatal, ..Fault::default() });
    write.chain((0..flushes).map(move |at| Fault { flush: Some(at), fatal, ..Fault::default() }))
}

#[test]
fn a_crash_at_any_write_leaves_the_version_before_or_the_version_after() {
    for fault in each_fault(true) {
        let backend = Arc::new(Faulty::new(MemoryBackend::new(), fault));
        let Ok(store) = open(Arc::<Faulty>::clone(&backend), 1024) else { continue };
        let published =
            contents().iter().take_while(|(path, bytes)| try_ingest(&store, path, bytes).is_ok()).count()
                as u64;
        drop(store);
        let store = reopened(&backend);
        let found = store.head().unwrap().map_or(0, |head| head.number);
        assert!(found == published || found == published + 1, "{fault:?}: {found} after {published}");
        for (path, bytes) in &contents()[..found as usize] {
            assert!(try_read(&store, path.as_bytes(), None).unwrap() == *bytes, "{fault:?} `{path}`");
        }
        assert_sound(&store);
        for (path, bytes) in &contents()[found as usize..] {
            try_ingest(&store, path, bytes).unwrap();
            assert!(try_read(&store, path.as_bytes(), None).unwrap() == *bytes);
        }
        assert_sound(&store);
    }
}

#[test]
fn a_write_that_fails_once_leaves_nothing_that_later_chunks_lean_on() {
    for fault in each_fault(false) {
        let backend = Arc::new(Faulty::new(MemoryBackend::new(), fault));
        let Ok(store) = open(Arc::<Faulty>::clone(&backend), 1024) else { continue };
        let mut failures = 0;
        let mut there = Vec::new();
        for (path, bytes) in &contents() {
            // The disk is full once and then it is not: the caller goes on with the next file.
            match try_ingest(&store, path, bytes) {
                Ok(_) => there.push((*path, bytes.clone())),
                Err(_) => failures += 1,
            }
        }
        assert_eq!(failures, 1, "{fault:?}");
        drop(store);
        let store = reopened(&backend);
        for (path, bytes) in &there {
            let found = try_read(&store, path.as_bytes(), None);
            assert!(
                found.as_ref().is_ok_and(|found| found == bytes),
                "{fault:?} `{path}`: {:?}",
                found.err()
            );
        }
        assert_sound(&store);
    }
}

#[test]
fn what_an_ingest_left_behind_unpublished_is_used_again_after_reopening() {
    let backend = Arc::new(MemoryBackend::new());
    let bytes = text(200_000, 3);
    {
        let store = open(Arc::<MemoryBackend>::clone(&backend), 1024).unwrap();
        let mut ingester = StreamingIngester::builder(&store).with_path("f").build().unwrap();
        ingester.ingest_bytes(&bytes[..150_000]).unwrap();
    }
    let store = open(Arc::<MemoryBackend>::clone(&backend) as Arc<dyn Backend>, 1024).unwrap();
    assert_eq!(store.head().unwrap(), None);
    let result = crate::common::ingest(&store, "f", &bytes);
    assert!(result.reused * 2 > result.chunks, "{result:?}");
    assert!(try_read(&store, b"f", None).unwrap() == bytes);
    assert_sound(&store);
}
