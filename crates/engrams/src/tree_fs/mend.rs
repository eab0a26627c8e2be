//! The bytes of lost chunks, from files that still have them.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use engrams_store::LostPiece;

use super::{TreeEvent, TreeOptions, TreeSummary, ingest_tree};
use crate::{EngramStore, Error, Result, Transaction};

/// Looks in the directory `dir` for the bytes of chunks of `store` that a repair found lost, and stores them again under
/// the same ids; nothing else is stored, and no version is made. What needs these chunks can then be read again.
///
/// They are found in two ways: the directory is cut as an ingest of it would be, which finds chunks in files that have
/// changed elsewhere since; and files that are as they were give the bytes of their pieces, however they were cut. Memory:
/// the lost chunks of which some bytes were found and others not yet.
///
/// # Errors
/// As [`ingest_tree`]. What can't be read is in the summary.
pub fn mend(store: &EngramStore, dir: &Path, on_event: &mut dyn FnMut(TreeEvent<'_>)) -> Result<TreeSummary> {
    let mut transaction = Transaction::mending(store)?;
    let options = TreeOptions { force_read: true, ..TreeOptions::default() };
    let summary = ingest_tree(&mut transaction, dir, b"mended", &options, on_event)?;
    transaction.finish_mending()?;
    let mut pieces = Vec::new();
    for lost in store.lost_pieces()? {
        if store.chunk(lost.piece.chunk).is_err() {
            pieces.push(lost);
        }
    }
    if !pieces.is_empty() {
        Assembly::new(store, &pieces).directory(dir.to_owned())?;
    }
    Ok(summary)
}

/// Lost chunks that are put together from pieces of whole files.
struct Assembly<'s> {
    store: &'s EngramStore,
    sizes: HashSet<u64>,
    /// What each file has, by its hash.
    wanted: HashMap<[u8; 32], Vec<LostPiece>>,
    chunks: HashMap<u64, Partial>,
}

/// A chunk of which some bytes are known.
struct Partial {
    bytes: Vec<u8>,
    known: Vec<bool>,
}

impl<'s> Assembly<'s> {
    fn new(store: &'s EngramStore, pieces: &[LostPiece]) -> Self {
        let mut wanted: HashMap<_, Vec<LostPiece>> = HashMap::new();
        for &piece in pieces {
            wanted.entry(piece.hash).or_default().push(piece);
        }
        Self { store, sizes: pieces.iter().map(|lost| lost.size).collect(), wanted, chunks: HashMap::new() }
    }

    /// Goes through a directory; what can't be read gives nothing, and links are not followed.
    fn directory(&mut self, dir: PathBuf) -> Result<()> {
        let mut pending = vec![dir];
        while let Some(dir) = pending.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                let Ok(data) = entry.metadata() else { continue };
                if data.is_dir() {
                    pending.push(entry.path());
                } else if data.is_file() && self.sizes.contains(&data.len()) {
                    self.file(&entry.path())?;
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<()> {
        let hash = |file: &File| -> io::Result<[u8; 32]> {
            let mut hasher = blake3::Hasher::new();
            io::copy(&mut &*file, &mut hasher)?;
            Ok(*hasher.finalize().as_bytes())
        };
        let Ok(file) = File::open(path) else { return Ok(()) };
        let Ok(hash) = hash(&file) else { return Ok(()) };
        for lost in self.wanted.remove(&hash).unwrap_or_default() {
            let mut bytes = vec![0; lost.piece.len as usize];
            if file.read_exact_at(&mut bytes, lost.offset).is_ok() {
                self.piece(lost, &bytes)?;
            }
        }
        Ok(())
    }

    fn piece(&mut self, lost: LostPiece, bytes: &[u8]) -> Result<()> {
        let id = lost.piece.chunk;
        let len = self.store.chunk_head(id)?.len as usize;
        let empty = || Partial { bytes: vec![0; len], known: vec![false; len] };
        let partial = self.chunks.entry(id).or_insert_with(empty);
        let from = lost.piece.start as usize;
        let range = from..from + bytes.len();
        let beyond = || Error::corrupt(format!("a piece reaches past the end of chunk {id}"));
        partial.bytes.get_mut(range.clone()).ok_or_else(beyond)?.copy_from_slice(bytes);
        partial.known.get_mut(range).ok_or_else(beyond)?.fill(true);
        if partial.known.contains(&false) {
            return Ok(());
        }
        let Some(Partial { bytes, .. }) = self.chunks.remove(&id) else { return Ok(()) };
        let draft = self.store.draft()?;
        // Bytes that are not the chunk's have another name, and mend nothing.
        let name = *blake3::hash(&bytes).as_bytes();
        self.store.staging(draft.reuse()).mend(&name, &bytes)?;
        Ok(())
    }
}
