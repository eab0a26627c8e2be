//! What the search index takes of a store with a version history, by building the store with it and all but without.

use std::path::Path;

use engrams::store::Superblock;
use engrams::tree_fs::{TreeOptions, ingest_tree};
use engrams::{EngramStore, IngestOptions, OpenOptions, Transaction};
use serde::Serialize;

use crate::Outcome;

#[derive(Serialize)]
pub(crate) struct Cost {
    pub(crate) versions: usize,
    pub(crate) stored_bytes: u64,
    /// The same with one feature for each MiB.
    pub(crate) without_bytes: u64,
    /// Of the records of the index.
    pub(crate) record_bytes: u64,
}

pub(crate) fn measure(versions: &[&str], scratch: &Path) -> Outcome<Cost> {
    let (stored_bytes, record_bytes) = build(versions, &scratch.join("with"), 2048)?;
    let (without_bytes, _) = build(versions, &scratch.join("without"), 1 << 20)?;
    Ok(Cost { versions: versions.len(), stored_bytes, without_bytes, record_bytes })
}

fn build(versions: &[&str], directory: &Path, window: u32) -> Outcome<(u64, u64)> {
    let superblock = Superblock { search_window: window, ..Superblock::default() };
    let options = OpenOptions { superblock, ..OpenOptions::default() };
    for version in versions {
        let store = EngramStore::open_with(directory, &options, true)?;
        let mut transaction = Transaction::begin(&store, &IngestOptions::default())?;
        ingest_tree(&mut transaction, Path::new(version), b"tree", &TreeOptions::new(), &mut |_| {})?;
        transaction.commit("")?;
        store.close()?;
    }
    let store = EngramStore::open(directory)?;
    let stats = store.stats()?;
    store.close()?;
    drop(store);
    Ok((size(directory)?, stats.search_bytes))
}

fn size(directory: &Path) -> Outcome<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(sum)
}
