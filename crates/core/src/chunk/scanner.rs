//! One pass over the bytes: cut points and features together.

use alloc::vec::Vec;

use super::{ChunkParams, Chunking, Gear};
use crate::sampler::{NO_CUT, Sampler};

/// Finds the end of each chunk of a stream, and its features on the way.
///
/// Incremental: bytes are given in pieces of any sizes, and the pieces make no difference. What is found
/// for a chunk is a function of that chunk's bytes alone, because all state restarts with it.
///
/// ```
/// use engrams_core::{Chunking, Scanner, features_of};
/// let data: Vec<u8> = (0..1000_u32).map(|i| (i * i) as u8).collect();
/// let mut scanner = Scanner::new(Chunking::fixed(600)?);
/// assert_eq!(scanner.scan(&data), Some(600));
/// let mut features = Vec::new();
/// scanner.finish(&mut features);
/// assert_eq!(scanner.scan(&data[600..]), None); // the stream ends before the chunk does
/// assert_eq!(scanner.len(), 400);
/// # let mut alone = Vec::new();
/// # features_of(&data[..600], &mut alone);
/// # assert_eq!(features, alone);
/// # Ok::<(), engrams_core::ChunkParamsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scanner {
    gear: Gear,
    rule: Rule,
    sampler: Sampler,
}

/// At which lengths of a chunk which test applies.
#[derive(Clone, Copy, Debug)]
struct Rule {
    /// Cuts are tested from this length on: the minimum, or a fixed size.
    minimum: usize,
    /// Up to here against the hard limit, from here on against the easy one.
    turn: usize,
    /// The chunk ends here at the latest.
    maximum: usize,
    hard: u64,
    easy: u64,
}

impl Rule {
    fn new(chunking: Chunking) -> Self {
        match chunking {
            Chunking::ContentDefined(params) => Self::content_defined(&params),
            // Zero would never end: `Chunking::validate` refuses it, and a size of one at least ends.
            Chunking::Fixed(size) => {
                let size = size.max(1);
                Self { minimum: size, turn: size, maximum: size, hard: NO_CUT, easy: NO_CUT }
            }
        }
    }

    fn content_defined(params: &ChunkParams) -> Self {
        Self {
            minimum: params.minimum(),
            turn: params.turn(),
            maximum: params.maximum(),
            hard: params.hard_limit(),
            easy: params.easy_limit(),
        }
    }

    /// The limit for a feature that makes the chunk `len` bytes long if it ends there.
    #[inline]
    fn limit(&self, len: usize) -> u64 {
        if len < self.minimum {
            NO_CUT
        } else if len < self.turn {
            self.hard
        } else {
            self.easy
        }
    }
}

impl Scanner {
    /// A scanner at the start of a stream, with the gear of every stored chunk.
    ///
    /// Holds about 1 KiB and the features of the chunk being scanned.
    #[must_use]
    pub fn new(chunking: Chunking) -> Self {
        Self::with_gear(chunking, Gear::FROZEN)
    }

    /// A scanner with another gear: its cut points and features have nothing to do with those of
    /// [`Scanner::new`].
    #[must_use]
    pub fn with_gear(chunking: Chunking, gear: Gear) -> Self {
        Self { gear, rule: Rule::new(chunking), sampler: Sampler::new() }
    }

    /// Continues the current chunk over `bytes`.
    ///
    /// `Some(n)`: the chunk ends after `n` of them, 1 or more. Call [`finish`](Self::finish), then scan on
    /// from there. `None`: all were taken, and the chunk goes on.
    ///
    /// Without `finish` after a cut point the chunk goes on, up to the maximum and then byte by byte.
    pub fn scan(&mut self, bytes: &[u8]) -> Option<usize> {
        // A chunk at its maximum, or beyond, goes on byte by byte.
        let room = self.rule.maximum.saturating_sub(self.len()).max(1);
        let piece = &bytes[..bytes.len().min(room)];
        let rule = self.rule;
        let cut = self.sampler.run(&self.gear, piece, |len| rule.limit(len));
        cut.or((piece.len() == room).then_some(room))
    }

    /// The bytes in the current chunk so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sampler.len()
    }

    /// Whether the current chunk has no bytes yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the current chunk here: after a cut point, at the end of the stream, or wherever the caller
    /// forces a cut. Appends its features, in order of position, and starts the next chunk.
    ///
    /// They are those that [`features_of`](crate::features_of) gives for the chunk's bytes.
    pub fn finish(&mut self, features: &mut Vec<u64>) {
        self.sampler.finish(features);
    }

    /// [`finish`](Self::finish); appends also where the window of each feature begins in the chunk.
    pub fn finish_located(&mut self, features: &mut Vec<u64>, starts: &mut Vec<u32>) {
        self.sampler.finish_located(features, starts);
    }
}
