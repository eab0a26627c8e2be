//! Every operation at every width from 0 to 70 words, on every tier: no width is left to chance.

use engrams_kernels::{BitCounters, Level, Neighbour};

use crate::oracle;

/// Up to more words than eight registers of the widest tier have, with every remainder of each. An
/// interpreter, a thousand times slower, has to do with the widths around a register's.
fn widths() -> impl Iterator<Item = usize> {
    (0..=70).filter(|words| !cfg!(miri) || [0, 1, 3, 4, 7, 9, 16, 29].contains(words))
}

#[test]
fn words_at_every_width() {
    for words in widths() {
        let (a, b) = (oracle::expand(words as u64, words), oracle::expand(!(words as u64), words));
        let expected = (oracle::xor(&a, &b), oracle::hamming(&a, &b), oracle::popcount(&a));
        let by = 37 * words + 5;
        let rotated = if words == 0 { Vec::new() } else { oracle::rotate(&a, by) };
        for level in Level::all_available() {
            let mut bound = a.clone();
            level.xor_into(&mut bound, &b);
            let seen = (bound, level.hamming(&a, &b), level.popcount(&a));
            assert_eq!(seen, expected, "{words} words on {level}");
            let mut out = vec![7; words];
            level.rotate_into(&mut out, &a, by);
            assert_eq!(out, rotated, "rotate_into, {words} words on {level}");
            level.expand(words as u64, &mut out);
            assert_eq!(out, a, "expand, {words} words on {level}");
        }
    }
}

#[test]
fn scans_at_every_width() {
    for words in widths() {
        let (matrix, query) = (oracle::expand(words as u64, 7 * words), oracle::expand(!0, words));
        let row = |row: usize| &matrix[row * words..][..words];
        let expected: Vec<u32> = (0..7).map(|i| oracle::hamming(&query, row(i)) as u32).collect();
        let best = expected.iter().copied().zip(0..).min();
        for level in Level::all_available() {
            let mut distances = [7; 7];
            level.hamming_rows(&query, &matrix, &mut distances);
            assert_eq!(distances[..], expected, "{words} words on {level}");
            let mut buffer = [Neighbour::default()];
            if let [nearest] = level.nearest(&query, &matrix, &mut buffer) {
                assert_eq!(Some((nearest.distance, nearest.row)), best, "{words} words on {level}");
            } else {
                assert_eq!(words, 0);
            }
        }
    }
}

#[test]
fn bundles_at_every_width() {
    for words in widths().filter(|words| !cfg!(miri) || *words < 10) {
        // An odd number with repetitions: some of the counts are even, and the last group is not full.
        let features: Vec<u64> = (0..35).map(|i| i % (1 + words as u64 % 9)).collect();
        for features in [&features[..], &features[..20]] {
            let (sums, tie) = (oracle::counters(features, words), oracle::expand(99, words));
            let expected = oracle::majority(&sums, &tie);
            for level in Level::all_available() {
                let mut bits =
                    BitCounters::new(level, words, vec![9; BitCounters::<Vec<u64>>::buffer_len(words)]);
                bits.add(features);
                let mut majority = vec![7; words];
                bits.majority(&tie, &mut majority);
                assert_eq!(majority, expected, "majority, {words} words on {level}");
                let mut counters = vec![0; 64 * words];
                bits.flush(1, &mut counters);
                assert_eq!(counters, sums, "flush, {words} words on {level}");
                level.threshold(&counters, &tie, &mut majority);
                assert_eq!(majority, expected, "threshold, {words} words on {level}");
                level.subtract_counters(&mut counters, &sums);
                level.add_counters(&mut counters, &sums);
                assert_eq!(counters, sums, "{words} words on {level}");
            }
        }
    }
}

#[test]
fn counts_of_every_size_at_the_edges_of_groups() {
    // Up to two full groups of the widest tier, and one more: every shape of the last group.
    let step = if cfg!(miri) { 13 } else { 1 };
    for count in (0..=65).step_by(step) {
        let features: Vec<u64> = (0..count).map(|i| i / 2).collect();
        let sums = oracle::counters(&features, 5);
        for level in Level::all_available() {
            let mut bits = BitCounters::new(level, 5, vec![0; BitCounters::<Vec<u64>>::buffer_len(5)]);
            bits.add(&features);
            let mut counters = vec![0; 320];
            bits.flush(1, &mut counters);
            assert_eq!(counters, sums, "{count} features on {level}");
        }
    }
}
