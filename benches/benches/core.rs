//! The maths that every ingested byte goes through, on the tier this processor has. Each result is checked.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engrams_core::{
    ChunkParams, Chunking, Dimension, Engram, Hypervector, ItemMemory, Scanner, encode, features_of, seam,
};
use engrams_kernels::mix64;

fn random(len: usize) -> Vec<u8> {
    (1..=len.div_ceil(8) as u64).flat_map(|i| mix64(i).to_le_bytes()).take(len).collect()
}

/// Lines of numbers: a text whose bytes are few and whose windows are many.
fn text(len: usize) -> Vec<u8> {
    (1_u64..).flat_map(|i| format!("row {i}: {}\n", mix64(i)).into_bytes()).take(len).collect()
}

fn scan_all(scanner: &mut Scanner, data: &[u8], features: &mut Vec<u64>) -> usize {
    let (mut rest, mut chunks) = (data, 0);
    features.clear();
    while !rest.is_empty() {
        let end = scanner.scan(rest).unwrap_or(rest.len());
        scanner.finish(features);
        rest = &rest[end..];
        chunks += 1;
    }
    chunks
}

/// Cut points and features in one pass.
#[expect(clippy::expect_used, reason = "a benchmark with impossible parameters should stop")]
fn scan(c: &mut Criterion) {
    let len = 16 << 20;
    for (name, data) in [("random", random(len)), ("text", text(len))] {
        let mut group = c.benchmark_group(format!("scan {name}"));
        group.throughput(Throughput::Bytes(len as u64));
        for average in [8 << 10, 64 << 10] {
            let params = ChunkParams::from_average(average).expect("both averages are allowed");
            let mut scanner = Scanner::new(Chunking::ContentDefined(params));
            let mut features = Vec::new();
            let chunks = scan_all(&mut scanner, &data, &mut features);
            assert!((len / average / 2..len / average * 2).contains(&chunks), "{chunks} chunks");
            assert!((len / 100..len / 60).contains(&features.len()), "{} features", features.len());
            group.bench_function(format!("{} KiB chunks", average >> 10), |b| {
                b.iter(|| scan_all(&mut scanner, black_box(&data), &mut features));
            });
        }
        group.finish();
    }
}

/// The seam between two chunks, once for each chunk.
fn join(c: &mut Criterion) {
    let data = random(94);
    let (a, b) = data.split_at(47);
    let mut whole = Vec::new();
    features_of(&data, &mut whole);
    let mut parts = Vec::new();
    features_of(a, &mut parts);
    features_of(b, &mut parts);
    let change = seam(a, b);
    assert_eq!(whole.len() + change.removed().len(), parts.len() + change.added().len());
    c.bench_function("seam", |bench| bench.iter(|| seam(black_box(a), black_box(b))));
}

/// A chunk's hypervector, and its part of an engram.
fn bundle(c: &mut Criterion) {
    let features: Vec<u64> = (0..512).map(mix64).collect();
    let vector = encode(&features, Dimension::RECALL);
    assert!(vector.similarity(&encode(&features[..400], Dimension::RECALL)) > 0.5);
    let mut engram = Engram::new(Dimension::ENGRAM);
    engram.add_features(&features);
    assert_eq!(engram.majority().truncate(Dimension::RECALL), vector);
    let bytes = engram.to_bytes();
    assert_eq!(Engram::from_bytes(&bytes).as_ref(), Ok(&engram));

    c.bench_function("encode 512 features", |b| b.iter(|| encode(black_box(&features), Dimension::RECALL)));
    c.bench_function("add 512 features to an engram", |b| {
        b.iter(|| engram.add_features(black_box(&features)));
    });
    let other = engram.clone();
    c.bench_function("merge engrams", |b| b.iter(|| engram.merge(black_box(&other))));
    c.bench_function("cosine of engrams", |b| b.iter(|| engram.cosine(black_box(&other))));
    c.bench_function("pack an engram", |b| b.iter(|| black_box(&other).to_bytes()));
    c.bench_function("unpack an engram", |b| b.iter(|| Engram::from_bytes(black_box(&bytes))));
}

/// The eight nearest of 100,000 items.
fn recall(c: &mut Criterion) {
    let mut memory = ItemMemory::new(Dimension::RECALL);
    for feature in 0..100_000 {
        memory.insert(feature, &Hypervector::from_feature(feature, Dimension::RECALL));
    }
    let query = encode(&[500, 600, 700], Dimension::RECALL);
    let mut found: Vec<u64> = memory.recall(&query, 3).iter().map(|item| *item.label).collect();
    found.sort_unstable();
    assert_eq!(found, [500, 600, 700]);
    c.bench_function("recall 8 of 100000", |b| b.iter(|| memory.recall(black_box(&query), 8).len()));
}

criterion_group!(benches, scan, join, bundle, recall);
criterion_main!(benches);
