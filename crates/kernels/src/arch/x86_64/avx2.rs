//! AVX2: 256-bit integer vectors, four words each.
//!
//! Every function is safe to call from code compiled for AVX2; `dispatch.rs` is the one place that
//! enters this file from outside, with a proof. `unsafe` remains only in [`load`] and [`store`].

mod gear;

use core::arch::x86_64::{
    __m256i, _mm256_add_epi8, _mm256_add_epi64, _mm256_and_si256, _mm256_andnot_si256, _mm256_castsi256_pd,
    _mm256_cmpeq_epi8, _mm256_cmpeq_epi64, _mm256_loadu_si256, _mm256_movemask_pd, _mm256_mul_epu32,
    _mm256_or_si256, _mm256_permute2x128_si256, _mm256_sad_epu8, _mm256_set1_epi8, _mm256_set1_epi32,
    _mm256_set1_epi64x, _mm256_setr_epi8, _mm256_setr_epi64x, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_slli_epi64, _mm256_srli_epi16, _mm256_srli_epi64, _mm256_storeu_si256, _mm256_unpackhi_epi64,
    _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use crate::arch::shared;
pub(crate) use crate::arch::x86_64::avx2_walsh::{add_walsh_rows, best_row, negative_bits, walsh_scores};
use crate::counters::Column;
use crate::seed::{GOLDEN, LANES, MIX_1, MIX_2};

pub(crate) use gear::gear_matches;

/// Features that are added together, see [`add_group`].
const GROUP: usize = 16;

/// Vectors whose byte counts can be summed before a byte overflows: 31 * 8 < 256.
const BYTE_SUM_RUN: usize = 31;

#[target_feature(enable = "avx2")]
pub(crate) fn xor_into(target: &mut [u64], other: &[u64]) {
    // Left to the compiler, which uses this function's instructions.
    for (target, other) in target.iter_mut().zip(other) {
        *target ^= other;
    }
}

#[target_feature(enable = "avx2")]
pub(crate) fn popcount(words: &[u64]) -> u64 {
    let (blocks, tail) = words.as_chunks::<LANES>();
    let mut total = _mm256_setzero_si256();
    for run in blocks.chunks(BYTE_SUM_RUN) {
        let mut bytes = _mm256_setzero_si256();
        for block in run {
            bytes = _mm256_add_epi8(bytes, byte_counts(load(block)));
        }
        total = _mm256_add_epi64(total, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
    }
    sum_lanes(total) + tail.iter().map(|word| u64::from(word.count_ones())).sum::<u64>()
}

#[target_feature(enable = "avx2")]
pub(crate) fn hamming(a: &[u64], b: &[u64]) -> u64 {
    sum_lanes(differences(a, b))
}

#[target_feature(enable = "avx2")]
pub(crate) fn hamming_rows(query: &[u64], matrix: &[u64], distances: &mut [u32]) {
    for ([a, b, c, d], places) in shared::four_streams(query.len(), matrix, distances) {
        let counts =
            [differences(query, a), differences(query, b), differences(query, c), differences(query, d)];
        for (distance, sum) in places.into_iter().zip(sum_each(counts)) {
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
#[target_feature(enable = "avx2")]
pub(super) fn differences(a: &[u64], b: &[u64]) -> __m256i {
    let (a_blocks, a_tail) = a.as_chunks::<LANES>();
    let (b_blocks, b_tail) = b.as_chunks::<LANES>();
    let tail: u64 = a_tail.iter().zip(b_tail).map(|(a, b)| u64::from((a ^ b).count_ones())).sum();
    let mut total = _mm256_setr_epi64x(tail.cast_signed(), 0, 0, 0);
    for (a, b) in a_blocks.chunks(BYTE_SUM_RUN).zip(b_blocks.chunks(BYTE_SUM_RUN)) {
        let mut bytes = _mm256_setzero_si256();
        for (a, b) in a.iter().zip(b) {
            bytes = _mm256_add_epi8(bytes, byte_counts(_mm256_xor_si256(load(a), load(b))));
        }
        total = _mm256_add_epi64(total, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
    }
    total
}

/// The sum of the lanes of each of four vectors.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn sum_each([a, b, c, d]: [__m256i; 4]) -> [u64; 4] {
    let ab = _mm256_add_epi64(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    let cd = _mm256_add_epi64(_mm256_unpacklo_epi64(c, d), _mm256_unpackhi_epi64(c, d));
    let low = _mm256_permute2x128_si256::<0x20>(ab, cd);
    let high = _mm256_permute2x128_si256::<0x31>(ab, cd);
    let mut sums = [0; LANES];
    store(&mut sums, _mm256_add_epi64(low, high));
    sums
}

#[target_feature(enable = "avx2")]
pub(crate) fn rotate_into(out: &mut [u64], words: &[u64], bits: usize) {
    shared::rotate_into(out, words, bits);
}

#[target_feature(enable = "avx2")]
pub(crate) fn expand(feature: u64, out: &mut [u64]) {
    let mut state = lane_seeds(feature);
    let (blocks, tail) = out.as_chunks_mut::<LANES>();
    for block in blocks {
        store(block, state);
        state = step(state);
    }
    let mut last = [0; LANES];
    store(&mut last, state);
    tail.copy_from_slice(&last[..tail.len()]);
}

#[target_feature(enable = "avx2")]
pub(crate) fn add_features(columns: &mut [Column], features: &[u64], used: usize) {
    for group in features.chunks(GROUP) {
        // A lane state of zero stays zero and so adds nothing to any count.
        let mut states = [_mm256_setzero_si256(); GROUP];
        for (state, feature) in states.iter_mut().zip(group) {
            *state = lane_seeds(*feature);
        }
        add_group(columns, &mut states, used);
    }
}

/// Adds 16 features to every column: a tree of 15 carry-save adders into the lowest four planes, and
/// one carry of weight 16 that ripples through the planes above.
#[inline]
#[target_feature(enable = "avx2")]
fn add_group(columns: &mut [Column], states: &mut [__m256i; GROUP], used: usize) {
    for (index, column) in columns.iter_mut().enumerate() {
        if index > 0 {
            for state in states.iter_mut() {
                *state = step(*state);
            }
        }
        let (low, high) = column.split_at_mut(4);
        let twos: [__m256i; 8] = halve(&mut low[0], states);
        let fours: [__m256i; 4] = halve(&mut low[1], &twos);
        let eights: [__m256i; 2] = halve(&mut low[2], &fours);
        let [mut carry]: [__m256i; 1] = halve(&mut low[3], &eights);
        for plane in &mut high[..used.saturating_sub(4)] {
            let sum = load(plane);
            store(plane, _mm256_xor_si256(sum, carry));
            carry = _mm256_and_si256(sum, carry);
        }
    }
}

/// Adds `2 * N` vectors into a plane and returns the `N` carries, each of twice the weight.
#[inline]
#[target_feature(enable = "avx2")]
fn halve<const N: usize, const DOUBLE: usize>(
    plane: &mut [u64; LANES],
    inputs: &[__m256i; DOUBLE],
) -> [__m256i; N] {
    let mut sum = load(plane);
    let mut carries = [_mm256_setzero_si256(); N];
    for (carry, pair) in carries.iter_mut().zip(inputs.as_chunks::<2>().0) {
        let half = _mm256_xor_si256(sum, pair[0]);
        *carry = _mm256_or_si256(_mm256_and_si256(sum, pair[0]), _mm256_and_si256(half, pair[1]));
        sum = _mm256_xor_si256(half, pair[1]);
    }
    store(plane, sum);
    carries
}

#[target_feature(enable = "avx2")]
pub(crate) fn majority(columns: &[Column], count: u32, used: usize, tie: &[u64], out: &mut [u64]) {
    let threshold = count / 2;
    for ((column, tie), out) in columns.iter().zip(tie.chunks(LANES)).zip(out.chunks_mut(LANES)) {
        let mut above = _mm256_setzero_si256();
        let mut equal = _mm256_set1_epi8(-1);
        for (bit, plane) in column[..used].iter().enumerate().rev() {
            let plane = load(plane);
            if (threshold >> bit) & 1 == 1 {
                equal = _mm256_and_si256(equal, plane);
            } else {
                above = _mm256_or_si256(above, _mm256_and_si256(equal, plane));
                equal = _mm256_andnot_si256(plane, equal);
            }
        }
        // An odd count has no ties: equal to the rounded half means fewer than half.
        if count % 2 == 1 {
            equal = _mm256_setzero_si256();
        }
        let mut tie_lanes = [0; LANES];
        tie_lanes[..tie.len()].copy_from_slice(tie);
        let mut lanes = [0; LANES];
        store(&mut lanes, _mm256_or_si256(above, _mm256_and_si256(equal, load(&tie_lanes))));
        out.copy_from_slice(&lanes[..out.len()]);
    }
}

#[target_feature(enable = "avx2")]
pub(crate) fn flush(columns: &[Column], count: u32, used: usize, weight: i32, counters: &mut [i64]) {
    let words = columns.iter().flat_map(|column| (0..LANES).map(move |lane| (column, lane)));
    for ((column, lane), counters) in words.zip(counters.chunks_exact_mut(64)) {
        let planes = &column[..used];
        let (low_planes, high_planes) = planes.split_at(planes.len().min(8));
        for (half, counters) in counters.chunks_exact_mut(32).enumerate() {
            let low = byte_lanes(low_planes, lane, half);
            let high = byte_lanes(high_planes, lane, half);
            shared::add_counts(counters, low.as_flattened(), high.as_flattened(), count, weight);
        }
    }
}

#[target_feature(enable = "avx2")]
pub(crate) fn add_counters(counters: &mut [i64], other: &[i64]) {
    shared::add_counters(counters, other);
}

#[target_feature(enable = "avx2")]
pub(crate) fn subtract_counters(counters: &mut [i64], other: &[i64]) {
    shared::subtract_counters(counters, other);
}

#[target_feature(enable = "avx2")]
pub(crate) fn threshold(counters: &[i64], tie: &[u64], out: &mut [u64]) {
    for ((counters, tie), out) in counters.as_chunks::<64>().0.iter().zip(tie).zip(out) {
        let (mut negative, mut zero) = (0_u64, 0_u64);
        for (block, counters) in counters.as_chunks::<LANES>().0.iter().enumerate() {
            let v = load(bytemuck::cast_ref(counters));
            let sign = _mm256_movemask_pd(_mm256_castsi256_pd(v));
            let equal = _mm256_cmpeq_epi64(v, _mm256_setzero_si256());
            let equal = _mm256_movemask_pd(_mm256_castsi256_pd(equal));
            // Four bits each.
            negative |= (sign as u64) << (LANES * block);
            zero |= (equal as u64) << (LANES * block);
        }
        *out = !(negative | zero) | (zero & tie);
    }
}

/// Turns up to 8 planes of 32 positions (half a word) into one byte per position.
#[inline]
#[target_feature(enable = "avx2")]
fn byte_lanes(planes: &[[u64; LANES]], lane: usize, half: usize) -> [[u8; 8]; LANES] {
    // Byte j of the result looks at byte j / 8 of the half word, and there at bit j % 8.
    let spread = _mm256_setr_epi8(
        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3,
    );
    let bits = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64.cast_signed());
    let mut bytes = _mm256_setzero_si256();
    for (bit, plane) in planes.iter().enumerate() {
        let positions = (plane[lane] >> (32 * half)) as u32;
        let copies = _mm256_shuffle_epi8(_mm256_set1_epi32(positions.cast_signed()), spread);
        let set = _mm256_cmpeq_epi8(_mm256_and_si256(copies, bits), bits);
        bytes = _mm256_or_si256(bytes, _mm256_and_si256(set, _mm256_set1_epi8((1_u8 << bit).cast_signed())));
    }
    let mut lanes = [0; LANES];
    store(&mut lanes, bytes);
    lanes.map(u64::to_le_bytes)
}

/// [`crate::seed::lane_seeds`] in one register.
///
/// AVX2 has no 64-bit multiplication; three 32-bit ones still beat four scalar chains here, because
/// those end in a store of four words that a wider load must wait for.
#[inline]
#[target_feature(enable = "avx2")]
fn lane_seeds(feature: u64) -> __m256i {
    let increments = _mm256_setr_epi64x(
        GOLDEN.cast_signed(),
        GOLDEN.wrapping_mul(2).cast_signed(),
        GOLDEN.wrapping_mul(3).cast_signed(),
        GOLDEN.wrapping_mul(4).cast_signed(),
    );
    let v = _mm256_add_epi64(_mm256_set1_epi64x(feature.cast_signed()), increments);
    let v = multiply(_mm256_xor_si256(v, _mm256_srli_epi64::<30>(v)), MIX_1);
    let v = multiply(_mm256_xor_si256(v, _mm256_srli_epi64::<27>(v)), MIX_2);
    _mm256_xor_si256(v, _mm256_srli_epi64::<31>(v))
}

/// The low 64 bits of each word times a constant, by schoolbook multiplication of halves.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply(v: __m256i, factor: u64) -> __m256i {
    let low = _mm256_set1_epi64x(factor.cast_signed());
    let high = _mm256_set1_epi64x((factor >> 32).cast_signed());
    let crossed =
        _mm256_add_epi64(_mm256_mul_epu32(v, high), _mm256_mul_epu32(_mm256_srli_epi64::<32>(v), low));
    _mm256_add_epi64(_mm256_mul_epu32(v, low), _mm256_slli_epi64::<32>(crossed))
}

#[inline]
#[target_feature(enable = "avx2")]
fn step(v: __m256i) -> __m256i {
    let v = _mm256_xor_si256(v, _mm256_slli_epi64::<13>(v));
    let v = _mm256_xor_si256(v, _mm256_srli_epi64::<7>(v));
    _mm256_xor_si256(v, _mm256_slli_epi64::<17>(v))
}

/// The set bits of each byte, in that byte: two look-ups of four bits (Muła, Kurz and Lemire,
/// *Faster population counts using AVX2 instructions*, 2018, section 4).
#[inline]
#[target_feature(enable = "avx2")]
fn byte_counts(v: __m256i) -> __m256i {
    let table = _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
    );
    let nibble = _mm256_set1_epi8(0x0F);
    let low = _mm256_shuffle_epi8(table, _mm256_and_si256(v, nibble));
    let high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16::<4>(v), nibble));
    _mm256_add_epi8(low, high)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn sum_lanes(v: __m256i) -> u64 {
    let mut lanes = [0; LANES];
    store(&mut lanes, v);
    lanes.iter().sum()
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(block: &[u64; LANES]) -> __m256i {
    // SAFETY: a block is 32 readable bytes, and this load needs no alignment.
    unsafe { _mm256_loadu_si256(block.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(block: &mut [u64; LANES], v: __m256i) {
    // SAFETY: a block is 32 writable bytes that nothing else borrows, and this store needs no alignment.
    unsafe { _mm256_storeu_si256(block.as_mut_ptr().cast(), v) }
}
