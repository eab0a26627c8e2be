//! Reading back: a whole file in order, on one thread and on two, and 64 KiB from anywhere, out of a store in memory.
//!
//! The file is the last of eight versions, so that most of its chunks are corrections of corrections. The caches are
//! those of a new store for each reading in order, and warm for the reads from anywhere.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use engrams::store::Backend;
use engrams::store::backend::MemoryBackend;
use engrams::{EngramStore, OpenOptions, Result, StreamingDecoder, StreamingIngester};
use engrams_kernels::mix64;

const LEN: usize = 16 << 20;
const VERSIONS: u64 = 8;
const READ: u64 = 64 << 10;

/// Lines of numbers, of which every version changes others.
fn version(number: u64) -> Vec<u8> {
    let changed = |line: u64| (1..=number).rev().find(|v| mix64(line ^ (v << 40)) % 64 == 0).unwrap_or(0);
    (1_u64..)
        .flat_map(|line| format!("row {line}: {}\n", mix64(line + (changed(line) << 32))).into_bytes())
        .take(LEN)
        .collect()
}

fn stored() -> Result<(Arc<MemoryBackend>, Vec<Vec<u8>>)> {
    let backend = Arc::new(MemoryBackend::new());
    let store = open(&backend)?;
    let mut versions = Vec::new();
    for number in 0..VERSIONS {
        let bytes = version(number);
        let mut ingester = StreamingIngester::builder(&store).with_path("f").build()?;
        ingester.ingest_bytes(&bytes)?;
        ingester.finalize()?;
        versions.push(bytes);
    }
    Ok((backend, versions))
}

fn open(backend: &Arc<MemoryBackend>) -> Result<EngramStore> {
    EngramStore::with_backend(
        Arc::<MemoryBackend>::clone(backend) as Arc<dyn Backend>,
        &OpenOptions::default(),
    )
}

#[expect(clippy::expect_used, reason = "a benchmark whose store is broken should stop")]
fn decode(c: &mut Criterion) {
    let (backend, versions) = stored().expect("memory holds it");
    let last = &versions[versions.len() - 1];

    let mut group = c.benchmark_group("decode in order");
    group.throughput(Throughput::Bytes(LEN as u64)).sample_size(10);
    for threads in [1, 2] {
        let read = |store: EngramStore| {
            let decoder = StreamingDecoder::builder(&store, "f").with_threads(threads).build();
            let mut at = 0;
            for chunk in decoder.expect("the file is there") {
                let chunk = chunk.expect("it is whole");
                assert!(*chunk == last[at..at + chunk.len()]);
                at += chunk.len();
            }
            assert_eq!(at, LEN);
        };
        group.bench_function(format!("{threads} threads"), |b| {
            b.iter_batched(|| open(&backend).expect("it opens"), read, BatchSize::PerIteration);
        });
    }
    group.finish();

    let store = open(&backend).expect("it opens");
    let mut draw = 0;
    let mut read = || {
        draw += 1;
        let (number, at) = (mix64(draw) % VERSIONS, mix64(!draw) % (LEN as u64 - READ));
        let decoder = StreamingDecoder::builder(&store, "f").with_version(number + 1).with_offset(at).build();
        let bytes = decoder.and_then(|mut decoder| decoder.read_n_bytes(READ)).expect("it is whole");
        assert!(bytes == versions[number as usize][at as usize..][..READ as usize]);
        bytes
    };
    (0..500).for_each(|_| drop(read()));
    let mut group = c.benchmark_group("decode from anywhere");
    group.throughput(Throughput::Bytes(READ));
    group.bench_function("64 KiB of 8 versions", |b| b.iter(|| black_box(read())));
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
