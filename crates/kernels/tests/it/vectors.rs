//! Frozen results, on every tier. If one of these fails the code is wrong: stored bytes depend on them.
//!
//! The parameters are odd on purpose: widths that fill no register, counts that fill no group.

use engrams_kernels::{BitCounters, Level, Neighbour, mix64};

/// One number that depends on every word and its place.
fn digest(words: impl IntoIterator<Item = u64>) -> u64 {
    words.into_iter().fold(0, |digest, word| mix64(digest ^ word).wrapping_add(word))
}

fn features(count: u64) -> Vec<u64> {
    (0..count).map(|i| mix64(i / 3)).collect()
}

fn bundle(level: Level) -> BitCounters<Vec<u64>> {
    let mut bits = BitCounters::new(level, 13, vec![0; BitCounters::<Vec<u64>>::buffer_len(13)]);
    bits.add(&features(77));
    bits.add(&features(301));
    bits
}

fn expanded(level: Level, feature: u64, words: usize) -> Vec<u64> {
    let mut out = vec![0; words];
    level.expand(feature, &mut out);
    out
}

#[test]
fn expansion_is_frozen() {
    for level in Level::all_available() {
        let first = expanded(level, 0x0123_4567_89AB_CDEF, 6);
        assert_eq!(first[..2], [0x157A_3807_A48F_AA9D, 0xD573_529B_34A1_D093], "{level}");
        assert_eq!(digest(expanded(level, u64::MAX, 67)), 0xEC8A_8EB6_D473_A6DE, "{level}");
    }
}

#[test]
fn bundles_are_frozen() {
    for level in Level::all_available() {
        let mut bits = bundle(level);
        let (tie, mut out) = (expanded(level, 5, 13), vec![0; 13]);
        bits.majority(&tie, &mut out);
        assert_eq!(digest(out.iter().copied()), 0x1F7C_D42C_B82C_BC07, "majority on {level}");
        let mut counters = vec![0; 13 * 64];
        bits.flush(-3, &mut counters);
        assert_eq!(
            digest(counters.iter().map(|c| c.cast_unsigned())),
            0x44C4_9B9F_B28F_9195,
            "flush on {level}"
        );
        bits.add(&features(4));
        bits.flush(700, &mut counters);
        level.threshold(&counters, &tie, &mut out);
        assert_eq!(digest(out), 0xD82F_95D5_E09C_4D14, "threshold on {level}");
    }
}

#[test]
fn permutations_and_bindings_are_frozen() {
    for level in Level::all_available() {
        let (words, mut out) = (expanded(level, 11, 11), vec![0; 11]);
        level.rotate_into(&mut out, &words, 333);
        assert_eq!(digest(out.iter().copied()), 0xE845_451A_B4D7_EC9F, "rotate_into on {level}");
        level.xor_into(&mut out, &words);
        assert_eq!(level.popcount(&out), 350, "popcount on {level}");
    }
}

#[test]
fn the_nearest_rows_are_frozen() {
    for level in Level::all_available() {
        let (matrix, query) = (expanded(level, 3, 9 * 150), expanded(level, 4, 9));
        let mut buffer = [Neighbour::default(); 3];
        let found = level.nearest(&query, &matrix, &mut buffer);
        let found: Vec<(u32, usize)> = found.iter().map(|near| (near.distance, near.row)).collect();
        assert_eq!(found, [(253, 77), (257, 31), (263, 65)], "{level}");
    }
}
