//! Bit-sliced counters: bundling many expanded features without a counter per bit.
//!
//! Plane `p` holds bit `p` of every position's count, so that one XOR and a few ANDs count 64 or 256
//! positions at once (carry-save addition; Harley and Seal, in Warren, *Hacker's Delight*, 5-1).
//! The layout is a column of [`PLANES`] planes for each block of four words: the four lanes of an
//! expanded feature stay in one vector register while it walks from column to column.

use crate::Level;
use crate::seed::LANES;

/// Planes of a column: a count has this many bits.
pub(crate) const PLANES: usize = 16;

/// The planes of four neighbouring words.
pub(crate) type Column = [[u64; LANES]; PLANES];

/// Words of one [`Column`].
const COLUMN_WORDS: usize = LANES * PLANES;

/// The most features that [`BitCounters`] can hold before a [`flush`](BitCounters::flush): 65,535.
pub const MAX_COUNT: u32 = (1 << PLANES) - 1;

/// For every bit of a hypervector, how many of the added features have it set.
///
/// The planes live in a buffer the caller brings (`Vec<u64>`, `&mut [u64]`, an array), so that this
/// crate needs no allocator. A count is at most [`MAX_COUNT`]; whoever adds more must
/// [`flush`](Self::flush) in between, and [`room`](Self::room) says when.
#[derive(Clone, Debug)]
pub struct BitCounters<B> {
    level: Level,
    words: usize,
    count: u32,
    planes: B,
}

impl<B: AsRef<[u64]> + AsMut<[u64]>> BitCounters<B> {
    /// Words of buffer that counters for hypervectors of `words` words need:
    /// 16 planes of `words` rounded up to a multiple of 4.
    #[must_use]
    pub const fn buffer_len(words: usize) -> usize {
        words.div_ceil(LANES) * COLUMN_WORDS
    }

    /// Counters at zero for hypervectors of `words` words. The buffer's contents are overwritten.
    ///
    /// # Panics
    ///
    /// If the buffer's length is not [`buffer_len(words)`](Self::buffer_len).
    #[must_use]
    pub fn new(level: Level, words: usize, mut buffer: B) -> Self {
        assert_eq!(
            buffer.as_ref().len(),
            Self::buffer_len(words),
            "bit counters for {words} words need a buffer of buffer_len({words}) words"
        );
        buffer.as_mut().fill(0);
        Self { level, words, count: 0, planes: buffer }
    }

    /// Words of a hypervector.
    #[must_use]
    pub fn words(&self) -> usize {
        self.words
    }

    /// Features added since the counters were last at zero.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Features that can still be added before a flush.
    #[must_use]
    pub fn room(&self) -> u32 {
        MAX_COUNT - self.count
    }

    /// Expands each feature (see [`Level::expand`]) and counts its bits.
    ///
    /// The order of features does not matter; a feature given twice counts twice.
    ///
    /// # Panics
    ///
    /// If there are more features than [`room`](Self::room).
    pub fn add(&mut self, features: &[u64]) {
        let room = self.room() as usize;
        assert!(features.len() <= room, "{} features added where {room} fit", features.len());
        // At most MAX_COUNT, as asserted.
        self.count += features.len() as u32;
        let used = self.used_planes();
        self.level.add_features(columns_mut(self.planes.as_mut()), features, used);
    }

    /// Counts the bits of a hypervector that is at hand, as a feature's after expansion.
    ///
    /// # Panics
    ///
    /// If there are not [`words`](Self::words) words, or no [`room`](Self::room).
    pub fn add_words(&mut self, words: &[u64]) {
        assert_eq!(words.len(), self.words, "hypervectors must have as many words as the counters");
        assert!(self.room() > 0, "no room where {MAX_COUNT} fit: flush first");
        self.count += 1;
        let used = self.used_planes();
        for (column, words) in columns_mut(self.planes.as_mut()).iter_mut().zip(words.chunks(LANES)) {
            let mut carry = [0; LANES];
            carry[..words.len()].copy_from_slice(words);
            for plane in &mut column[..used] {
                for (sum, carry) in plane.iter_mut().zip(&mut carry) {
                    (*sum, *carry) = (*sum ^ *carry, *sum & *carry);
                }
            }
        }
    }

    /// Writes the majority: a bit is set when more than half of the features have it, clear when fewer
    /// than half do, and taken from `tie` when exactly half do (all of them, when nothing was added).
    ///
    /// # Panics
    ///
    /// If `tie` or `out` do not have [`words`](Self::words) words.
    pub fn majority(&self, tie: &[u64], out: &mut [u64]) {
        assert_eq!(tie.len(), self.words, "tie words must be as many as the counters' words");
        assert_eq!(out.len(), self.words, "output words must be as many as the counters' words");
        let used = self.used_planes();
        self.level.majority(columns(self.planes.as_ref()), self.count, used, tie, out);
    }

    /// Adds the counts to signed counters and returns to zero: counter `i` changes by
    /// `weight * (features with bit i set - features with bit i clear)`, wrapping at the ends of `i64`.
    ///
    /// # Panics
    ///
    /// If `counters` does not have 64 counters per word.
    pub fn flush(&mut self, weight: i32, counters: &mut [i64]) {
        assert_eq!(counters.len(), self.words * 64, "one counter per bit is needed");
        let used = self.used_planes();
        self.level.flush(columns(self.planes.as_ref()), self.count, used, weight, counters);
        self.clear();
    }

    /// Forgets what was added.
    pub fn clear(&mut self) {
        let used = self.used_planes();
        for column in columns_mut(self.planes.as_mut()) {
            column[..used].fill([0; LANES]);
        }
        self.count = 0;
    }

    /// Planes that can hold a set bit: the bit length of the count.
    fn used_planes(&self) -> usize {
        (u32::BITS - self.count.leading_zeros()) as usize
    }
}

fn columns(planes: &[u64]) -> &[Column] {
    bytemuck::cast_slice(planes)
}

fn columns_mut(planes: &mut [u64]) -> &mut [Column] {
    bytemuck::cast_slice_mut(planes)
}
