//! The sketch: an engram and its counted sample together, what is kept, sent and compared of a content.

use alloc::vec::Vec;

use engrams_kernels::mix64;

use crate::estimate::Similarity;
use crate::sampler::{NO_CUT, Sampler};
use crate::{Dimension, Engram, Gear, Sample, SketchError, is_recall};

/// An engram to compare with: the sum of hypervectors and the counted sample of the same features.
///
/// Sketches of parts add up to the sketch of the whole, and a part can be subtracted again: the engram exactly, the
/// sample below its bound ([`Sample`]). At most 21 KiB as [bytes](Self::to_bytes), for a terabyte as for a line; it
/// does not contain the data, but whoever has it can test whether some data is likely in it.
///
/// ```
/// use engrams_core::Sketch;
/// let text: Vec<u8> = (0..60_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
/// let (whole, half) = (Sketch::of_bytes(&text), Sketch::of_bytes(&text[..text.len() / 2]));
/// let similarity = half.similarity(&whole);
/// assert!(similarity.containment.high > 0.99);
/// assert!((similarity.containment_of_other.value - 0.5).abs() < 4.0 * similarity.containment_of_other.standard_error);
/// assert_eq!(Sketch::from_bytes(&whole.to_bytes()), Ok(whole));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch {
    engram: Engram,
    sample: Sample,
}

impl Default for Sketch {
    fn default() -> Self {
        Self::new()
    }
}

/// What an engram file begins with: name, a line feed against text conversion, and the format.
const MAGIC: &[u8; 8] = b"engram\n\x01";
/// Bytes of the check at the end.
const CHECK_BYTES: usize = 8;

impl Sketch {
    /// The most bytes that [`to_bytes`](Self::to_bytes) gives.
    pub const MAX_BYTES: usize = 64 << 10;

    /// The sketch of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { engram: Engram::new(Dimension::ENGRAM), sample: Sample::new() }
    }

    /// The sketch of an engram and the sample of the same features.
    ///
    /// # Errors
    ///
    /// [`SketchError::Dimension`] if the engram has other than 4,096 bits.
    pub fn from_parts(engram: Engram, sample: Sample) -> Result<Self, SketchError> {
        match engram.dimension() {
            Dimension::ENGRAM => Ok(Self { engram, sample }),
            other => Err(SketchError::Dimension { bits: other.bits() }),
        }
    }

    /// The sketch of a byte string, that of a file with this content. For more than fits in memory there is
    /// [`Sketcher`].
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let mut sketcher = Sketcher::new();
        sketcher.push(bytes);
        sketcher.finish()
    }

    /// The sum of hypervectors.
    #[must_use]
    pub fn engram(&self) -> &Engram {
        &self.engram
    }

    /// The counted sample.
    #[must_use]
    pub fn sample(&self) -> &Sample {
        &self.sample
    }

    /// Adds features that count ([`is_recall`]; others are not for engrams).
    pub fn add_features(&mut self, features: &[u64]) {
        self.engram.add_features(features);
        self.sample.add_features(features);
    }

    /// Subtracts features.
    pub fn subtract_features(&mut self, features: &[u64]) {
        self.engram.subtract_features(features);
        self.sample.subtract_features(features);
    }

    /// Adds another sketch.
    pub fn merge(&mut self, other: &Self) {
        self.engram.merge(&other.engram);
        self.sample.merge(&other.sample);
    }

    /// Subtracts another sketch.
    pub fn subtract(&mut self, other: &Self) {
        self.engram.subtract(&other.engram);
        self.sample.subtract(&other.sample);
    }

    /// Shares of distinct features in common, with errors. [`Engram::cosine`] compares multisets instead, which what is
    /// common everywhere (licences, headers) dominates.
    #[must_use]
    pub fn similarity(&self, other: &Self) -> Similarity {
        self.sample.similarity(&other.sample)
    }

    /// The sketch as a file, by custom called `*.engram`. FROZEN FORMAT, numbers little-endian:
    ///
    /// | bytes | |
    /// |---|---|
    /// | 8 | `engram`, a line feed, the format: 1 |
    /// | 4 | bytes of the engram |
    /// | as many | the engram: [`Engram::to_bytes`], of 4,096 bits |
    /// | the rest but 8 | the sample: [`Sample::to_bytes`] |
    /// | 8 | check of all before |
    ///
    /// The check is `h` after `h = mix64(h + w + 0x9E3779B97F4A7C15)` for each word `w` of 8 bytes, the last filled up with
    /// zeros, beginning with `h` the number of bytes. It finds damage; it is no signature.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (engram, sample) = (self.engram.to_bytes(), self.sample.to_bytes());
        let mut bytes = Vec::with_capacity(MAGIC.len() + 4 + engram.len() + sample.len() + CHECK_BYTES);
        bytes.extend(MAGIC);
        // At most 4,096 counters of 63 bits.
        bytes.extend((engram.len() as u32).to_le_bytes());
        bytes.extend(engram);
        bytes.extend(sample);
        let check = check(&bytes);
        bytes.extend(check);
        bytes
    }

    /// Reads a file. Total: any bytes give a sketch or an error; each sketch has one encoding, and at most 512 KiB
    /// are allocated.
    ///
    /// # Errors
    ///
    /// [`SketchError`], saying what is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SketchError> {
        let short = SketchError::Length { bytes: bytes.len() };
        let Some((magic, rest)) = bytes.split_first_chunk::<8>() else { return Err(short) };
        if magic[..7] != MAGIC[..7] {
            return Err(SketchError::Magic);
        }
        if magic[7] != MAGIC[7] {
            return Err(SketchError::Format { found: magic[7] });
        }
        let Some((rest, found)) = rest.split_last_chunk::<CHECK_BYTES>() else { return Err(short) };
        if *found != check(&bytes[..bytes.len() - CHECK_BYTES]) {
            return Err(SketchError::Check);
        }
        let Some((len, rest)) = rest.split_first_chunk::<4>() else { return Err(short) };
        let (engram, sample) = rest.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or(short)?;
        let engram = Engram::from_bytes(engram).map_err(SketchError::Engram)?;
        Self::from_parts(engram, Sample::from_bytes(sample)?)
    }
}

fn check(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().copied().chain((!rest.is_empty()).then_some(last));
    let start = bytes.len() as u64;
    let check = words.fold(start, |check, word| {
        mix64(check.wrapping_add(u64::from_le_bytes(word)).wrapping_add(0x9E37_79B9_7F4A_7C15))
    });
    check.to_le_bytes()
}

/// Makes a sketch of bytes as they come, in constant memory.
///
/// What is pushed between two calls of [`end_file`](Self::end_file) is one byte string, however it was divided.
pub struct Sketcher {
    sampler: Sampler,
    features: Vec<u64>,
    sketch: Sketch,
}

impl Default for Sketcher {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes looked at together: their features are some 400 KiB.
const STEP: usize = 4 << 20;

impl Sketcher {
    /// Begins with nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { sampler: Sampler::new(), features: Vec::new(), sketch: Sketch::new() }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        for bytes in bytes.chunks(STEP) {
            self.sampler.run(&Gear::FROZEN, bytes, |_| NO_CUT);
            self.sampler.drain(&mut self.features);
            if self.features.len() >= STEP / 256 {
                self.count();
            }
        }
    }

    /// The next bytes begin another file: windows do not reach across.
    pub fn end_file(&mut self) {
        self.sampler.finish(&mut self.features);
    }

    /// The sketch of everything.
    #[must_use]
    pub fn finish(mut self) -> Sketch {
        self.end_file();
        self.count();
        self.sketch
    }

    fn count(&mut self) {
        self.features.retain(|&feature| is_recall(feature));
        self.sketch.add_features(&self.features);
        self.features.clear();
    }
}
