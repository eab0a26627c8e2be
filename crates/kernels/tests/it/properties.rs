//! Every available tier does what the oracle does, at every width.

use engrams_kernels::{BitCounters, Level, MAX_COUNT};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::oracle;

/// Counters whose buffer starts out dirty: `new` must not rely on zeros.
fn bit_counters(level: Level, words: usize) -> BitCounters<Vec<u64>> {
    BitCounters::new(level, words, vec![0xDEAD_BEEF; BitCounters::<Vec<u64>>::buffer_len(words)])
}

/// Fewer cases than usual, for each runs on every tier; an interpreter has no directory to keep failures in.
pub(crate) fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { asked.cases } else { 64 };
    let failure_persistence = if cfg!(miri) { None } else { asked.failure_persistence.clone() };
    ProptestConfig { cases, failure_persistence, ..asked }
}

fn pair() -> impl Strategy<Value = (Vec<u64>, Vec<u64>)> {
    (0..=70_usize).prop_flat_map(|words| (vec(any::<u64>(), words), vec(any::<u64>(), words)))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn word_operations_match_the_oracle((a, b) in pair(), by in 0..10_000_usize) {
        for level in Level::all_available() {
            let mut bound = a.clone();
            level.xor_into(&mut bound, &b);
            prop_assert_eq!(&bound, &oracle::xor(&a, &b), "xor_into on {}", level);
            prop_assert_eq!(level.hamming(&a, &b), oracle::hamming(&a, &b), "hamming on {}", level);
            prop_assert_eq!(level.popcount(&a), oracle::popcount(&a), "popcount on {}", level);
            if !a.is_empty() {
                let mut rotated = vec![7; a.len()];
                level.rotate_into(&mut rotated, &a, by);
                prop_assert_eq!(&rotated, &oracle::rotate(&a, by), "rotate_into on {}", level);
            }
        }
    }

    #[test]
    fn expand_matches_the_oracle(feature: u64, words in 0..=70_usize) {
        for level in Level::all_available() {
            let mut out = vec![7; words];
            level.expand(feature, &mut out);
            prop_assert_eq!(&out, &oracle::expand(feature, words), "expand on {}", level);
        }
    }

    #[test]
    fn bundling_matches_plain_counters(
        words in 0..=70_usize,
        features in vec(any::<u64>(), 0..150),
        cut in any::<prop::sample::Index>(),
        weight in -3..=3_i32,
    ) {
        // Few distinct features, so that there are ties and counts that reach all or none.
        let features: Vec<u64> = features.iter().map(|feature| feature % 40).collect();
        let tie = oracle::expand(99, words);
        let counters = oracle::counters(&features, words);
        for level in Level::all_available() {
            let mut bits = bit_counters(level, words);
            let (first, second) = features.split_at(cut.index(features.len() + 1));
            bits.add(first);
            bits.add(second);
            prop_assert_eq!(bits.count() as usize, features.len());
            let mut majority = vec![7; words];
            bits.majority(&tie, &mut majority);
            prop_assert_eq!(&majority, &oracle::majority(&counters, &tie), "majority on {}", level);
            let mut flushed = vec![5; words * 64];
            bits.flush(weight, &mut flushed);
            let expected: Vec<i64> = counters.iter().map(|c| 5 + i64::from(weight) * c).collect();
            prop_assert_eq!(&flushed, &expected, "flush on {}", level);
            // The flush left nothing behind.
            bits.add(&features);
            bits.majority(&tie, &mut majority);
            prop_assert_eq!(&majority, &oracle::majority(&counters, &tie), "reuse on {}", level);
        }
    }

    #[test]
    fn words_are_counted_as_the_features_they_are_expanded_from(
        words in 0..20_usize,
        features in vec(0..40_u64, 0..150),
    ) {
        for level in Level::all_available() {
            let (mut expanded, mut given) = (bit_counters(level, words), bit_counters(level, words));
            for (index, feature) in features.iter().enumerate() {
                expanded.add(&[*feature]);
                if index % 3 == 0 {
                    given.add(&[*feature]);
                } else {
                    given.add_words(&oracle::expand(*feature, words));
                }
            }
            let (mut a, mut b) = (vec![0; words * 64], vec![0; words * 64]);
            expanded.flush(1, &mut a);
            given.flush(1, &mut b);
            prop_assert_eq!(a, b, "{}", level);
        }
    }

    #[test]
    fn counters_match_the_oracle(words in 0..=70_usize, seed: u64) {
        // Differences of small numbers: every sign is there often.
        let small = |word: &u64| (word % 7).cast_signed() - 3;
        let a: Vec<i64> = oracle::expand(seed, words * 64).iter().map(small).collect();
        let b: Vec<i64> = oracle::expand(!seed, words * 64).iter().map(small).collect();
        let tie = oracle::expand(99, words);
        let sums: Vec<i64> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        for level in Level::all_available() {
            let mut counters = a.clone();
            level.add_counters(&mut counters, &b);
            prop_assert_eq!(&counters, &sums, "add_counters on {}", level);
            let mut bits = vec![7; words];
            level.threshold(&counters, &tie, &mut bits);
            prop_assert_eq!(&bits, &oracle::majority(&sums, &tie), "threshold on {}", level);
            level.subtract_counters(&mut counters, &b);
            prop_assert_eq!(&counters, &a, "subtract_counters on {}", level);
        }
    }
}

#[test]
fn long_runs_do_not_overflow_byte_sums() {
    // More than 31 registers, the widest of 8 words.
    let (ones, zeros) = (vec![u64::MAX; 4 * 1000 + 3], vec![0; 4 * 1000 + 3]);
    for level in Level::all_available() {
        assert_eq!(level.popcount(&ones), 64 * 4003, "{level}");
        assert_eq!(level.hamming(&ones, &zeros), 64 * 4003, "{level}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "65,535 features take an interpreter minutes")]
fn full_counters_are_exact() {
    // Every feature the same: each bit was counted never or always, up to the last plane.
    let features = vec![7; MAX_COUNT as usize];
    let vector = oracle::expand(7, 5);
    for level in Level::all_available() {
        let mut bits = bit_counters(level, 5);
        bits.add(&features);
        assert_eq!(bits.room(), 0);
        let mut majority = vec![0; 5];
        bits.majority(&[0; 5], &mut majority);
        assert_eq!(majority, vector, "{level}");
        let mut counters = vec![0; 320];
        bits.flush(-2, &mut counters);
        for (i, counter) in counters.iter().enumerate() {
            let sign = if oracle::bit(&vector, i) { -2 } else { 2 };
            assert_eq!(*counter, sign * i64::from(MAX_COUNT), "bit {i} on {level}");
        }
    }
}

#[test]
fn flush_wraps_at_the_ends_of_the_counters() {
    for level in Level::all_available() {
        let mut bits = bit_counters(level, 1);
        bits.add(&[1, 1, 1]);
        let mut counters = vec![i64::MAX; 64];
        bits.flush(1, &mut counters);
        bits.add(&[1, 1, 1]);
        bits.flush(-1, &mut counters);
        assert_eq!(counters, vec![i64::MAX; 64], "{level}");
    }
}

#[test]
fn counters_wrap_and_keep_their_signs_at_the_ends() {
    let ends = [i64::MIN, -1, 0, 1, i64::MAX].map(|end| vec![end; 64]).concat();
    for level in Level::all_available() {
        let mut bits = [0; 5];
        level.threshold(&ends, &[0xF0; 5], &mut bits);
        assert_eq!(bits, [0, 0, 0xF0, u64::MAX, u64::MAX], "{level}");
        let mut counters = ends.clone();
        level.add_counters(&mut counters, &ends);
        let twice: Vec<i64> = ends.iter().map(|end| end.wrapping_add(*end)).collect();
        assert_eq!(counters, twice, "{level}");
        level.subtract_counters(&mut counters, &ends);
        assert_eq!(counters, ends, "{level}");
    }
}

#[test]
fn tiers_are_named_and_the_best_one_is_detected() {
    let names: Vec<&str> = Level::all_available().map(Level::name).collect();
    assert_eq!(names[0], "portable");
    assert_eq!(names.last(), Some(&Level::detect().name()));
    for level in Level::all_available() {
        assert_eq!(Level::named(level.name()), Some(level));
    }
}

#[test]
fn no_two_tiers_share_a_name() {
    let mut names: Vec<&str> = Level::all_available().map(Level::name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Level::all_available().count());
}

#[test]
#[should_panic(expected = "equally many counters")]
fn counters_of_different_lengths_panic() {
    Level::detect().add_counters(&mut [1], &[1, 2]);
}

#[test]
#[should_panic(expected = "one counter per bit")]
fn too_few_counters_for_the_bits_panic() {
    Level::detect().threshold(&[0; 63], &[0], &mut [0]);
}

#[test]
#[should_panic(expected = "equally many words")]
fn length_mismatch_panics() {
    let _ = Level::detect().hamming(&[1], &[1, 2]);
}

#[test]
#[should_panic(expected = "where 65535 fit")]
fn too_many_features_panic() {
    bit_counters(Level::detect(), 1).add(&vec![0; 65_536]);
}
