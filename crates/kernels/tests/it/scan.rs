//! Scans find what sorting all distances finds, on every tier: the same rows in the same order.

use engrams_kernels::{Level, Neighbour};
use proptest::prelude::*;

use crate::oracle;
use crate::properties::config;

fn nearest(level: Level, query: &[u64], matrix: &[u64], k: usize) -> Vec<(u64, usize)> {
    // What the buffer held before must not matter.
    let mut buffer = vec![Neighbour { distance: 0, row: usize::MAX }; k];
    let found = level.nearest(query, matrix, &mut buffer);
    found.iter().map(|neighbour| (u64::from(neighbour.distance), neighbour.row)).collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn scanning_rows_measures_each_row(words in 0..=70_usize, rows in 0..13_usize, seed: u64) {
        let matrix = oracle::expand(seed, words * rows);
        let query = oracle::expand(!seed, words);
        for level in Level::all_available() {
            let mut distances = vec![7; rows];
            level.hamming_rows(&query, &matrix, &mut distances);
            for (row, distance) in distances.iter().enumerate() {
                let expected = oracle::hamming(&query, &matrix[row * words..(row + 1) * words]);
                prop_assert_eq!(u64::from(*distance), expected, "row {} on {}", row, level);
            }
        }
    }

    #[test]
    fn nearest_matches_sorting(words in 1..=70_usize, rows in 0..40_usize, k in 0..45_usize, seed: u64) {
        let matrix = oracle::expand(seed, words * rows);
        let query = oracle::expand(!seed, words);
        let expected = oracle::nearest(&query, &matrix, k);
        for level in Level::all_available() {
            prop_assert_eq!(&nearest(level, &query, &matrix, k), &expected, "{}", level);
        }
    }
}

#[test]
fn of_equally_near_rows_the_first_are_found() {
    // Distances 0 to 3 again and again, over several blocks of the scan: small ones, and those of large matrices.
    let sizes: &[usize] = if cfg!(miri) { &[1200] } else { &[5000, 70_000] };
    for &rows in sizes {
        let matrix: Vec<u64> = (0..rows).map(|row| [0, 1, 3, 7][row * 7 % 4]).collect();
        for k in [1, 299, 300, 301, 1100, rows / 4 - 1, rows / 4, rows / 4 + 1] {
            let expected = oracle::nearest(&[0], &matrix, k);
            for level in Level::all_available() {
                assert_eq!(nearest(level, &[0], &matrix, k), expected, "{k} of {rows} on {level}");
            }
        }
    }
}

#[test]
#[cfg_attr(
    miri,
    ignore = "the oracle takes an interpreter minutes; the heap is safe code, the same on all tiers"
)]
fn rows_that_come_ever_nearer_are_all_taken_in() {
    // The worst case of a bounded heap: every row is better than all before.
    let matrix: Vec<u64> = (0..640_usize).flat_map(|row| oracle::from_bits(640, |bit| bit >= row)).collect();
    let query = [0; 10];
    for level in Level::all_available() {
        let expected: Vec<(u64, usize)> = (0..37).map(|near| (near + 1, 639 - near as usize)).collect();
        assert_eq!(nearest(level, &query, &matrix, 37), expected, "{level}");
    }
}

#[test]
fn a_matrix_without_rows_has_no_nearest() {
    for level in Level::all_available() {
        assert_eq!(nearest(level, &[1, 2], &[], 3), []);
        assert_eq!(nearest(level, &[], &[], 3), []);
        assert_eq!(nearest(level, &[1], &[1, 2], 0), []);
    }
}

#[test]
#[should_panic(expected = "not made of rows of 2 words")]
fn a_part_of_a_row_panics() {
    let _ = nearest(Level::detect(), &[1, 2], &[1, 2, 3], 1);
}

#[test]
#[should_panic(expected = "not made of rows of 0 words")]
fn rows_without_words_panic() {
    let _ = nearest(Level::detect(), &[], &[1], 1);
}
