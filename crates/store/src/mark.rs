//! The commit mark: the last commit's number in a small file outside the database.
//!
//! A database whose log was damaged may come back without its last commits and without a word. The mark knows how
//! many there were, so opening such a store is refused instead.
//!
//! It is read before the database is opened: what a writer in another process commits in between makes the database
//! newer than the mark, never older.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result, Version};

/// The mark of the store in one directory.
pub(crate) struct CommitMark {
    directory: PathBuf,
    /// What it read when it was found; `None`: there was none.
    text: Option<String>,
}

const NAME: &str = "COMMIT";
/// The next mark; it says nothing until it is renamed.
const NEW: &str = "COMMIT.new";
const PREFIX: &str = "engrams commit ";

impl CommitMark {
    /// Reads the mark in `directory`.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let mut mark = Self { directory: directory.to_owned(), text: None };
        match fs::read_to_string(mark.file()) {
            Ok(text) => mark.text = Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // Bytes that are no text.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => mark.text = Some(String::new()),
            Err(error) => return Err(mark.io("reading", error)),
        }
        Ok(mark)
    }

    /// Where the store is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn file(&self) -> PathBuf {
        self.directory.join(NAME)
    }

    fn io(&self, doing: &str, error: io::Error) -> Error {
        Error::io(format_args!("{doing} {}", self.file().display()), error)
    }

    /// Bytes of the mark itself; 0 before the first commit.
    pub(crate) fn bytes(&self) -> u64 {
        fs::metadata(self.file()).map_or(0, |m| m.len())
    }

    /// The version that was committed last, as the mark says; `None` when it says nothing.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged.
    pub(crate) fn marked(&self) -> Result<Option<u64>> {
        let Some(text) = &self.text else { return Ok(None) };
        let number = text.strip_prefix(PREFIX).and_then(|rest| rest.split([' ', '\n']).next()?.parse().ok());
        let marked = number.filter(|number| *text == line(*number) || *text == unchecked_line(*number));
        let damaged = || {
            let file = self.file();
            Error::corrupt(format!(
                "{} is damaged: it should read `{PREFIX}`, a number and its check",
                file.display()
            ))
        };
        marked.map(Some).ok_or_else(damaged)
    }

    /// Refuses a database whose newest version is older than the mark.
    pub(crate) fn check(&self, newest: u64) -> Result<()> {
        let Some(marked) = self.marked()? else { return Ok(()) };
        if newest < marked {
            return Err(Error::corrupt(format!(
                "the database has lost commits: it ends at version {newest}, version {marked} was committed; \
                 restore {} from a copy, or repair it to go on without them",
                self.directory.display()
            )));
        }
        Ok(())
    }

    /// Says that the mark is missing where there was one. A crash leaves none before the first mark; whoever commits
    /// after a version without mark marks that one first.
    pub(crate) fn missing(&self, newest: Option<&Version>) -> Option<String> {
        let was_marked = newest.is_some_and(|newest| newest.parent.is_some());
        (was_marked && self.text.is_none()).then(|| {
            let file = self.file();
            format!(
                "{} is missing: the loss of commits would go unnoticed until the next commit makes it anew",
                file.display()
            )
        })
    }

    /// Makes the mark say what is there after a repair; durable when it returns.
    #[cfg(feature = "rocksdb")]
    pub(crate) fn set(&self, number: u64) -> Result<()> {
        if number > 0 {
            return self.advance(number);
        }
        match fs::remove_file(self.file()).and_then(|()| self.sync()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.io("removing", error)),
            _ => Ok(()),
        }
    }

    /// Records that `number` was committed; durable when it returns.
    pub(crate) fn advance(&self, number: u64) -> Result<()> {
        self.prepare(number)?;
        self.publish()
    }

    /// Writes the mark of the commit of `number`, which is about to happen, beside the one that counts. What a full disk
    /// refuses, it refuses here, before there is a commit.
    pub(crate) fn prepare(&self, number: u64) -> Result<()> {
        let write = || {
            let mut file = File::create(self.directory.join(NEW))?;
            file.write_all(line(number).as_bytes())?;
            file.sync_all()
        };
        write().map_err(|e| self.io("preparing", e))
    }

    /// What was prepared last is the mark from now on; durable when it returns.
    pub(crate) fn publish(&self) -> Result<()> {
        let renamed = fs::rename(self.directory.join(NEW), self.file());
        renamed.and_then(|()| self.sync()).map_err(|e| self.io("writing", e))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }
}

/// Removes from `directory` what marks leave there.
pub(crate) fn remove(directory: &Path) {
    for name in [NAME, NEW] {
        drop(fs::remove_file(directory.join(name)));
    }
}

/// What a mark reads: the number, and the beginning of the BLAKE3 of all before.
fn line(number: u64) -> String {
    let text = format!("{PREFIX}{number}");
    let check = blake3::hash(text.as_bytes()).to_hex();
    format!("{text} {}\n", &check[..16])
}

/// What marks read before they had a check. A mark that is cut short never ends in a newline, so it is none of these.
fn unchecked_line(number: u64) -> String {
    format!("{PREFIX}{number}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_behind_its_mark_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let none = CommitMark::read(directory.path()).unwrap();
        none.check(0).unwrap();
        none.advance(3).unwrap();
        let mark = CommitMark::read(directory.path()).unwrap();
        mark.check(3).unwrap();
        mark.check(4).unwrap();
        let error = mark.check(2).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Corrupt);
        assert!(error.to_string().contains("ends at version 2"), "{error}");
        fs::write(mark.file(), "engrams commit 3\n").unwrap();
        let unchecked = CommitMark::read(directory.path()).unwrap();
        unchecked.check(3).unwrap();
        unchecked.check(2).unwrap_err();
    }

    #[test]
    fn a_mark_that_lost_or_changed_anything_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        let mark = CommitMark::read(directory.path()).unwrap();
        mark.advance(36).unwrap();
        let whole = fs::read(mark.file()).unwrap();
        let refused = |bytes: &[u8]| {
            fs::write(mark.file(), bytes).unwrap();
            let error = CommitMark::read(directory.path()).unwrap().check(36).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Corrupt, "{}", bytes.escape_ascii());
        };
        for at in 0..whole.len() {
            refused(&whole[..at]);
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                refused(&flipped);
            }
        }
    }
}
