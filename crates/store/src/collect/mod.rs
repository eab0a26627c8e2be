//! Collection: frees what nothing that is kept needs, beside readers and writers (docs/decisions/0019).
//!
//! It **marks** what versions, readers and drafts refer to, and the bases of that; it **condemns** the rest, in one
//! step under the locks of committing and staging, so that nobody uses it again; it **re-bases** what old bases are
//! kept for alone, if that frees much; and it **sweeps**, greatest id first, so that whatever an interruption leaves
//! behind has its bases.

use std::sync::{Arc, MutexGuard, PoisonError};

use crate::codec::Compression;
use crate::format::{Forgotten, Version};
use crate::id_set::IdSet;
use crate::pin::{Condemned, DraftPins};
use crate::store::{EngramStore, Inner};
use crate::{Batch, Durability, Error, ErrorKind, Result, Space};

mod mark;
mod rebase;
mod rebase_pages;
mod seen;
mod sweep;

pub(crate) use mark::Marks;
use mark::{Kind, Needs};

/// How to collect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CollectOptions {
    /// How chunks that are coded anew are coded; give what the store is written with. Default: that of an ingest.
    pub compression: Compression,
    /// When more than this share of what would stay is there as bases only, what leans on it is coded anew.
    /// 0.0..=1.0, where 1 means never; default 0.1, so that a store is within 15 % of a fresh one.
    pub rebase_above: f64,
}

impl Default for CollectOptions {
    fn default() -> Self {
        Self { compression: Compression::default(), rebase_above: 0.1 }
    }
}

/// What a collection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CollectStep {
    /// Finding what is needed: versions.
    Marking,
    /// Coding chunks anew: chunk ids.
    Rebasing,
    /// Removing what is not needed: records.
    Sweeping,
    /// Giving space back to the medium.
    Compacting,
}

/// How far a collection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectProgress {
    /// What it is doing.
    pub step: CollectStep,
    /// How much of that is done.
    pub done: u64,
    /// How much there is to do.
    pub total: u64,
}

/// What a collection freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Collected {
    /// Versions that were forgotten since the last collection.
    pub versions: u64,
    /// Chunks removed.
    pub chunks: u64,
    /// Pages removed.
    pub pages: u64,
    /// References to removed chunks taken out of the recall index.
    pub recall_entries: u64,
    /// Features of removed chunks taken out of the search index.
    pub search_entries: u64,
    /// Files of which it was forgotten what the file system said.
    pub seen_entries: u64,
    /// Chunks and pages coded anew so that their bases could go.
    pub rebased: u64,
    /// Bytes of the removed chunks' and pages' records, and what coding anew saved or cost not counted.
    pub record_bytes: u64,
    /// Bytes on the medium before, everything counted.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
    /// Bytes of files, about, that hold what was removed and could not be given back yet: a reader of this process holds
    /// them, or the medium did not let them go. A later collection gives them back, if nothing else does.
    pub bytes_left: u64,
}

/// What a collection would free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Freeable {
    /// Chunks that nothing would need.
    pub chunks: u64,
    /// Pages that nothing would need.
    pub pages: u64,
    /// Bytes of their records.
    pub bytes: u64,
    /// Bytes that would stay as bases of others alone; some of them go when these are coded anew.
    pub bytes_as_bases: u64,
}

/// Whom to tell how far it is.
type OnProgress<'a> = dyn FnMut(CollectProgress) + 'a;

impl EngramStore {
    /// What [`collect`](Self::collect) would free if these versions were forgotten too.
    ///
    /// # Errors
    /// `Corrupt` when damage hides what is needed; `Io` or `Unavailable`.
    pub fn freeable(&self, without: &[u64]) -> Result<Freeable> {
        let _alone = self.0.collect_alone();
        let mut collection = Collection::new(self);
        collection.mark(without, &mut |_| {})?;
        let (chunks, pages) = (&collection.chunks, &collection.pages);
        Ok(Freeable {
            chunks: chunks.free.0,
            pages: pages.free.0,
            bytes: chunks.free.1 + pages.free.1,
            bytes_as_bases: chunks.base_bytes + pages.base_bytes,
        })
    }

    /// Frees what nothing that is kept needs. Runs beside readers and writers, one collection at a time; it can be
    /// interrupted at any point and run again.
    ///
    /// `on_progress` may read and write, but not collect or verify. What a reader or a draft in this process uses stays
    /// until a later collection. Memory: about seven bits for each
    /// chunk and page that the store ever gave an id to.
    ///
    /// # Errors
    /// `Invalid` when an option is out of its range or the store was opened for reading only; `Corrupt` when damage hides
    /// what is needed, and nothing was then removed, or keeps the space from being given back, as the message says; `Io` or `Unavailable`, and what was removed until then is
    /// gone, all else is there. Space that a full disk kept from being given back is an error, too: collect again when there is room.
    pub fn collect(&self, options: &CollectOptions, on_progress: &mut OnProgress<'_>) -> Result<Collected> {
        self.0.check_writable()?;
        options.compression.check()?;
        if !(0.0..=1.0).contains(&options.rebase_above) {
            return Err(Error::invalid(format!(
                "rebase_above {} is outside 0.0..=1.0",
                options.rebase_above
            )));
        }
        let store = &*self.0;
        let _alone = store.collect_alone();
        store.backend.flush()?;
        let mut report = Collected { bytes_before: self.stored_bytes()?, ..Collected::default() };
        let mut collection = Collection::new(self);
        collection.mark(&[], on_progress)?;
        collection.condemn(options, &mut report)?;
        // Whatever happens from here on, what is still there is sound, and may be used again.
        let _lifted = Lift(store);
        collection.rebase(options, &mut report, on_progress)?;
        collection.sweep(&mut report, on_progress)?;
        collection.settle(report.versions)?;
        on_progress(CollectProgress { step: CollectStep::Compacting, done: 0, total: 1 });
        store.backend.flush()?;
        report.bytes_left = store.backend.compact().map_err(still_takes_space)?;
        report.bytes_after = self.stored_bytes()?;
        Ok(report)
    }

    fn stored_bytes(&self) -> Result<u64> {
        Ok(self.0.backend.stored_bytes()? + self.0.bytes_beside())
    }
}

impl Inner {
    /// Keeps records from being removed.
    pub(crate) fn collect_alone(&self) -> MutexGuard<'_, ()> {
        self.collecting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What could not be given back to the medium, and until when.
fn still_takes_space(error: Error) -> Error {
    let until = match error.kind() {
        ErrorKind::Corrupt => "a repair",
        _ => "a collection that succeeds",
    };
    error.within(format_args!("what is not needed is gone, but takes its space until {until}"))
}

/// Lifts the condemnation when it is dropped.
struct Lift<'s>(&'s Inner);

impl Drop for Lift<'_> {
    fn drop(&mut self) {
        self.0.pins.state().condemn(None);
    }
}

/// One collection.
struct Collection<'s> {
    handle: &'s EngramStore,
    store: &'s Inner,
    /// Ids from here on are not collected: a draft may have staged them.
    chunks_below: u64,
    pages_below: u64,
    /// The greatest version marked, and the first chunk id not looked at.
    newest: u64,
    chunks_seen: u64,
    marks: Marks,
    chunks: Needs,
    pages: Needs,
    /// Drafts begun before the rest was condemned, if none of them was still under way.
    idle_since: Option<u64>,
    rebases_chunks: bool,
    rebases_pages: bool,
}

impl<'s> Collection<'s> {
    fn new(handle: &'s EngramStore) -> Self {
        Self {
            handle,
            store: &handle.0,
            chunks_below: 0,
            pages_below: 0,
            newest: 0,
            chunks_seen: 0,
            marks: Marks::default(),
            chunks: Needs::default(),
            pages: Needs::default(),
            idle_since: None,
            rebases_chunks: false,
            rebases_pages: false,
        }
    }

    /// Marks what is needed now; what comes to be needed until it is condemned is added then.
    fn mark(&mut self, without: &[u64], on_progress: &mut OnProgress<'_>) -> Result<()> {
        let store = self.store;
        let (versions, readers, drafts) = {
            let head = store.head();
            self.newest = head.as_ref().map_or(0, |head| head.number);
            let versions = self.handle.kept_versions(self.newest)?;
            let ids = store.ids();
            let state = store.pins.state();
            let (readers, drafts) = state.pinned();
            let next_page = store.pages.next();
            self.chunks_seen = ids.next;
            self.chunks_below = drafts.iter().map(|d| d.chunks_from).min().unwrap_or(ids.next).min(ids.next);
            self.pages_below = drafts.iter().map(|d| d.pages_from).min().unwrap_or(next_page).min(next_page);
            (versions, readers, drafts)
        };
        let kept: Vec<&Version> = versions.iter().filter(|v| !without.contains(&v.number)).collect();
        let total = kept.len() as u64;
        for (done, version) in kept.into_iter().enumerate() {
            on_progress(CollectProgress { step: CollectStep::Marking, done: done as u64, total });
            self.marks.version(store, version)?;
        }
        readers.iter().try_for_each(|pinned| self.marks.pinned(store, pinned))?;
        drafts.iter().try_for_each(|pins| self.marks.draft(store, pins))?;
        self.need_all()
    }

    /// What the marks need, by the records there are now.
    fn need_all(&mut self) -> Result<()> {
        let snapshot = self.store.backend.snapshot()?;
        self.chunks = Needs::of(Kind::Chunk, &*snapshot, &mut self.marks.chunks, self.chunks_below)?;
        self.pages = Needs::of(Kind::Page, &*snapshot, &mut self.marks.pages, self.pages_below)?;
        Ok(())
    }

    /// Adds what came to be needed since, and publishes what does not: in one step for whoever commits or stages.
    fn condemn(&mut self, options: &CollectOptions, report: &mut Collected) -> Result<()> {
        let store = self.store;
        let head = store.head();
        let ids = store.ids();
        for number in self.newest + 1..=head.as_ref().map_or(0, |head| head.number) {
            // What was forgotten in the meantime is kept by whoever holds it, or not at all.
            if !store.pins.state().forgotten.contains(number) {
                self.marks.version(store, &crate::versions::stored_version(store, number)?)?;
            }
        }
        for base in Needs::young_bases(Kind::Chunk, store, self.chunks_seen)? {
            self.marks.chunks.insert(base);
        }
        // From the first that was young: a page has its id before it is written.
        for base in Needs::young_bases(Kind::Page, store, self.pages_below)? {
            self.marks.pages.insert(base);
        }
        loop {
            let (readers, drafts) = store.pins.state().pinned();
            readers.iter().try_for_each(|pinned| self.marks.pinned(store, pinned))?;
            drafts.iter().try_for_each(|pins| self.marks.draft(store, pins))?;
            let new: Vec<u64> =
                self.marks.chunks.iter().filter(|&id| !self.chunks.ids.contains(id)).collect();
            new.into_iter().try_for_each(|id| self.chunks.add(Kind::Chunk, store, id))?;
            let new: Vec<u64> = self.marks.pages.iter().filter(|&id| !self.pages.ids.contains(id)).collect();
            new.into_iter().try_for_each(|id| self.pages.add(Kind::Page, store, id))?;

            let mut state = store.pins.state();
            // A content may have been pinned since the pins were read; chunks can't, without the staging lock.
            if state.drafts().any(|draft| !self.covers(draft)) {
                continue;
            }
            self.idle_since = state.idle();
            report.versions = state.forgotten.uncollected;
            let much = |needs: &Needs| needs.base_bytes as f64 > options.rebase_above * needs.bytes as f64;
            (self.rebases_chunks, self.rebases_pages) = (much(&self.chunks), much(&self.pages));
            state.condemn(Some(self.condemned()));
            drop(ids);
            return Ok(());
        }
    }

    /// All but what is needed; where bases are to go, all but what is marked.
    fn condemned(&self) -> Arc<Condemned> {
        let kept = |needs: &Needs, marked: &IdSet, rebases| {
            if rebases { marked.clone() } else { needs.ids.clone() }
        };
        Arc::new(Condemned {
            chunks_below: self.chunks_below,
            chunks_kept: kept(&self.chunks, &self.marks.chunks, self.rebases_chunks),
            pages_below: self.pages_below,
            pages_kept: kept(&self.pages, &self.marks.pages, self.rebases_pages),
        })
    }

    /// Codes anew what leans on bases that nothing else needs.
    fn rebase(
        &mut self,
        options: &CollectOptions,
        report: &mut Collected,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<()> {
        if self.rebases_chunks {
            self.rebase_chunks(options, report, on_progress)?;
        }
        if self.rebases_pages {
            self.rebase_pages(report)?;
        }
        if self.rebases_chunks || self.rebases_pages {
            // A base stays where what leans on it could not be coded anew.
            self.need_all()?;
            (self.rebases_chunks, self.rebases_pages) = (false, false);
            self.store.pins.state().condemn(Some(self.condemned()));
        }
        Ok(())
    }

    fn covers(&self, draft: &DraftPins) -> bool {
        // What is needed as a base only goes when it is re-based.
        draft.chunks.iter().all(|id| self.marks.chunks.contains(id))
            && draft.lists.iter().all(|id| self.marks.walked.contains(id))
    }

    /// The forgotten versions are collected.
    fn settle(&self, versions: u64) -> Result<()> {
        if versions == 0 {
            return Ok(());
        }
        let _head = self.store.head();
        let mut forgotten = self.store.pins.state().forgotten.clone();
        forgotten.uncollected = forgotten.uncollected.saturating_sub(versions);
        let mut batch = Batch::new();
        batch.put(Space::Meta, Forgotten::KEY, forgotten.encode());
        self.store.backend.write(batch, Durability::Durable)?;
        self.store.pins.state().forgotten = forgotten;
        Ok(())
    }
}
