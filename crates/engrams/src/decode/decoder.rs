//! The decoder: `Read + Seek`, and an iterator of chunks. Every byte it returns was checked against its chunk's name.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::{Deref, Range};

use engrams_store::{EngramStore, Entry, Error, Pieces, Plain, Result};

use super::builder::StreamingDecoderBuilder;

/// Reads one file of one version, in constant memory, from any offset.
///
/// `Read`, `Seek`, the iterator, [`seek_to`](Self::seek_to) and [`read_n_bytes`](Self::read_n_bytes) share one
/// position, in bytes from the file's start, and can be mixed freely.
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
    bytes_read: u64,
    chunks: u64,
    /// The iterator met damage and has ended.
    ended: bool,
}

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

    /// A decoder of a whole file whose entry is at hand.
    ///
    /// # Errors
    /// `Invalid` when the entry is no file.
    pub fn of_entry(store: &EngramStore, entry: &Entry) -> Result<Self> {
        Self::window(store, entry, 0, entry.file().map_or(0, |file| file.size))
    }

    pub(super) fn window(store: &EngramStore, entry: &Entry, begin: u64, end: u64) -> Result<Self> {
        let file = entry.file();
        let file =
            file.ok_or_else(|| Error::invalid(format!("`{}` is not a file", entry.path.escape_ascii())))?;
        Ok(Self {
            store: store.clone(),
            path: entry.path.clone(),
            version: entry.version,
            pieces: store.pieces(file),
            position: begin,
            begin,
            end,
            at_hand: None,
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
        let position = self.position;
        if self.at_hand.as_ref().is_none_or(|c| !(c.offset..c.end()).contains(&position)) {
            let loaded = self.load().map_err(|e| {
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

    fn load(&mut self) -> Result<DecodedChunk> {
        let found = self.pieces.at(self.position)?;
        let (offset, piece) =
            found.ok_or_else(|| Error::corrupt("the chunk list ends before the file does"))?;
        let plain = self.store.chunk(piece.chunk)?;
        let range = piece.start as usize..piece.start as usize + piece.len as usize;
        if plain.get(range.clone()).is_none() {
            return Err(Error::corrupt(format!("a piece reaches past the end of chunk {}", piece.chunk)));
        }
        Ok(DecodedChunk { offset, plain, range })
    }
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
