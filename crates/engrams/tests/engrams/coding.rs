//! Fear: some compression of some kind of data that does not come back.

use engrams::{Compression, EngramStore, StreamingIngester};

use crate::common::{assert_sound, edit, noise, read, text};

const EVERY: [Compression; 7] = [
    Compression::None,
    Compression::Lz4,
    Compression::Zstd(1),
    Compression::Zstd(3),
    Compression::Zstd(5),
    Compression::Zstd(12),
    Compression::Zstd(19),
];

#[test]
fn every_compression_decodes_to_what_was_ingested() {
    let mixed = [text(90_000, 1), noise(90_000, 2), vec![0; 90_000]].concat();
    let kinds: [(&str, Vec<u8>); 4] = [
        ("text", text(300_000, 1)),
        ("noise", noise(300_000, 2)),
        ("zeros", vec![0; 700_000]),
        ("mixed", mixed),
    ];
    for compression in EVERY {
        let store = EngramStore::in_memory();
        let mut versions = Vec::new();
        for (path, bytes) in &kinds {
            let mut bytes = bytes.clone();
            for round in 0..3 {
                let mut ingester = StreamingIngester::builder(&store)
                    .with_path(path)
                    .with_chunk_size(16 << 10)
                    .with_compression(compression)
                    .build()
                    .unwrap();
                ingester.ingest_reader(bytes.as_slice()).unwrap();
                let result = ingester.finalize().unwrap();
                assert_eq!(result.content_hash, *blake3::hash(&bytes).as_bytes());
                versions.push((*path, result.version, bytes.clone()));
                edit(&mut bytes, 5, round);
            }
        }
        for (path, version, bytes) in &versions {
            assert!(read(&store, path, *version) == *bytes, "{compression:?} {path} {version}");
        }
        assert!(store.stats().unwrap().recalled_chunks > 0, "{compression:?}");
        assert_sound(&store);
    }
}

#[test]
fn incompressible_data_costs_hardly_more_than_itself() {
    for compression in EVERY {
        let store = EngramStore::in_memory();
        let bytes = noise(2 << 20, 9);
        let mut ingester =
            StreamingIngester::builder(&store).with_path("f").with_compression(compression).build().unwrap();
        ingester.ingest_bytes(&bytes).unwrap();
        ingester.finalize().unwrap();
        let stored = store.stats().unwrap().stored_bytes;
        assert!(stored < (2 << 20) + (64 << 10), "{compression:?}: {stored}");
    }
}

#[test]
fn repetition_costs_hardly_anything() {
    let store = EngramStore::in_memory();
    let bytes = b"0123456789abcdef".repeat(1 << 18);
    let mut ingester = StreamingIngester::builder(&store).with_path("f").build().unwrap();
    ingester.ingest_bytes(&bytes).unwrap();
    let result = ingester.finalize().unwrap();
    assert!(result.reused + 2 >= result.chunks, "{result:?}");
    assert!(store.stats().unwrap().stored_bytes < 64 << 10);
    assert!(read(&store, "f", 1) == bytes);
}

#[test]
fn a_correction_threshold_of_zero_recalls_nothing() {
    let store = EngramStore::in_memory();
    let mut bytes = text(400_000, 4);
    for round in 0..2 {
        let mut ingester =
            StreamingIngester::builder(&store).with_path("f").with_correction_threshold(0.0).build().unwrap();
        ingester.ingest_bytes(&bytes).unwrap();
        assert_eq!(ingester.finalize().unwrap().recalled, 0);
        edit(&mut bytes, 3, round);
    }
    assert_eq!(store.stats().unwrap().recalled_chunks, 0);
    assert_sound(&store);
}
