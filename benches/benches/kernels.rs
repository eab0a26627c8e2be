//! The word operations, on every tier this processor has. Each result is checked against another tier or
//! a known answer before it is timed.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engrams_kernels::{BitCounters, Level, mix64};

/// Words of a recall vector and of an engram.
const RECALL_WORDS: usize = 16;
const ENGRAM_WORDS: usize = 64;

fn features(count: u64) -> Vec<u64> {
    (0..count).map(mix64).collect()
}

fn counters(level: Level, words: usize) -> BitCounters<Vec<u64>> {
    BitCounters::new(level, words, vec![0; BitCounters::<Vec<u64>>::buffer_len(words)])
}

/// Bundles 512 features, as many as 64 KiB has at 1 in 128, into 1,024 bits.
fn bundle(c: &mut Criterion) {
    let features = features(512);
    let encode = |counters: &mut BitCounters<Vec<u64>>| {
        counters.clear();
        counters.add(&features);
        let mut majority = [0; RECALL_WORDS];
        counters.majority(&[0; RECALL_WORDS], &mut majority);
        majority
    };
    let expected = encode(&mut counters(Level::portable(), RECALL_WORDS));
    let mut group = c.benchmark_group("bundle 512 features to 1024 bits");
    group.throughput(Throughput::Bytes(64 << 10));
    for level in Level::all_available() {
        let mut counters = counters(level, RECALL_WORDS);
        assert_eq!(encode(&mut counters), expected, "{level}");
        group.bench_function(level.name(), |b| b.iter(|| encode(black_box(&mut counters))));
    }
    group.finish();
}

/// Bundles features into integer counters of 4,096 bits.
fn count(c: &mut Criterion) {
    for count in [1, 512, 8192] {
        let features = features(count);
        let mut group = c.benchmark_group(format!("count {count} features in 4096 counters"));
        group.throughput(Throughput::Elements(count));
        for level in Level::all_available() {
            let mut bits = counters(level, ENGRAM_WORDS);
            let mut sums = vec![0; ENGRAM_WORDS * 64];
            bits.add(&features);
            bits.flush(1, &mut sums);
            bits.add(&features);
            bits.flush(-1, &mut sums);
            assert!(sums.iter().all(|sum| *sum == 0), "{level}");
            group.bench_function(level.name(), |b| {
                b.iter(|| {
                    bits.add(black_box(&features));
                    bits.flush(1, black_box(&mut sums));
                });
            });
        }
        group.finish();
    }
}

/// Scans 100,000 rows of 1,024 bits: 12.8 MB, more than a second-level cache.
fn scan(c: &mut Criterion) {
    const ROWS: usize = 100_000;
    let matrix: Vec<u64> = features((ROWS * RECALL_WORDS) as u64);
    let query = &matrix[777 * RECALL_WORDS..][..RECALL_WORDS];
    let mut group = c.benchmark_group("scan 100000 rows of 1024 bits");
    group.throughput(Throughput::Bytes((matrix.len() * 8) as u64));
    for level in Level::all_available() {
        let mut distances = vec![0; ROWS];
        level.hamming_rows(query, &matrix, &mut distances);
        assert_eq!(distances.iter().position(|distance| *distance == 0), Some(777), "{level}");
        group.bench_function(level.name(), |b| {
            b.iter(|| level.hamming_rows(black_box(query), black_box(&matrix), &mut distances));
        });
    }
    group.finish();
}

/// The small operations on one recall vector.
fn single(c: &mut Criterion) {
    for level in Level::all_available() {
        let mut group = c.benchmark_group(format!("1024 bits on {level}"));
        let (mut a, mut b, mut out) = ([0; RECALL_WORDS], [0; RECALL_WORDS], [0; RECALL_WORDS]);
        level.expand(1, &mut a);
        level.expand(2, &mut b);
        level.rotate_into(&mut out, &a, 77);
        assert_eq!(level.popcount(&out), level.popcount(&a));
        let mut bound = a;
        level.xor_into(&mut bound, &b);
        assert_eq!(level.popcount(&bound), level.hamming(&a, &b));

        group.bench_function("expand", |bench| bench.iter(|| level.expand(black_box(3), &mut out)));
        group.bench_function("hamming", |bench| bench.iter(|| level.hamming(black_box(&a), black_box(&b))));
        group.bench_function("bind", |bench| bench.iter(|| level.xor_into(black_box(&mut bound), &b)));
        group.bench_function("permute", |bench| {
            bench.iter(|| level.rotate_into(black_box(&mut out), &a, black_box(77)));
        });
        group.finish();
    }
}

criterion_group!(benches, bundle, count, scan, single);
criterion_main!(benches);
