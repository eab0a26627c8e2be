//! Every kernel on every tier this processor has. Each result is compared with a plain loop or a known
//! answer once, before it is timed.
//!
//! The figures to expect are of one core at about 3.4 GHz (Zen 3), with nothing else running. The AVX-512
//! tiers have not been measured.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engrams_kernels::{BitCounters, Level, Neighbour, mix64};

/// Words of a recall vector and of an engram.
const RECALL_WORDS: usize = 16;
const ENGRAM_WORDS: usize = 64;

fn features(count: u64) -> Vec<u64> {
    (0..count).map(mix64).collect()
}

fn counters(level: Level, words: usize) -> BitCounters<Vec<u64>> {
    BitCounters::new(level, words, vec![0; BitCounters::<Vec<u64>>::buffer_len(words)])
}

/// The distance by the standard library alone.
fn distance(a: &[u64], b: &[u64]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

/// Bundles 512 features, as many as 64 KiB has at 1 in 128, into 1,024 bits; the throughput is that of the
/// 64 KiB.
///
/// Expect 8 us portable and 3.5 us with AVX2 (18 GB/s of input). A feature costs a seed and four steps of 6
/// instructions and about 6 for carry-save addition: 36,000 vector instructions in all, three in a cycle.
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

/// Bundles features into integer counters of 4,096 bits, as engrams do.
///
/// Expect 2 us for one feature with AVX2, all of it for the 4,096 counters; 13 us for 512; 25 ns for each of
/// many.
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

/// The ten nearest of 1 M rows of 1,024 bits, 128 MB that no cache holds; beside it the same bytes just read.
///
/// Expect 7 ms with AVX2, and 8 to 9 ms for a plain read: the scan reads along four streams, the plain read along
/// one. With the rows in the second-level cache a row takes 5 ns. Portable: 19 ms, and there arithmetic is
/// the limit.
fn scan(c: &mut Criterion) {
    const ROWS: usize = 1_000_000;
    const CACHED: usize = 2000;
    let matrix: Vec<u64> = features((ROWS * RECALL_WORDS) as u64);
    let query = &matrix[777 * RECALL_WORDS..][..RECALL_WORDS];
    let mut sorted: Vec<Neighbour> = matrix
        .chunks(RECALL_WORDS)
        .enumerate()
        .map(|(row, words)| Neighbour { distance: distance(query, words), row })
        .collect();
    sorted.sort_unstable();
    for rows in [CACHED, ROWS] {
        let matrix = &matrix[..rows * RECALL_WORDS];
        let mut group = c.benchmark_group(format!("nearest 10 of {rows} rows of 1024 bits"));
        group.throughput(Throughput::Bytes((matrix.len() * 8) as u64));
        let expected: Vec<Neighbour> =
            sorted.iter().filter(|near| near.row < rows).take(10).copied().collect();
        for level in Level::all_available() {
            let mut buffer = [Neighbour::default(); 10];
            assert_eq!(level.nearest(query, matrix, &mut buffer), expected, "{level}");
            let mut distances = vec![0; rows];
            level.hamming_rows(query, matrix, &mut distances);
            assert!(expected.iter().all(|near| distances[near.row] == near.distance), "{level}");
            group.bench_function(format!("nearest on {level}"), |b| {
                b.iter(|| level.nearest(black_box(query), black_box(matrix), &mut buffer).len());
            });
            group.bench_function(format!("hamming_rows on {level}"), |b| {
                b.iter(|| level.hamming_rows(black_box(query), black_box(matrix), &mut distances));
            });
        }
        let sum = || black_box(matrix).iter().fold(0, |sum, word| sum ^ word);
        assert_ne!(sum(), 0);
        group.bench_function("plain read", |b| b.iter(sum));
        group.finish();
    }
}

/// The counters of engrams: one more added, one subtracted, signs taken. 64 KiB of counters.
///
/// Expect 1 us for adding and subtracting (first-level cache), and 1.3 us for signs with AVX2; portable
/// signs take a counter each.
fn combine(c: &mut Criterion) {
    let counters: Vec<i64> = features(4096).iter().map(|f| (f % 9).cast_signed() - 4).collect();
    let tie = features(ENGRAM_WORDS as u64);
    for level in Level::all_available() {
        let mut group = c.benchmark_group(format!("4096 counters on {level}"));
        let (mut sums, mut bits) = (counters.clone(), vec![0; ENGRAM_WORDS]);
        level.threshold(&counters, &tie, &mut bits);
        for (i, counter) in counters.iter().enumerate() {
            let tied = (tie[i / 64] >> (i % 64)) & 1 == 1;
            assert_eq!((bits[i / 64] >> (i % 64)) & 1 == 1, if *counter == 0 { tied } else { *counter > 0 });
        }
        level.add_counters(&mut sums, &counters);
        assert!(sums.iter().zip(&counters).all(|(sum, counter)| *sum == 2 * counter), "{level}");
        level.subtract_counters(&mut sums, &counters);
        assert_eq!(sums, counters, "{level}");

        group.bench_function("add", |b| b.iter(|| level.add_counters(black_box(&mut sums), &counters)));
        group.bench_function("subtract", |b| {
            b.iter(|| level.subtract_counters(black_box(&mut sums), &counters));
        });
        group.bench_function("threshold", |b| {
            b.iter(|| level.threshold(black_box(&counters), &tie, black_box(&mut bits)));
        });
        group.finish();
    }
}

/// The small operations on one recall vector.
///
/// Expect about 10 ns each with AVX2, of which the calls are a part: 128 bytes are four registers.
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
        assert_eq!(level.hamming(&a, &b), u64::from(distance(&a, &b)), "{level}");
        // Words four apart are one step of a generator: the definition of expanding.
        let stepped = |x: u64| {
            [13, -7, 17].iter().fold(x, |x, by| if *by < 0 { x ^ (x >> -by) } else { x ^ (x << by) })
        };
        assert!(a.iter().zip(&a[4..]).all(|(before, word)| *word == stepped(*before)), "{level}");

        group.bench_function("expand", |bench| bench.iter(|| level.expand(black_box(3), &mut out)));
        group.bench_function("hamming", |bench| bench.iter(|| level.hamming(black_box(&a), black_box(&b))));
        group.bench_function("popcount", |bench| bench.iter(|| level.popcount(black_box(&a))));
        group.bench_function("bind", |bench| bench.iter(|| level.xor_into(black_box(&mut bound), &b)));
        group.bench_function("permute", |bench| {
            bench.iter(|| level.rotate_into(black_box(&mut out), &a, black_box(77)));
        });
        group.finish();
    }
}

criterion_group!(benches, bundle, count, scan, combine, single);
criterion_main!(benches);
