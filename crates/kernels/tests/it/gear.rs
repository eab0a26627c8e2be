//! The gear hash on every tier is the sum that it is defined as.

use engrams_kernels::{Level, NibbleGear, mix64};
use proptest::collection::vec;
use proptest::prelude::*;

fn gear(seed: u64) -> NibbleGear {
    let words = |half: u64| core::array::from_fn(|i| mix64(seed ^ (half << 32) ^ i as u64) as u16);
    NibbleGear::new(words(1), words(2))
}

/// The definition: a sum over each window.
fn oracle(gear: &NibbleGear, bytes: &[u8]) -> Vec<u64> {
    let windows = bytes.len().saturating_sub(15);
    let mut matches = vec![0; windows.div_ceil(64)];
    for (i, window) in bytes.windows(16).enumerate() {
        let term = |(age, byte): (usize, &u8)| gear.words()[usize::from(*byte)] << age;
        let state = window.iter().rev().enumerate().map(term).fold(0_u16, u16::wrapping_add);
        matches[i / 64] |= u64::from(state < 1024) << (i % 64);
    }
    matches
}

fn matches(level: Level, gear: &NibbleGear, bytes: &[u8]) -> Vec<u64> {
    // Dirty, since every word must be written.
    let mut matches = vec![0xDEAD_BEEF; bytes.len().saturating_sub(15).div_ceil(64)];
    level.gear_matches(gear, bytes, &mut matches);
    matches
}

/// Bytes with many matches, and with few.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    (vec(any::<u8>(), 0..1000), 1..=255_u8)
        .prop_map(|(bytes, symbols)| bytes.into_iter().map(|byte| byte % symbols).collect())
}

proptest! {
    #[test]
    fn matches_are_those_of_the_sum(seed: u64, bytes in any_bytes()) {
        let gear = gear(seed);
        let expected = oracle(&gear, &bytes);
        for level in Level::all_available() {
            prop_assert_eq!(&matches(level, &gear, &bytes), &expected, "on {}", level);
        }
    }

    #[test]
    fn a_split_that_repeats_15_bytes_makes_no_difference(
        seed: u64, bytes in any_bytes(), at in any::<prop::sample::Index>(),
    ) {
        let gear = gear(seed);
        let bit = |words: &[u64], i: usize| words[i / 64] >> (i % 64) & 1;
        for level in Level::all_available() {
            let whole = matches(level, &gear, &bytes);
            let at = at.index(bytes.len() + 1).max(15).min(bytes.len());
            let (first, second) = (matches(level, &gear, &bytes[..at]), matches(level, &gear, &bytes[at.saturating_sub(15)..]));
            for i in 0..bytes.len().saturating_sub(15) {
                let before = at.saturating_sub(15);
                let part = if i < before { bit(&first, i) } else { bit(&second, i - before) };
                prop_assert_eq!(bit(&whole, i), part, "window {} on {}", i, level);
            }
        }
    }
}

#[test]
fn every_length_is_exact() {
    let gear = gear(1);
    let bytes: Vec<u8> = (0..300_u64).map(|i| (mix64(i) % 7) as u8).collect();
    for len in 0..=bytes.len() {
        for level in Level::all_available() {
            assert_eq!(
                matches(level, &gear, &bytes[..len]),
                oracle(&gear, &bytes[..len]),
                "{len} bytes on {level}"
            );
        }
    }
}

#[test]
fn one_window_of_random_bytes_in_64_matches() {
    let bytes: Vec<u8> = (0..1 << 17).flat_map(|i| mix64(i).to_le_bytes()).collect();
    for seed in 0..4 {
        let count = Level::detect().popcount(&matches(Level::detect(), &gear(seed), &bytes)) as f64;
        // 16,384 are due; neighbours depend on each other, so the deviation is a little more than 128.
        assert!((count / bytes.len() as f64 * 64.0 - 1.0).abs() < 0.06, "{count} of {}", bytes.len());
    }
}

#[test]
#[should_panic(expected = "2 windows need a bit each")]
fn too_few_words_panic() {
    Level::detect().gear_matches(&gear(0), &[0; 17], &mut []);
}
