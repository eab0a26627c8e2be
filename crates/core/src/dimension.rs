//! The width of a hypervector.

use crate::DimensionError;

/// The width of a hypervector in bits: a multiple of 64 from 64 to 65,536.
///
/// Unrelated hypervectors of `D` bits differ in `D/2` bits, give or take `sqrt(D)/2`: the wider, the
/// fainter the resemblance that can be told from chance.
///
/// ```
/// use engrams_core::Dimension;
/// assert_eq!(Dimension::new(192)?.words(), 3);
/// assert!(Dimension::new(100).is_err());
/// # Ok::<(), engrams_core::DimensionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dimension(u32);

impl Dimension {
    /// The smallest: 64 bits.
    pub const MIN: Self = Self(64);
    /// The largest: 65,536 bits.
    pub const MAX: Self = Self(65_536);
    /// 1,024 bits, for recalling chunks: a chunk that shares a fifth of its features with another stands
    /// out by 3 or more standard deviations, and a million rows scan in 9 ms.
    pub const RECALL: Self = Self(1024);
    /// 4,096 bits, for engrams: cosines are known to within 1.6 %.
    pub const ENGRAM: Self = Self(4096);

    /// A dimension of `bits` bits.
    ///
    /// # Errors
    ///
    /// [`DimensionError`] unless `bits` is a multiple of 64 from 64 to 65,536.
    pub const fn new(bits: usize) -> Result<Self, DimensionError> {
        if bits.is_multiple_of(64) && bits >= 64 && bits <= 65_536 {
            Ok(Self(bits as u32))
        } else {
            Err(DimensionError { bits })
        }
    }

    /// Bits.
    #[must_use]
    pub const fn bits(self) -> usize {
        self.0 as usize
    }

    /// 64-bit words: 1 to 1,024.
    #[must_use]
    pub const fn words(self) -> usize {
        self.bits() / 64
    }

    /// Bytes: 8 to 8,192.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.bits() / 8
    }

    /// The dimension of that many words, which must have come from a `Dimension`.
    pub(crate) const fn from_words(words: usize) -> Self {
        debug_assert!(words >= 1 && words <= 1024);
        Self((words * 64) as u32)
    }
}
