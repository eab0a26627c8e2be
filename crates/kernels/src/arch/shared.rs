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

/// The rows of a matrix with their places among the distances, four at a time; [`last_rows`] has the rest.
///
/// The four come from the four quarters of the matrix: one core keeps too few reads under way along one
/// stream to use its memory, and along four it does. No closures of the tier's here: one made inside a
/// tier's function is not inlined through a function that lacks the tier's instructions.
#[inline(always)]
pub(super) fn four_streams<'a>(
    words: usize,
    matrix: &'a [u64],
    distances: &'a mut [u32],
) -> impl Iterator<Item = ([&'a [u64]; 4], [&'a mut u32; 4])> {
    let (distances, _) = distances.split_at_mut(distances.len() / 4 * 4);
    let (matrix, _) = matrix.split_at(distances.len() * words);
    let [a, b, c, d] = in_four(matrix).map(|quarter| quarter.chunks_exact(words));
    let rows = a.zip(b).zip(c.zip(d)).map(|((a, b), (c, d))| [a, b, c, d]);
    let [a, b, c, d] = in_four_mut(distances).map(<[u32]>::iter_mut);
    let distances = a.zip(b).zip(c.zip(d)).map(|((a, b), (c, d))| [a, b, c, d]);
    rows.zip(distances)
}

/// The rows that are too few to be four.
#[inline(always)]
pub(super) fn last_rows<'a>(
    words: usize,
    matrix: &'a [u64],
    distances: &'a mut [u32],
) -> impl Iterator<Item = (&'a [u64], &'a mut u32)> {
    let before = distances.len() / 4 * 4;
    matrix[before * words..].chunks_exact(words).zip(&mut distances[before..])
}

/// Four equal parts of a slice whose length is a multiple of four.
#[inline(always)]
fn in_four<T>(whole: &[T]) -> [&[T]; 4] {
    let (front, back) = whole.split_at(whole.len() / 2);
    let ((a, b), (c, d)) = (front.split_at(front.len() / 2), back.split_at(back.len() / 2));
    [a, b, c, d]
}

/// [`in_four`], to be written to.
#[inline(always)]
fn in_four_mut<T>(whole: &mut [T]) -> [&mut [T]; 4] {
    let (front, back) = whole.split_at_mut(whole.len() / 2);
    let (front_half, back_half) = (front.len() / 2, back.len() / 2);
    let ((a, b), (c, d)) = (front.split_at_mut(front_half), back.split_at_mut(back_half));
    [a, b, c, d]
}

#[inline(always)]
pub(super) fn add_counters(counters: &mut [i64], other: &[i64]) {
    for (counter, other) in counters.iter_mut().zip(other) {
        *counter = counter.wrapping_add(*other);
    }
}

#[inline(always)]
pub(super) fn subtract_counters(counters: &mut [i64], other: &[i64]) {
    for (counter, other) in counters.iter_mut().zip(other) {
        *counter = counter.wrapping_sub(*other);
    }
}
