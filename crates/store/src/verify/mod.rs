//! Verification: every record read and checked against the others; deep: every byte recomputed.

mod chunks;
mod versions;

use std::collections::HashSet;
use std::sync::Arc;

use crate::backend::Snapshot;
use crate::encryption::spare;
use crate::id_set::IdSet;
use crate::mark::CommitMark;
use crate::store::Inner;
use crate::tag::TagList;
use crate::{EngramStore, ErrorKind, Result, Space, lost};

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
        check.beside()?;
        check.chunks()?;
        check.versions(self, newest)?;
        check.tags(self)?;
        check.rest()?;
        Ok(check.report)
    }
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

    /// What lies beside the records.
    fn beside(&mut self) -> Result<()> {
        let store = self.store;
        store.backend.damage()?.into_iter().for_each(|line| self.found(line));
        let Some(mark) = &store.mark else { return Ok(()) };
        let head = store.head().clone();
        // As it is now, and not before that head.
        let mark = CommitMark::read(mark.directory())?;
        self.unless_damaged(mark.marked())?;
        mark.missing(head.as_ref()).into_iter().for_each(|line| self.found(line));
        spare::damage(mark.directory())?.into_iter().for_each(|line| self.found(line));
        Ok(())
    }

    /// What nothing above meets, and the next ingest or collection does.
    fn rest(&mut self) -> Result<()> {
        self.unless_damaged(lost::read(&*self.store.backend))?;
        for space in [Space::Meta, Space::Version, Space::Page, Space::Seen] {
            self.count(space, &|_| 0)?;
        }
        Ok(())
    }

    /// Tags name versions that are there.
    fn tags(&mut self, store: &EngramStore) -> Result<()> {
        let TagList { tags, damaged } = store.readable_tags()?;
        damaged.into_iter().for_each(|error| self.found(error));
        for tag in tags {
            if let Err(error) = store.version(tag.version) {
                self.found(error.within(format_args!("tag `{}`", tag.name.escape_debug())));
            }
        }
        Ok(())
    }
}
