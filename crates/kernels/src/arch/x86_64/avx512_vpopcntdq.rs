//! AVX-512 with VPOPCNTDQ, as Ice Lake and Zen 4 brought it: set bits are counted by one instruction.
//!
//! What counts no bits is that of [`avx512`].

use core::arch::x86_64::{
    __m256i, _mm256_add_epi64, _mm512_add_epi64, _mm512_popcnt_epi64, _mm512_setzero_si512, _mm512_xor_si512,
};

pub(crate) use super::avx512::{
    add_counters, add_features, add_walsh_rows, best_row, expand, flush, gear_matches, majority,
    negative_bits, rotate_into, subtract_counters, threshold, walsh_scores, xor_into,
};

use super::avx2;
use super::avx512::{self, WORDS, load};
use crate::arch::shared;

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
pub(crate) fn popcount(words: &[u64]) -> u64 {
    let (blocks, tail) = words.as_chunks::<WORDS>();
    let mut total = _mm512_setzero_si512();
    for block in blocks {
        total = _mm512_add_epi64(total, _mm512_popcnt_epi64(load(block)));
    }
    avx2::sum_lanes(avx512::fold(total)) + avx2::popcount(tail)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
pub(crate) fn hamming(a: &[u64], b: &[u64]) -> u64 {
    avx2::sum_lanes(differences(a, b))
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
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
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
fn differences(a: &[u64], b: &[u64]) -> __m256i {
    let (a_blocks, a_tail) = a.as_chunks::<WORDS>();
    let (b_blocks, b_tail) = b.as_chunks::<WORDS>();
    let mut total = _mm512_setzero_si512();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        total = _mm512_add_epi64(total, _mm512_popcnt_epi64(_mm512_xor_si512(load(a), load(b))));
    }
    _mm256_add_epi64(avx512::fold(total), avx2::differences(a_tail, b_tail))
}
