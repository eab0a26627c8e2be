//! Dependents of a chunk: which files of which versions could not be read without it.

use std::collections::BTreeMap;

use crate::backend::KeyRange;
use crate::format::{Head, Superblock, id_of_key};
use crate::id_set::IdSet;
use crate::store::EngramStore;
use crate::tree::{Entry, difference};
use crate::{Error, Result, Space, unless_corrupt};

/// What is lost with some chunks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dependents {
    /// Chunks that can't be decoded without them, themselves included.
    pub chunks: u64,
    /// Files that can't be read in full, by path and version.
    pub files: Vec<DependentFile>,
}

/// A file that can't be read in full without some chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DependentFile {
    /// Its path.
    pub path: Vec<u8>,
    /// The version that last changed it, as its entry says.
    pub version: u64,
    /// The versions that have it, ascending; forgotten ones are not among them.
    pub versions: Vec<u64>,
}

impl EngramStore {
    /// What depends on these chunks, directly or because they are bases. Reads all heads and the trees of all versions,
    /// no content. Memory grows with the number of files found.
    ///
    /// # Errors
    /// `NotFound` when one is not stored and nothing is known to lean on it; `Corrupt` when a tree is damaged.
    pub fn dependents(&self, chunks: &[u64]) -> Result<Dependents> {
        let _alone = self.0.collect_alone();
        let mut lost = IdSet::default();
        let mut unknown: Vec<u64> = Vec::new();
        for &chunk in chunks {
            lost.insert(chunk);
            if let Some(None) = unless_corrupt(self.0.chunks.find_head(chunk))? {
                unknown.push(chunk);
            }
        }
        let snapshot = self.0.backend.snapshot()?;
        // Bases have smaller ids: one walk upwards finds all that lean on them.
        for record in snapshot.scan(Space::Head, KeyRange::default()) {
            let (key, record) = record?;
            let id = id_of_key(Space::Head, &key)?;
            // Of a damaged head it is not known what it leans on; it is lost by itself.
            let Ok(head) = Head::decode(id, &record, Superblock::MAX_CHUNK_BYTES) else { continue };
            if head.bases.iter().any(|&base| lost.contains(base)) {
                lost.insert(id);
            }
        }
        let files = self.files_of(&lost)?;
        let leaned_on = lost.len() > chunks.len() as u64;
        if let Some(chunk) = unknown.first().filter(|_| files.is_empty() && !leaned_on) {
            return Err(Error::not_found(format!("no chunk {chunk} is stored, and nothing needs it")));
        }
        Ok(Dependents { chunks: lost.len(), files })
    }

    pub(crate) fn files_of(&self, lost: &IdSet) -> Result<Vec<DependentFile>> {
        let mut found: BTreeMap<(Vec<u8>, u64), Vec<u64>> = BTreeMap::new();
        // Paths of the version at hand that are hit, with the versions that changed them.
        let mut hit: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        let mut before = None;
        for version in self.versions()?.into_iter().rev() {
            let (old, new) = (self.tree_of(before.as_ref()), self.tree_of(Some(&version)));
            difference(&old, &new, &mut |old, new| {
                if let Some(old) = old {
                    hit.remove(&old.path);
                }
                if let Some(new) = new
                    && self.is_hit(new, lost)?
                {
                    hit.insert(new.path.clone(), new.version);
                }
                Ok(())
            })?;
            for (path, changed) in &hit {
                found.entry((path.clone(), *changed)).or_default().push(version.number);
            }
            before = Some(version);
        }
        let file = |((path, version), versions)| DependentFile { path, version, versions };
        Ok(found.into_iter().map(file).collect())
    }

    fn is_hit(&self, entry: &Entry, lost: &IdSet) -> Result<bool> {
        let Some(file) = entry.file() else { return Ok(false) };
        let (mut pieces, mut offset) = (self.pieces(file), 0);
        while let Some((start, piece)) = pieces.at(offset)? {
            if lost.contains(piece.chunk) {
                return Ok(true);
            }
            offset = start + u64::from(piece.len);
        }
        Ok(false)
    }
}
