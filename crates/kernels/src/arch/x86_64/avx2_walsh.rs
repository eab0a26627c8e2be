//! AVX2: the operations of `walsh.rs`, in registers of 32 votes or 16 scores.
//!
//! Registers are transformed 16 at a time: four levels for one load and one store of each.

use core::arch::x86_64::{
    __m256i, _mm_add_epi8, _mm256_add_epi8, _mm256_add_epi16, _mm256_adds_epi16, _mm256_blendv_epi8,
    _mm256_cmpeq_epi16, _mm256_cvtepi8_epi16, _mm256_max_epi16, _mm256_min_epi16, _mm256_movemask_epi8,
    _mm256_set1_epi16, _mm256_setr_epi16, _mm256_setzero_si256, _mm256_sign_epi8, _mm256_sub_epi8,
    _mm256_subs_epi16, _mm256_xor_si256,
};

use bytemuck::cast;

use crate::arch::walsh::{BYTE_SCORES, LANES, PARTS, ROW, SCORES, sign};

/// Vectors of votes that are transformed in registers.
const BLOCK: usize = 8;

/// Columns `32 * part..` of row `32 * high + low` at `[part][low][high]`: 64 KiB, of which a part is in the
/// first-level cache while it is in use.
static PATTERNS: [[[[i8; LANES]; PARTS]; LANES]; PARTS] = {
    let mut table = [[[[0; LANES]; PARTS]; LANES]; PARTS];
    let mut index = 0;
    while index < ROW * ROW {
        let (row, column) = (index / ROW, index % ROW);
        table[column / LANES][row % LANES][row / LANES][column % LANES] = sign(row & column);
        index += 1;
    }
    table
};

#[target_feature(enable = "avx2")]
pub(crate) fn add_walsh_rows(rows: &[u8], slots: usize, signs: &[i8], votes: &mut [i8]) {
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

#[inline]
#[target_feature(enable = "avx2")]
fn add_rows_of<const SLOTS: usize>(rows: &[u8], signs: &[i8], votes: &mut [i8]) {
    let (signs, votes) = (signs.as_chunks::<LANES>().0, votes.as_chunks_mut::<LANES>().0);
    let butterfly = |a, b| (_mm256_add_epi8(a, b), _mm256_sub_epi8(a, b));
    for (part, patterns) in PATTERNS.iter().enumerate() {
        let mut sums = [_mm256_setzero_si256(); SLOTS];
        for (slot, sum) in sums.iter_mut().enumerate() {
            if let Some(row) = rows.get(slot) {
                *sum = cast(patterns[usize::from(*row) % LANES][usize::from(*row) / LANES]);
            }
        }
        // The widest strides first, so that the rest of a block of 8 fits into registers and stays there until
        // it was added. At most 64 rows: no sum leaves -64..=64.
        let mut half = SLOTS / 2;
        while half >= BLOCK {
            level(&mut sums, half, butterfly);
            half /= 2;
        }
        for (block, sums) in sums.chunks_mut(BLOCK).enumerate() {
            let mut group = [_mm256_setzero_si256(); BLOCK];
            group[..sums.len()].copy_from_slice(sums);
            let mut half = BLOCK.min(SLOTS) / 2;
            while half >= 1 {
                level(&mut group, half, butterfly);
                half /= 2;
            }
            let repetitions = votes.chunks_exact_mut(PARTS * SLOTS).zip(signs.chunks_exact(PARTS * SLOTS));
            for (votes, signs) in repetitions {
                for (slot, sum) in group[..sums.len()].iter().enumerate() {
                    let at = (block * BLOCK + slot) * PARTS + part;
                    let signed = _mm256_sign_epi8(*sum, cast(signs[at]));
                    votes[at] = cast(_mm256_add_epi8(cast(votes[at]), signed));
                }
            }
        }
    }
}

/// One level of a transform, between vectors `half` apart.
#[inline]
#[target_feature(enable = "avx2")]
fn level<const N: usize>(
    group: &mut [__m256i; N],
    half: usize,
    butterfly: impl Fn(__m256i, __m256i) -> (__m256i, __m256i),
) {
    for low in (0..N).filter(|low| low & half == 0) {
        (group[low], group[low | half]) = butterfly(group[low], group[low | half]);
    }
}

/// `log2(RADIX)` levels of a transform of scores, from rows `stride` apart; returns the stride of the next.
#[inline]
#[target_feature(enable = "avx2")]
fn pass<const RADIX: usize>(rows: &mut [[i16; SCORES]], stride: usize) -> usize {
    for block in rows.chunks_exact_mut(RADIX * stride) {
        for first in 0..stride {
            let mut group = [_mm256_setzero_si256(); RADIX];
            for (i, row) in group.iter_mut().enumerate() {
                *row = cast(block[first + i * stride]);
            }
            // In the order of every tier: what saturates depends on it.
            let mut half = 1;
            while half < RADIX {
                level(&mut group, half, |a, b| (_mm256_adds_epi16(a, b), _mm256_subs_epi16(a, b)));
                half *= 2;
            }
            for (i, row) in group.into_iter().enumerate() {
                block[first + i * stride] = cast(row);
            }
        }
    }
    stride * RADIX
}

#[target_feature(enable = "avx2")]
pub(crate) fn walsh_scores(words: &[u64], mask: &[u64], scores: &mut [i16]) {
    let scores = scores.as_chunks_mut::<SCORES>().0;
    let period = scores.len() / 4;
    for (index, (words, mask)) in words.chunks_exact(period).zip(mask.chunks_exact(period)).enumerate() {
        let units = scores.as_chunks_mut::<4>().0.iter_mut();
        for ((word, mask), units) in words.iter().zip(mask).zip(units) {
            let bytes = (word ^ mask).to_le_bytes();
            for (pair, unit) in bytes.as_chunks::<2>().0.iter().zip(units) {
                let low = cast(BYTE_SCORES[0][usize::from(pair[0])]);
                let high = cast(BYTE_SCORES[1][usize::from(pair[1])]);
                let sum = _mm256_cvtepi8_epi16(_mm_add_epi8(low, high));
                let before = if index == 0 { _mm256_setzero_si256() } else { cast(*unit) };
                *unit = cast(_mm256_add_epi16(before, sum));
            }
        }
    }
    let mut stride = 1;
    while stride < scores.len() {
        match scores.len() / stride {
            16.. => stride = pass::<16>(scores, stride),
            4.. => stride = pass::<4>(scores, stride),
            _ => stride = pass::<2>(scores, stride),
        }
    }
}

#[target_feature(enable = "avx2")]
pub(crate) fn best_row(scores: &[i16; ROW], flip: u8) -> u8 {
    let rows = scores.as_chunks::<SCORES>().0;
    let mut largest: __m256i = cast(rows[0]);
    for row in &rows[1..] {
        largest = _mm256_max_epi16(largest, cast(*row));
    }
    let lanes: [i16; SCORES] = cast(largest);
    let largest = _mm256_set1_epi16(lanes.into_iter().fold(i16::MIN, i16::max));
    let none = _mm256_set1_epi16(i16::MAX);
    let flip = _mm256_set1_epi16(i16::from(flip));
    let mut index = _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let mut smallest = none;
    for row in rows {
        let is_largest = _mm256_cmpeq_epi16(cast(*row), largest);
        let name = _mm256_blendv_epi8(none, _mm256_xor_si256(index, flip), is_largest);
        smallest = _mm256_min_epi16(smallest, name);
        index = _mm256_add_epi16(index, _mm256_set1_epi16(SCORES as i16));
    }
    let lanes: [i16; SCORES] = cast(smallest);
    // One of the 256 scores is the largest, so that the name is at most 255.
    lanes.into_iter().fold(i16::MAX, i16::min) as u8
}

#[target_feature(enable = "avx2")]
pub(crate) fn negative_bits(votes: &[i8], out: &mut [u64]) {
    for (votes, out) in votes.as_chunks::<64>().0.iter().zip(out) {
        let [low, high] = cast::<[i8; 64], [__m256i; 2]>(*votes)
            .map(|votes| u64::from(_mm256_movemask_epi8(votes).cast_unsigned()));
        *out = low | (high << 32);
    }
}
