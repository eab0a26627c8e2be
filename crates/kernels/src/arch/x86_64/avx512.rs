//! AVX-512 as every processor since Skylake-X has it (F, BW, DQ, VL): 512-bit vectors, eight words each.
//!
//! Every function is safe to call from code compiled for these sets; `dispatch.rs` is the one place that
//! enters this file from outside, with a proof. `unsafe` remains only in [`load`], [`store`]
//! and their halves. What wider registers can not speed up is AVX2's: a chain of steps, or a few planes.

use core::arch::x86_64::{
    __m256i, __m512i, _mm256_add_epi64, _mm256_and_si256, _mm256_loadu_si256, _mm256_set1_epi64x,
    _mm256_setzero_si256, _mm256_storeu_si256, _mm256_ternarylogic_epi32, _mm256_xor_si256, _mm512_add_epi8,
    _mm512_add_epi64, _mm512_and_si512, _mm512_castsi256_si512, _mm512_castsi512_si256,
    _mm512_cmpgt_epi64_mask, _mm512_extracti64x4_epi64, _mm512_inserti64x4, _mm512_loadu_si512,
    _mm512_maskz_set1_epi8, _mm512_mullo_epi64, _mm512_or_si512, _mm512_sad_epu8, _mm512_set1_epi8,
    _mm512_set1_epi64, _mm512_set4_epi32, _mm512_set4_epi64, _mm512_setzero_si512, _mm512_shuffle_epi8,
    _mm512_slli_epi64, _mm512_srli_epi16, _mm512_srli_epi64, _mm512_storeu_si512, _mm512_ternarylogic_epi32,
    _mm512_xor_si512, _mm512_zextsi256_si512,
};

pub(crate) use super::avx2::{
    add_walsh_rows, best_row, expand, gear_matches, majority, negative_bits, walsh_scores,
};

use super::avx2;
use crate::arch::shared;
use crate::counters::Column;
use crate::seed::{GOLDEN, LANES, MIX_1, MIX_2};

/// Words of a register.
pub(super) const WORDS: usize = 8;

/// Vectors of features that are added together, see [`add_group`]; each holds two features.
const GROUP: usize = 16;

/// Vectors whose byte counts can be summed before a byte overflows: 31 * 8 < 256.
const BYTE_SUM_RUN: usize = 31;

/// The truth tables of three bits for ternary logic: their sum, and their carry.
const XOR_3: i32 = 0x96;
const MAJORITY_3: i32 = 0xE8;

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(crate) fn xor_into(target: &mut [u64], other: &[u64]) {
    // Left to the compiler, which uses this function's instructions.
    for (target, other) in target.iter_mut().zip(other) {
        *target ^= other;
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(crate) fn popcount(words: &[u64]) -> u64 {
    let (blocks, tail) = words.as_chunks::<WORDS>();
    let mut total = _mm512_setzero_si512();
    for run in blocks.chunks(BYTE_SUM_RUN) {
        let mut bytes = _mm512_setzero_si512();
        for block in run {
            bytes = _mm512_add_epi8(bytes, byte_counts(load(block)));
        }
        total = _mm512_add_epi64(total, _mm512_sad_epu8(bytes, _mm512_setzero_si512()));
    }
    avx2::sum_lanes(fold(total)) + avx2::popcount(tail)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(crate) fn hamming(a: &[u64], b: &[u64]) -> u64 {
    avx2::sum_lanes(differences(a, b))
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(crate) fn hamming_rows(query: &[u64], matrix: &[u64], distances: &mut [u32]) {
    for ([a, b, c, d], places) in shared::four_streams(query.len(), matrix, distances) {
        let counts =
            [differences(query, a), differences(query, b), differences(query, c), differences(query, d)];
        for (distance, sum) in places.into_iter().zip(avx2::sum_each(counts)) {
            // A row has fewer than 2^32 bits.
            *distance = sum as u32;
        }
    }
    for (row, distance) in shared::last_rows(query.len(), matrix, distances) {
        *distance = hamming(query, row) as u32;
    }
}

/// The number of differing bits, spread over four lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn differences(a: &[u64], b: &[u64]) -> __m256i {
    let (a_blocks, a_tail) = a.as_chunks::<WORDS>();
    let (b_blocks, b_tail) = b.as_chunks::<WORDS>();
    let mut total = _mm512_setzero_si512();
    for (a, b) in a_blocks.chunks(BYTE_SUM_RUN).zip(b_blocks.chunks(BYTE_SUM_RUN)) {
        let mut bytes = _mm512_setzero_si512();
        for (a, b) in a.iter().zip(b) {
            bytes = _mm512_add_epi8(bytes, byte_counts(_mm512_xor_si512(load(a), load(b))));
        }
        total = _mm512_add_epi64(total, _mm512_sad_epu8(bytes, _mm512_setzero_si512()));
    }
    _mm256_add_epi64(fold(total), avx2::differences(a_tail, b_tail))
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(crate) fn rotate_into(out: &mut [u64], words: &[u64], bits: usize) {
    shared::rotate_into(out, words, bits);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(crate) fn add_features(columns: &mut [Column], features: &[u64], used: usize) {
    for group in features.chunks(2 * GROUP) {
        // A lane state of zero stays zero and so adds nothing to any count.
        let mut states = [_mm512_setzero_si512(); GROUP];
        let (pairs, odd) = group.as_chunks::<2>();
        for (state, pair) in states.iter_mut().zip(pairs) {
            *state = lane_seeds(*pair);
        }
        if let ([feature], Some(state)) = (odd, states.get_mut(pairs.len())) {
            *state = _mm512_zextsi256_si512(_mm512_castsi512_si256(lane_seeds([*feature; 2])));
        }
        add_group(columns, &mut states, used);
    }
}

/// Adds 32 features, two in each vector, to every column.
///
/// A tree of 15 carry-save adders works on both halves at once. The halves' sums, each of five bits, are
/// added to one another and to the column at the end. (Eight words of one feature in a vector would need
/// two steps for each column: the steps are most of the work.)
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn add_group(columns: &mut [Column], states: &mut [__m512i; GROUP], used: usize) {
    for (index, column) in columns.iter_mut().enumerate() {
        if index > 0 {
            for state in states.iter_mut() {
                *state = step(*state);
            }
        }
        let (low, high) = column.split_at_mut(4);
        let mut between = _mm256_setzero_si256();
        let twos: [__m512i; 8] = halve(&mut low[0], &mut between, states);
        let fours: [__m512i; 4] = halve(&mut low[1], &mut between, &twos);
        let eights: [__m512i; 2] = halve(&mut low[2], &mut between, &fours);
        let [sixteens]: [__m512i; 1] = halve(&mut low[3], &mut between, &eights);

        // Three carries of weight 16 become two of weight 32 and one of weight 64, which ripples on.
        let (front, back) = halves(sixteens);
        let first = carry_save(&mut high[0], front, back);
        let second = carry_save(&mut high[0], between, _mm256_setzero_si256());
        let mut carry = carry_save(&mut high[1], first, second);
        for plane in high.iter_mut().take(used.saturating_sub(4)).skip(2) {
            let sum = load_half(plane);
            store_half(plane, _mm256_xor_si256(sum, carry));
            carry = _mm256_and_si256(sum, carry);
        }
    }
}

/// Adds `2 * N` vectors into both halves of a plane and returns the `N` carries, each of twice the weight.
///
/// The plane's own bits start in the first half. At the end the two halves and the carry of such additions
/// in the plane before, `between`, are added up: the sum is the plane, the carry is the next `between`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn halve<const N: usize, const DOUBLE: usize>(
    plane: &mut [u64; LANES],
    between: &mut __m256i,
    inputs: &[__m512i; DOUBLE],
) -> [__m512i; N] {
    let mut sum = _mm512_zextsi256_si512(load_half(plane));
    let mut carries = [_mm512_setzero_si512(); N];
    for (carry, [a, b]) in carries.iter_mut().zip(inputs.as_chunks::<2>().0) {
        *carry = _mm512_ternarylogic_epi32::<MAJORITY_3>(sum, *a, *b);
        sum = _mm512_ternarylogic_epi32::<XOR_3>(sum, *a, *b);
    }
    let (front, back) = halves(sum);
    store_half(plane, front);
    *between = carry_save(plane, back, *between);
    carries
}

/// A full adder in every bit of a plane: the sum stays there, the carry is returned.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn carry_save(plane: &mut [u64; LANES], a: __m256i, b: __m256i) -> __m256i {
    let sum = load_half(plane);
    store_half(plane, _mm256_ternarylogic_epi32::<XOR_3>(sum, a, b));
    _mm256_ternarylogic_epi32::<MAJORITY_3>(sum, a, b)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(crate) fn flush(columns: &[Column], count: u32, used: usize, weight: i32, counters: &mut [i64]) {
    let words = columns.iter().flat_map(|column| (0..LANES).map(move |lane| (column, lane)));
    for ((column, lane), counters) in words.zip(counters.chunks_exact_mut(64)) {
        let planes = &column[..used];
        let (low, high) = planes.split_at(planes.len().min(8));
        shared::add_counts(counters, &byte_lanes(low, lane), &byte_lanes(high, lane), count, weight);
    }
}

/// Turns up to 8 planes of a word's 64 positions into one byte per position.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn byte_lanes(planes: &[[u64; LANES]], lane: usize) -> [u8; 64] {
    let mut bytes = _mm512_setzero_si512();
    for (bit, plane) in planes.iter().enumerate() {
        // A plane's word is the mask of the bytes that have this bit.
        let set = _mm512_maskz_set1_epi8(plane[lane], (1_u8 << bit).cast_signed());
        bytes = _mm512_or_si512(bytes, set);
    }
    let mut lanes = [0; WORDS];
    store(&mut lanes, bytes);
    bytemuck::cast(lanes)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(crate) fn add_counters(counters: &mut [i64], other: &[i64]) {
    shared::add_counters(counters, other);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(crate) fn subtract_counters(counters: &mut [i64], other: &[i64]) {
    shared::subtract_counters(counters, other);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(crate) fn threshold(counters: &[i64], tie: &[u64], out: &mut [u64]) {
    let zero = _mm512_setzero_si512();
    for ((counters, tie), out) in counters.as_chunks::<64>().0.iter().zip(tie).zip(out) {
        let (mut positive, mut negative) = (0, 0);
        for (block, counters) in counters.as_chunks::<WORDS>().0.iter().enumerate() {
            let v = load(bytemuck::cast_ref(counters));
            positive |= u64::from(_mm512_cmpgt_epi64_mask(v, zero)) << (WORDS * block);
            negative |= u64::from(_mm512_cmpgt_epi64_mask(zero, v)) << (WORDS * block);
        }
        *out = positive | (!negative & tie);
    }
}

/// [`crate::seed::lane_seeds`] of two features, one in each half.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn lane_seeds([a, b]: [u64; 2]) -> __m512i {
    // Written from the highest word down, and repeated.
    let increments = _mm512_set4_epi64(
        GOLDEN.wrapping_mul(4).cast_signed(),
        GOLDEN.wrapping_mul(3).cast_signed(),
        GOLDEN.wrapping_mul(2).cast_signed(),
        GOLDEN.cast_signed(),
    );
    let [a, b] = [_mm256_set1_epi64x(a.cast_signed()), _mm256_set1_epi64x(b.cast_signed())];
    let v = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(a), b);
    let v = _mm512_add_epi64(v, increments);
    let v = _mm512_xor_si512(v, _mm512_srli_epi64::<30>(v));
    let v = _mm512_mullo_epi64(v, _mm512_set1_epi64(MIX_1.cast_signed()));
    let v = _mm512_xor_si512(v, _mm512_srli_epi64::<27>(v));
    let v = _mm512_mullo_epi64(v, _mm512_set1_epi64(MIX_2.cast_signed()));
    _mm512_xor_si512(v, _mm512_srli_epi64::<31>(v))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn step(v: __m512i) -> __m512i {
    let v = _mm512_xor_si512(v, _mm512_slli_epi64::<13>(v));
    let v = _mm512_xor_si512(v, _mm512_srli_epi64::<7>(v));
    _mm512_xor_si512(v, _mm512_slli_epi64::<17>(v))
}

/// The set bits of each byte, in that byte: two look-ups of four bits, as on AVX2.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn byte_counts(v: __m512i) -> __m512i {
    // The counts of 0 to 15 in ascending bytes; the arguments go from the highest four bytes down.
    let table = _mm512_set4_epi32(0x0403_0302, 0x0302_0201, 0x0302_0201, 0x0201_0100);
    let nibble = _mm512_set1_epi8(0x0F);
    let low = _mm512_shuffle_epi8(table, _mm512_and_si512(v, nibble));
    let high = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16::<4>(v), nibble));
    _mm512_add_epi8(low, high)
}

/// The sum of both halves.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn fold(v: __m512i) -> __m256i {
    let (front, back) = halves(v);
    _mm256_add_epi64(front, back)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn halves(v: __m512i) -> (__m256i, __m256i) {
    (_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64::<1>(v))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn load(block: &[u64; WORDS]) -> __m512i {
    // SAFETY: a block is 64 readable bytes, and this load needs no alignment.
    unsafe { _mm512_loadu_si512(block.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn store(block: &mut [u64; WORDS], v: __m512i) {
    // SAFETY: a block is 64 writable bytes that nothing else borrows, and this store needs no alignment.
    unsafe { _mm512_storeu_si512(block.as_mut_ptr().cast(), v) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn load_half(block: &[u64; LANES]) -> __m256i {
    // SAFETY: a block is 32 readable bytes, and this load needs no alignment.
    unsafe { _mm256_loadu_si256(block.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn store_half(block: &mut [u64; LANES], v: __m256i) {
    // SAFETY: a block is 32 writable bytes that nothing else borrows, and this store needs no alignment.
    unsafe { _mm256_storeu_si256(block.as_mut_ptr().cast(), v) }
}
