//! Bodies that the compiler vectorises well by itself, inlined into each tier so that it may use the
//! tier's instructions.

/// Rotates by `bits < 64 * words.len()`.
#[inline(always)]
pub(super) fn rotate_into(out: &mut [u64], words: &[u64], bits: usize) {
    let whole = bits / 64;
    let shift = (bits % 64) as u32;
    // The words that stay in order, and those that wrap around to the front.
    let (head, tail) = words.split_at(words.len() - whole);
    let (wrapped, straight) = out.split_at_mut(whole);
    shift_segment(straight, head, words[words.len() - 1], shift);
    shift_segment(wrapped, tail, head[head.len() - 1], shift);
}

/// Shifts `words` up by less than one word; `before` is the word that precedes them.
#[inline(always)]
fn shift_segment(out: &mut [u64], words: &[u64], before: u64, shift: u32) {
    // `x >> (64 - shift)`, also right when the shift is zero.
    let carry = |word: u64| (word >> 1) >> (63 - shift);
    let Some((first, rest)) = out.split_first_mut() else { return };
    *first = (words[0] << shift) | carry(before);
    for (out, pair) in rest.iter_mut().zip(words.windows(2)) {
        *out = (pair[1] << shift) | carry(pair[0]);
    }
}

/// Adds `weight * (2 * low - count)` and so on to each counter, where a position's count is split
/// into its low and high byte.
#[inline(always)]
pub(super) fn add_counts(counters: &mut [i64], low: &[u8], high: &[u8], count: u32, weight: i32) {
    for ((counter, low), high) in counters.iter_mut().zip(low).zip(high) {
        // Both fit easily: a count has 16 bits.
        let set = i32::from(*low) | (i32::from(*high) << 8);
        let signed = 2 * set - count as i32;
        *counter = counter.wrapping_add(i64::from(signed) * i64::from(weight));
    }
}
