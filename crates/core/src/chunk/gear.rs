//! The hashes under cut points and features.

use engrams_kernels::{NibbleGear, mix64};

use crate::SHINGLE_BYTES;

/// The random tables of the two hashes: one that says where to look, and one of what is there.
///
/// The first is a 16-bit gear hash of the last 16 bytes ([`NibbleGear`]), which vectors compute for all positions at
/// once; positions where it matches are candidates. The second hashes the 32 bytes up to a candidate, strongly:
/// what it gives is the feature, and decides whether a chunk ends there. Only the second needs to be good, and it
/// is computed at one position in 82.
#[derive(Clone, PartialEq, Eq)]
pub struct Gear {
    nibbles: NibbleGear,
    keys: [u64; 4],
}

impl Gear {
    /// The gear of every stored chunk and feature, from the seed `0x656E_6772_616D_7331` ("engrams1"). FROZEN
    /// FORMAT.
    pub const FROZEN: Self = Self::from_seed(0x656E_6772_616D_7331);

    /// A gear made of the first 12 outputs of splitmix64 from `seed`: other cut points and other features than
    /// [`FROZEN`](Self::FROZEN), so nothing is shared between the two.
    ///
    /// Outputs 1 to 8 are the gear hash's words, four to an output, lowest bits first: 16 for the low half of a byte,
    /// then 16 for the high half. Outputs 9 to 12 are the keys of the strong hash.
    #[must_use]
    pub const fn from_seed(seed: u64) -> Self {
        let mut outputs = [0; 12];
        let mut state = seed;
        let mut index = 0;
        while index < outputs.len() {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            outputs[index] = mix64(state);
            index += 1;
        }
        Self::from_random(&outputs)
    }

    /// A gear made of 12 random words, which an encrypted store derives from its key: a seed of 64 bits can be tried
    /// out, and each output of splitmix64 tells all others.
    #[must_use]
    pub const fn from_random(outputs: &[u64; 12]) -> Self {
        let (mut low, mut high, mut keys) = ([0; 16], [0; 16], [0; 4]);
        let mut index = 0;
        while index < 12 {
            let output = outputs[index];
            let mut part = 0;
            while part < 4 && index < 8 {
                let word = (output >> (16 * part)) as u16;
                if index < 4 {
                    low[4 * index + part] = word;
                } else {
                    high[4 * (index - 4) + part] = word;
                }
                part += 1;
            }
            if index >= 8 {
                keys[index - 8] = output;
            }
            index += 1;
        }
        Self { nibbles: NibbleGear::new(low, high), keys }
    }

    /// The gear hash of 16 bytes.
    #[must_use]
    pub const fn nibbles(&self) -> &NibbleGear {
        &self.nibbles
    }

    /// The keys of the strong hash.
    #[must_use]
    pub const fn keys(&self) -> &[u64; 4] {
        &self.keys
    }

    /// The feature of a window. FROZEN FORMAT.
    ///
    /// With the window as four little-endian words `w` and the keys `k`: `mix64(fold(w0 ^ k0, w1 ^ k1) + fold(w2 ^ k2,
    /// w3 ^ k3))`, where `fold` is the XOR of both halves of the 128-bit product (the multiplication of Wang Yi's
    /// *wyhash*, 2019).
    #[inline(always)]
    pub(crate) fn feature(&self, window: &[u8; SHINGLE_BYTES]) -> u64 {
        let words: &[[u8; 8]] = window.as_chunks().0;
        let word = |i: usize| u64::from_le_bytes(words[i]) ^ self.keys[i];
        mix64(fold(word(0), word(1)).wrapping_add(fold(word(2), word(3))))
    }
}

#[inline(always)]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

impl core::fmt::Debug for Gear {
    /// The first key, which is enough to tell two apart.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Gear({:016x}..)", self.keys[0])
    }
}
