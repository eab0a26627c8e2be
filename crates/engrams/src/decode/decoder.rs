//! The decoder: `Read + Seek`, and an iterator of chunks. Every byte it returns was checked against its chunk's name.

use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::{Deref, Range};

use engrams_store::tree::Piece;
use engrams_store::{EngramStore, Entry, Error, Pieces, Plain, Result};

use super::ahead::{Ahead, settle_threads};
use super::builder::{DEFAULT_AHEAD, StreamingDecoderBuilder};

/// Reads one file of one version, in constant memory, from any offset.
///
/// `Read`, `Seek`, the iterator, [`seek_to`](Self::seek_to) and [`read_n_bytes`](Self::read_n_bytes) share one
/// position, in bytes from the file's start, and can be mixed freely.
///
/// Read in order, it decodes ahead on threads of its own, which end with it. A seek throws away what was decoded ahead,
/// and only what is read after it is decoded until several chunks were read in order again.
pub struct StreamingDecoder {
    store: EngramStore,
    path: Vec<u8>,
    version: u64,
    pieces: Pieces,
    position: u64,
    begin: u64,
    end: u64,
    /// The piece at hand.
    at_hand: Option<DecodedChunk>,
    /// Pieces before this one that were read without a seek between them.
    in_order: usize,
    /// The pieces that follow, as far as they are in the plan of whoever decodes ahead: this decoder, or the owner of
    /// several that are read one after the other.
    planned: VecDeque<(u64, Piece)>,
    ahead: Option<Ahead>,
    threads: usize,
    ahead_bytes: usize,
    bytes_read: u64,
    chunks: u64,
    /// The iterator met damage and has ended.
    ended: bool,
}

/// So many pieces read in order make it likely that more will be: a random read of a page or two is over by then.
const IN_ORDER: usize = 3;

/// For each piece read in order, decoding may go so many bytes further ahead: what a seek then throws away is never
/// much more than what was read.
const AHEAD_PER_PIECE: usize = 128 << 10;

/// Verified bytes of a file, as far as one chunk holds them.
#[derive(Debug, Clone)]
pub struct DecodedChunk {
    /// File offset of the first byte.
    pub offset: u64,
    plain: Plain,
    range: Range<usize>,
}

impl Deref for DecodedChunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.plain[self.range.clone()]
    }
}

impl DecodedChunk {
    fn end(&self) -> u64 {
        self.offset + self.range.len() as u64
    }

    /// The part from `from` to `to`, file offsets, both within.
    fn part(&self, from: u64, to: u64) -> Self {
        let start = self.range.start + (from - self.offset) as usize;
        let range = start..start + (to - from) as usize;
        Self { offset: from, plain: self.plain.clone(), range }
    }
}

/// How far a decoder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamingDecodeProgress {
    /// Position in bytes from the file's start.
    pub position: u64,
    /// Bytes returned so far, by whatever way.
    pub bytes_read: u64,
    /// Bytes from the offset to the end, as the decoder was built.
    pub total_bytes: u64,
    /// Chunks decoded and verified so far.
    pub chunks: u64,
}

impl StreamingDecoder {
    /// Configures a decoder of the file at `path`.
    pub fn builder<'s>(store: &'s EngramStore, path: impl AsRef<[u8]>) -> StreamingDecoderBuilder<'s> {
        StreamingDecoderBuilder::new(store, path.as_ref())
    }

    /// A decoder of a whole file whose entry is at hand; it decodes ahead as the builder's defaults say.
    ///
    /// # Errors
    /// `Invalid` when the entry is no file.
    pub fn of_entry(store: &EngramStore, entry: &Entry) -> Result<Self> {
        let threads = settle_threads(0);
        Self::window(store, entry, 0..entry.file().map_or(0, |file| file.size), threads, DEFAULT_AHEAD)
    }

    /// A decoder that decodes ahead only in the plan it is given with each call.
    #[cfg(unix)]
    pub(crate) fn planned(store: &EngramStore, entry: &Entry) -> Result<Self> {
        Self::window(store, entry, 0..entry.file().map_or(0, |file| file.size), 1, 0)
    }

    pub(super) fn window(
        store: &EngramStore,
        entry: &Entry,
        range: Range<u64>,
        threads: usize,
        ahead_bytes: usize,
    ) -> Result<Self> {
        let file = entry.file();
        let file =
            file.ok_or_else(|| Error::invalid(format!("`{}` is not a file", entry.path.escape_ascii())))?;
        Ok(Self {
            store: store.clone(),
            path: entry.path.clone(),
            version: entry.version,
            pieces: store.pieces(file),
            position: range.start,
            begin: range.start,
            end: range.end,
            at_hand: None,
            in_order: 0,
            planned: VecDeque::new(),
            ahead: None,
            threads,
            ahead_bytes,
            bytes_read: 0,
            chunks: 0,
            ended: false,
        })
    }

    /// Where the stream ends, in bytes from the file's start: the file's length, or less when it was limited.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> StreamingDecodeProgress {
        StreamingDecodeProgress {
            position: self.position,
            bytes_read: self.bytes_read,
            total_bytes: self.end - self.begin,
            chunks: self.chunks,
        }
    }

    /// Moves to `position`, in bytes from the file's start. Past the end nothing is read. Nothing is decoded yet.
    pub fn seek_to(&mut self, position: u64) -> &mut Self {
        self.position = position;
        self
    }

    /// The next `count` bytes, fewer at the end. Memory is bounded by what is there.
    ///
    /// # Errors
    /// `Corrupt`, naming chunk, file and version; the position is then after the bytes before the damage.
    pub fn read_n_bytes(&mut self, count: u64) -> Result<Vec<u8>> {
        let to = self.end.min(self.position.saturating_add(count));
        let mut out = Vec::new();
        while self.position < to {
            let part = self.up_to(to)?;
            out.extend_from_slice(&part);
        }
        Ok(out)
    }

    /// The bytes from the position to `to` at most, as far as one chunk goes; moves past them.
    fn up_to(&mut self, to: u64) -> Result<DecodedChunk> {
        let mut ahead = self.ahead.take();
        if !self.is_at_hand() {
            self.look_ahead(&mut ahead);
        }
        let part = self.part(to, ahead.as_mut());
        if part.is_err() {
            self.leave(ahead.as_mut());
        }
        self.ahead = ahead;
        part
    }

    fn is_at_hand(&self) -> bool {
        self.at_hand.as_ref().is_some_and(|chunk| (chunk.offset..chunk.end()).contains(&self.position))
    }

    /// Plans what follows when reading goes on where it was; throws the plan away when it does not.
    fn look_ahead(&mut self, ahead: &mut Option<Ahead>) {
        if self.at_hand.as_ref().is_none_or(|chunk| chunk.end() != self.position) {
            self.in_order = 0;
            return self.leave(ahead.as_mut());
        }
        self.in_order += 1;
        if self.in_order < IN_ORDER {
            return;
        }
        if ahead.is_none() {
            *ahead = Ahead::new(&self.store, self.threads, self.ahead_bytes);
        }
        if let Some(ahead) = ahead {
            while self.plan(ahead, self.in_order.saturating_mul(AHEAD_PER_PIECE)) == Planning::Goes {}
        }
    }

    /// Adds the next piece to a plan of at most `bytes`.
    pub(crate) fn plan(&mut self, ahead: &mut Ahead, bytes: usize) -> Planning {
        let next = self.planned.back().map_or(self.position, |(offset, piece)| offset + u64::from(piece.len));
        if next >= self.end {
            return Planning::Complete;
        }
        // A list that can't be read is an error when its place comes.
        let Ok(Some((offset, piece))) = self.pieces.at(next) else { return Planning::Complete };
        if !ahead.push(piece.chunk, bytes) {
            return Planning::Full;
        }
        self.planned.push_back((offset, piece));
        Planning::Goes
    }

    /// The next bytes of a decoder that others plan for.
    #[cfg(unix)]
    pub(crate) fn next_planned(&mut self, ahead: Option<&mut Ahead>) -> Option<Result<DecodedChunk>> {
        (self.position < self.end).then(|| self.part(self.end, ahead))
    }

    /// Takes what is left of this decoder's plan out of `ahead`, where it must come first.
    pub(crate) fn leave(&mut self, ahead: Option<&mut Ahead>) {
        if let Some(ahead) = ahead {
            ahead.skip(self.planned.len());
        }
        self.planned.clear();
    }

    fn part(&mut self, to: u64, ahead: Option<&mut Ahead>) -> Result<DecodedChunk> {
        let position = self.position;
        if !self.is_at_hand() {
            let loaded = self.load(ahead).map_err(|e| {
                let path = self.path.escape_ascii();
                e.within(format_args!("`{path}` of version {} at byte {position}", self.version))
            });
            self.at_hand = Some(loaded?);
            self.chunks += 1;
        }
        let Some(chunk) = &self.at_hand else { return Err(Error::corrupt("a chunk went missing")) };
        let part = chunk.part(position, to.min(chunk.end()));
        self.position = part.end();
        self.bytes_read += part.len() as u64;
        Ok(part)
    }

    fn load(&mut self, ahead: Option<&mut Ahead>) -> Result<DecodedChunk> {
        let (offset, piece, plain) = match (self.planned.pop_front(), ahead) {
            (Some((offset, piece)), Some(ahead)) => (offset, piece, ahead.take()?),
            _ => {
                let found = self.pieces.at(self.position)?;
                let (offset, piece) =
                    found.ok_or_else(|| Error::corrupt("the chunk list ends before the file does"))?;
                (offset, piece, self.store.chunk(piece.chunk)?)
            }
        };
        let range = piece.start as usize..piece.start as usize + piece.len as usize;
        if plain.get(range.clone()).is_none() {
            return Err(Error::corrupt(format!("a piece reaches past the end of chunk {}", piece.chunk)));
        }
        Ok(DecodedChunk { offset, plain, range })
    }
}

/// How adding to a plan went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planning {
    /// There may be room for more.
    Goes,
    /// There is no room now.
    Full,
    /// Nothing of the file is left to be planned.
    Complete,
}

impl Read for StreamingDecoder {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let to = self.end.min(self.position.saturating_add(out.len() as u64));
        if self.position >= to {
            return Ok(0);
        }
        let part = self.up_to(to)?;
        out[..part.len()].copy_from_slice(&part);
        Ok(part.len())
    }
}

impl Seek for StreamingDecoder {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.end.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        let position = position
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek before the file's start"))?;
        self.position = position;
        Ok(position)
    }
}

impl Iterator for StreamingDecoder {
    type Item = Result<DecodedChunk>;

    /// The bytes from the position to the end of its chunk. An error ends the iteration.
    fn next(&mut self) -> Option<Self::Item> {
        if self.position >= self.end || self.ended {
            return None;
        }
        let next = self.up_to(self.end);
        self.ended = next.is_err();
        Some(next)
    }
}
