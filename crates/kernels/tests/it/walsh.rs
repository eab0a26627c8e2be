//! Walsh-Hadamard rows on every tier do what the definition of the matrix says.

use engrams_kernels::Level;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::oracle;

/// Column `j` of row `r`.
fn row(r: usize, j: usize) -> i64 {
    if (r & j).count_ones() % 2 == 1 { -1 } else { 1 }
}

/// Every size, small ones more often: the oracle takes its square.
fn any_size() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 8..=10_u32, 2 => 11..=12_u32, 1 => 13..=14_u32].prop_map(|log| 1 << log)
}

fn value(bit: bool) -> i64 {
    if bit { -1 } else { 1 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn rows_add_up_to_their_columns(
        size in any_size(),
        repetitions in 1..4_usize,
        bytes in vec(any::<u8>(), 64),
        count in any::<prop::sample::Index>(),
        seed: u64,
    ) {
        let rows = &bytes[..count.index(size / 256 + 1)];
        let mask = oracle::expand(seed, repetitions * size / 64);
        let signs: Vec<i8> = (0..repetitions * size).map(|j| value(oracle::bit(&mask, j)) as i8).collect();
        let expected: Vec<i8> = (0..repetitions * size)
            .map(|j| {
                let sum: i64 = rows.iter().enumerate().map(|(i, v)| row(256 * i + usize::from(*v), j % size)).sum();
                (j % 50) as i8 + (sum * value(oracle::bit(&mask, j))) as i8
            })
            .collect();
        for level in Level::all_available() {
            let mut votes: Vec<i8> = (0..repetitions * size).map(|j| (j % 50) as i8).collect();
            level.add_walsh_rows(rows, size, &signs, &mut votes);
            prop_assert!(votes == expected, "{} rows of {} columns on {}", rows.len(), size, level);
        }
    }

    #[test]
    fn scores_are_correlations_with_each_row(size in any_size(), repetitions in 1..4_usize, seed: u64) {
        let words = oracle::expand(seed, repetitions * size / 64);
        let mask = oracle::expand(!seed, repetitions * size / 64);
        let bound = oracle::xor(&words, &mask);
        let sampled: Vec<usize> = (0..size).step_by(size / 256 + 1).chain([size - 1]).collect();
        for level in Level::all_available() {
            let mut scores = vec![7; size];
            level.walsh_scores(&words, &mask, &mut scores);
            for r in &sampled {
                let expected: i64 =
                    (0..repetitions * size).map(|j| value(oracle::bit(&bound, j)) * row(*r, j % size)).sum();
                prop_assert_eq!(i64::from(scores[*r]), expected, "row {} of {} on {}", r, size, level);
            }
        }
    }

    #[test]
    fn the_best_row_is_the_first_of_the_largest(scores in vec(-3..=3_i16, 256), flip: u8, shift: i16) {
        let scores: Vec<i16> = scores.iter().map(|score| score.saturating_add(shift)).collect();
        let expected = (0..=255_u8)
            .max_by_key(|name| (scores[usize::from(name ^ flip)], std::cmp::Reverse(*name)))
            .unwrap_or(0);
        for level in Level::all_available() {
            prop_assert_eq!(level.best_row(scores.as_slice().try_into().unwrap(), flip), expected, "{}", level);
        }
    }

    #[test]
    fn negative_bits_are_those_of_negative_votes(votes in vec(any::<i8>(), 64 * 9), words in 0..9_usize) {
        let votes = &votes[..64 * words];
        for level in Level::all_available() {
            let mut out = vec![7; words];
            level.negative_bits(votes, &mut out);
            prop_assert_eq!(&out, &oracle::from_bits(64 * words, |i| votes[i] < 0), "{}", level);
        }
    }
}

#[test]
fn scores_beyond_16_bits_saturate_alike() {
    // Four repetitions of row 0 of 16,384 columns: 65,536 equal bits, then the opposite.
    for (word, expected) in [(0, i16::MAX), (u64::MAX, i16::MIN)] {
        for level in Level::all_available() {
            let mut scores = vec![7; 16_384];
            level.walsh_scores(&[word; 1024], &[0; 1024], &mut scores);
            assert_eq!(scores[0], expected, "{level}");
            assert!(scores[1..].iter().all(|score| *score == 0), "{level}");
        }
    }
}

#[test]
fn partial_sums_that_saturate_do_so_alike() {
    // Two rows take turns in 512 repetitions: levels from the sixth on saturate, and later ones go on with that.
    for (a, b) in [(0, 1), (3, 1023), (5, 21), (77, 512)] {
        for stride in [2, 64, 512] {
            let words = oracle::from_bits(512 * 1024, |j| {
                let r = if (j / stride) % 8 == 0 { a } else { b };
                (row(r, j % 1024) < 0) != (j % 97 == 0)
            });
            let mut portable = vec![0; 1024];
            Level::portable().walsh_scores(&words, &vec![0; words.len()], &mut portable);
            for level in Level::all_available() {
                let mut scores = vec![7; 1024];
                level.walsh_scores(&words, &vec![0; words.len()], &mut scores);
                assert!(scores == portable, "rows {a} and {b}, stride {stride}, on {level}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "do not fit into 1 slots")]
fn too_many_rows_panic() {
    Level::detect().add_walsh_rows(&[1, 2], 256, &[0; 256], &mut [0; 256]);
}

#[test]
#[should_panic(expected = "not a power of two from 256")]
fn an_impossible_size_panics() {
    Level::detect().walsh_scores(&[0; 2], &[0; 2], &mut [0; 128]);
}
