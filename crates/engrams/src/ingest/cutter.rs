//! The front of the pipeline: bytes in, groups of chunks out. One pass yields cut points and features.

use std::io::{self, Read};

use engrams_core::{Gear, Scanner};

use super::expected::{Before, Chunk, Expected};
use super::group::{Event, Group, RawChunk};
use super::naming::Name;
use super::options::Settings;

/// Cuts a stream into groups.
pub(crate) struct Cutter {
    scanner: Scanner,
    /// What the file that the stream is in had before, as long as that may help.
    expected: Option<Expected>,
    /// Its data is a buffer, longer than what is in it.
    group: Group,
    /// Where the chunk being cut begins in the group's data; everything before `scanned` was scanned, and after
    /// `filled` there is room.
    start: usize,
    scanned: usize,
    filled: usize,
    /// Groups that were decided, for the next ones: their buffers need not be cleared again.
    spare: Vec<Group>,
    group_chunks: usize,
    group_bytes: usize,
}

/// Bytes asked of a reader at once.
const READ_BYTES: usize = 256 << 10;
/// A group ends with this many events, whatever its bytes: bounds memory.
const MOST_EVENTS: usize = 16 * GROUP_EVENTS;
/// Lengths of buffers are multiples of this.
const GROUP_STEP: usize = 2 << 20;
/// Spare groups kept: more are never on their way.
const MOST_SPARE: usize = 4;
/// Events without bytes between them are sent on in groups of this many.
const GROUP_EVENTS: usize = 1024;

/// How a chunk compares with the one that is expected.
enum Meeting {
    Same,
    /// So far there are not enough bytes to tell.
    Incomplete,
    /// It is another one, or none is expected.
    Other,
}

impl Cutter {
    pub(crate) fn new(settings: &Settings, gear: &Gear) -> Self {
        Self {
            scanner: Scanner::with_gear(settings.chunking, gear.clone()),
            expected: None,
            group: Group::default(),
            start: 0,
            scanned: 0,
            filled: 0,
            spare: Vec::new(),
            group_chunks: settings.group_chunks,
            group_bytes: settings.group_bytes,
        }
    }

    /// Notes what happens at this place of the stream.
    pub(crate) fn event(&mut self, event: Event) {
        self.group.events.push((self.filled, event));
    }

    /// Reads a piece into the group; 0 at the end. Interrupted reads are tried again.
    pub(crate) fn read(&mut self, reader: &mut dyn Read) -> io::Result<usize> {
        let mut len = 0;
        while len < READ_BYTES {
            match reader.read(&mut self.room(READ_BYTES - len)[..READ_BYTES - len]) {
                Ok(0) => break,
                Ok(read) => {
                    self.filled += read;
                    len += read;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(len)
    }

    /// The last `len` bytes of the stream so far.
    pub(crate) fn last(&self, len: usize) -> &[u8] {
        &self.group.data[self.filled - len..self.filled]
    }

    /// Adds bytes at hand.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    /// The buffer's rest, with `len` bytes at least.
    fn room(&mut self, len: usize) -> &mut [u8] {
        let needed = self.filled + len;
        if self.group.data.is_empty() {
            // Zeros that nobody has to write.
            self.group.data = vec![0; needed.next_multiple_of(GROUP_STEP)];
        } else if self.group.data.len() < needed {
            self.group.data.resize(needed.next_multiple_of(GROUP_STEP), 0);
        }
        &mut self.group.data[self.filled..]
    }

    /// Takes back a group that was decided.
    pub(crate) fn recycle(&mut self, group: Group) {
        if self.spare.len() < MOST_SPARE {
            self.spare.push(group);
        }
    }

    /// A chunk begins with what is added next, and with it content that may be what was there before.
    pub(crate) fn expect(&mut self, expected: Option<Expected>) {
        self.expected = expected;
    }

    /// Cuts what was added; returns a group when one is complete. Call again until it returns `None`.
    pub(crate) fn next_group(&mut self) -> Option<Group> {
        while self.scanned < self.filled {
            match self.meet_expected() {
                Meeting::Same if self.is_full() => return Some(self.take()),
                Meeting::Same => continue,
                Meeting::Incomplete => break,
                Meeting::Other => {}
            }
            match self.scanner.scan(&self.group.data[self.scanned..self.filled]) {
                Some(len) => {
                    self.scanned += len;
                    self.end_chunk(None);
                    if self.is_full() {
                        return Some(self.take());
                    }
                }
                None => self.scanned = self.filled,
            }
        }
        if self.group.events.len() >= MOST_EVENTS {
            // Files of next to no bytes: a chunk must end early, or the events would pile up.
            return self.force_cut().or_else(|| Some(self.take()));
        }
        (self.group.events.len() >= GROUP_EVENTS && self.filled == 0).then(|| self.take())
    }

    fn is_full(&self) -> bool {
        self.group.chunks.len() >= self.group_chunks || self.start >= self.group_bytes
    }

    /// Whether the chunk that begins here is the one that was here before.
    fn meet_expected(&mut self) -> Meeting {
        let Some(expected) = self.expected.as_mut().filter(|_| self.scanned == self.start) else {
            return Meeting::Other;
        };
        let Some(Chunk { len, name }) = expected.chunk() else { return Meeting::Other };
        let Some(bytes) = self.group.data[..self.filled].get(self.start..self.start + len) else {
            return Meeting::Incomplete;
        };
        if *blake3::hash(bytes).as_bytes() != name {
            expected.failed();
            return Meeting::Other;
        }
        self.scanned += len;
        self.end_chunk(Some(name));
        Meeting::Same
    }

    fn end_chunk(&mut self, name: Option<Name>) {
        let (len, mut before) = (self.scanned - self.start, Before::default());
        if let Some(expected) = &mut self.expected {
            if name.is_none() {
                before = expected.before(len);
            }
            expected.pass(len, name.is_some());
        }
        let from = self.group.features.len();
        self.scanner.finish_located(&mut self.group.features, &mut self.group.starts);
        let features = from..self.group.features.len();
        self.group.chunks.push(RawChunk { bytes: self.start..self.scanned, features, name, before });
        self.start = self.scanned;
    }

    /// Ends the chunk being cut here, whatever its length. Everything added was cut before, with nothing expected.
    pub(crate) fn force_cut(&mut self) -> Option<Group> {
        if self.scanned > self.start {
            self.end_chunk(None);
        }
        self.is_full().then(|| self.take())
    }

    /// The group as it is; what follows its last chunk stays for the next one.
    pub(crate) fn take(&mut self) -> Group {
        let next = self.spare.pop().unwrap_or_default();
        let mut group = std::mem::replace(&mut self.group, next);
        let later = &group.data[self.start..self.filled];
        self.filled = 0;
        self.append(later);
        // What happens right at the end belongs to the chunk that ends there.
        let events = group.events.partition_point(|(at, _)| *at <= self.start);
        self.group.events = group.events.split_off(events);
        self.group.events.iter_mut().for_each(|(at, _)| *at -= self.start);
        self.scanned -= self.start;
        self.start = 0;
        group
    }
}
