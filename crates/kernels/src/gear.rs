//! The table of a 16-bit gear hash, made of two of 16 words each, so that vectors can look bytes up.

/// Bytes that a state is a function of.
pub(crate) const WINDOW: usize = 16;

/// A state below this is a match: one window in 64.
pub(crate) const MATCH_BELOW: u16 = 1 << 10;

/// The table of a 16-bit gear hash: `word(byte) = low[byte % 16] ^ high[byte / 16]`.
///
/// The state after a byte is `(state << 1) + word(byte)`, modulo 2^16, so it is a function of the last 16 bytes:
/// the sum of `word(b) << j` over them, `j` being how many bytes ago `b` was. (A gear hash as in Xia et al.,
/// *Ddelta*, 2014, section 3, but for the table's two halves: 16 words are what one shuffle of a vector looks up.)
///
/// A state below 2^10 is a *match*, see [`Level::gear_matches`](crate::Level::gear_matches).
#[derive(Clone, PartialEq, Eq)]
pub struct NibbleGear {
    words: [u16; 256],
    planes: [[u8; 16]; 4],
}

impl NibbleGear {
    /// The gear with these words for the low and the high half of a byte. About 600 bytes.
    #[must_use]
    pub const fn new(low: [u16; 16], high: [u16; 16]) -> Self {
        let (mut words, mut planes) = ([0; 256], [[0; 16]; 4]);
        let mut byte = 0;
        while byte < 256 {
            words[byte] = low[byte % 16] ^ high[byte / 16];
            byte += 1;
        }
        let mut nibble = 0;
        while nibble < 16 {
            let (low, high) = (low[nibble].to_le_bytes(), high[nibble].to_le_bytes());
            planes[0][nibble] = low[0];
            planes[1][nibble] = low[1];
            planes[2][nibble] = high[0];
            planes[3][nibble] = high[1];
            nibble += 1;
        }
        Self { words, planes }
    }

    /// The words, by byte value.
    #[must_use]
    pub const fn words(&self) -> &[u16; 256] {
        &self.words
    }

    /// Tables of bytes by half byte: of the low half the words' low and high bytes, of the high half the same.
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64")),
        expect(dead_code, reason = "for vectors")
    )]
    pub(crate) const fn planes(&self) -> &[[u8; 16]; 4] {
        &self.planes
    }
}

impl core::fmt::Debug for NibbleGear {
    /// The first word, which is enough to tell two apart.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "NibbleGear({:04x}..)", self.words[0])
    }
}
