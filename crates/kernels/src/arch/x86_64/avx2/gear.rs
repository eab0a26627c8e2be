//! The gear hash at every position of two streams at once, one in each half of a vector.
//!
//! The sum over a window of 16 is made by doubling: sums over 2, 4, 8 and 16 bytes, each of two sums half as long,
//! the earlier one shifted left by as many bits as it is bytes earlier. (Halves, because moving bytes across the
//! middle of an AVX2 vector costs an instruction more each time.)

use core::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm256_add_epi16, _mm256_alignr_epi8, _mm256_and_si256,
    _mm256_broadcastsi128_si256, _mm256_cmpgt_epi16, _mm256_movemask_epi8, _mm256_packs_epi16,
    _mm256_set_m128i, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_slli_epi16, _mm256_srli_epi16, _mm256_unpackhi_epi8, _mm256_unpacklo_epi8, _mm256_xor_si256,
};

use crate::gear::{MATCH_BELOW, NibbleGear, WINDOW};

/// Bytes, and so positions, of a stream in one step.
const STEP: usize = 16;

/// `matches` has one bit for each window of `bytes`, rounded up to words.
#[target_feature(enable = "avx2")]
pub(crate) fn gear_matches(gear: &NibbleGear, bytes: &[u8], matches: &mut [u64]) {
    let tables = Tables::new(gear);
    let Some(windows) = bytes.len().checked_sub(WINDOW - 1) else { return };
    let half = windows / 128;
    let (pairs, rest) = matches.split_at_mut(2 * half);
    if half > 0 {
        let (first, second) = pairs.split_at_mut(half);
        two_streams(&tables, bytes, &bytes[half * 64..], first, second);
    }
    // Fewer than 128 windows are left: as two streams of one word each, with zeros after the end.
    let bytes = &bytes[half * 128..];
    let mut padded = [0; 128 + WINDOW];
    padded[..bytes.len()].copy_from_slice(bytes);
    let mut last = [0; 2];
    let [first, second] = last.each_mut().map(core::slice::from_mut);
    two_streams(&tables, &padded, &padded[64..], first, second);
    let left = windows % 128;
    for (index, (matches, word)) in rest.iter_mut().zip(last).enumerate() {
        let valid = (left - index * 64).min(64);
        *matches = word & (u64::MAX >> (64 - valid));
    }
}

/// Matches in two streams, each of 15 bytes and 64 for each word of its output, or more.
#[inline]
#[target_feature(enable = "avx2")]
fn two_streams(tables: &Tables, first: &[u8], second: &[u8], first_out: &mut [u64], second_out: &mut [u64]) {
    let mut before = [[0; STEP]; 2];
    let (first_before, first) = first.split_at(WINDOW - 1);
    let (second_before, second) = second.split_at(WINDOW - 1);
    // The byte before the first window is shifted out of every state that is looked at.
    before[0][1..].copy_from_slice(first_before);
    before[1][1..].copy_from_slice(second_before);
    let mut sums = Sums::new();
    let _ = sums.step(tables, load(&before[0], &before[1]));
    let first = first.as_chunks::<STEP>().0.as_chunks::<4>().0;
    let second = second.as_chunks::<STEP>().0.as_chunks::<4>().0;
    for (((first, second), first_out), second_out) in first.iter().zip(second).zip(first_out).zip(second_out)
    {
        let (mut first_bits, mut second_bits) = (0, 0);
        for part in 0..4 {
            let bits = sums.step(tables, load(&first[part], &second[part]));
            first_bits |= u64::from(bits & 0xFFFF) << (STEP * part);
            second_bits |= u64::from(bits >> 16) << (STEP * part);
        }
        (*first_out, *second_out) = (first_bits, second_bits);
    }
}

/// A gear's planes, in both halves of a vector each.
struct Tables {
    low: [__m256i; 2],
    high: [__m256i; 2],
}

impl Tables {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(gear: &NibbleGear) -> Self {
        let [a, b, c, d] = gear.planes();
        // The highest bit of each word, and so of each state, is flipped: AVX2 compares signed numbers only.
        let flip = _mm256_set1_epi8(i8::MIN);
        let [a, b, c, d] = [both(a), _mm256_xor_si256(both(b), flip), both(c), both(d)];
        Self { low: [a, b], high: [c, d] }
    }
}

/// Sums over 1, 2, 4 and 8 bytes at the last eight positions of each stream.
struct Sums([__m256i; 4]);

impl Sums {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new() -> Self {
        Self([_mm256_setzero_si256(); 4])
    }

    /// Takes 16 bytes of each stream; a bit is set where the state after a byte is a match.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn step(&mut self, tables: &Tables, bytes: __m256i) -> u32 {
        let nibble = _mm256_set1_epi8(0x0F);
        let low = _mm256_and_si256(bytes, nibble);
        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble);
        let [even, odd] = [0, 1].map(|plane| {
            _mm256_xor_si256(
                _mm256_shuffle_epi8(tables.low[plane], low),
                _mm256_shuffle_epi8(tables.high[plane], high),
            )
        });
        let a = _mm256_unpacklo_epi8(even, odd);
        let b = _mm256_unpackhi_epi8(even, odd);
        let (a1, b1) = (_mm256_alignr_epi8::<14>(a, self.0[0]), _mm256_alignr_epi8::<14>(b, a));
        self.0[0] = b;
        let (a, b) =
            (_mm256_add_epi16(a, _mm256_add_epi16(a1, a1)), _mm256_add_epi16(b, _mm256_add_epi16(b1, b1)));
        let (a1, b1) = (_mm256_alignr_epi8::<12>(a, self.0[1]), _mm256_alignr_epi8::<12>(b, a));
        self.0[1] = b;
        let (a, b) = (
            _mm256_add_epi16(a, _mm256_slli_epi16::<2>(a1)),
            _mm256_add_epi16(b, _mm256_slli_epi16::<2>(b1)),
        );
        let (a1, b1) = (_mm256_alignr_epi8::<8>(a, self.0[2]), _mm256_alignr_epi8::<8>(b, a));
        self.0[2] = b;
        let (a, b) = (
            _mm256_add_epi16(a, _mm256_slli_epi16::<4>(a1)),
            _mm256_add_epi16(b, _mm256_slli_epi16::<4>(b1)),
        );
        let (a1, b1) = (self.0[3], a);
        self.0[3] = b;
        let (a, b) = (
            _mm256_add_epi16(a, _mm256_slli_epi16::<8>(a1)),
            _mm256_add_epi16(b, _mm256_slli_epi16::<8>(b1)),
        );
        let limit = _mm256_set1_epi16((MATCH_BELOW ^ 0x8000).cast_signed());
        let matches = _mm256_packs_epi16(_mm256_cmpgt_epi16(limit, a), _mm256_cmpgt_epi16(limit, b));
        _mm256_movemask_epi8(matches).cast_unsigned()
    }
}

/// The same 16 bytes in both halves.
#[inline]
#[target_feature(enable = "avx2")]
fn both(bytes: &[u8; 16]) -> __m256i {
    _mm256_broadcastsi128_si256(load_half(bytes))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(first: &[u8; 16], second: &[u8; 16]) -> __m256i {
    _mm256_set_m128i(load_half(second), load_half(first))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_half(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: the array is 16 readable bytes, and this load needs no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}
