//! One stream into one path of one version.

use std::io::{BufRead, ErrorKind, Read};

use engrams_store::{EngramStore, Error, Result};

use super::builder::StreamingIngesterBuilder;
use super::counts::StreamingProgress;
use crate::transaction::{FileInHand, Transaction, Trouble};

/// Ingests one stream, of any length, in constant memory.
///
/// Chunks are cut, encoded, recalled and corrected as bytes arrive; nothing is visible before
/// [`finalize`](Self::finalize). After an error the ingester refuses to go on: begin another one; what was staged is
/// found again, so the second time is quick.
pub struct StreamingIngester {
    transaction: Transaction,
    file: Option<FileInHand>,
    path: Vec<u8>,
    message: String,
}

/// What an ingest stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamingResult {
    /// Where the stream went.
    pub path: Vec<u8>,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its chunks: `reused + recalled + verbatim`.
    pub chunks: u64,
    /// The version it is in.
    pub version: u64,
    /// Chunks that were stored already.
    pub reused: u64,
    /// Chunks kept as corrections of recalled ones.
    pub recalled: u64,
    /// Chunks kept by themselves.
    pub verbatim: u64,
    /// Bytes of all corrections.
    pub correction_bytes: u64,
    /// Plain bytes of the recalled chunks less their corrections' bytes.
    pub correction_savings: u64,
    /// BLAKE3 of the stream: what `b3sum` prints.
    pub content_hash: [u8; 32],
}

impl StreamingIngester {
    /// Configures an ingester into `store`.
    pub fn builder(store: &EngramStore) -> StreamingIngesterBuilder<'_> {
        StreamingIngesterBuilder::new(store)
    }

    pub(super) fn new(transaction: Transaction, file: FileInHand, path: Vec<u8>, message: String) -> Self {
        Self { transaction, file: Some(file), path, message }
    }

    /// Takes the file out for a step; it is put back only when the step succeeds.
    fn take(&mut self) -> Result<FileInHand> {
        self.file.take().ok_or_else(|| {
            Error::invalid(format!(
                "ingesting `{}` has failed before: begin another",
                self.path.escape_ascii()
            ))
        })
    }

    /// Gives the stream up; what was read so far is staged, so that the next attempt finds it.
    fn failed(&mut self, file: FileInHand, error: std::io::Error) -> Error {
        // The reader's error is the one to tell of; the store's own would show in the next attempt.
        let _ = self.transaction.abandon_file(file).and_then(|()| self.transaction.sync());
        Error::io(format_args!("reading the stream for `{}`", self.path.escape_ascii()), error)
    }

    /// Adds all that `reader` gives. Interrupted reads are tried again.
    ///
    /// # Errors
    /// `Io` when the reader fails; otherwise why an earlier step failed.
    pub fn ingest_reader(&mut self, mut reader: impl Read) -> Result<&mut Self> {
        let mut file = self.take()?;
        loop {
            match self.transaction.read_file(&mut file, &mut reader) {
                Ok(true) => {}
                Ok(false) => break,
                Err(Trouble::Reader(error)) => return Err(self.failed(file, error)),
                Err(Trouble::Ours(error)) => return Err(error),
            }
        }
        self.file = Some(file);
        Ok(self)
    }

    /// Adds all that a buffered reader gives, from its own buffer.
    ///
    /// # Errors
    /// As [`ingest_reader`](Self::ingest_reader).
    pub fn ingest_buffered(&mut self, mut reader: impl BufRead) -> Result<&mut Self> {
        let mut file = self.take()?;
        loop {
            let len = match reader.fill_buf() {
                Ok([]) => break,
                Ok(bytes) => {
                    self.transaction.write_file(&mut file, bytes)?;
                    bytes.len()
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.failed(file, error)),
            };
            reader.consume(len);
        }
        self.file = Some(file);
        Ok(self)
    }

    /// Adds bytes at hand.
    ///
    /// # Errors
    /// Why an earlier step failed.
    pub fn ingest_bytes(&mut self, bytes: &[u8]) -> Result<&mut Self> {
        let mut file = self.take()?;
        self.transaction.write_file(&mut file, bytes)?;
        self.file = Some(file);
        Ok(self)
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> StreamingProgress {
        self.transaction.progress()
    }

    /// Publishes the stream as the next version. Once it returns, power loss changes nothing.
    ///
    /// # Errors
    /// `Conflict` when a commit since `build` changed the same path; nothing is then published. `Invalid` when a step
    /// failed before.
    pub fn finalize(mut self) -> Result<StreamingResult> {
        let file = self.take()?;
        let summary = self.transaction.end_file(file)?;
        let published = self.transaction.commit(&self.message)?;
        let progress = published.progress;
        Ok(StreamingResult {
            path: self.path,
            bytes: summary.size,
            chunks: progress.chunks,
            version: published.version,
            reused: progress.reused,
            recalled: progress.recalled,
            verbatim: progress.verbatim,
            correction_bytes: progress.correction_bytes,
            correction_savings: progress.correction_savings,
            content_hash: summary.hash,
        })
    }
}
