//! Fear: a handle that lives on after its store was closed.

use engrams::{EngramStore, ErrorKind, IngestOptions, StreamingIngester, Transaction, VerifyOptions};

use crate::common::{ingest, noise, try_read};

#[test]
fn after_closing_every_call_that_needs_the_store_is_unavailable() {
    let store = EngramStore::in_memory();
    let bytes = noise(300_000, 1);
    ingest(&store, "f", &bytes);
    let other = store.clone();
    let mut late = StreamingIngester::builder(&other).with_path("g").build().unwrap();
    let mut tx = Transaction::begin(&other, &IngestOptions::default()).unwrap();
    store.close().unwrap();
    store.close().unwrap();

    let kind = |error: engrams::Error| error.kind();
    assert_eq!(other.versions().map_err(kind).err(), Some(ErrorKind::Unavailable));
    assert_eq!(other.version(1).map_err(kind).err(), Some(ErrorKind::Unavailable));
    assert_eq!(other.stats().map_err(kind).err(), Some(ErrorKind::Unavailable));
    assert_eq!(other.remember(b"f", &[0; 32], b"").map_err(kind).err(), Some(ErrorKind::Unavailable));
    assert_eq!(
        other.verify(VerifyOptions { deep: true }, &mut |_| {}).map_err(kind).err(),
        Some(ErrorKind::Unavailable)
    );
    let late = late.ingest_bytes(&noise(3 << 20, 2)).map(drop).and_then(|()| late.finalize());
    assert!(late.is_err_and(|e| e.kind() == ErrorKind::Unavailable || e.kind() == ErrorKind::Invalid));
    tx.put_file(b"h", crate::common::fixed(), &mut &b"h"[..]).unwrap();
    assert_eq!(tx.commit("").map_err(kind).err(), Some(ErrorKind::Unavailable));
    // What is in memory may still be read, and is right.
    match try_read(&other, b"f", None) {
        Ok(found) => assert!(found == bytes),
        Err(error) => assert_eq!(
            error.get_ref().and_then(|e| e.downcast_ref::<engrams::Error>()).map(engrams::Error::kind),
            Some(ErrorKind::Unavailable)
        ),
    }
}
