//! Fear: an option out of its range that is taken in silence, or refused without a reason.

use engrams::{
    Chunking, Compression, EngramStore, ErrorKind, IngestOptions, StreamingIngester,
    StreamingIngesterBuilder, Transaction,
};

fn refused(
    configure: impl FnOnce(StreamingIngesterBuilder<'_>) -> StreamingIngesterBuilder<'_>,
    parts: &[&str],
) {
    let store = EngramStore::in_memory();
    let error = configure(StreamingIngester::builder(&store).with_path("f")).build().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "`{part}` is not in: {error}");
    }
    assert_eq!(store.head().unwrap(), None);
}

#[test]
fn an_option_out_of_range_names_itself_its_value_and_its_limit() {
    refused(|b| b.with_chunk_size(1000), &["1000", "power of two"]);
    refused(|b| b.with_chunk_size(128), &["average", "128", "256"]);
    refused(|b| b.with_chunk_size(0), &["average", "0", "256"]);
    refused(|b| b.with_chunk_size(usize::MAX), &["average", "16777216"]);
    refused(|b| b.with_chunking(Chunking::Fixed(63)), &["63", "64"]);
    refused(|b| b.with_chunking(Chunking::Fixed(usize::MAX)), &["67108864"]);
    refused(|b| b.with_compression(Compression::Zstd(0)), &["zstd level", "0", "1..=22"]);
    refused(|b| b.with_compression(Compression::Zstd(23)), &["zstd level", "23", "1..=22"]);
    refused(|b| b.with_correction_threshold(1.5), &["threshold", "1.5", "1.0"]);
    refused(|b| b.with_correction_threshold(-0.1), &["threshold", "-0.1"]);
    refused(|b| b.with_correction_threshold(f64::NAN), &["threshold", "NaN"]);
    refused(|b| b.with_threads(1025), &["threads", "1025", "1024"]);
    refused(|b| b.with_memory_budget(1000), &["memory", "1000", "1048576"]);
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let fixed = Chunking::Fixed(4096);
    refused(|b| b.with_chunk_size(4096).with_chunking(fixed), &["chunk size", "chunking"]);
    refused(|b| b.with_chunk_size(4096).with_adaptive_chunking(1 << 20), &["chunk size", "adaptive"]);
    refused(|b| b.with_adaptive_chunking(1 << 20).with_chunking(fixed), &["adaptive", "chunking"]);
}

#[test]
fn a_path_that_is_missing_or_not_allowed_is_refused() {
    let store = EngramStore::in_memory();
    let error = StreamingIngester::builder(&store).build().err().unwrap();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("with_path"), "{error}");
    let long = "a".repeat(4096);
    for path in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\0b", &long] {
        let error = StreamingIngester::builder(&store).with_path(path).build().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{path}");
        let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
        assert_eq!(
            tx.put_directory(path.as_bytes(), crate::common::fixed()).unwrap_err().kind(),
            ErrorKind::Invalid
        );
    }
    for path in ["a", "...", "a/.b", " ", &"a".repeat(4095)] {
        StreamingIngester::builder(&store).with_path(path).build().unwrap();
    }
}

#[test]
fn paths_that_are_not_text_come_back_as_they_were() {
    let store = EngramStore::in_memory();
    let path = b"\xff\xfe/\x80 \n";
    let mut ingester = StreamingIngester::builder(&store).with_path(path).build().unwrap();
    ingester.ingest_bytes(b"x").unwrap();
    assert_eq!(ingester.finalize().unwrap().path, path);
    assert_eq!(crate::common::try_read(&store, path, None).unwrap(), b"x");
}

#[test]
fn every_option_in_its_range_stores_what_it_was_given() {
    let bytes = crate::common::text(150_000, 1);
    let every: [fn(StreamingIngesterBuilder<'_>) -> StreamingIngesterBuilder<'_>; 10] = [
        |b| b.with_chunk_size(256),
        |b| b.with_chunk_size(16 << 20),
        |b| b.with_chunking(Chunking::Fixed(64)),
        |b| b.with_adaptive_chunking(0),
        |b| b.with_adaptive_chunking(150_000),
        |b| b.with_adaptive_chunking(u64::MAX),
        |b| b.with_memory_budget(1 << 20).with_threads(1),
        |b| b.with_threads(3).with_compression(Compression::Zstd(22)),
        |b| b.with_correction_threshold(1.0),
        |b| b.with_message("why").with_expected_version(0),
    ];
    for (at, configure) in every.into_iter().enumerate() {
        let store = EngramStore::in_memory();
        let mut ingester = configure(StreamingIngester::builder(&store).with_path("f")).build().unwrap();
        ingester.ingest_bytes(&bytes).unwrap();
        ingester.finalize().unwrap();
        assert!(crate::common::read(&store, "f", 1) == bytes, "{at}");
        let message = store.head().unwrap().unwrap().message;
        assert_eq!(message, if at == 9 { "why" } else { "f" });
    }
}
