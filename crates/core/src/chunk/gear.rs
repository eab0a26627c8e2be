//! The rolling gear hash under cut points and features.

use engrams_kernels::mix64;

/// The random table of a gear hash: one 64-bit word for each byte value.
///
/// The state is 64 bits, `h = (h << 2) + table[byte]` (wrapping), so it is a function of exactly the
/// last 32 bytes: what came before has been shifted out. (Xia et al., *FastCDC*, 2016, shift by one bit
/// and remember 64 bytes; 32 are enough for a feature and let independent lanes warm up twice as fast.)
/// Bit `k` depends on the last `k / 2 + 1` bytes only, so cut points and features look at the highest bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Gear([u64; 256]);

impl Gear {
    /// The gear of every stored chunk and feature: outputs 1 to 256 of splitmix64 from the seed
    /// `0x656E_6772_616D_7331` ("engrams1"). FROZEN FORMAT.
    pub const FROZEN: Self = Self::from_seed(0x656E_6772_616D_7331);

    /// A gear whose table is the first 256 outputs of splitmix64 from `seed`: other cut points and other
    /// features than [`FROZEN`](Self::FROZEN), so nothing is shared between the two.
    #[must_use]
    pub const fn from_seed(seed: u64) -> Self {
        let mut table = [0; 256];
        let mut state = seed;
        let mut index = 0;
        while index < 256 {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            table[index] = mix64(state);
            index += 1;
        }
        Self(table)
    }

    /// The words, by byte value.
    #[must_use]
    pub const fn table(&self) -> &[u64; 256] {
        &self.0
    }

    /// The state after one more byte.
    #[inline(always)]
    pub(crate) fn roll(&self, state: u64, byte: u8) -> u64 {
        (state << 2).wrapping_add(self.0[usize::from(byte)])
    }
}

impl core::fmt::Debug for Gear {
    /// The first word, which is enough to tell two apart.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Gear({:016x}..)", self.0[0])
    }
}
