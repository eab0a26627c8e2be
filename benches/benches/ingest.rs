//! Whole streams into a store in memory: what ingest costs without a disk. Each stream is read back once and compared,
//! and the counts of its chunks must be those its kind has.

use std::hint::black_box;
use std::io::Read as _;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use engrams::{EngramStore, Result, StreamingDecoder, StreamingIngester, StreamingResult};
use engrams_kernels::mix64;

const LEN: usize = 8 << 20;

fn random(len: usize) -> Vec<u8> {
    (1..=len.div_ceil(8) as u64).flat_map(|i| mix64(i).to_le_bytes()).take(len).collect()
}

/// Lines of numbers: much of a byte is known before it is read, no line comes twice.
fn text(len: usize) -> Vec<u8> {
    (1_u64..).flat_map(|i| format!("row {i}: {}\n", mix64(i) >> 40).into_bytes()).take(len).collect()
}

/// The next version of `bytes`: a few bytes inserted every 32 KiB, so that few chunks stay identical.
fn edited(bytes: &[u8]) -> Vec<u8> {
    let pieces = bytes.chunks(32 << 10).zip(1_u64..);
    pieces.flat_map(|(piece, i)| [format!("edit {i}").as_bytes(), piece].concat()).collect()
}

fn ingest(store: &EngramStore, bytes: &[u8]) -> Result<StreamingResult> {
    let mut ingester = StreamingIngester::builder(store).with_path("stream").build()?;
    ingester.ingest_bytes(bytes)?;
    ingester.finalize()
}

#[expect(clippy::expect_used, reason = "a benchmark whose store fails should stop")]
fn holding(bytes: Option<&[u8]>) -> EngramStore {
    let store = EngramStore::in_memory();
    if let Some(bytes) = bytes {
        ingest(&store, bytes).expect("a store in memory takes any bytes");
    }
    store
}

#[expect(clippy::expect_used, reason = "a benchmark whose store fails should stop")]
fn check(before: Option<&[u8]>, bytes: &[u8], as_expected: impl Fn(&StreamingResult) -> bool) {
    let store = holding(before);
    let result = ingest(&store, bytes).expect("a store in memory takes any bytes");
    assert!(as_expected(&result), "{result:?}");
    let mut back = Vec::new();
    let decoder = StreamingDecoder::builder(&store, "stream").build();
    decoder.expect("the stream is there").read_to_end(&mut back).expect("the stream can be read");
    assert!(back == bytes, "what came out is not what went in");
}

/// The first version into an empty store, and what follows it.
fn streams(c: &mut Criterion) {
    let (random, text) = (random(LEN), text(LEN));
    let (random_next, text_next) = (edited(&random), edited(&text));
    check(None, &random, |result| result.verbatim == result.chunks);
    check(None, &text, |result| result.reused == 0);
    check(Some(&random), &random_next, |result| result.recalled > result.chunks / 2);
    check(Some(&text), &text_next, |result| result.recalled > result.chunks / 2);
    check(Some(&text), &text, |result| result.reused == result.chunks);

    let mut group = c.benchmark_group("ingest");
    group.sample_size(10);
    let cases = [
        ("random", None, random.as_slice()),
        ("text", None, &text),
        ("random, next version", Some(random.as_slice()), &random_next),
        ("text, next version", Some(&text), &text_next),
        ("text, stored already", Some(&text), &text),
    ];
    for (name, before, bytes) in cases {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |b| {
            b.iter_batched(
                || holding(before),
                // The store is returned, so that taking it apart is not measured.
                |store| (ingest(&store, black_box(bytes)), store),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, streams);
criterion_main!(benches);
