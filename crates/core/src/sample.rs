//! The counted sample: which of a multiset's features are smallest, and how often each occurs.
//!
//! It tells what a sum of vectors can't: the share of distinct features that two contents have in common. It knows
//! nothing of counters; [`Sketch`](crate::Sketch) puts the two together.

use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::estimate::{Estimate, Similarity};
use crate::{SketchError, varint};

/// The features below a bound, by their highest 48 bits, each with its count: at most 1,024 of them.
///
/// Features are uniform hashes, so those below a bound are a uniform sample of all distinct ones (bottom-k: Cohen
/// and Kaplan 2007; with a bound that travels along, so that sums and differences stay samples: theta sketches,
/// Dasgupta, Lang, Rhodes and Thaler 2016). The bound begins at 2^48, above every feature, so small contents are
/// kept whole and compared exactly. When there are more than 1,024 below it, it falls to the largest of them.
///
/// Samples add up and subtract as engrams do: what is below the lower of two bounds stays exact. Adding alone gives the same
/// sample in any order. Subtracting never raises a bound again, so a sample of little that was once a sample of much
/// holds little: [`Sample::len`] says how much, and whoever has the content can sample it anew.
///
/// ```
/// use engrams_core::Sample;
/// let (mut a, mut b) = (Sample::new(), Sample::new());
/// a.add_features(&[1 << 20, 2 << 20, 3 << 20]);
/// b.add_features(&[3 << 20, 4 << 20]);
/// assert_eq!(a.similarity(&b).jaccard.value, 0.25);
/// a.merge(&b);
/// assert_eq!(a.similarity(&b).containment_of_other.value, 1.0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Ascending keys below the bound, with counts that are not zero.
    entries: Vec<(u64, i64)>,
    bound: u64,
}

/// Every key is below this.
const ALL: u64 = 1 << 48;
/// Features sorted at once: bounds memory.
const BATCH: usize = 4096;
/// The format byte of [`Sample::to_bytes`].
const FORMAT: u8 = 1;

impl Default for Sample {
    fn default() -> Self {
        Self::new()
    }
}

impl Sample {
    /// The most features that are kept. At 1,024 the standard error of a share is at most 1.6 %.
    pub const MOST: usize = 1024;

    /// The sample of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new(), bound: ALL }
    }

    /// Distinct features kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// No feature is kept; there may be some above the bound.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every feature is kept: comparisons of two such samples are exact.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.bound == ALL
    }

    /// The share of all possible features that are below the bound, above 0.0 and up to 1.0.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.bound as f64 / ALL as f64
    }

    /// The features kept, by their highest 48 bits, ascending, with their counts (never 0, negative where more was
    /// subtracted than added).
    #[must_use]
    pub fn entries(&self) -> &[(u64, i64)] {
        &self.entries
    }

    /// An estimate of the number of distinct features: those kept, divided by the [`share`](Self::share) they are
    /// of all. Its relative standard error is `1 / sqrt(len)` at most.
    #[must_use]
    pub fn distinct(&self) -> f64 {
        self.entries.iter().filter(|(_, count)| *count > 0).count() as f64 / self.share()
    }

    /// Counts each feature once more.
    pub fn add_features(&mut self, features: &[u64]) {
        self.weigh_features(features, 1);
    }

    /// Counts each feature once less: the inverse of adding it, below the bound.
    pub fn subtract_features(&mut self, features: &[u64]) {
        self.weigh_features(features, -1);
    }

    fn weigh_features(&mut self, features: &[u64], weight: i64) {
        let mut batch = Vec::new();
        for features in features.chunks(BATCH) {
            batch.clear();
            batch.extend(
                features.iter().map(|f| f >> 16).filter(|key| *key < self.bound).map(|key| (key, weight)),
            );
            batch.sort_unstable();
            batch.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                if same {
                    kept.1 += later.1;
                }
                same
            });
            self.weigh(&batch, 1);
        }
    }

    /// Adds another sample.
    pub fn merge(&mut self, other: &Self) {
        self.lower(other.bound);
        self.weigh(&other.entries, 1);
    }

    /// Subtracts another sample: the inverse of merging it, below the lower of the two bounds.
    pub fn subtract(&mut self, other: &Self) {
        self.lower(other.bound);
        self.weigh(&other.entries, -1);
    }

    fn lower(&mut self, bound: u64) {
        if bound < self.bound {
            self.bound = bound;
            self.entries.truncate(self.entries.partition_point(|(key, _)| *key < bound));
        }
    }

    /// Adds `sign` times the counts of ascending keys.
    fn weigh(&mut self, others: &[(u64, i64)], sign: i64) {
        let others = &others[..others.partition_point(|(key, _)| *key < self.bound)];
        if others.len() * 16 < self.entries.len() {
            for &(key, count) in others {
                self.weigh_one(key, count.wrapping_mul(sign));
            }
        } else if !others.is_empty() {
            let mut sum = Vec::with_capacity(self.entries.len() + others.len());
            for (key, own, other) in Union::of(&self.entries, others) {
                let count = own.wrapping_add(other.wrapping_mul(sign));
                if count != 0 {
                    sum.push((key, count));
                }
            }
            self.entries = sum;
        }
        if let Some(&(first_left_out, _)) = self.entries.get(Self::MOST) {
            self.lower(first_left_out);
        }
    }

    fn weigh_one(&mut self, key: u64, count: i64) {
        match self.entries.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(at) => {
                let sum = self.entries[at].1.wrapping_add(count);
                if sum == 0 {
                    self.entries.remove(at);
                } else {
                    self.entries[at].1 = sum;
                }
            }
            Err(at) => self.entries.insert(at, (key, count)),
        }
    }

    /// The two are samples of one multiset, as far as both reach.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        let bound = self.bound.min(other.bound);
        let below = |sample: &Self| sample.entries.partition_point(|(key, _)| *key < bound);
        self.entries[..below(self)] == other.entries[..below(other)]
    }

    /// How much two contents have in common, as sets of distinct features, judged by what is below the lower bound.
    #[must_use]
    pub fn similarity(&self, other: &Self) -> Similarity {
        let bound = self.bound.min(other.bound);
        let (mut own, mut others, mut both) = (0, 0, 0);
        for (key, own_count, other_count) in Union::of(&self.entries, &other.entries) {
            if key >= bound {
                break;
            }
            own += u64::from(own_count > 0);
            others += u64::from(other_count > 0);
            both += u64::from(own_count > 0 && other_count > 0);
        }
        let share = bound as f64 / ALL as f64;
        Similarity {
            jaccard: Estimate::of_share(both, own + others - both, share),
            containment: Estimate::of_share(both, own, share),
            containment_of_other: Estimate::of_share(both, others, share),
        }
    }

    /// The sample as bytes, at most 17 KiB, in practice 5 to 7 for each feature kept. FROZEN FORMAT:
    ///
    /// | bytes | |
    /// |---|---|
    /// | 1 | format: 1 |
    /// | varint | the bound less 1: 0 to 2^48 - 1 |
    /// | varint | features kept, at most 1,024 |
    /// | varints | the first feature's highest 48 bits, then how much each exceeds the one before, less 1 |
    /// | varints | their counts, zig-zagged (0, -1, 1, -2, ..); never 0 |
    ///
    /// Varints are base 128, lowest group first, the high bit of a byte says that another follows, in the shortest form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(12 + 7 * self.entries.len());
        bytes.push(FORMAT);
        varint::put(&mut bytes, self.bound - 1);
        varint::put(&mut bytes, self.entries.len() as u64);
        let mut next = 0;
        for (key, _) in &self.entries {
            varint::put(&mut bytes, key - next);
            next = key + 1;
        }
        for (_, count) in &self.entries {
            varint::put(&mut bytes, ((count << 1) ^ (count >> 63)).cast_unsigned());
        }
        bytes
    }

    /// The inverse of [`to_bytes`](Self::to_bytes). Total: any bytes give a sample or an error; each sample has one
    /// encoding, and at most 16 KiB are allocated.
    ///
    /// # Errors
    ///
    /// [`SketchError::Format`] or [`SketchError::Sample`], saying what is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SketchError> {
        let wrong = |why| SketchError::Sample { why };
        let Some((format, mut rest)) = bytes.split_first() else { return Err(wrong("it is empty")) };
        if *format != FORMAT {
            return Err(SketchError::Format { found: *format });
        }
        let mut number =
            || varint::take(&mut rest).ok_or(wrong("a number is cut short or longer than it needs to be"));
        let bound = number()?;
        if bound >= ALL {
            return Err(wrong("its bound is above 2^48"));
        }
        let bound = bound + 1;
        let len = number()?;
        if len > Self::MOST as u64 {
            return Err(wrong("it has more than 1,024 features"));
        }
        let mut entries = Vec::with_capacity(len as usize);
        let mut next = 0_u64;
        for _ in 0..len {
            let key = next.checked_add(number()?).filter(|key| *key < bound);
            let key = key.ok_or(wrong("a feature is not below its bound"))?;
            entries.push((key, 0));
            next = key + 1;
        }
        for (_, count) in &mut entries {
            let zigzag = number()?;
            *count = (zigzag >> 1).cast_signed() ^ -((zigzag & 1).cast_signed());
            if *count == 0 {
                return Err(wrong("a feature has no count"));
            }
        }
        if !rest.is_empty() {
            return Err(wrong("bytes are left over"));
        }
        Ok(Self { entries, bound })
    }
}

/// The keys of two ascending lists, ascending, each with its count in the one and in the other.
struct Union<'a> {
    own: &'a [(u64, i64)],
    other: &'a [(u64, i64)],
}

impl<'a> Union<'a> {
    fn of(own: &'a [(u64, i64)], other: &'a [(u64, i64)]) -> Self {
        Self { own, other }
    }
}

impl Iterator for Union<'_> {
    type Item = (u64, i64, i64);

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.own.first(), self.other.first()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((own, _)), Some((other, _))) => own.cmp(other),
        };
        let mut take = |from_own: bool| {
            let list = if from_own { &mut self.own } else { &mut self.other };
            let (first, rest) = list.split_first()?;
            *list = rest;
            Some(*first)
        };
        let (mut key, mut counts) = (0, [0, 0]);
        if order.is_le() {
            (key, counts[0]) = take(true)?;
        }
        if order.is_ge() {
            (key, counts[1]) = take(false)?;
        }
        Some((key, counts[0], counts[1]))
    }
}
