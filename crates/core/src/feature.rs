//! Features: hashes of sampled windows, by which content is recognised wherever it moves.
//!
//! The rule, FROZEN FORMAT. There is a *raw match* at position `i` of a string if `i >= 31`, so that the window of
//! 32 bytes up to `i` lies in the string, and the 16-bit gear hash of its last 16 bytes is below 2^10 (1 position in
//! 64). A raw match is *selected* if none of the 16 positions before it is a raw match of the same string. The
//! feature is a strong hash of the window ([`Gear`]).
//!
//! So whether there is a feature at `i`, and which, depends on the 48 bytes up to `i` and on where the
//! string starts; constant data and data of a period up to 16 has at most one feature.

use alloc::vec::Vec;
use core::ops::Range;

use engrams_kernels::Level;

use crate::Gear;
use crate::sampler::{NO_CUT, Sampler};

/// Bytes that a feature is a hash of.
pub const SHINGLE_BYTES: usize = 32;

/// Bytes on either side of a seam that [`seam`] looks at: 31 of a window that crosses it and 16 of the
/// positions that can suppress a match.
pub const SEAM_BYTES: usize = SHINGLE_BYTES - 1 + QUIET;

/// Positions before a raw match that must have none.
const QUIET: usize = 16;

/// Whether a feature is one of those that recall vectors and engrams are made of: every second one
/// (1 position in 128), by the lowest bit of the feature. All of them are for search.
///
/// The order of features, and so [`bottom_k`], hardly depends on that bit.
#[inline]
#[must_use]
pub const fn is_recall(feature: u64) -> bool {
    feature & 1 == 0
}

/// Appends the features of a byte string that stands alone, in order of position.
///
/// About one for every 81 bytes of random data: of one match in 64 positions, one in five follows
/// another too closely.
pub fn features_of(bytes: &[u8], out: &mut Vec<u64>) {
    Gear::FROZEN.features_of(bytes, out);
}

impl Gear {
    /// [`features_of`] by this gear.
    pub fn features_of(&self, bytes: &[u8], out: &mut Vec<u64>) {
        let mut sampler = Sampler::new();
        sampler.run(self, bytes, |_| NO_CUT);
        sampler.finish(out);
    }

    /// Appends the features of `part` of a string, as if it stood alone, given those of the string by this gear and where
    /// their windows begin ([`Scanner::finish_located`](crate::Scanner::finish_located)). Looks at the part's first 47
    /// bytes only: what begins there may follow a match of the string that the part has not.
    ///
    /// # Panics
    /// When `part` does not lie in `bytes`.
    pub fn features_of_part(
        &self,
        bytes: &[u8],
        features: &[u64],
        starts: &[u32],
        part: Range<usize>,
        out: &mut Vec<u64>,
    ) {
        let first = &bytes[part.start..part.end.min(part.start + SEAM_BYTES)];
        self.features_of(first, out);
        let from = starts.partition_point(|&start| (start as usize) < part.start + QUIET);
        let to = starts.partition_point(|&start| start as usize + SHINGLE_BYTES <= part.end);
        out.extend(features.get(from..to).unwrap_or_default());
    }
}

/// The `k` smallest distinct features in ascending order; fewer only if there are fewer.
///
/// Features are uniform hashes, so this is a sample that depends on content alone (bottom-k sketch, Cohen
/// and Kaplan 2007): two chunks that share a fraction of their features share about that fraction of it.
#[must_use]
pub fn bottom_k(features: &[u64], k: usize) -> Vec<u64> {
    let mut smallest: Vec<u64> = Vec::with_capacity(k.min(features.len()));
    for feature in features {
        if smallest.len() == k && smallest.last().is_none_or(|largest| feature >= largest) {
            continue;
        }
        if let Err(place) = smallest.binary_search(feature) {
            smallest.truncate(k.saturating_sub(1));
            smallest.insert(place, *feature);
        }
    }
    smallest
}

/// What joining two strings does to their features: `features(ab) = features(a) + features(b) + added -
/// removed`, as multisets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seam {
    added: [u64; 2],
    added_len: usize,
    removed: Option<u64>,
}

impl Seam {
    /// Features of windows that cross the seam: at most two, which must be 17 positions apart or more.
    #[must_use]
    pub fn added(&self) -> &[u64] {
        &self.added[..self.added_len]
    }

    /// Features of the second string that are suppressed by a match before them: at most one.
    #[must_use]
    pub fn removed(&self) -> &[u64] {
        self.removed.as_slice()
    }
}

/// The seam between two strings `a` and `b`.
///
/// Looks at the last [`SEAM_BYTES`] (47) bytes of `a` and the first 47 of `b`; give at least those, or the
/// whole string if it is shorter. Exact for every `a` and `b`.
///
/// In a chain `a b c ..`, the sum over neighbours is exact if all pieces between the first and the last
/// have 47 bytes or more: `seam(b, c)` must see the 47 bytes before `c`. For shorter pieces give `seam`
/// the end of everything before.
///
/// ```
/// use engrams_core::{Dimension, Engram, features_of, seam};
/// let data: Vec<u8> = (0..3000_u32).map(|i| (i * i >> 5) as u8).collect();
/// let engram_of = |bytes: &[u8]| {
///     let (mut features, mut engram) = (Vec::new(), Engram::new(Dimension::ENGRAM));
///     features_of(bytes, &mut features);
///     engram.add_features(&features);
///     engram
/// };
/// let (a, b) = data.split_at(1234);
/// let mut joined = engram_of(a);
/// joined.merge(&engram_of(b));
/// joined.add_features(seam(a, b).added());
/// joined.subtract_features(seam(a, b).removed());
/// assert_eq!(joined, engram_of(&data));
/// ```
#[must_use]
pub fn seam(a: &[u8], b: &[u8]) -> Seam {
    seam_by(&Gear::FROZEN, a, b)
}

impl Gear {
    /// [`seam`] by this gear.
    #[must_use]
    pub fn seam(&self, a: &[u8], b: &[u8]) -> Seam {
        seam_by(self, a, b)
    }
}

fn seam_by(gear: &Gear, a: &[u8], b: &[u8]) -> Seam {
    let a = &a[a.len().saturating_sub(SEAM_BYTES)..];
    let b = &b[..b.len().min(SEAM_BYTES)];
    let mut seam = Seam { added: [0; 2], added_len: 0, removed: None };
    let mut joined = [0; 2 * SEAM_BYTES];
    let joined = &mut joined[..a.len() + b.len()];
    joined[..a.len()].copy_from_slice(a);
    joined[a.len()..].copy_from_slice(b);
    // At most 63 windows, and so at most one word: bit i stands for the window that begins at byte i.
    let mut raw = [0];
    let Some(windows) = joined.get(SHINGLE_BYTES / 2..).filter(|_| joined.len() >= SHINGLE_BYTES) else {
        return seam;
    };
    Level::detect().gear_matches(gear.nibbles(), windows, &mut raw);
    // Windows that end in `b`, and those that lie in it.
    let ends = u64::MAX << a.len().saturating_sub(SHINGLE_BYTES - 1);
    let within = u64::MAX << a.len();
    let (together, alone) = (select(raw[0], 0) & ends, select(raw[0] & within, 0));
    let feature = |bits: u64| {
        let start = if bits == 0 { return None } else { bits.trailing_zeros() as usize };
        joined.get(start..)?.first_chunk().map(|window| gear.feature(window))
    };
    let mut added = together & !alone;
    while let Some(feature) = feature(added).filter(|_| seam.added_len < 2) {
        seam.added[seam.added_len] = feature;
        seam.added_len += 1;
        added &= added - 1;
    }
    seam.removed = feature(alone & !together);
    seam
}

/// The selected ones of raw matches at 64 positions, by those at the 64 positions before.
#[inline(always)]
pub(crate) fn select(raw: u64, before: u64) -> u64 {
    // Positions 1 to 16 after a raw match.
    let mut near = raw << 1;
    near |= near << 1;
    near |= near << 2;
    near |= near << 4;
    near |= near << 8;
    let near_before = 0xFFFF_u64 >> before.leading_zeros().min(63);
    raw & !(near | near_before)
}
