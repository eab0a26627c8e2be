//! The front of the pipeline: bytes in, groups of chunks out. One pass yields cut points and features.

use std::io::{self, Read};

use engrams_core::Scanner;

use super::group::{Event, Group, RawChunk};
use super::options::Settings;

/// Cuts a stream into groups.
pub(crate) struct Cutter {
    scanner: Scanner,
    group: Group,
    /// Where the chunk being cut begins in the group's data; everything before `scanned` was scanned.
    start: usize,
    scanned: usize,
    group_chunks: usize,
    group_bytes: usize,
}

/// Bytes asked of a reader at once.
const READ_BYTES: usize = 256 << 10;
/// A group ends with this many events, whatever its bytes: bounds memory.
const MOST_EVENTS: usize = 16 * GROUP_EVENTS;
/// Capacities of groups are multiples of this.
const GROUP_STEP: usize = 1 << 20;
/// Events without bytes between them are sent on in groups of this many.
const GROUP_EVENTS: usize = 1024;

impl Cutter {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            scanner: Scanner::new(settings.chunking),
            group: Group::default(),
            start: 0,
            scanned: 0,
            group_chunks: settings.group_chunks,
            group_bytes: settings.group_bytes,
        }
    }

    /// Notes what happens at this place of the stream.
    pub(crate) fn event(&mut self, event: Event) {
        let at = self.group.data.len();
        self.group.events.push((at, event));
    }

    /// Reads a piece into the group; 0 at the end. Interrupted reads are tried again.
    pub(crate) fn read(&mut self, reader: &mut dyn Read) -> io::Result<usize> {
        self.group.data.reserve(READ_BYTES);
        reader.take(READ_BYTES as u64).read_to_end(&mut self.group.data)
    }

    /// The last `len` bytes of the stream so far.
    pub(crate) fn last(&self, len: usize) -> &[u8] {
        &self.group.data[self.group.data.len() - len..]
    }

    /// Adds bytes at hand.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.group.data.extend_from_slice(bytes);
    }

    /// Scans what was added; returns a group when one is complete. Call again until it returns `None`.
    pub(crate) fn next_group(&mut self) -> Option<Group> {
        while self.scanned < self.group.data.len() {
            match self.scanner.scan(&self.group.data[self.scanned..]) {
                Some(len) => {
                    self.scanned += len;
                    self.end_chunk();
                    if self.is_full() {
                        return Some(self.take());
                    }
                }
                None => self.scanned = self.group.data.len(),
            }
        }
        if self.group.events.len() >= MOST_EVENTS {
            // Files of next to no bytes: a chunk must end early, or the events would pile up.
            return self.force_cut().or_else(|| Some(self.take()));
        }
        (self.group.events.len() >= GROUP_EVENTS && self.group.data.is_empty()).then(|| self.take())
    }

    fn is_full(&self) -> bool {
        self.group.chunks.len() >= self.group_chunks || self.start >= self.group_bytes
    }

    fn end_chunk(&mut self) {
        let from = self.group.features.len();
        self.scanner.finish(&mut self.group.features);
        let features = from..self.group.features.len();
        self.group.chunks.push(RawChunk { bytes: self.start..self.scanned, features });
        self.start = self.scanned;
    }

    /// Ends the chunk being cut here, whatever its length. Everything added was scanned before.
    pub(crate) fn force_cut(&mut self) -> Option<Group> {
        if self.scanned > self.start {
            self.end_chunk();
        }
        self.is_full().then(|| self.take())
    }

    /// The group as it is; what follows its last chunk stays for the next one.
    pub(crate) fn take(&mut self) -> Group {
        let mut group = std::mem::take(&mut self.group);
        // Room for another like it, so that the next one does not grow through all sizes.
        self.group.data = Vec::with_capacity(group.data.len().next_multiple_of(GROUP_STEP));
        self.group.data.extend_from_slice(&group.data[self.start..]);
        group.data.truncate(self.start);
        // What happens right at the end belongs to the chunk that ends there.
        let events = group.events.partition_point(|(at, _)| *at <= self.start);
        self.group.events = group.events.split_off(events);
        self.group.events.iter_mut().for_each(|(at, _)| *at -= self.start);
        self.scanned -= self.start;
        self.start = 0;
        group
    }
}
