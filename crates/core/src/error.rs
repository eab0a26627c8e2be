//! What can be wrong with parameters and with stored bytes.

use core::fmt;

/// A [`Dimension`](crate::Dimension) that is not a multiple of 64 from 64 to 65,536.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DimensionError {
    /// The refused width.
    pub bits: usize,
}

impl fmt::Display for DimensionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dimension of {} bits is not a multiple of 64 from 64 to 65536", self.bits)
    }
}

impl core::error::Error for DimensionError {}

/// Bytes that are not a [`Hypervector`](crate::Hypervector).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HypervectorError {
    /// The number of bytes is not a dimension's.
    Length {
        /// The number of bytes given; a multiple of 8 from 8 to 8,192 is needed.
        bytes: usize,
    },
}

impl fmt::Display for HypervectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { bytes } => {
                write!(f, "hypervector of {bytes} bytes is not a multiple of 8 from 8 to 8192")
            }
        }
    }
}

impl core::error::Error for HypervectorError {}

/// Chunking parameters that do not work; names the parameter, its value and the limit it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChunkParamsError {
    /// A value is below its smallest or above its largest.
    OutOfRange {
        /// The parameter: `"minimum"`, `"average"`, `"maximum"` or `"fixed size"`.
        name: &'static str,
        /// Its value, in bytes.
        value: usize,
        /// The smallest allowed value, in bytes.
        smallest: usize,
        /// The largest allowed value, in bytes.
        largest: usize,
    },
    /// The average is not a power of two.
    NotPowerOfTwo {
        /// The parameter: `"average"`.
        name: &'static str,
        /// Its value, in bytes.
        value: usize,
    },
    /// A value is not smaller than another that must be larger.
    NotBelow {
        /// The parameter that should be smaller.
        name: &'static str,
        /// Its value, in bytes.
        value: usize,
        /// The parameter that should be larger.
        limit_name: &'static str,
        /// Its value, in bytes.
        limit: usize,
    },
}

impl fmt::Display for ChunkParamsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { name, value, smallest, largest } => {
                write!(f, "{name} of {value} bytes is not within {smallest}..={largest}")
            }
            Self::NotPowerOfTwo { name, value } => {
                write!(f, "{name} of {value} bytes is not a power of two")
            }
            Self::NotBelow { name, value, limit_name, limit } => {
                write!(f, "{name} of {value} bytes is not below the {limit_name} of {limit}")
            }
        }
    }
}

impl core::error::Error for ChunkParamsError {}

/// Bytes that are not an [`Engram`](crate::Engram).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngramError {
    /// There are fewer or more bytes than the header asks for.
    Length {
        /// The number of bytes given.
        bytes: usize,
        /// The number of bytes needed.
        needed: usize,
    },
    /// The format byte is not one that this version knows.
    Format {
        /// The byte found.
        found: u8,
    },
    /// The dimension is not 1 to 1,024 words.
    Dimension {
        /// The number of words found.
        words: u16,
    },
    /// The width of a counter is more than 63 bits, or more than the widest counter needs.
    Width {
        /// The width found, in bits.
        bits: u8,
    },
}

impl fmt::Display for EngramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { bytes, needed } => {
                write!(f, "engram has {bytes} bytes where {needed} are needed")
            }
            Self::Format { found } => write!(f, "engram format {found} is unknown"),
            Self::Dimension { words } => write!(f, "engram of {words} words is not within 1..=1024"),
            Self::Width { bits } => write!(f, "engram counters of {bits} bits are not of least width"),
        }
    }
}

impl core::error::Error for EngramError {}

/// Bytes that are not a [`Sketch`](crate::Sketch) or a [`Sample`](crate::Sample).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SketchError {
    /// They do not begin as an engram file does.
    Magic,
    /// A format that this release does not know.
    Format {
        /// The number found.
        found: u8,
    },
    /// They end too early.
    Length {
        /// The number of bytes given.
        bytes: usize,
    },
    /// They were changed since they were written.
    Check,
    /// The engram is not of 4,096 bits.
    Dimension {
        /// The width found.
        bits: usize,
    },
    /// The engram can't be read.
    Engram(EngramError),
    /// The sample can't be read.
    Sample {
        /// What is wrong with it.
        why: &'static str,
    },
}

impl fmt::Display for SketchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => write!(f, "not an engram file: it does not begin with `engram`"),
            Self::Format { found } => write!(f, "engram file format {found} is unknown: use a newer release"),
            Self::Length { bytes } => write!(f, "engram file of {bytes} bytes ends too early"),
            Self::Check => write!(f, "engram file is damaged: its check does not match"),
            Self::Dimension { bits } => write!(f, "engram file has counters for {bits} bits instead of 4096"),
            Self::Engram(_) => write!(f, "engram file has an engram that can't be read"),
            Self::Sample { why } => write!(f, "sample can't be read: {why}"),
        }
    }
}

impl core::error::Error for SketchError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Engram(error) => Some(error),
            _ => None,
        }
    }
}

/// A [`CorrectionPolicy`](crate::CorrectionPolicy) that does not work.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum CorrectionPolicyError {
    /// A gain is not above 0 and at most 1.
    Gain {
        /// `"root gain"` or `"deep gain"`.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// A count is zero, which would forbid every delta.
    Zero {
        /// `"maximum depth"`, `"maximum bases"` or `"maximum closure"`.
        name: &'static str,
    },
}

impl fmt::Display for CorrectionPolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gain { name, value } => write!(f, "{name} of {value} is not above 0 and at most 1"),
            Self::Zero { name } => write!(f, "{name} of 0 is not at least 1"),
        }
    }
}

impl core::error::Error for CorrectionPolicyError {}

/// A [`Reversible`](crate::Reversible) encoding that does not work, or bytes that are not a correction.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ReversibleError {
    /// The dimension is not 1, 3, .. 15 times a power of two from 256.
    Dimension {
        /// The refused width.
        bits: usize,
    },
    /// The length of a piece is not from 1 to 4,096 bytes.
    PieceLen {
        /// The refused length.
        bytes: usize,
    },
    /// A rate of flipped bits is not from 0.0 to 0.5.
    Rate {
        /// The refused rate.
        rate: f64,
    },
    /// The widest hypervector is too narrow for pieces of that length.
    TooNarrow {
        /// The length of a piece, in bytes.
        piece_len: usize,
    },
    /// A correction changes a byte that is not there.
    Position {
        /// The position, from 0.
        position: u64,
        /// The length of the piece, in bytes.
        piece_len: usize,
    },
    /// The bytes of a correction end within a change, or have a number longer than it needs to be.
    Encoding {
        /// Where the change begins.
        offset: usize,
    },
}

impl fmt::Display for ReversibleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dimension { bits } => {
                write!(
                    f,
                    "dimension of {bits} bits is not an odd number up to 15 times a power of two from 256"
                )
            }
            Self::PieceLen { bytes } => write!(f, "piece of {bytes} bytes is not within 1..=4096"),
            Self::Rate { rate } => write!(f, "rate of flipped bits of {rate} is not within 0.0..=0.5"),
            Self::TooNarrow { piece_len } => {
                write!(f, "65536 bits are too narrow for pieces of {piece_len} bytes: shorten them")
            }
            Self::Position { position, piece_len } => {
                write!(f, "correction changes byte {position} of a piece of {piece_len} bytes")
            }
            Self::Encoding { offset } => write!(f, "correction has no valid change at offset {offset}"),
        }
    }
}

impl core::error::Error for ReversibleError {}

/// Bytes that are not an [`ItemMemory`](crate::ItemMemory), or an item that cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ItemMemoryError {
    /// There are fewer or more bytes than the header and the lengths ask for.
    Length {
        /// The number of bytes given.
        bytes: usize,
        /// The number of bytes needed up to where reading ended, at least.
        needed: usize,
    },
    /// The first two bytes are not those of a format that this version knows.
    Format {
        /// The bytes found.
        found: [u8; 2],
    },
    /// The dimension is not 1 to 1,024 words.
    Dimension {
        /// The number of words found.
        words: u16,
    },
    /// The index has more tables than the dimension allows.
    Tables {
        /// The number of tables found.
        tables: u32,
    },
    /// An id is not above the one before it or not below the next to be given, or that is above 2^63.
    Id {
        /// The id found.
        id: u64,
    },
    /// A label is too long to be written.
    Label {
        /// The id of the item.
        id: u64,
    },
}

impl fmt::Display for ItemMemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { bytes, needed } => {
                write!(f, "item memory has {bytes} bytes where {needed} are needed")
            }
            Self::Format { found: [format, zero] } => {
                write!(f, "item memory format {format} with {zero} is unknown")
            }
            Self::Dimension { words } => write!(f, "item memory of {words} words is not within 1..=1024"),
            Self::Tables { tables } => {
                write!(f, "item memory index of {tables} tables has fewer than 16 bits for each")
            }
            Self::Id { id } => write!(f, "item memory has id {id} out of order"),
            Self::Label { id } => write!(f, "label of item {id} is not below 4 GiB"),
        }
    }
}

impl core::error::Error for ItemMemoryError {}
