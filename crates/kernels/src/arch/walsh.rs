//! Walsh-Hadamard rows: summing them, correlating with all of them at once, finding the best.
//!
//! Row `r` of the matrix of `size` columns is `(-1)^parity(r & j)` at column `j`; sizes are powers of two.
//! Bodies without intrinsics, for the tiers that have none of their own, and tables that all share. Scores
//! saturate, hence every tier has to go through the levels of their transform in the same order: from the
//! smallest stride to the largest. The butterflies are those of the fast transform (Fino and Algazi, *Unified matrix
//! treatment of the fast Walsh-Hadamard transform*, 1976), 16 rows at a time so that they stay in registers.

/// Columns of a short row: what the value of a byte selects.
pub(super) const ROW: usize = 256;
/// Votes handled together.
pub(super) const LANES: usize = 32;
/// Groups of `LANES` columns in a short row.
pub(super) const PARTS: usize = ROW / LANES;
/// Scores handled together.
pub(super) const SCORES: usize = 16;

/// The first 32 columns of rows 0..32.
pub(super) static PATTERNS: [[i8; LANES]; LANES] = {
    let mut rows = [[0; LANES]; LANES];
    let mut row = 0;
    while row < LANES {
        let mut column = 0;
        while column < LANES {
            rows[row][column] = sign(row & column);
            column += 1;
        }
        row += 1;
    }
    rows
};

/// The transform of eight bits (0 for +1, 1 for -1) that are columns 0..8 of 16, and of eight that are
/// columns 8..16.
pub(super) static BYTE_SCORES: [[[i8; SCORES]; 256]; 2] = {
    let mut tables = [[[0; SCORES]; 256]; 2];
    let mut byte = 0;
    while byte < 256 {
        let mut row = 0;
        while row < SCORES {
            let mut bit = 0;
            while bit < 8 {
                let set = (byte >> bit) & 1;
                tables[0][byte][row] += sign(row & bit) * (1 - 2 * set as i8);
                tables[1][byte][row] += sign(row & (bit + 8)) * (1 - 2 * set as i8);
                bit += 1;
            }
            row += 1;
        }
        byte += 1;
    }
    tables
};

/// -1 if an odd number of bits is set, else 1.
pub(super) const fn sign(bits: usize) -> i8 {
    1 - 2 * (bits.count_ones() % 2) as i8
}

/// `votes += signs * (sum of rows)`, signs being 1 and -1. Rows
/// have `256 * slots` columns, row `i` is the one of index `256 * i + rows[i]`, and votes are whole
/// repetitions of them.
#[inline(always)]
pub(super) fn add_rows(rows: &[u8], slots: usize, signs: &[i8], votes: &mut [i8]) {
    match slots {
        1 => add_rows_of::<1>(rows, signs, votes),
        2 => add_rows_of::<2>(rows, signs, votes),
        4 => add_rows_of::<4>(rows, signs, votes),
        8 => add_rows_of::<8>(rows, signs, votes),
        16 => add_rows_of::<16>(rows, signs, votes),
        32 => add_rows_of::<32>(rows, signs, votes),
        _ => add_rows_of::<64>(rows, signs, votes),
    }
}

#[inline(always)]
fn add_rows_of<const SLOTS: usize>(rows: &[u8], signs: &[i8], votes: &mut [i8]) {
    let (signs, votes) = (signs.as_chunks::<LANES>().0, votes.as_chunks_mut::<LANES>().0);
    for part in 0..PARTS {
        // Column `256 * b + t` of row `256 * i + v` is column b of row i times column t of row v.
        let mut sums = [[0_i8; LANES]; SLOTS];
        for (sum, row) in sums.iter_mut().zip(rows) {
            let row = usize::from(*row);
            let flip = sign((row / LANES) & part) >> 1;
            for (sum, pattern) in sum.iter_mut().zip(&PATTERNS[row % LANES]) {
                *sum = negate(*pattern, flip);
            }
        }
        // At most 64 rows: no sum leaves -64..=64.
        transform(&mut sums, |a, b| (a.wrapping_add(b), a.wrapping_sub(b)));
        let parts = votes.iter_mut().zip(signs).skip(part).step_by(PARTS);
        for ((votes, signs), sum) in parts.zip(sums.iter().cycle()) {
            for ((vote, sign), sum) in votes.iter_mut().zip(signs).zip(sum) {
                *vote = vote.wrapping_add(negate(*sum, sign >> 1));
            }
        }
    }
}

/// The value, negated if the flip is -1 and not if it is 0; not for the smallest value.
#[inline(always)]
fn negate(value: i8, flip: i8) -> i8 {
    (value ^ flip).wrapping_sub(flip)
}

/// The transform of each lane, in place; the number of rows is a power of two.
#[inline(always)]
fn transform<T: Copy, const N: usize>(rows: &mut [[T; N]], butterfly: impl Fn(T, T) -> (T, T) + Copy) {
    let mut stride = 1;
    while stride < rows.len() {
        if rows.len() / stride >= 16 {
            pass::<T, N, 16>(rows, stride, butterfly);
            stride *= 16;
        } else if rows.len() / stride >= 4 {
            pass::<T, N, 4>(rows, stride, butterfly);
            stride *= 4;
        } else {
            pass::<T, N, 2>(rows, stride, butterfly);
            stride *= 2;
        }
    }
}

/// `log2(RADIX)` levels of the transform, from rows `stride` apart.
#[inline(always)]
fn pass<T: Copy, const N: usize, const RADIX: usize>(
    rows: &mut [[T; N]],
    stride: usize,
    butterfly: impl Fn(T, T) -> (T, T) + Copy,
) {
    for block in rows.chunks_exact_mut(RADIX * stride) {
        for first in 0..stride {
            let mut group: [[T; N]; RADIX] = core::array::from_fn(|i| block[first + i * stride]);
            let mut half = 1;
            while half < RADIX {
                for low in 0..RADIX {
                    if low & half == 0 {
                        let (a, b) = (group[low], group[low | half]);
                        group[low] = core::array::from_fn(|lane| butterfly(a[lane], b[lane]).0);
                        group[low | half] = core::array::from_fn(|lane| butterfly(a[lane], b[lane]).1);
                    }
                }
                half *= 2;
            }
            for (i, row) in group.into_iter().enumerate() {
                block[first + i * stride] = row;
            }
        }
    }
}

/// The correlation of every row with `words ^ mask`, which repeat `scores.len()` columns.
#[inline(always)]
pub(super) fn scores(words: &[u64], mask: &[u64], scores: &mut [i16]) {
    let scores = scores.as_chunks_mut::<SCORES>().0;
    let period = scores.len() / 4;
    let mut repetitions = words.chunks_exact(period).zip(mask.chunks_exact(period));
    if let Some((words, mask)) = repetitions.next() {
        byte_scores(words, mask, scores, |_, sum| i16::from(sum));
    }
    for (words, mask) in repetitions {
        byte_scores(words, mask, scores, |score, sum| score + i16::from(sum));
    }
    transform(scores, |a, b| (a.saturating_add(b), a.saturating_sub(b)));
}

/// The lowest four levels, by look-up.
#[inline(always)]
fn byte_scores(
    words: &[u64],
    mask: &[u64],
    scores: &mut [[i16; SCORES]],
    combine: impl Fn(i16, i8) -> i16 + Copy,
) {
    let units = scores.as_chunks_mut::<4>().0.iter_mut();
    for ((word, mask), units) in words.iter().zip(mask).zip(units) {
        let bytes = (word ^ mask).to_le_bytes();
        for (pair, unit) in bytes.as_chunks::<2>().0.iter().zip(units) {
            let low = &BYTE_SCORES[0][usize::from(pair[0])];
            let high = &BYTE_SCORES[1][usize::from(pair[1])];
            for ((score, low), high) in unit.iter_mut().zip(low).zip(high) {
                *score = combine(*score, low + high);
            }
        }
    }
}

/// The `index ^ flip` of the largest score; of equally large ones, the smallest.
#[inline(always)]
pub(super) fn best_row(scores: &[i16; ROW], flip: u8) -> u8 {
    let rows = scores.as_chunks::<SCORES>().0;
    let mut largest = rows[0];
    for row in &rows[1..] {
        for (largest, score) in largest.iter_mut().zip(row) {
            *largest = (*largest).max(*score);
        }
    }
    let largest = largest.iter().copied().fold(i16::MIN, i16::max);
    let mut smallest = [i16::MAX; SCORES];
    for (index, row) in rows.iter().enumerate() {
        for (lane, (smallest, score)) in smallest.iter_mut().zip(row).enumerate() {
            let name = (index * SCORES + lane) as i16 ^ i16::from(flip);
            let candidate = if *score == largest { name } else { i16::MAX };
            *smallest = (*smallest).min(candidate);
        }
    }
    // One of the 256 scores is the largest, so that the name is at most 255.
    smallest.iter().copied().fold(i16::MAX, i16::min) as u8
}

/// Bit `i` is set where vote `i` is negative.
#[inline(always)]
pub(super) fn negative_bits(votes: &[i8], out: &mut [u64]) {
    for (votes, out) in votes.as_chunks::<64>().0.iter().zip(out) {
        let mut word = 0;
        for (index, votes) in votes.as_chunks::<8>().0.iter().enumerate() {
            // The eight sign bits, moved side by side by one multiplication.
            let signs = (u64::from_le_bytes(votes.map(i8::cast_unsigned)) >> 7) & 0x0101_0101_0101_0101;
            word |= (signs.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * index);
        }
        *out = word;
    }
}
