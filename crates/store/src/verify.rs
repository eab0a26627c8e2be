//! Verification: every record read and checked against the others; deep: every byte recomputed.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use engrams_core::{Dimension, Engram, Gear, Sample};

use crate::backend::{KeyRange, Snapshot};
use crate::error::unless_corrupt;
use crate::format::{Head, Superblock, Version, id_key, id_of_key};
use crate::id_set::IdSet;
use crate::staging::ids_in;
use crate::store::Inner;
use crate::sums::SumChanges;
use crate::trace::{Traces, bytes_of};
use crate::tree::{Entry, FileNode, Piece, Tree, difference_past};
use crate::{EngramStore, Error, ErrorKind, Result, Space, feature_log, recall, search};

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
    /// Checks the whole store, all that can be read of it. Damage is in the report; only what keeps it from being
    /// checked is an error.
    ///
    /// # Errors
    /// `Io` or `Unavailable` when the database can't be read at all.
    pub fn verify(
        &self,
        options: VerifyOptions,
        on_progress: &mut dyn FnMut(VerifyProgress),
    ) -> Result<VerifyReport> {
        let store = &self.0;
        // What is read here must not be collected meanwhile.
        let _alone = store.collect_alone();
        let newest = store.head().as_ref().map_or(0, |head| head.number);
        let mut check = Verification {
            store,
            deep: options.deep,
            snapshot: store.backend.snapshot()?,
            report: VerifyReport::default(),
            damaged: HashSet::new(),
            lost: store.lost.ids(),
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
fn recall_keys(gear: &Gear, plain: &[u8]) -> Vec<u32> {
    feature_log::keys(&recall::smallest_features(gear, plain))
}

/// What is stored of the version before, if it is known: later versions are checked against it.
struct Known {
    engram: Option<Engram>,
    list: u64,
    sums: BTreeMap<Vec<u8>, Sample>,
}

struct Verification<'s> {
    store: &'s Arc<Inner>,
    deep: bool,
    snapshot: Box<dyn Snapshot + 's>,
    report: VerifyReport,
    /// Chunks that can't be decoded, by themselves or for a base.
    damaged: HashSet<u64>,
    /// Chunks that a repair found lost.
    lost: IdSet,
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

    /// What is damaged is named and passed over.
    fn unless_damaged<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported) => {
                self.found(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn chunks(&mut self) -> Result<()> {
        let mut recalled = self.recall_index()?;
        let searched = self.search_index()?;
        let mut from = Vec::new();
        let mut unread = 0;
        // Scanned in runs, so that the scan does not hold what the checks need.
        loop {
            let range = KeyRange { from: &from, ..KeyRange::default() };
            let heads: Vec<_> = self.snapshot.scan(Space::Head, range).take(1024).collect();
            let last = heads.iter().rev().find_map(|head| head.as_ref().ok());
            let next = last.map(|(key, _)| [key.as_slice(), &[0]].concat());
            for head in heads {
                let Some((key, record)) = self.unless_damaged(head)? else {
                    unread += 1;
                    continue;
                };
                self.report.chunks += 1;
                let checked = id_of_key(Space::Head, &key).and_then(|id| {
                    self.chunk(id, &record, &mut recalled).inspect_err(|_| {
                        self.damaged.insert(id);
                    })
                });
                let checked = self.unless_damaged(checked)?;
                if self.deep && checked.is_some() {
                    let searchable =
                        id_of_key(Space::Head, &key).and_then(|id| self.searchable(id, &searched));
                    self.unless_damaged(searchable)?;
                }
                self.step();
            }
            let Some(next) = next else { break };
            from = next;
        }
        let names = self.count(Space::Name, &|value| ids_in(Some(value)).len() as u64)?;
        let payloads = self.count(Space::Payload, &|_| 1)?;
        // Where some can't be read, their number says nothing.
        let chunks = (unread == 0).then_some(self.report.chunks);
        if let (Some(chunks), Some(names)) = (chunks, names)
            && names != chunks
        {
            self.found(format!("the name index has {names} entries for {chunks} chunks"));
        }
        if let (Some(chunks), Some(payloads)) = (chunks, payloads)
            && payloads != chunks
        {
            self.found(format!("there are {payloads} payloads for {chunks} chunks"));
        }
        if self.deep && self.damaged.is_empty() && unread == 0 && !recalled.is_empty() {
            let wrong = recalled.len();
            self.found(format!("the recall index has wrong entries of {wrong} chunks"));
        }
        Ok(())
    }

    /// `None` when some can't be read, which is reported.
    fn count(&mut self, space: Space, of: &dyn Fn(&[u8]) -> u64) -> Result<Option<u64>> {
        let (mut unread, mut sum) = (Vec::new(), 0);
        for record in self.snapshot.scan(space, KeyRange::default()) {
            match record {
                Ok((_, value)) => sum += of(&value),
                Err(error) => unread.push(error),
            }
        }
        let is_whole = unread.is_empty();
        unread.into_iter().try_for_each(|error| self.unless_damaged::<()>(Err(error)).map(drop))?;
        Ok(is_whole.then_some(sum))
    }

    fn chunk(&self, id: u64, record: &[u8], recalled: &mut Recalled) -> Result<()> {
        let damaged = |why: &str| Err(Error::corrupt(format!("chunk {id}: {why}")));
        let head = Head::decode(id, record, Superblock::MAX_CHUNK_BYTES)?;
        if self.lost.contains(id) && unless_corrupt(self.store.chunks.plain(id))?.is_none() {
            return damaged("it is lost, until a repair or an ingest finds its bytes");
        }
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
        let name = self.store.index_keys.name(&head.name);
        if !ids_in(self.snapshot.get(Space::Name, &name)?.as_deref()).contains(&id) {
            return damaged("the name index does not know it");
        }
        if self.deep {
            let plain = self.store.chunks.plain(id)?;
            let keys = recall_keys(&self.store.gear, &plain);
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
            match record.and_then(|(key, value)| recall::LOG.decode(&key, &value)) {
                Ok(entries) if self.deep => {
                    entries.iter().for_each(|entry| recalled.entry(entry.chunk).or_default().push(entry.key));
                }
                Ok(_) => {}
                Err(error) => unreadable.push(error),
            }
        }
        unreadable.into_iter().try_for_each(|error| self.unless_damaged::<()>(Err(error)).map(drop))?;
        Ok(recalled)
    }

    /// Reads the search index; if deep, returns all of it, by chunk: nine bytes for each KiB of new data, about.
    fn search_index(&mut self) -> Result<Vec<Searched>> {
        let (mut searched, mut unreadable) = (Vec::new(), Vec::new());
        for record in self.snapshot.scan(Space::Search, KeyRange::default()) {
            match record.and_then(|(key, value)| search::LOG.decode(&key, &value)) {
                Ok(entries) if self.deep => {
                    searched.extend(entries.iter().map(|entry| (entry.chunk, entry.key)));
                }
                Ok(_) => {}
                Err(error) => unreadable.push(error),
            }
        }
        unreadable.into_iter().try_for_each(|error| self.unless_damaged::<()>(Err(error)).map(drop))?;
        searched.sort_unstable();
        Ok(searched)
    }

    /// A search finds the chunk by what winnowing selects in it, and by nothing that is not in it.
    fn searchable(&mut self, id: u64, searched: &[Searched]) -> Result<()> {
        let known = &searched[searched.partition_point(|entry| entry.0 < id)..];
        let known = &known[..known.partition_point(|entry| entry.0 == id)];
        let plain = self.store.chunks.plain(id)?;
        let keys = search::all_keys(&self.store.gear, &plain);
        if known.iter().any(|(_, key)| keys.binary_search(key).is_err()) {
            return Err(Error::corrupt(format!("the search index has wrong entries of chunk {id}")));
        }
        let bases = &self.store.chunks.head(id)?.bases;
        let bases: Vec<_> = bases.iter().map(|&base| self.store.chunks.plain(base)).collect::<Result<_>>()?;
        let bases: Vec<&[u8]> = bases.iter().map(|base| &base[..]).collect();
        let window = self.store.superblock.search_window;
        let wanted = search::keys_of(&self.store.gear, &plain, &bases, window);
        if wanted.iter().any(|key| known.binary_search(&(id, *key)).is_err()) {
            self.lacking.insert(id);
        }
        Ok(())
    }

    fn versions(&mut self, store: &EngramStore, newest: u64) -> Result<()> {
        let mut before = store.tree_of(None);
        let engram = Some(Engram::new(Dimension::ENGRAM));
        let mut known = Known { engram, list: 0, sums: BTreeMap::new() };
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
                    match self.version(store, &before, &tree, &version, &mut known, &mut traces) {
                        Err(error) if error.kind() == ErrorKind::NotFound => continue,
                        Err(error) => {
                            known.engram = None;
                            let error = error.within(format_args!("version {number}"));
                            self.unless_damaged::<()>(Err(error))?;
                        }
                        Ok(()) => {}
                    }
                    before = tree;
                }
                Err(error) => drop(self.unless_damaged::<()>(Err(error))?),
            }
            self.step();
        }
        Ok(())
    }

    /// Tags name versions that are there.
    fn tags(&mut self, store: &EngramStore) -> Result<()> {
        for tag in self.unless_damaged(store.tags())?.unwrap_or_default() {
            if let Err(error) = store.version(tag.version) {
                self.found(error.within(format_args!("tag `{}`", tag.name.escape_debug())));
            }
        }
        Ok(())
    }

    /// Checks what `new` has and `old`, checked before, has not. `known` is what is stored of `old`.
    fn version(
        &mut self,
        store: &EngramStore,
        old: &Tree,
        new: &Tree,
        version: &Version,
        known: &mut Known,
        traces: &mut Traces,
    ) -> Result<()> {
        let good = self.report.errors.len();
        let mut changes = SumChanges::default();
        let number = version.number;
        let (mut damage, is_known) = (Vec::new(), Cell::new(known.engram.is_some()));
        let visited = difference_past(
            old,
            new,
            &mut |old, new| {
                let file = new.and_then(|entry| Some((entry, entry.file()?)));
                if let Some((entry, file)) = file {
                    self.report.files += 1;
                    let checked = self.file(store, file).map_err(|error| {
                        error.within(format_args!("`{}` of version {number}", entry.path.escape_ascii()))
                    });
                    self.unless_damaged(checked)?;
                }
                let changed = old.and_then(Entry::file).map(|f| f.hash) != file.map(|(_, f)| f.hash);
                if self.deep
                    && changed
                    && self.report.errors.len() == good
                    && let (Some(engram), Some(entry)) = (known.engram.as_mut(), old.or(new))
                {
                    let mut tally = store.tally(old.and_then(Entry::file));
                    if let Some((_, file)) = file {
                        tally.push_all(traces, file)?;
                    }
                    match unless_corrupt(tally.finish(traces))? {
                        Some(Some(change)) => {
                            engram.merge(change.engram());
                            changes.add(&entry.path, Some(change.sample()));
                        }
                        Some(None) => {}
                        // Of the old content: it was named when it was checked.
                        None => is_known.set(false),
                    }
                }
                Ok(())
            },
            &mut |is_old, error| {
                is_known.set(false);
                // Likewise.
                if !is_old {
                    damage.push(error);
                }
                Ok(())
            },
        );
        damage.into_iter().for_each(|error| self.found(error.within(format_args!("version {number}"))));
        visited?;
        let stored = self.store.engram(version)?;
        let is_known = is_known.get() && self.damaged.is_empty() && self.report.errors.len() == good;
        let compare = self.deep && is_known;
        if compare && known.engram.as_ref().is_some_and(|engram| *engram != stored) {
            self.found(format!("version {number}: its engram is not the sum of its files'"));
        }
        self.sums(compare, (old, new), version, known, &changes)?;
        // Later versions are checked against what is stored, so that one error is reported once.
        known.engram = (self.report.errors.len() == good).then_some(stored);
        Ok(())
    }

    /// Each kept sample can be read; compared: it is that of its directory.
    fn sums(
        &mut self,
        compare: bool,
        (old, new): (&Tree, &Tree),
        version: &Version,
        known: &mut Known,
        changes: &SumChanges,
    ) -> Result<()> {
        if known.list == version.sums && known.list != 0 && old.root() == new.root() {
            return Ok(());
        }
        let before = std::mem::take(&mut known.sums);
        known.list = version.sums;
        for (directory, page) in self.store.sums(version.sums)?.pages() {
            let stored = self.store.sum(page)?;
            let expected = match (before.get(directory), changes.of(directory)) {
                _ if !compare => None,
                (_, None) => None,
                (Some(before), Some(change)) => Some((before.clone(), change)),
                (None, Some(change)) => Some((self.store.count_sample(old, directory)?, change)),
            };
            if let Some((mut expected, change)) = expected {
                expected.merge(&change);
                if !expected.agrees_with(&stored) {
                    let directory = directory.escape_ascii();
                    self.found(format!(
                        "version {}: the sum of `{directory}` is not that of its files",
                        version.number
                    ));
                }
            }
            known.sums.insert(directory.to_vec(), stored);
        }
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
