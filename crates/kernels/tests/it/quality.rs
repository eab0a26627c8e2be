//! Expanded features behave like independent fair coins where bundling needs it.

use std::collections::HashSet;

use engrams_kernels::{Level, mix64};

use crate::oracle;

/// Consecutive integers and hashes of them: the worst and the usual input.
fn vectors(words: usize, count: u64, feature: impl Fn(u64) -> u64) -> Vec<Vec<u64>> {
    let expand = |i| {
        let mut out = vec![0; words];
        Level::detect().expand(feature(i), &mut out);
        out
    };
    (0..count).map(expand).collect()
}

fn distances_are_binomial(words: usize, feature: impl Fn(u64) -> u64) {
    let vectors = vectors(words, 300, feature);
    let bits = (words * 64) as f64;
    let mut distances = Vec::new();
    for (i, a) in vectors.iter().enumerate() {
        for b in &vectors[..i] {
            distances.push(Level::detect().hamming(a, b) as f64);
        }
    }
    let n = distances.len() as f64;
    let mean = distances.iter().sum::<f64>() / n;
    let deviation = (distances.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / n).sqrt();
    let expected = bits.sqrt() / 2.0;
    assert!((mean - bits / 2.0).abs() < 5.0 * expected / n.sqrt(), "mean {mean} of {bits} bits");
    assert!((deviation / expected - 1.0).abs() < 0.02, "deviation {deviation} where {expected} is due");
    // 44,850 pairs: six deviations would happen once in 10,000 runs.
    assert!(distances.iter().all(|d| (d - bits / 2.0).abs() < 6.0 * expected));
}

#[test]
#[cfg_attr(miri, ignore = "statistics of many features, the same on all tiers")]
fn distances_between_features_are_binomial() {
    for words in [16, 64] {
        distances_are_binomial(words, |i| i);
        distances_are_binomial(words, mix64);
        // Features are even when they are for recall.
        distances_are_binomial(words, |i| mix64(i) & !1);
    }
}

#[test]
#[cfg_attr(miri, ignore = "statistics of many features, the same on all tiers")]
fn no_bit_is_biased() {
    let count = 20_000;
    let vectors = vectors(64, count, mix64);
    for bit in 0..4096 {
        let set = vectors.iter().filter(|words| oracle::bit(words, bit)).count() as f64;
        let deviations = (set - count as f64 / 2.0) / ((count as f64).sqrt() / 2.0);
        assert!(deviations.abs() < 5.0, "bit {bit} is set {set} times of {count}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "statistics of many features, the same on all tiers")]
fn bits_of_a_lane_are_distinct_functions_of_its_seed() {
    // Each step is linear over bits: two bits are pairwise independent for a uniform seed unless they
    // are the same combination of seed bits (or none). 256 steps make 65,536 bits.
    let mut state: Vec<u64> = (0..64).map(|bit| 1 << bit).collect();
    let mut seen = HashSet::new();
    for _ in 0..256 {
        for bit in 0..64 {
            let combination = oracle::from_bits(64, |seed_bit| (state[seed_bit] >> bit) & 1 == 1)[0];
            assert_ne!(combination, 0);
            assert!(seen.insert(combination), "two bits are the same function");
        }
        state.iter_mut().for_each(|word| *word = oracle::xorshift(*word));
    }
}
