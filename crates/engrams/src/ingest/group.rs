//! A group: the chunks that are decided together, and what happens to files around them.
//!
//! Recall for a chunk sees what was decided in earlier groups and nothing of its own, so that recall can go in order
//! while corrections go in parallel, with the same outcome on any number of threads.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use engrams_core::{Gear, Located};
use engrams_store::tree::{Attributes, Piece};
use engrams_store::{Entry, Trace};

use super::expected::Before;
use super::naming::Name;

/// The hash of a file, begun by the front of the pipeline and carried on by its back.
pub(crate) type SharedHasher = Arc<Mutex<blake3::Hasher>>;

/// Consecutive bytes of the stream, cut into chunks.
#[derive(Default)]
pub(crate) struct Group {
    /// A buffer: what comes after the last chunk means nothing.
    pub(crate) data: Vec<u8>,
    pub(crate) chunks: Vec<RawChunk>,
    /// Features of all chunks, one after the other.
    pub(crate) features: Vec<u64>,
    /// Where the window of each feature begins in its chunk.
    pub(crate) starts: Vec<u32>,
    /// What happens, by offset in `data`, ascending.
    pub(crate) events: Vec<(usize, Event)>,
}

/// One chunk of a group.
#[derive(Debug, Clone)]
pub(crate) struct RawChunk {
    pub(crate) bytes: Range<usize>,
    pub(crate) features: Range<usize>,
    /// Its name, if it is known: then nobody looked for features.
    pub(crate) name: Option<Name>,
    /// What its file had in this place before, if nobody looked for a name.
    pub(crate) before: Before,
}

/// What happens at a place of the stream.
pub(crate) enum Event {
    /// The bytes that follow are this file's.
    Begin { path: Vec<u8>, attributes: Box<Attributes> },
    /// From here on the file's bytes are to be hashed by whoever decides the group.
    Hash(SharedHasher),
    /// Up to here.
    Hashed,
    /// The file ends here.
    End { hash: [u8; 32] },
    /// The file can't be read on: the path stays as it was.
    Abandon,
    /// The path and everything below goes.
    Clear(Vec<u8>),
    /// This entry is put: a directory, a symbolic link, or one taken over unchanged.
    Put(Box<Entry>),
    /// This entry is put; if it is a file, its content is stored already.
    Share(Box<Entry>),
    /// The base version's entry at this path stays.
    Keep(Vec<u8>),
}

impl Group {
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.events.is_empty()
    }

    /// Keeps the memory and nothing else.
    pub(crate) fn clear(&mut self) {
        self.chunks.clear();
        self.features.clear();
        self.starts.clear();
        self.events.clear();
    }

    pub(crate) fn bytes_of(&self, chunk: &RawChunk) -> &[u8] {
        &self.data[chunk.bytes.clone()]
    }

    /// The parts of a chunk that belong to one file each, as places in the chunk.
    pub(crate) fn files_in(&self, chunk: &RawChunk) -> Vec<Range<usize>> {
        let Range { start, end } = chunk.bytes;
        let from = self.events.partition_point(|(at, _)| *at <= start);
        let inside = self.events[from..].iter().map(|(at, _)| *at).take_while(|&at| at < end);
        let mut files = Vec::new();
        let mut before = start;
        for at in inside.chain([end]).filter(|&at| at > start) {
            if at > before {
                files.push(before - start..at - start);
            }
            before = at;
        }
        files
    }

    fn features_of(&self, chunk: &RawChunk) -> &[u64] {
        &self.features[chunk.features.clone()]
    }

    /// A chunk's features with their places.
    pub(crate) fn located(&self, gear: &Gear, chunk: &RawChunk) -> Vec<Located> {
        if chunk.name.is_some() {
            let mut found = Vec::new();
            gear.locate_features(self.bytes_of(chunk), &mut found);
            return found;
        }
        let starts = &self.starts[chunk.features.clone()];
        let features = starts.iter().zip(self.features_of(chunk));
        features.map(|(&start, &feature)| Located { start: start as usize, feature }).collect()
    }

    /// The trace of a piece of a chunk.
    pub(crate) fn trace_of(&self, gear: &Gear, chunk: &RawChunk, piece: Piece) -> Trace {
        let (bytes, features) = (self.bytes_of(chunk), self.features_of(chunk));
        let part = piece.start as usize..(piece.start + piece.len) as usize;
        if part.len() == bytes.len() {
            return Trace::new(gear, bytes, Some(features));
        }
        let mut own = Vec::new();
        gear.features_of_part(bytes, features, &self.starts[chunk.features.clone()], part.clone(), &mut own);
        Trace::new(gear, &bytes[part], Some(&own))
    }
}
