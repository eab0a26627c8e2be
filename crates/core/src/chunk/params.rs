//! Chunk sizes, and the cut rule that follows from them.

use super::fixed;
use crate::ChunkParamsError;

/// The smallest chunk that can be asked for, in bytes. At least a window and a half, so that a cut point
/// never depends on bytes of the chunk before.
pub(super) const SMALLEST: usize = 64;
/// The largest chunk that can be asked for, in bytes: 64 MiB.
pub(super) const LARGEST: usize = 64 << 20;
/// Positions to a feature in random data, `64 (64/63)^16 = 82.34`, in units of 2^-64: one position in `n` is a cut if
/// its feature is below `FEATURE_SPACING / n`.
const FEATURE_SPACING: u128 = 0x5257090B76951543D5;
const SMALLEST_AVERAGE: usize = 256;
const LARGEST_AVERAGE: usize = 16 << 20;

/// Sizes of content-defined chunks, in bytes: `minimum < average < maximum`.
///
/// Chunks end where the content says so, hence an insertion moves cut points only near itself. The rule
/// is normalized chunking (Xia et al., *FastCDC*, USENIX ATC 2016, section 4.4) at level 2: a cut is four
/// times rarer than one in `average` up to a turning point, and four times more frequent after it.
/// A cut is a gear state with that many high zero bits, so that every cut is also a raw match of the
/// feature rule (their first six bits are the same) and one comparison for each byte serves both. The
/// turning point is placed such that random data gives chunks of `average` bytes (FastCDC turns at the
/// average itself and gives 14 % more).
///
/// ```
/// use engrams_core::ChunkParams;
/// let params = ChunkParams::from_average(65_536)?;
/// assert_eq!((params.minimum(), params.maximum()), (16_384, 262_144));
/// assert_eq!(
///     ChunkParams::new(64, 1000, 4000).unwrap_err().to_string(),
///     "average of 1000 bytes is not a power of two"
/// );
/// # Ok::<(), engrams_core::ChunkParamsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkParams {
    minimum: usize,
    average: usize,
    maximum: usize,
}

impl ChunkParams {
    /// Sizes in bytes: minimum at least 64, average a power of two from 256 to 16 MiB, maximum at most
    /// 64 MiB, each above the one before.
    ///
    /// # Errors
    ///
    /// [`ChunkParamsError`] names the first size that breaks a limit.
    pub fn new(minimum: usize, average: usize, maximum: usize) -> Result<Self, ChunkParamsError> {
        within("minimum", minimum, SMALLEST, LARGEST)?;
        within("average", average, SMALLEST_AVERAGE, LARGEST_AVERAGE)?;
        within("maximum", maximum, SMALLEST, LARGEST)?;
        if !average.is_power_of_two() {
            return Err(ChunkParamsError::NotPowerOfTwo { name: "average", value: average });
        }
        below("minimum", minimum, "average", average)?;
        below("average", average, "maximum", maximum)?;
        Ok(Self { minimum, average, maximum })
    }

    /// A quarter of the average as minimum, four times the average as maximum.
    ///
    /// # Errors
    ///
    /// [`ChunkParamsError`] unless the average is a power of two from 256 to 16 MiB.
    pub fn from_average(average: usize) -> Result<Self, ChunkParamsError> {
        Self::new(average / 4, average, average.saturating_mul(4)).or_else(|error| {
            // Blame the average, the only size that was given.
            within("average", average, SMALLEST_AVERAGE, LARGEST_AVERAGE).and(Err(error))
        })
    }

    /// The smallest chunk, in bytes, except the last of a stream.
    #[must_use]
    pub fn minimum(&self) -> usize {
        self.minimum
    }

    /// The average chunk of random data, in bytes.
    #[must_use]
    pub fn average(&self) -> usize {
        self.average
    }

    /// The largest chunk, in bytes.
    #[must_use]
    pub fn maximum(&self) -> usize {
        self.maximum
    }

    /// From this length on, cuts are frequent.
    ///
    /// With hash tests passing at `1/(4A)` and then `4/A`, minimum `m` and `L` bytes of the first kind, the
    /// mean is `m + 4A(1 - e) + eA/4` where `e = exp(-L/4A)`. It is `A` for
    /// `L = -4A ln(1 - d)`, `d = (3A - 4m) / 15A`; two terms of the logarithm are enough:
    /// `L = 4A (d + d^2/2)`. In whole numbers, because cut points are frozen.
    pub(super) fn turn(&self) -> usize {
        let (minimum, average) = (self.minimum as u64, self.average as u64);
        let excess = (3 * average).saturating_sub(4 * minimum);
        let length = 4 * excess / 15 + 2 * excess * excess / (225 * average);
        // At most the average, as the minimum is.
        self.minimum + length as usize
    }

    /// A cut before the turning point needs a feature below this, its halves exchanged.
    pub(super) fn hard_limit(&self) -> u64 {
        // At most 2^61, as the average is at least 256.
        (FEATURE_SPACING >> (self.average.ilog2() + 2)) as u64
    }

    /// A cut after the turning point needs a feature below this, its halves exchanged.
    ///
    /// The smallest average, 256, asks for more cuts than there are features, and gets one at every feature. From
    /// anywhere in random data to the next feature is 66 bytes on average, so this gives the 64 that are due.
    pub(super) fn easy_limit(&self) -> u64 {
        u64::try_from(FEATURE_SPACING >> (self.average.ilog2() - 2)).unwrap_or(u64::MAX)
    }
}

/// How a stream is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Chunking {
    /// Where the content says so: insertions and deletions move only the cut points near them.
    ContentDefined(ChunkParams),
    /// Every so many bytes, 64 to 64 MiB: for data which is only ever overwritten in place. Make it with
    /// [`Chunking::fixed`], which checks the size.
    Fixed(usize),
}

impl Chunking {
    /// Chunks of `size` bytes.
    ///
    /// # Errors
    ///
    /// [`ChunkParamsError::OutOfRange`] unless `size` is from 64 to 64 MiB.
    pub fn fixed(size: usize) -> Result<Self, ChunkParamsError> {
        Self::Fixed(size).validate()
    }

    /// The chunking itself, if its sizes are allowed (only a fixed size may not be).
    ///
    /// # Errors
    ///
    /// [`ChunkParamsError::OutOfRange`] unless a fixed size is from 64 to 64 MiB.
    pub fn validate(self) -> Result<Self, ChunkParamsError> {
        if let Self::Fixed(size) = self {
            fixed::validate(size)?;
        }
        Ok(self)
    }

    /// The smallest chunk in bytes, except the last of a stream.
    #[must_use]
    pub fn minimum(&self) -> usize {
        match self {
            Self::ContentDefined(params) => params.minimum,
            Self::Fixed(size) => *size,
        }
    }

    /// The average chunk in bytes.
    #[must_use]
    pub fn average(&self) -> usize {
        match self {
            Self::ContentDefined(params) => params.average,
            Self::Fixed(size) => *size,
        }
    }

    /// The largest chunk in bytes.
    #[must_use]
    pub fn maximum(&self) -> usize {
        match self {
            Self::ContentDefined(params) => params.maximum,
            Self::Fixed(size) => *size,
        }
    }
}

/// Refuses a value outside its limits.
pub(super) fn within(
    name: &'static str,
    value: usize,
    smallest: usize,
    largest: usize,
) -> Result<(), ChunkParamsError> {
    if (smallest..=largest).contains(&value) {
        Ok(())
    } else {
        Err(ChunkParamsError::OutOfRange { name, value, smallest, largest })
    }
}

/// Refuses a value that is not below another.
fn below(
    name: &'static str,
    value: usize,
    limit_name: &'static str,
    limit: usize,
) -> Result<(), ChunkParamsError> {
    if value < limit { Ok(()) } else { Err(ChunkParamsError::NotBelow { name, value, limit_name, limit }) }
}
