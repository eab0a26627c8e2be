//! The indexes by name and for recall, computed anew from heads and chunks where they are damaged; and payloads that
//! belong to no chunk.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Repair;
use crate::backend::KeyRange;
use crate::error::unless_corrupt;
use crate::format::{Head, Superblock, id_of_key};
use crate::id_set::IdSet;
use crate::staging::{ids_in, name_entry};
use crate::{Batch, Durability, Result, Space, feature_log, lost, recall, search};

/// Bytes of changes that are written at once.
const BATCH_BYTES: usize = 1 << 20;

impl Repair<'_, '_> {
    pub(super) fn indexes(&mut self, lost: &IdSet) -> Result<()> {
        let heads = self.names()?;
        self.stale_names(&heads)?;
        self.orphans(&heads)?;
        self.recall(&heads, lost)?;
        self.search(&heads, lost)
    }

    fn write(&self, batch: &mut Batch, at_least: usize) -> Result<()> {
        if batch.is_empty() || batch.bytes() < at_least {
            return Ok(());
        }
        self.store.backend.write(std::mem::take(batch), Durability::Staged)
    }

    /// Every chunk is found by its name; returns which chunks there are.
    fn names(&mut self) -> Result<IdSet> {
        let (mut heads, mut batch) = (IdSet::default(), Batch::new());
        let store = Arc::clone(self.store);
        let snapshot = store.backend.snapshot()?;
        for record in snapshot.scan(Space::Head, KeyRange::default()) {
            let Some((key, record)) = unless_corrupt(record)? else { continue };
            let id = id_of_key(Space::Head, &key)?;
            let Some(head) = unless_corrupt(Head::decode(id, &record, Superblock::MAX_CHUNK_BYTES))? else {
                continue;
            };
            heads.insert(id);
            let key = lost::key_of(&store.index_keys, &head);
            let entry = unless_corrupt(store.backend.get(Space::Name, &key))?.flatten();
            let mut ids = ids_in(entry.as_deref());
            if !ids.contains(&id) {
                self.report.found(format!("chunk {id}: the name index did not know it"));
                ids.push(id);
                ids.sort_unstable_by(|a, b| b.cmp(a));
                // At once: the next chunk may have the same key.
                batch.put(Space::Name, key, name_entry(&ids));
                self.write(&mut batch, 0)?;
                self.report.rebuilt += 1;
            }
        }
        Ok(heads)
    }

    /// No name leads to a chunk that is not there or has another name.
    fn stale_names(&mut self, heads: &IdSet) -> Result<()> {
        let mut batch = Batch::new();
        let store = Arc::clone(self.store);
        let snapshot = store.backend.snapshot()?;
        for record in snapshot.scan(Space::Name, KeyRange::default()) {
            let Some((key, value)) = self.report.unless_damaged(record)? else { continue };
            let ids = ids_in(Some(&value));
            let mut good = Vec::new();
            let distinct: BTreeSet<u64> = ids.iter().copied().collect();
            for &id in distinct.iter().rev().filter(|&&id| heads.contains(id)) {
                if lost::key_of(&store.index_keys, &*store.chunks.head(id)?)[..] == key[..] {
                    good.push(id);
                }
            }
            if good.len() != ids.len() {
                self.report.rebuilt += 1;
                if good.is_empty() {
                    batch.delete(Space::Name, key);
                } else {
                    batch.put(Space::Name, key, name_entry(&good));
                }
                self.write(&mut batch, BATCH_BYTES)?;
            }
        }
        self.write(&mut batch, 0)
    }

    /// Payloads without a head are of no use to anyone.
    fn orphans(&mut self, heads: &IdSet) -> Result<()> {
        let mut batch = Batch::new();
        let store = Arc::clone(self.store);
        let snapshot = store.backend.snapshot()?;
        for record in snapshot.scan(Space::Payload, KeyRange::default()) {
            let Some((key, _)) = unless_corrupt(record)? else { continue };
            if !heads.contains(id_of_key(Space::Payload, &key)?) {
                self.report.found(format!("a payload without a head: {}", key.escape_ascii()));
                batch.delete(Space::Payload, key);
                self.write(&mut batch, BATCH_BYTES)?;
            }
        }
        self.write(&mut batch, 0)
    }

    /// Damage was met, which may have taken entries with it, or chunks came back whose entries are gone.
    fn may_lack_entries(&self) -> bool {
        self.has_revived || !self.report.damage.is_empty()
    }

    /// Recall records can be read and name chunks that are there; where any damage was met, chunks that are in no record
    /// are entered again.
    fn recall(&mut self, heads: &IdSet, lost: &IdSet) -> Result<()> {
        let (mut entered, mut stale, mut batch) = (IdSet::default(), false, Batch::new());
        let store = Arc::clone(self.store);
        let snapshot = store.backend.snapshot()?;
        for record in snapshot.scan(Space::Recall, KeyRange::default()) {
            let Some((key, value)) = self.report.unless_damaged(record)? else { continue };
            match self.report.unless_damaged(recall::LOG.decode(&key, &value))? {
                Some(entries) => entries.iter().for_each(|entry| {
                    entered.insert(entry.chunk);
                    stale |= !heads.contains(entry.chunk);
                }),
                None => drop(batch.delete(Space::Recall, key)),
            }
        }
        drop(snapshot);
        self.write(&mut batch, 0)?;
        let is_damaged = self.may_lack_entries();
        if is_damaged {
            for id in heads.iter().filter(|&id| !entered.contains(id) && !lost.contains(id)) {
                self.enter(id, &mut batch)?;
            }
        }
        if is_damaged || stale {
            recall::LOG.rewrite(&*store.backend, |entry| {
                heads.contains(entry.chunk) && !lost.contains(entry.chunk)
            })?;
        }
        Ok(())
    }

    /// Enters a chunk under its features, unless whoever would find it finds its base.
    fn enter(&mut self, id: u64, batch: &mut Batch) -> Result<()> {
        let head = self.store.chunks.head(id)?;
        if let Some(&base) = head.bases.last() {
            let near = recall::rank(&self.store.chunks, &head.vector, std::iter::once(base))?;
            if near.iter().any(recall::Candidate::is_twin) {
                return Ok(());
            }
        }
        let plain = self.store.chunks.plain(id)?;
        let features = recall::smallest_features(&self.store.gear, &plain);
        let keys = feature_log::keys(&features);
        let entries = recall::LOG.enter(&*self.store.backend, batch, &keys, id, false)?;
        self.report.rebuilt += u64::from(!entries.is_empty());
        self.write(batch, 0)
    }

    /// Search records can be read and name chunks that are there; where any damage was met, every chunk is found by what
    /// winnowing selects in it.
    fn search(&mut self, heads: &IdSet, lost: &IdSet) -> Result<()> {
        let (mut stale, mut batch) = (false, Batch::new());
        let store = Arc::clone(self.store);
        let snapshot = store.backend.snapshot()?;
        for record in snapshot.scan(Space::Search, KeyRange::default()) {
            let Some((key, value)) = self.report.unless_damaged(record)? else { continue };
            match self.report.unless_damaged(search::LOG.decode(&key, &value))? {
                Some(entries) => stale |= entries.iter().any(|entry| !heads.contains(entry.chunk)),
                None => drop(batch.delete(Space::Search, key)),
            }
        }
        drop(snapshot);
        self.write(&mut batch, 0)?;
        if !self.may_lack_entries() && !stale {
            return Ok(());
        }
        // Those of lost chunks stay: who mends what they lean on makes them readable, and does not see them.
        search::LOG.rewrite(&*store.backend, |entry| heads.contains(entry.chunk))?;
        for id in heads.iter().filter(|&id| !lost.contains(id)) {
            let (plain, mut bases) = (store.chunks.plain(id)?, Vec::new());
            for &base in &store.chunks.head(id)?.bases {
                bases.push(store.chunks.plain(base)?);
            }
            let bases: Vec<&[u8]> = bases.iter().map(|base| &base[..]).collect();
            let keys = search::keys_of(&store.gear, &plain, &bases, store.superblock.search_window);
            search::LOG.enter(&*store.backend, &mut batch, &keys, id, false)?;
            self.write(&mut batch, 0)?;
        }
        Ok(())
    }
}
