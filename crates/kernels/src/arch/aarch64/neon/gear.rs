//! The gear hash at 16 positions in one step.
//!
//! The sum over a window of 16 is made by doubling: sums over 2, 4, 8 and 16 bytes, each of two sums half as long, the
//! earlier one shifted left by as many bits as it is bytes earlier.

use core::arch::aarch64::{
    uint8x16_t, uint16x8_t, vaddq_u16, vaddv_u8, vandq_u8, vcltq_u16, vcombine_u8, vdupq_n_u8, vdupq_n_u16,
    veorq_u8, vextq_u16, vget_high_u8, vget_low_u8, vld1q_u8, vmovn_u16, vqtbl1q_u8, vreinterpretq_u16_u8,
    vshlq_n_u16, vshrq_n_u8, vzip1q_u8, vzip2q_u8,
};

use crate::gear::{MATCH_BELOW, NibbleGear, WINDOW};

/// Bytes, and so positions, in one step.
const STEP: usize = 16;
/// Steps to a word of matches.
const STEPS: usize = 4;

/// `matches` has one bit for each window of `bytes`, rounded up to words.
#[target_feature(enable = "neon")]
pub(crate) fn gear_matches(gear: &NibbleGear, bytes: &[u8], matches: &mut [u64]) {
    let Some((before, bytes)) = bytes.split_at_checked(WINDOW - 1) else { return };
    let planes = gear.planes().each_ref().map(|plane| load(plane));
    let mut sums = Sums([vdupq_n_u16(0); 4]);
    // The byte before the first window is shifted out of every state that is looked at.
    let mut first = [0; STEP];
    first[1..].copy_from_slice(before);
    let _ = sums.step(&planes, load(&first));
    let (blocks, tail) = bytes.as_chunks::<{ STEP * STEPS }>();
    for (block, matches) in blocks.iter().zip(&mut *matches) {
        *matches = sums.word(&planes, block);
    }
    if let Some(matches) = matches.get_mut(blocks.len()) {
        let mut padded = [0; STEP * STEPS];
        padded[..tail.len()].copy_from_slice(tail);
        *matches = sums.word(&planes, &padded) & (u64::MAX >> (64 - tail.len()));
    }
}

/// Sums over 1, 2, 4 and 8 bytes at the last eight positions.
struct Sums([uint16x8_t; 4]);

impl Sums {
    /// Takes 64 bytes; a bit is set where the state after a byte is a match.
    #[inline]
    #[target_feature(enable = "neon")]
    fn word(&mut self, planes: &[uint8x16_t; 4], bytes: &[u8; STEP * STEPS]) -> u64 {
        let mut bits = 0;
        for (index, part) in bytes.as_chunks().0.iter().enumerate() {
            bits |= u64::from(self.step(planes, load(part))) << (STEP * index);
        }
        bits
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn step(&mut self, planes: &[uint8x16_t; 4], bytes: uint8x16_t) -> u16 {
        let (low, high) = (vandq_u8(bytes, vdupq_n_u8(0x0F)), vshrq_n_u8::<4>(bytes));
        let even = veorq_u8(vqtbl1q_u8(planes[0], low), vqtbl1q_u8(planes[2], high));
        let odd = veorq_u8(vqtbl1q_u8(planes[1], low), vqtbl1q_u8(planes[3], high));
        let a = vreinterpretq_u16_u8(vzip1q_u8(even, odd));
        let b = vreinterpretq_u16_u8(vzip2q_u8(even, odd));
        let (a1, b1) = (vextq_u16::<7>(self.0[0], a), vextq_u16::<7>(a, b));
        self.0[0] = b;
        let (a, b) = (vaddq_u16(a, vshlq_n_u16::<1>(a1)), vaddq_u16(b, vshlq_n_u16::<1>(b1)));
        let (a1, b1) = (vextq_u16::<6>(self.0[1], a), vextq_u16::<6>(a, b));
        self.0[1] = b;
        let (a, b) = (vaddq_u16(a, vshlq_n_u16::<2>(a1)), vaddq_u16(b, vshlq_n_u16::<2>(b1)));
        let (a1, b1) = (vextq_u16::<4>(self.0[2], a), vextq_u16::<4>(a, b));
        self.0[2] = b;
        let (a, b) = (vaddq_u16(a, vshlq_n_u16::<4>(a1)), vaddq_u16(b, vshlq_n_u16::<4>(b1)));
        let (a1, b1) = (self.0[3], a);
        self.0[3] = b;
        let (a, b) = (vaddq_u16(a, vshlq_n_u16::<8>(a1)), vaddq_u16(b, vshlq_n_u16::<8>(b1)));
        let limit = vdupq_n_u16(MATCH_BELOW);
        let found = vcombine_u8(vmovn_u16(vcltq_u16(a, limit)), vmovn_u16(vcltq_u16(b, limit)));
        let bits = vandq_u8(found, load(&[1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128]));
        u16::from_le_bytes([vaddv_u8(vget_low_u8(bits)), vaddv_u8(vget_high_u8(bits))])
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &[u8; STEP]) -> uint8x16_t {
    // SAFETY: the array is 16 readable bytes, and this load needs no alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}
