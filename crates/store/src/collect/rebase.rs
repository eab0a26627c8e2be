//! Re-basing: chunks whose bases nothing else needs are coded anew, against what stays or by themselves.
//!
//! A chunk keeps its id, its name and its bytes; only how they are coded changes, head and payload in one batch. Chunks
//! are taken in the order of their ids, so that each leans on what was dealt with before it. Those that come later and
//! lean on it may, until it is their turn, need more chunks than the store allows: a chunk that is a base itself is
//! therefore given few bases, and none is made deeper than it was (docs/decisions/0019).

use std::sync::Arc;

use engrams_core::CorrectionPolicy;

use super::{CollectOptions, CollectProgress, CollectStep, Collected, Collection, OnProgress};
use crate::backend::KeyRange;
use crate::chunk::Plain;
use crate::codec::Encoder;
use crate::format::{Coding, Head, Superblock, id_key, id_of_key};
use crate::id_set::IdSet;
use crate::recall::{self, Candidate};
use crate::splice::Splice;
use crate::staging::MOST_RECALLED;
use crate::{Batch, Durability, Error, Result, Space, feature_log, search, unless_corrupt};

/// Most chunks that a re-based chunk which is a base itself may need.
const BASE_CLOSURE: usize = 3;
/// Heads read at once.
const RUN: usize = 256;

/// A new coding of a chunk.
struct Recoded {
    head: Head,
    payload: Vec<u8>,
    /// It is so like its base that whoever would find it finds the base.
    is_twin: bool,
    /// Keys that the search index needs for it, now that its bases are others.
    search: Vec<u32>,
}

impl Collection<'_> {
    /// Codes anew every marked chunk that leans on one which is not.
    pub(super) fn rebase_chunks(
        &self,
        options: &CollectOptions,
        report: &mut Collected,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<()> {
        let snapshot = self.store.backend.snapshot()?;
        let (mut from, to) = (Vec::new(), id_key(self.chunks_below));
        let mut touched = IdSet::default();
        let mut successor = None;
        loop {
            let range = KeyRange { from: &from, to: Some(&to), ..KeyRange::default() };
            let run: Vec<_> = snapshot.scan(Space::Head, range).take(RUN).collect::<Result<_>>()?;
            let Some((last, _)) = run.last() else { return Ok(()) };
            let done = id_of_key(Space::Head, last)?;
            from = [last.as_slice(), &[0]].concat();
            for (key, record) in run {
                let id = id_of_key(Space::Head, &key)?;
                if !self.marks.chunks.contains(id) {
                    continue;
                }
                let head = Head::decode(id, &record, Superblock::MAX_CHUNK_BYTES)?;
                let leans = head.bases.iter().any(|&base| !self.marks.chunks.contains(base));
                if !leans && !head.bases.iter().any(|&base| touched.contains(base)) {
                    continue;
                }
                touched.insert(id);
                let outcome = if !leans && self.still_fits(id, &head)? {
                    self.refresh_depth(id, &head)
                } else {
                    self.recode(id, &head, &mut successor, options)
                };
                // A chunk that can't be decoded keeps its bases.
                if unless_corrupt(outcome)?.is_some() {
                    report.rebased += 1;
                }
            }
            on_progress(CollectProgress { step: CollectStep::Rebasing, done, total: self.chunks_below });
        }
    }

    /// The chunk's bases, some of them coded anew, are within the store's limits.
    fn still_fits(&self, id: u64, head: &Head) -> Result<bool> {
        let mut closure = Vec::new();
        if unless_corrupt(self.store.chunks.closure(id, &mut closure))?.is_none() {
            return Ok(false);
        }
        let limit = usize::from(self.store.superblock.max_closure);
        Ok(closure.len() <= limit && self.depth_over(&head.bases)? <= head.depth)
    }

    fn depth_over(&self, bases: &[u64]) -> Result<u8> {
        let mut depth = 0;
        for &base in bases {
            depth = depth.max(self.store.chunks.head(base)?.depth.saturating_add(1));
        }
        Ok(depth)
    }

    fn refresh_depth(&self, id: u64, head: &Head) -> Result<()> {
        let depth = self.depth_over(&head.bases)?;
        if depth == head.depth {
            return Ok(());
        }
        let head = Head { depth, ..head.clone() };
        let mut batch = Batch::new();
        batch.put(Space::Head, id_key(id), head.encode(id));
        self.write(batch, id, head)
    }

    fn write(&self, batch: Batch, id: u64, head: Head) -> Result<()> {
        self.store.backend.write(batch, Durability::Staged)?;
        self.store.chunks.replace_head(id, Arc::new(head));
        Ok(())
    }

    fn recode(
        &self,
        id: u64,
        head: &Head,
        successor: &mut Option<u64>,
        options: &CollectOptions,
    ) -> Result<()> {
        let store = self.store;
        let plain = store.chunks.plain(id)?;
        let features = recall::smallest_features(&store.gear, &plain);
        let ranked = self.candidates(id, head, &features, *successor)?;
        // What no chunk leans on may lean on as many as the store allows.
        let is_base = self.chunks.bases.contains(id);
        let free = usize::from(store.superblock.max_closure);
        let mut closure = if is_base || !self.is_idle() { BASE_CLOSURE.min(free) } else { free };
        loop {
            let recoded = self.code(&plain, head, &ranked, closure, options)?;
            let mut ids = store.ids();
            if closure > BASE_CLOSURE && !self.is_idle() {
                // A draft that began meanwhile may lean on it already.
                closure = BASE_CLOSURE;
                continue;
            }
            *successor = recoded.head.bases.last().map(|base| base + 1);
            let mut batch = Batch::new();
            batch.put(Space::Head, id_key(id), recoded.head.encode(id));
            batch.put(Space::Payload, id_key(id), recoded.payload);
            let mut entries = Vec::new();
            if !recoded.is_twin {
                let keys = feature_log::keys(&features);
                entries = recall::LOG.enter(&*store.backend, &mut batch, &keys, id, true)?;
            }
            search::LOG.enter(&*store.backend, &mut batch, &recoded.search, id, false)?;
            self.write(batch, id, recoded.head)?;
            ids.index(store)?.note(&entries);
            return Ok(());
        }
    }

    /// No draft was under way at any time since the rest was condemned.
    fn is_idle(&self) -> bool {
        self.idle_since.is_some() && self.store.pins.state().idle() == self.idle_since
    }

    /// Older chunks that stay and resemble this one, nearest first.
    fn candidates(
        &self,
        id: u64,
        head: &Head,
        features: &[u64],
        successor: Option<u64>,
    ) -> Result<Vec<Candidate>> {
        let store = self.store;
        let mut ids = store.ids().index(store)?.recent(features, |_| true, MOST_RECALLED);
        store.chunks.wide_closure(id, &mut ids)?;
        ids.extend(successor);
        let stay = ids.into_iter().filter(|&other| other < id && self.marks.chunks.contains(other));
        let mut ranked = recall::rank(&store.chunks, &head.vector, stay)?;
        ranked.retain(|candidate| candidate.head.depth < head.depth);
        Ok(ranked)
    }

    /// The best coding of a chunk against at most two of `ranked` that together need `closure` chunks at most.
    fn code(
        &self,
        plain: &[u8],
        old: &Head,
        ranked: &[Candidate],
        closure: usize,
        options: &CollectOptions,
    ) -> Result<Recoded> {
        let policy = CorrectionPolicy::default();
        let mut bases: Vec<(&Candidate, Plain)> = Vec::new();
        let mut needed: Vec<u64> = Vec::new();
        for candidate in ranked {
            if bases.len() == policy.max_bases {
                break;
            }
            let mut wider = needed.clone();
            if !wider.contains(&candidate.id) {
                wider.push(candidate.id);
            }
            let fits = unless_corrupt(self.store.chunks.closure(candidate.id, &mut wider))?
                .is_some_and(|()| wider.len() <= closure);
            if !fits {
                continue;
            }
            if let Some(plain) = unless_corrupt(self.store.chunks.plain(candidate.id))? {
                bases.push((candidate, plain));
                needed = wider;
            }
        }
        // The nearest comes last, as in an ingest.
        let plains: Vec<&[u8]> = bases.iter().rev().map(|(_, plain)| &plain[..]).collect();
        let (splice, prefix) = (Splice::find(plain, &plains), plains.concat());
        let mut encoder = Encoder::new(options.compression)?;
        let (coding, alone) = encoder.verbatim(plain)?;
        let recoded = |coding, bases: Vec<u64>, depth, payload: Vec<u8>, is_twin| {
            let head = Head {
                coded_len: payload.len() as u32,
                coding,
                depth,
                bases,
                payload_check: Head::check_for(&old.name, coding, &payload),
                ..old.clone()
            };
            let leaned = if head.bases.is_empty() { &[] } else { &plains[..] };
            let window = self.store.superblock.search_window;
            let search = search::keys_of(&self.store.gear, plain, leaned, window);
            Recoded { head, payload, is_twin, search }
        };
        let (Some((nearest, _)), Some(deepest)) =
            (bases.first(), bases.iter().map(|(c, _)| c.head.depth).max())
        else {
            return Ok(recoded(coding, Vec::new(), 0, alone, false));
        };
        let (corrected, correction) = match &splice {
            Some(splice) => (Coding::Splice, encoder.splice(splice)?),
            None => (Coding::Zstd, encoder.correction(plain, &prefix)?),
        };
        if !policy.accepts(correction.len(), alone.len(), deepest.into()) {
            return Ok(recoded(coding, Vec::new(), 0, alone, false));
        }
        let depth =
            deepest.checked_add(1).ok_or_else(|| Error::corrupt("a chain of corrections is too long"))?;
        let ids = bases.iter().rev().map(|(candidate, _)| candidate.id).collect();
        Ok(recoded(corrected, ids, depth, correction, nearest.is_twin()))
    }
}
