//! The frozen arithmetic under every expanded feature: one mixer, four lane seeds, one step.
//!
//! FROZEN FORMAT: stored hypervectors depend on every constant here.

/// Lanes of an expanded feature; word `j` belongs to lane `j % LANES`.
pub(crate) const LANES: usize = 4;

/// The increment of splitmix64, 2^64 divided by the golden ratio.
pub(crate) const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
pub(crate) const MIX_1: u64 = 0xBF58_476D_1CE4_E5B9;
pub(crate) const MIX_2: u64 = 0x94D0_49BB_1331_11EB;

/// The finalizer of splitmix64: a bijection of `u64` in which every input bit moves every output bit
/// with probability about one half (Steele, Lea and Flood, *Fast splittable pseudorandom number
/// generators*, 2014; the constants are Stafford's variant 13).
///
/// ```
/// assert_eq!(engrams_kernels::mix64(0), 0);
/// assert_eq!(engrams_kernels::mix64(0x9E37_79B9_7F4A_7C15), 0xE220_A839_7B1D_CDAF);
/// ```
#[inline]
#[must_use]
pub const fn mix64(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(MIX_1);
    let value = (value ^ (value >> 27)).wrapping_mul(MIX_2);
    value ^ (value >> 31)
}

/// Words 0..4 of an expanded feature.
///
/// A lane whose seed is zero stays zero; four of the 2^64 features have one such lane.
#[inline]
pub(crate) const fn lane_seeds(feature: u64) -> [u64; LANES] {
    [
        mix64(feature.wrapping_add(GOLDEN)),
        mix64(feature.wrapping_add(GOLDEN.wrapping_mul(2))),
        mix64(feature.wrapping_add(GOLDEN.wrapping_mul(3))),
        mix64(feature.wrapping_add(GOLDEN.wrapping_mul(4))),
    ]
}
