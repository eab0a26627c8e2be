//! Sweeping: condemned records go, greatest id first. A batch that is lost is lost with all that came after it, so
//! whatever is left after an interruption has all its bases.

use super::mark::Kind;
use super::{CollectProgress, CollectStep, Collected, Collection, OnProgress};
use crate::backend::{KeyRange, Snapshot};
use crate::format::{Head, Superblock, id_key, id_of_key};
use crate::staging::{ids_in, name_entry};
use crate::{Batch, Durability, Result, Space, recall, search};

/// A record that goes, by its id.
type Condemned = (u64, Vec<u8>);

/// Records removed by one batch.
const RUN: usize = 256;

impl Collection<'_> {
    /// Removes what is condemned.
    pub(super) fn sweep(&self, report: &mut Collected, on_progress: &mut OnProgress<'_>) -> Result<()> {
        let store = self.store;
        let total = self.chunks.free.0 + self.pages.free.0;
        on_progress(CollectProgress { step: CollectStep::Sweeping, done: 0, total });
        let gone = |id: u64| id < self.chunks_below && !self.chunks.ids.contains(id);
        if self.chunks.free.0 > 0 {
            // Before the chunks: no entry outlives what it names.
            let mut ids = store.ids();
            let rewritten = recall::LOG.rewrite(&*store.backend, |entry| !gone(entry.chunk))?;
            report.recall_entries = rewritten.removed as u64;
            // It is read again when somebody asks.
            ids.recall = None;
        }
        let snapshot = store.backend.snapshot()?;
        let mut unnamed = false;
        let mut done = 0;
        self.each_run(&*snapshot, Kind::Chunk, &mut |run| {
            done += run.len() as u64;
            on_progress(CollectProgress { step: CollectStep::Sweeping, done, total });
            self.remove_chunks(run, report, &mut unnamed)
        })?;
        if unnamed {
            self.remove_names(&*snapshot)?;
        }
        self.remove_search_entries(&gone, report)?;
        self.each_run(&*snapshot, Kind::Page, &mut |run| {
            done += run.len() as u64;
            on_progress(CollectProgress { step: CollectStep::Sweeping, done, total });
            self.remove_pages(run, report)
        })?;
        if self.idle_since.is_some() {
            report.seen_entries = self.sweep_seen(&*snapshot)?;
        }
        Ok(())
    }

    /// Takes removed chunks out of the search index. After the chunks: one that is left by an interruption, and used
    /// again, has its entries; and what names a chunk that is gone finds nothing.
    fn remove_search_entries(&self, gone: &dyn Fn(u64) -> bool, report: &mut Collected) -> Result<()> {
        let backend = &*self.store.backend;
        let mut stale = false;
        search::LOG.each(backend, &mut |entries| stale |= entries.iter().any(|entry| gone(entry.chunk)))?;
        if stale {
            let _ids = self.store.ids();
            let rewritten = search::LOG.rewrite(backend, |entry| !gone(entry.chunk))?;
            report.search_entries = rewritten.removed as u64;
        }
        Ok(())
    }

    /// Calls `remove` for runs of condemned records, greatest id first.
    fn each_run(
        &self,
        snapshot: &dyn Snapshot,
        kind: Kind,
        remove: &mut dyn FnMut(&[Condemned]) -> Result<()>,
    ) -> Result<()> {
        let (needed, below) = match kind {
            Kind::Chunk => (&self.chunks, self.chunks_below),
            Kind::Page => (&self.pages, self.pages_below),
        };
        let to = id_key(below);
        let mut run = Vec::new();
        for record in
            snapshot.scan(kind.space(), KeyRange { to: Some(&to), descending: true, ..KeyRange::default() })
        {
            let Some((key, value)) = kind.unless_passed(record)? else { continue };
            let id = id_of_key(kind.space(), &key)?;
            if needed.ids.contains(id) {
                continue;
            }
            run.push((id, value));
            if run.len() == RUN {
                remove(&std::mem::take(&mut run))?;
            }
        }
        if run.is_empty() { Ok(()) } else { remove(&run) }
    }

    fn remove_chunks(&self, run: &[Condemned], report: &mut Collected, unnamed: &mut bool) -> Result<()> {
        let store = self.store;
        // The staging lock guards names.
        let _ids = store.ids();
        let mut batch = Batch::new();
        let mut names: std::collections::BTreeMap<Vec<u8>, Vec<u64>> = std::collections::BTreeMap::new();
        for (id, record) in run {
            batch.delete(Space::Head, id_key(*id)).delete(Space::Payload, id_key(*id));
            report.record_bytes += (8 + record.len()) as u64;
            let Ok(head) = Head::decode(*id, record, Superblock::MAX_CHUNK_BYTES) else {
                *unnamed = true;
                continue;
            };
            report.record_bytes += 8 + u64::from(head.coded_len);
            let key = store.index_keys.name(&head.name).to_vec();
            if !names.contains_key(&key) {
                let ids = ids_in(store.backend.get(Space::Name, &key)?.as_deref());
                names.insert(key.clone(), ids);
            }
            if let Some(ids) = names.get_mut(&key) {
                ids.retain(|other| other != id);
            }
        }
        for (key, ids) in names {
            put_name(&mut batch, &key, &ids);
        }
        store.backend.write(batch, Durability::Staged)?;
        report.chunks += run.len() as u64;
        let ids: Vec<u64> = run.iter().map(|(id, _)| *id).collect();
        store.chunks.remove(&ids);
        Ok(())
    }

    /// Takes condemned chunks out of all names: for those whose own name could not be read.
    fn remove_names(&self, snapshot: &dyn Snapshot) -> Result<()> {
        for record in snapshot.scan(Space::Name, KeyRange::default()) {
            let (key, _) = record?;
            let _ids = self.store.ids();
            let ids = ids_in(self.store.backend.get(Space::Name, &key)?.as_deref());
            let kept: Vec<u64> = ids
                .iter()
                .copied()
                .filter(|&id| id >= self.chunks_below || self.chunks.ids.contains(id))
                .collect();
            if kept.len() < ids.len() {
                let mut batch = Batch::new();
                put_name(&mut batch, &key, &kept);
                self.store.backend.write(batch, Durability::Staged)?;
            }
        }
        Ok(())
    }

    fn remove_pages(&self, run: &[Condemned], report: &mut Collected) -> Result<()> {
        let mut batch = Batch::new();
        for (id, record) in run {
            batch.delete(Space::Page, id_key(*id));
            report.record_bytes += (8 + record.len()) as u64;
        }
        self.store.backend.write(batch, Durability::Staged)?;
        report.pages += run.len() as u64;
        let ids: Vec<u64> = run.iter().map(|(id, _)| *id).collect();
        self.store.pages.remove(&ids);
        Ok(())
    }
}

fn put_name(batch: &mut Batch, key: &[u8], ids: &[u64]) {
    if ids.is_empty() {
        batch.delete(Space::Name, key);
        return;
    }
    batch.put(Space::Name, key, name_entry(ids));
}
