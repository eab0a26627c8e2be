//! Verification: every record read and checked against the others; deep: every byte recomputed.

use std::collections::{HashMap, HashSet};

use engrams_core::{Dimension, Engram, bottom_k, features_of, is_recall};

use crate::backend::{KeyRange, Snapshot};
use crate::format::{Head, Superblock, Version, id_key, id_of_key};
use crate::staging::{ids_in, name_key};
use crate::store::Inner;
use crate::trace::{Traces, bytes_of};
use crate::tree::{Entry, FileNode, Piece, Tree, difference};
use crate::{EngramStore, Error, ErrorKind, RECALL_FEATURES, Result, Space, feature_log, recall, search};

/// How thoroughly to verify.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerifyOptions {
    /// Decode every chunk and every file of every version, and recompute hashes, indexes and engrams. Otherwise:
    /// every record and its check, every reference, no decoding.
    pub deep: bool,
}

/// How far a verification is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Chunks and versions checked.
    pub done: u64,
    /// Chunks and versions to check.
    pub total: u64,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Chunks checked.
    pub chunks: u64,
    /// File versions checked: each file once for each version that changed it.
    pub files: u64,
    /// Versions checked.
    pub versions: u64,
    /// One line for each damage: which record or chunk, and which file of which version needs it.
    pub errors: Vec<String>,
}

impl VerifyReport {
    /// Nothing is damaged.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.errors.is_empty()
    }
}

/// Versions in a row that can't be read; after these the rest is given up.
const MAX_MISSING: u64 = 1000;
/// More lines than this help no one.
const MAX_ERRORS: usize = 10_000;

impl EngramStore {
    /// Checks the whole store. Damage is in the report; only what keeps it from being checked is an error.
    ///
    /// # Errors
    /// `Io` or `Unavailable` when the database can't be read at all.
    pub fn verify(
        &self,
        options: VerifyOptions,
        on_progress: &mut dyn FnMut(VerifyProgress),
    ) -> Result<VerifyReport> {
        let store = &*self.0;
        // What is read here must not be collected meanwhile.
        let _alone = store.collect_alone();
        let newest = store.head().as_ref().map_or(0, |head| head.number);
        let mut check = Verification {
            store,
            deep: options.deep,
            snapshot: store.backend.snapshot()?,
            report: VerifyReport::default(),
            damaged: HashSet::new(),
            lacking: HashSet::new(),
            progress: VerifyProgress { done: 0, total: newest.saturating_add(store.ids().next) },
            on_progress,
        };
        check.chunks()?;
        check.versions(self, newest)?;
        check.tags(self)?;
        Ok(check.report)
    }
}

/// What the recall index says: for each chunk the keys of its features.
type Recalled = HashMap<u64, Vec<u32>>;

/// An entry of the search index: a chunk and a key.
type Searched = (u64, u32);

/// The keys under which a chunk may be in the recall index.
fn recall_keys(plain: &[u8]) -> Vec<u32> {
    let mut features = Vec::new();
    features_of(plain, &mut features);
    features.retain(|&f| is_recall(f));
    feature_log::keys(&bottom_k(&features, RECALL_FEATURES))
}

struct Verification<'s> {
    store: &'s Inner,
    deep: bool,
    snapshot: Box<dyn Snapshot + 's>,
    report: VerifyReport,
    /// Chunks that can't be decoded, by themselves or for a base.
    damaged: HashSet<u64>,
    /// Chunks that a search may miss: no damage to those that a collection was about to remove.
    lacking: HashSet<u64>,
    progress: VerifyProgress,
    on_progress: &'s mut dyn FnMut(VerifyProgress),
}

impl Verification<'_> {
    fn found(&mut self, error: impl ToString) {
        if self.report.errors.len() < MAX_ERRORS {
            self.report.errors.push(error.to_string());
        }
    }

    fn step(&mut self) {
        self.progress.done += 1;
        if self.progress.done.is_multiple_of(64) || self.progress.done == self.progress.total {
            (self.on_progress)(self.progress);
        }
    }

    fn chunks(&mut self) -> Result<()> {
        let mut recalled = self.recall_index()?;
        let searched = self.search_index()?;
        let mut from = Vec::new();
        // Scanned in runs, so that the scan does not hold what the checks need.
        loop {
            let range = KeyRange { from: &from, ..KeyRange::default() };
            let heads: Vec<_> = self.snapshot.scan(Space::Head, range).take(1024).collect::<Result<_>>()?;
            let Some((last, _)) = heads.last() else { break };
            from = [last.as_slice(), &[0]].concat();
            for (key, record) in heads {
                self.report.chunks += 1;
                let checked = id_of_key(Space::Head, &key).and_then(|id| {
                    self.chunk(id, &record, &mut recalled).inspect_err(|_| {
                        self.damaged.insert(id);
                    })
                });
                if let (Ok(()), true) = (&checked, self.deep)
                    && let Err(error) =
                        id_of_key(Space::Head, &key).and_then(|id| self.searchable(id, &searched))
                {
                    self.found(error);
                }
                if let Err(error) = checked {
                    self.found(error);
                }
                self.step();
            }
        }
        let names = self.count(Space::Name, &|value| ids_in(Some(value)).len() as u64)?;
        if names != self.report.chunks {
            self.found(format!("the name index has {names} entries for {} chunks", self.report.chunks));
        }
        let payloads = self.count(Space::Payload, &|_| 1)?;
        if payloads != self.report.chunks {
            self.found(format!("there are {payloads} payloads for {} chunks", self.report.chunks));
        }
        if self.deep && self.damaged.is_empty() && !recalled.is_empty() {
            let wrong = recalled.len();
            self.found(format!("the recall index has wrong entries of {wrong} chunks"));
        }
        Ok(())
    }

    fn count(&self, space: Space, of: &dyn Fn(&[u8]) -> u64) -> Result<u64> {
        self.snapshot.scan(space, KeyRange::default()).try_fold(0, |sum, record| Ok(sum + of(&record?.1)))
    }

    fn chunk(&self, id: u64, record: &[u8], recalled: &mut Recalled) -> Result<()> {
        let damaged = |why: &str| Err(Error::corrupt(format!("chunk {id}: {why}")));
        let head = Head::decode(id, record, Superblock::MAX_CHUNK_BYTES)?;
        let mut deepest = None;
        for &base in &head.bases {
            if self.damaged.contains(&base) {
                return damaged(&format!("its base {base} is damaged"));
            }
            deepest = deepest.max(Some(self.store.chunks.head(base)?.depth));
        }
        // More is what an interrupted re-basing leaves.
        if deepest.is_some_and(|depth| depth >= head.depth) {
            return damaged("its depth is not more than its deepest base's");
        }
        let mut closure = Vec::new();
        self.store.chunks.wide_closure(id, &mut closure)?;
        if closure.len() > self.store.chunks.reach() || head.depth > self.store.superblock.max_depth {
            return damaged("it needs more chunks than the store allows");
        }
        let Some(payload) = self.snapshot.get(Space::Payload, &id_key(id))? else {
            return damaged("it has no payload");
        };
        if payload.len() as u64 != u64::from(head.coded_len) || Head::check_of(&payload) != head.payload_check
        {
            return damaged("its payload is damaged");
        }
        if !ids_in(self.snapshot.get(Space::Name, name_key(&head.name))?.as_deref()).contains(&id) {
            return damaged("the name index does not know it");
        }
        if self.deep {
            let plain = self.store.chunks.plain(id)?;
            let keys = recall_keys(&plain);
            if recalled.get(&id).is_some_and(|known| known.iter().all(|key| keys.contains(key))) {
                recalled.remove(&id);
            }
        }
        Ok(())
    }

    /// Reads the recall index; if deep, returns what it says of each chunk. It is bounded, so this is too.
    fn recall_index(&mut self) -> Result<Recalled> {
        let mut recalled = Recalled::new();
        let mut unreadable = Vec::new();
        for record in self.snapshot.scan(Space::Recall, KeyRange::default()) {
            let (key, value) = record?;
            match recall::LOG.decode(&key, &value) {
                Ok(entries) if self.deep => {
                    entries.iter().for_each(|entry| recalled.entry(entry.chunk).or_default().push(entry.key));
                }
                Ok(_) => {}
                Err(error) => unreadable.push(error),
            }
        }
        unreadable.into_iter().for_each(|error| self.found(error));
        Ok(recalled)
    }

    /// Reads the search index; if deep, returns all of it, by chunk: nine bytes for each KiB of new data, about.
    fn search_index(&mut self) -> Result<Vec<Searched>> {
        let (mut searched, mut unreadable) = (Vec::new(), Vec::new());
        for record in self.snapshot.scan(Space::Search, KeyRange::default()) {
            let (key, value) = record?;
            match search::LOG.decode(&key, &value) {
                Ok(entries) if self.deep => {
                    searched.extend(entries.iter().map(|entry| (entry.chunk, entry.key)));
                }
                Ok(_) => {}
                Err(error) => unreadable.push(error),
            }
        }
        unreadable.into_iter().for_each(|error| self.found(error));
        searched.sort_unstable();
        Ok(searched)
    }

    /// A search finds the chunk by what winnowing selects in it, and by nothing that is not in it.
    fn searchable(&mut self, id: u64, searched: &[Searched]) -> Result<()> {
        let known = &searched[searched.partition_point(|entry| entry.0 < id)..];
        let known = &known[..known.partition_point(|entry| entry.0 == id)];
        let plain = self.store.chunks.plain(id)?;
        let keys = search::all_keys(&plain);
        if known.iter().any(|(_, key)| keys.binary_search(key).is_err()) {
            return Err(Error::corrupt(format!("the search index has wrong entries of chunk {id}")));
        }
        let window = self.store.superblock.search_window;
        let mut wanted = search::selected_keys(&plain, window);
        for &base in &self.store.chunks.head(id)?.bases {
            let found = search::selected_keys(&self.store.chunks.plain(base)?, window);
            wanted.retain(|key| found.binary_search(key).is_err());
        }
        if wanted.iter().any(|key| known.binary_search(&(id, *key)).is_err()) {
            self.lacking.insert(id);
        }
        Ok(())
    }

    fn versions(&mut self, store: &EngramStore, newest: u64) -> Result<()> {
        let mut before = store.tree_of(None);
        let mut engram = Engram::new(Dimension::ENGRAM);
        let mut traces = Traces::default();
        let mut missing = 0;
        let state = self.store.pins.state();
        if let Err(damage) = state.check() {
            self.found(damage);
        }
        let forgotten = state.forgotten.clone();
        drop(state);
        let mut next = 1;
        while next <= newest {
            let number = next;
            // In one step, for a forged record may name more than there is time for.
            if let Some(last) = forgotten.run_end(number) {
                next = last + 1;
                continue;
            }
            next += 1;
            let version = store.version(number);
            // Forgotten since this began.
            if version.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                continue;
            }
            self.report.versions += 1;
            missing = if version.is_ok() { 0 } else { missing + 1 };
            if missing > MAX_MISSING {
                self.found(format!("version {number} and the following can't be read"));
                break;
            }
            match version {
                Ok(version) => {
                    // Held, so that forgetting it now does not matter.
                    let tree = store.tree_of(Some(&version));
                    match self.version(store, &before, &tree, &version, &mut engram, &mut traces) {
                        Err(error) if error.kind() == ErrorKind::NotFound => continue,
                        Err(error) => self.found(error.within(format_args!("version {number}"))),
                        Ok(()) => {}
                    }
                    before = tree;
                }
                Err(error) => self.found(error),
            }
            self.step();
        }
        Ok(())
    }

    /// Tags name versions that are there.
    fn tags(&mut self, store: &EngramStore) -> Result<()> {
        let tags = match store.tags() {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                self.found(error);
                return Ok(());
            }
            other => other?,
        };
        for tag in tags {
            if let Err(error) = store.version(tag.version) {
                self.found(error.within(format_args!("tag `{}`", tag.name.escape_debug())));
            }
        }
        Ok(())
    }

    fn version(
        &mut self,
        store: &EngramStore,
        old: &Tree,
        new: &Tree,
        version: &Version,
        engram: &mut Engram,
        traces: &mut Traces,
    ) -> Result<()> {
        let good = self.report.errors.len();
        difference(old, new, &mut |old, new| {
            let file = new.and_then(|entry| Some((entry, entry.file()?)));
            if let Some((entry, file)) = file {
                self.report.files += 1;
                if let Err(error) = self.file(store, file) {
                    let path = entry.path.escape_ascii();
                    self.found(error.within(format_args!("`{path}` of version {}", version.number)));
                }
            }
            let changed = old.and_then(Entry::file).map(|f| f.hash) != file.map(|(_, f)| f.hash);
            if self.deep && changed && self.report.errors.len() == good {
                let mut tally = store.tally(old.and_then(Entry::file));
                if let Some((_, file)) = file {
                    tally.push_all(traces, file)?;
                }
                if let Some(change) = tally.finish(traces)? {
                    engram.merge(&change);
                }
            }
            Ok(())
        })?;
        let stored = self.store.engram(version)?;
        if self.deep && self.damaged.is_empty() && self.report.errors.len() == good && stored != *engram {
            self.found(format!("version {}: its engram is not the sum of its files'", version.number));
        }
        // Later versions are checked against what is stored, so that one error is reported once.
        *engram = stored;
        Ok(())
    }

    fn file(&mut self, store: &EngramStore, file: &FileNode) -> Result<()> {
        let mut hasher = blake3::Hasher::new();
        each_piece(store, file, &mut |piece| {
            if self.damaged.contains(&piece.chunk) {
                return Err(Error::corrupt(format!("chunk {} is damaged", piece.chunk)));
            }
            if self.lacking.remove(&piece.chunk) {
                self.found(format!("the search index lacks entries of chunk {}", piece.chunk));
            }
            let head = self.store.chunks.head(piece.chunk)?;
            if u64::from(piece.start) + u64::from(piece.len) > u64::from(head.len) {
                return Err(Error::corrupt(format!("a piece reaches past the end of chunk {}", piece.chunk)));
            }
            if self.deep {
                hasher.update(bytes_of(&self.store.chunks.plain(piece.chunk)?, piece)?);
            }
            Ok(())
        })?;
        if self.deep && *hasher.finalize().as_bytes() != file.hash {
            return Err(Error::corrupt("its content does not match its hash"));
        }
        Ok(())
    }
}

fn each_piece(
    store: &EngramStore,
    file: &FileNode,
    visit: &mut dyn FnMut(Piece) -> Result<()>,
) -> Result<()> {
    let mut pieces = store.pieces(file);
    let mut offset = 0;
    while let Some((start, piece)) = pieces.at(offset)? {
        offset = start + u64::from(piece.len);
        visit(piece)?;
    }
    Ok(())
}
