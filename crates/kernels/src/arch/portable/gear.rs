//! The gear hash, a byte at a time.

use crate::gear::{MATCH_BELOW, NibbleGear, WINDOW};

/// `matches` has one bit for each window of `bytes`, rounded up to words.
pub(crate) fn gear_matches(gear: &NibbleGear, bytes: &[u8], matches: &mut [u64]) {
    let words = gear.words();
    let roll = |state: u32, byte: u8| (state << 1).wrapping_add(u32::from(words[usize::from(byte)]));
    let (before, bytes) = bytes.split_at(bytes.len().min(WINDOW - 1));
    let mut state = before.iter().fold(0, |state, byte| roll(state, *byte));
    for (block, matches) in bytes.chunks(64).zip(matches) {
        // Bits enter at the top, and reach their place when the block is over.
        let mut bits = 0;
        for byte in block {
            state = roll(state, *byte);
            bits = (bits >> 1) | (u64::from((state as u16) < MATCH_BELOW) << 63);
        }
        *matches = bits >> (64 - block.len());
    }
}
