//! Injected faults are what they claim to be.

use engrams_store::backend::{Fault, FaultyBackend, MemoryBackend};
use engrams_store::{Backend, Batch, Durability, ErrorKind, Space};

fn put(backend: &dyn Backend, key: u8) -> engrams_store::Result<()> {
    let mut batch = Batch::new();
    batch.put(Space::Meta, [key], [key]);
    backend.write(batch, Durability::Staged)
}

#[test]
fn the_named_write_fails_and_applies_nothing() {
    let fault = Fault { write: Some(1), ..Fault::default() };
    let backend = FaultyBackend::new(MemoryBackend::new(), fault);
    put(&backend, 0).unwrap();
    assert_eq!(put(&backend, 1).unwrap_err().kind(), ErrorKind::Io);
    put(&backend, 2).unwrap();
    assert_eq!(backend.writes(), 3);
    let keys: Vec<_> =
        backend.into_inner().contents(Space::Meta).unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [[0], [2]]);
}

#[test]
fn after_a_fatal_flush_nothing_answers() {
    let fault = Fault { flush: Some(0), fatal: true, ..Fault::default() };
    let backend = FaultyBackend::new(MemoryBackend::new(), fault);
    put(&backend, 0).unwrap();
    assert_eq!(backend.flush().unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(put(&backend, 1).unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(backend.get(Space::Meta, &[0]).unwrap_err().kind(), ErrorKind::Unavailable);
    backend.close().unwrap();
    assert_eq!(backend.into_inner().contents(Space::Meta).unwrap().len(), 1);
}
