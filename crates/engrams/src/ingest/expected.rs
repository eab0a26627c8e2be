//! What a file held before, chunk by chunk: where it still does, its cut points need not be looked for.
//!
//! Where a chunk ends depends on its bytes alone. So bytes that hash to the name of the chunk that was here before end where
//! it ended, and a hash of them, which they need anyway, takes the place of the scan.

use engrams_store::tree::{FileNode, Piece};
use engrams_store::{EngramStore, Pieces};

use super::naming::Name;

/// The content that a file had, beside the content that it is given now.
pub(crate) struct Expected {
    store: EngramStore,
    pieces: Pieces,
    /// Bytes that the file had.
    size: u64,
    /// Where in the file the chunk begins that is to be cut now.
    offset: u64,
    /// The chunk that was here, once it was looked for.
    here: Option<Option<Chunk>>,
    /// Chunks to let pass before the next attempt, and how many there were after the last one that failed.
    pause: u32,
    last_pause: u32,
}

/// A chunk that may come again.
#[derive(Clone, Copy)]
pub(crate) struct Chunk {
    pub(crate) len: usize,
    pub(crate) name: Name,
}

/// What a file had around a place: its chunks, in the order of the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Before {
    pub(crate) chunks: Vec<u64>,
    /// The one that had the place itself.
    pub(crate) middle: usize,
}

/// Lengths of a chunk that are looked at to either side of it.
const AROUND: u64 = 4;

/// A failed attempt costs the hash of a chunk. After several there is one in so many chunks.
const LONGEST_PAUSE: u32 = 64;

impl Expected {
    pub(crate) fn new(store: &EngramStore, before: &FileNode) -> Self {
        let pieces = store.pieces(before);
        let (store, size) = (store.clone(), before.size);
        Self { store, pieces, size, offset: 0, here: None, pause: 0, last_pause: 0 }
    }

    /// The chunk that may come now.
    pub(crate) fn chunk(&mut self) -> Option<Chunk> {
        if self.pause > 0 {
            return None;
        }
        if self.here.is_none() {
            self.here = Some(self.look());
        }
        self.here.flatten()
    }

    fn look(&mut self) -> Option<Chunk> {
        // What can't be read is not expected: whoever needs it says why.
        let (start, Piece { chunk, start: within, len }) = self.pieces.at(self.offset).ok().flatten()?;
        let is_end = start + u64::from(len) >= self.size;
        // At the end of the file the cut was forced.
        if start != self.offset || within != 0 || is_end {
            return None;
        }
        let head = self.store.chunk_head(chunk).ok()?;
        (head.len == len).then_some(Chunk { len: len as usize, name: head.name })
    }

    /// What was around the place of the next `len` bytes.
    pub(crate) fn before(&mut self, len: usize) -> Before {
        let (len, middle) = (len as u64, self.offset + len as u64 / 2);
        let (mut at, end) = (middle.saturating_sub(AROUND * len), middle + AROUND * len);
        let mut before = Before::default();
        // What can't be read is not there: whoever needs it says why.
        while at <= end
            && let Some((start, piece)) = self.pieces.at(at).ok().flatten()
        {
            if start <= middle {
                before.middle = before.chunks.len();
            }
            before.chunks.push(piece.chunk);
            at = start + u64::from(piece.len);
        }
        before
    }

    /// The chunk that came was another one.
    pub(crate) fn failed(&mut self) {
        self.last_pause = (2 * self.last_pause + 1).min(LONGEST_PAUSE);
        self.pause = self.last_pause;
    }

    /// A chunk of `len` bytes was cut.
    pub(crate) fn pass(&mut self, len: usize, as_expected: bool) {
        self.offset += len as u64;
        self.here = None;
        if as_expected {
            self.last_pause = 0;
        } else {
            self.pause = self.pause.saturating_sub(1);
        }
    }
}
