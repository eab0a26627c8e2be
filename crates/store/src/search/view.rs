//! What searches look at: the index in memory, which chunks lean on which, and the files of kept versions. Made once,
//! shared by all searches until a version comes or goes.

use std::sync::{Arc, Mutex, PoisonError};

use super::LOG;
use super::files::{Files, Occurrence, SearchedContent, StoredName};
use super::postings::Postings;
use super::runs::Runs;
use crate::backend::KeyRange;
use crate::format::{Head, Superblock, Version, id_of_key};
use crate::pin::Pin;
use crate::store::EngramStore;
use crate::{Error, ErrorKind, Result, Space};

/// What a search looks at. While it is there, nothing that it names is collected.
///
/// Memory, shared by all views of a store until a version is committed or forgotten: 9 bytes for each feature in the
/// index (about 9 for each KiB of new data at the usual density), 12 for each chunk and 8 for each base, and for each content some 150 with its
/// paths, 24 for each of its pieces.
pub struct SearchView {
    tables: Arc<Tables>,
    /// One for each version.
    _pins: Vec<Pin>,
}

/// The tables of one set of versions.
pub(crate) struct Tables {
    versions: Vec<Version>,
    postings: Postings,
    chunks: u64,
    bases: Links,
    leaning: Links,
    files: Files,
}

/// From ids to ids.
#[derive(Default)]
struct Links {
    /// Ascending; the other end of each is at its place in `to`.
    from: Vec<u32>,
    to: Vec<u32>,
    runs: Runs,
}

impl Links {
    /// Of pairs in any order.
    fn new(mut pairs: Vec<(u32, u32)>) -> Self {
        pairs.sort_unstable();
        let (from, to): (Vec<u32>, Vec<u32>) = pairs.into_iter().unzip();
        Self { runs: Runs::new(&from, |&id| id), from, to }
    }

    fn of(&self, id: u32) -> &[u32] {
        &self.to[self.runs.find(&self.from, |&from| from, id)]
    }
}

/// How often a view is made again when versions are forgotten while it is made.
const TRIES: usize = 10;

impl EngramStore {
    /// What a search looks at, of all kept versions. The first call after a version was committed or forgotten reads
    /// the search index, all chunks' heads and all versions' trees (pages that versions share once); later ones
    /// share what it made.
    ///
    /// # Errors
    /// `Corrupt` when a tree is damaged; `Io` or `Unavailable`.
    pub fn search_view(&self) -> Result<SearchView> {
        let mut tried = 0;
        loop {
            tried += 1;
            let mut versions = self.versions()?;
            versions.reverse();
            // A version that was forgotten meanwhile can't be pinned, or its pages are gone.
            let pins: Option<Vec<Pin>> =
                versions.iter().map(|version| self.0.pins.version(version)).collect();
            let Some(pins) = pins else {
                if tried < TRIES {
                    continue;
                }
                return Err(Error::not_found("versions are being forgotten: search again"));
            };
            let mut cached = self.0.search.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(tables) = cached.as_ref().filter(|tables| tables.versions == versions) {
                return Ok(SearchView { tables: Arc::clone(tables), _pins: pins });
            }
            match self.tables(versions) {
                Err(error) if error.kind() == ErrorKind::NotFound && tried < TRIES => {}
                Err(error) => return Err(error),
                Ok(tables) => {
                    let tables = Arc::new(tables);
                    *cached = Some(Arc::clone(&tables));
                    return Ok(SearchView { tables, _pins: pins });
                }
            }
        }
    }

    fn tables(&self, versions: Vec<Version>) -> Result<Tables> {
        let mut entries = Vec::new();
        LOG.each(&*self.0.backend, &mut |record| {
            entries.extend(record.iter().filter_map(|entry| Postings::pack(entry.key, entry.chunk)));
        })?;
        let (mut bases, mut chunks) = (Vec::new(), 0);
        let snapshot = self.0.backend.snapshot()?;
        for record in snapshot.scan(Space::Head, KeyRange::default()) {
            let (key, record) = record?;
            let id = id_of_key(Space::Head, &key)?;
            chunks += 1;
            // Of a damaged head it is not known what it leans on: less is found.
            let (Ok(head), Ok(id)) =
                (Head::decode(id, &record, Superblock::MAX_CHUNK_BYTES), u32::try_from(id))
            else {
                continue;
            };
            bases.extend(head.bases.iter().filter_map(|&base| Some((id, u32::try_from(base).ok()?))));
        }
        drop(snapshot);
        let leaning = Links::new(bases.iter().map(|&(id, base)| (base, id)).collect());
        let files = Files::read(self, &versions)?;
        Ok(Tables {
            versions,
            postings: Postings::new(entries),
            chunks,
            bases: Links::new(bases),
            leaning,
            files,
        })
    }
}

impl SearchView {
    /// The chunks entered under each of these keys, ascending.
    #[must_use]
    pub fn chunks_with(&self, keys: &[u32]) -> Vec<&[u32]> {
        self.tables.postings.find(keys)
    }

    /// Chunks in the store.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.tables.chunks
    }

    /// Entries of the index.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.tables.postings.len()
    }

    /// The chunks that a chunk is a correction of.
    #[must_use]
    pub fn bases(&self, chunk: u32) -> &[u32] {
        self.tables.bases.of(chunk)
    }

    /// The chunks that are corrections of a chunk, ascending.
    #[must_use]
    pub fn leaning_on(&self, chunk: u32) -> &[u32] {
        self.tables.leaning.of(chunk)
    }

    /// Where in which contents a chunk's bytes are.
    #[must_use]
    pub fn occurrences(&self, chunk: u32) -> &[Occurrence] {
        self.tables.files.of_chunk(chunk)
    }

    /// A content by its number; contents are numbered in the order of versions, then paths.
    #[must_use]
    pub fn content(&self, number: u32) -> Option<&SearchedContent> {
        self.tables.files.contents.get(number as usize)
    }

    /// The number of the content with this BLAKE3.
    #[must_use]
    pub fn content_with(&self, hash: &[u8; 32]) -> Option<u32> {
        self.tables.files.by_hash.get(hash).copied()
    }

    /// What a content is called in versions that pass, by path.
    #[must_use]
    pub fn names(&self, content: u32, passes: &dyn Fn(u64) -> bool) -> Vec<StoredName> {
        self.tables.files.names(content, passes)
    }
}

/// The tables made last.
pub(crate) type Cached = Mutex<Option<Arc<Tables>>>;
