//! Transforms: loops that the compiler turns into this tier's instructions by itself.

use crate::arch::portable;

#[target_feature(enable = "neon")]
pub(crate) fn add_walsh_rows(rows: &[u8], slots: usize, signs: &[i8], votes: &mut [i8]) {
    portable::add_walsh_rows(rows, slots, signs, votes);
}

#[target_feature(enable = "neon")]
pub(crate) fn walsh_scores(words: &[u64], mask: &[u64], scores: &mut [i16]) {
    portable::walsh_scores(words, mask, scores);
}

#[target_feature(enable = "neon")]
pub(crate) fn best_row(scores: &[i16; 256], flip: u8) -> u8 {
    portable::best_row(scores, flip)
}

#[target_feature(enable = "neon")]
pub(crate) fn negative_bits(votes: &[i8], out: &mut [u64]) {
    portable::negative_bits(votes, out);
}
