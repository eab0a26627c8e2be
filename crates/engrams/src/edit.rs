//! Editing a stored file: parts of it replaced, inserted, removed, in one pass.
//!
//! The edited content runs through the same cutter as any stream, so all chunks away from an edit are found again by
//! their names, and only those that an edit touches are stored. Every byte is read all the same, since a file's hash is
//! the plain BLAKE3 of its content, and that can't be had from a part.

use std::io::{self, Read};

use engrams_store::{Error, Result, check_path};

use crate::decode::StreamingDecoder;
use crate::transaction::{FileInHand, FileSummary, Transaction, Trouble};

/// One pass of edits over a file of the base version.
///
/// Offsets are those of the file *before* the edits, in bytes, and ascend from one edit to the next: what lies between
/// two edits is kept. Memory does not depend on the file's length. Dropping it without [`finish`](Self::finish), or after
/// an error, leaves the path as it was.
///
/// ```
/// # use engrams::{Attributes, EngramStore, IngestOptions, Transaction};
/// # let store = EngramStore::in_memory();
/// # let mut first = Transaction::begin(&store, &IngestOptions::default())?;
/// # first.put_file(b"log", Attributes::default(), &mut &b"one two three"[..])?;
/// # first.commit("")?;
/// let mut transaction = Transaction::begin(&store, &IngestOptions::default())?;
/// let mut edit = transaction.edit(b"log")?;
/// edit.overwrite(0, &b"ONE"[..])?.insert(8, &b"and "[..])?.append(&b"!"[..])?;
/// assert_eq!(edit.finish()?.size, b"ONE two and three!".len() as u64);
/// transaction.commit("edited in place")?;
/// # Ok::<(), engrams::Error>(())
/// ```
pub struct FileEdit<'t> {
    transaction: &'t mut Transaction,
    path: Vec<u8>,
    file: Option<FileInHand>,
    old: StreamingDecoder,
    old_size: u64,
    /// The old bytes up to here are dealt with.
    done: u64,
}

impl Transaction {
    /// Begins to edit the file that the base version has at `path`; its attributes stay. Cut it as it was cut
    /// (the same [`chunking`](crate::IngestOptions::chunking)), or nothing of it is found again.
    ///
    /// # Errors
    /// `NotFound` when the base has no file there; `Corrupt` when the base can't be read.
    pub fn edit(&mut self, path: &[u8]) -> Result<FileEdit<'_>> {
        let entry = self.base().get(path)?;
        let missing = || Error::not_found(format!("no `{}` to edit in this version", path.escape_ascii()));
        let entry = entry.ok_or_else(missing)?;
        let old = StreamingDecoder::of_entry(self.store(), &entry)?;
        let old_size = old.end();
        let file = self.begin_file(path, entry.attributes)?;
        Ok(FileEdit { transaction: self, path: path.to_vec(), file: Some(file), old, old_size, done: 0 })
    }

    /// Puts at `to` what the base version has at and below `from`: no content is stored anew. Returns how many entries
    /// that were.
    ///
    /// The content is read to count the copy in the engram.
    ///
    /// # Errors
    /// `NotFound` when there is nothing at `from`; `Invalid` when `to` is not allowed, or one of them lies at or below
    /// the other; otherwise why an earlier step failed.
    pub fn copy(&mut self, from: &[u8], to: &[u8]) -> Result<u64> {
        let below = |path: &[u8], top: &[u8]| path == top || path.starts_with(&[top, b"/"].concat());
        if below(to, from) || below(from, to) {
            let (from, to) = (from.escape_ascii(), to.escape_ascii());
            return Err(Error::invalid(format!(
                "can't copy `{from}` to `{to}`: one lies at or below the other"
            )));
        }
        check_path(from)?;
        check_path(to)?;
        let mut copied = 0;
        for entry in self.base().clone().entries(from) {
            let mut entry = entry?;
            entry.path = [to, &entry.path[from.len()..]].concat();
            // The first of its hard links may not be among what is copied.
            entry.attributes.hard_link = None;
            self.share(entry)?;
            copied += 1;
        }
        if copied == 0 {
            return Err(Error::not_found(format!("no `{}` in this version", from.escape_ascii())));
        }
        Ok(copied)
    }

    /// [Copies](Self::copy), and removes what was at and below `from`.
    ///
    /// # Errors
    /// As [`copy`](Self::copy).
    pub fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<u64> {
        let moved = self.copy(from, to)?;
        self.clear(from)?;
        Ok(moved)
    }
}

impl FileEdit<'_> {
    /// The file's length before the edits, in bytes.
    #[must_use]
    pub fn old_size(&self) -> u64 {
        self.old_size
    }

    /// Replaces the old bytes from `start` to `end` by all that `reader` gives, more or less of them.
    ///
    /// # Errors
    /// `Invalid` when the range lies before an earlier edit, or ends past the end of the file: the edit goes on.
    /// `Io` when the reader fails, `Corrupt` when the old content is damaged: the path is then left as it was.
    pub fn replace(&mut self, start: u64, end: u64, reader: impl Read) -> Result<&mut Self> {
        self.check(start, end)?;
        self.keep_to(start)?;
        self.pump(reader)?;
        self.done = end;
        Ok(self)
    }

    /// Writes all that `reader` gives over the old bytes from `offset` on; past the end the file grows.
    ///
    /// # Errors
    /// As [`replace`](Self::replace).
    pub fn overwrite(&mut self, offset: u64, reader: impl Read) -> Result<&mut Self> {
        self.check(offset, offset)?;
        self.keep_to(offset)?;
        let written = self.pump(reader)?;
        self.done = offset.saturating_add(written).min(self.old_size);
        Ok(self)
    }

    /// Inserts all that `reader` gives before the old byte at `offset`.
    ///
    /// # Errors
    /// As [`replace`](Self::replace).
    pub fn insert(&mut self, offset: u64, reader: impl Read) -> Result<&mut Self> {
        self.replace(offset, offset, reader)
    }

    /// Removes the old bytes from `start` to `end`.
    ///
    /// # Errors
    /// As [`replace`](Self::replace).
    pub fn remove(&mut self, start: u64, end: u64) -> Result<&mut Self> {
        self.replace(start, end, io::empty())
    }

    /// Removes everything from `offset` on.
    ///
    /// # Errors
    /// As [`replace`](Self::replace).
    pub fn truncate(&mut self, offset: u64) -> Result<&mut Self> {
        self.remove(offset, self.old_size)
    }

    /// Adds all that `reader` gives at the end.
    ///
    /// # Errors
    /// As [`replace`](Self::replace).
    pub fn append(&mut self, reader: impl Read) -> Result<&mut Self> {
        self.insert(self.old_size, reader)
    }

    /// Ends the edit: what follows the last one is kept.
    ///
    /// # Errors
    /// As [`replace`](Self::replace).
    pub fn finish(mut self) -> Result<FileSummary> {
        self.keep_to(self.old_size)?;
        let file = self.file.take().ok_or_else(|| self.over())?;
        self.transaction.end_file(file)
    }

    fn check(&self, start: u64, end: u64) -> Result<()> {
        let (done, size) = (self.done, self.old_size);
        let wrong = |what: String| {
            Err(Error::invalid(format!("can't edit `{}` at byte {start}: {what}", self.path.escape_ascii())))
        };
        if start < done {
            return wrong(format!("an earlier edit reached byte {done}, and edits go forward"));
        }
        if start > end {
            return wrong(format!("the range ends before it, at byte {end}"));
        }
        if end > size {
            return wrong(format!("the file has {size} bytes; the range ends at {end}"));
        }
        Ok(())
    }

    fn over(&self) -> Error {
        Error::invalid(format!("editing `{}` has failed before: begin again", self.path.escape_ascii()))
    }

    /// Keeps the old bytes up to `to`.
    fn keep_to(&mut self, to: u64) -> Result<()> {
        let Some(mut file) = self.file.take() else { return Err(self.over()) };
        let mut kept = Read::take(self.old.seek_to(self.done), to.saturating_sub(self.done));
        let outcome = drain(self.transaction, &mut file, &mut kept);
        self.settle(file, outcome)?;
        self.done = self.done.max(to);
        Ok(())
    }

    /// Takes all that `reader` gives; returns how many bytes that were.
    fn pump(&mut self, mut reader: impl Read) -> Result<u64> {
        let Some(mut file) = self.file.take() else { return Err(self.over()) };
        let outcome = drain(self.transaction, &mut file, &mut reader);
        self.settle(file, outcome)
    }

    /// Goes on with the file, or gives it up.
    fn settle(&mut self, file: FileInHand, outcome: Result<u64, Trouble>) -> Result<u64> {
        match outcome {
            Ok(len) => {
                self.file = Some(file);
                Ok(len)
            }
            Err(Trouble::Reader(error)) => {
                self.transaction.abandon_file(file)?;
                // The old content is read through `Read` as well: its errors come wrapped.
                Err(error.downcast::<Error>().unwrap_or_else(|error| {
                    Error::io(
                        format_args!("reading what is to go into `{}`", self.path.escape_ascii()),
                        error,
                    )
                }))
            }
            Err(Trouble::Ours(error)) => Err(error),
        }
    }
}

impl Drop for FileEdit<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // A failure shows in the transaction's next step.
            let _ = self.transaction.abandon_file(file);
        }
    }
}

/// Reads into the file until the end; returns how many bytes that were.
fn drain(
    transaction: &mut Transaction,
    file: &mut FileInHand,
    reader: &mut dyn Read,
) -> Result<u64, Trouble> {
    let before = file.len();
    while transaction.read_file(file, reader)? {}
    Ok(file.len() - before)
}
