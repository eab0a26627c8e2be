//! Staging: the one place where chunks get their ids, in order, and are looked for before they do.
//!
//! Only one [`Staging`] exists at a time in a store, so two ingesters never give one name two ids. What is staged is
//! invisible to readers until a commit refers to it; what no commit ever refers to is found again by name.

use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::sync::{Arc, MutexGuard};

use crate::feature_log::{self, Entry};
use crate::format::{Coding, Head, id_key, put_varint};
use crate::pin::Reuse;
use crate::recall::{RECALL_FEATURES, RecallIndex};
use crate::store::Inner;
use crate::{Batch, Durability, Error, Reader, Result, Space, lost, recall, search, unless_corrupt};

/// Chunks recalled for one. More share too little to be a base, and each costs the reading of a head.
pub const MOST_RECALLED: usize = 16;

/// What the store keeps of ids: guarded by the staging lock.
pub(crate) struct Ids {
    /// The next chunk id.
    pub(crate) next: u64,
    /// Ids from here to `leftover_end` were staged by a process that never committed them.
    pub(crate) leftover_start: u64,
    pub(crate) leftover_end: u64,
    /// The recall index, once it was asked.
    pub(crate) recall: Option<RecallIndex>,
}

impl Ids {
    /// The recall index, read from its records if it was not yet.
    pub(crate) fn index(&mut self, store: &Inner) -> Result<&mut RecallIndex> {
        match &mut self.recall {
            Some(index) => Ok(index),
            none => Ok(none.insert(RecallIndex::load(&*store.backend, store.recall_bytes)?)),
        }
    }
}

/// Exclusive use of the store's chunk ids, until dropped.
pub struct Staging<'s> {
    store: &'s Inner,
    ids: MutexGuard<'s, Ids>,
    reuse: Reuse,
    batch: Batch,
    names: HashMap<[u8; 32], u64>,
    /// The ids in the name entries that were looked at and named nothing usable.
    others: HashMap<[u8; 8], Vec<u64>>,
    entries: Vec<Entry>,
    searched: Vec<Entry>,
    /// For the caches, once they are written.
    staged: Vec<(u64, Head, &'s [u8])>,
}

/// A chunk to be stored.
pub struct NewChunk<'p, 'f> {
    /// Its id, from [`Staging::assign`].
    pub id: u64,
    /// Its head.
    pub head: Head,
    /// Its coded bytes.
    pub payload: Vec<u8>,
    /// Its plain bytes, for the cache.
    pub plain: &'p [u8],
    /// Features under which later chunks can recall it.
    pub features: &'f [u64],
    /// Keys under which a search finds it, from [`search_keys`](crate::search_keys).
    pub search: &'f [u32],
}

impl<'s> Staging<'s> {
    pub(crate) fn new(store: &'s Inner, ids: MutexGuard<'s, Ids>, reuse: Reuse) -> Self {
        Self {
            store,
            ids,
            reuse,
            batch: Batch::new(),
            names: HashMap::new(),
            others: HashMap::new(),
            entries: Vec::new(),
            searched: Vec::new(),
            staged: Vec::new(),
        }
    }

    /// For each name the id of the chunk that has it, if stored and not condemned; it is kept while the draft lasts.
    ///
    /// # Errors
    /// `Io` or `Unavailable`.
    pub fn find(&mut self, names: &[[u8; 32]]) -> Result<Vec<Option<u64>>> {
        let keys: Vec<_> = names.iter().map(|name| self.store.index_keys.name(name)).collect();
        let slices: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let values = self.store.backend.multi_get(Space::Name, &slices)?;
        let mut found = Vec::with_capacity(names.len());
        for ((name, key), value) in names.iter().zip(keys).zip(values) {
            let ids = ids_in(value.as_deref());
            let usable = self.among(name, &ids)?;
            if usable.is_none() {
                self.others.insert(key, ids);
            }
            found.push(usable);
        }
        Ok(found)
    }

    fn among(&self, name: &[u8; 32], ids: &[u64]) -> Result<Option<u64>> {
        for &id in ids {
            let is_leftover = (self.ids.leftover_start..self.ids.leftover_end).contains(&id);
            // A damaged chunk must not keep new bytes from being stored, under a new id.
            let Some(head) = unless_corrupt(self.store.chunks.head(id))? else { continue };
            // A crash may have kept the entry of a leftover and lost what it points to.
            let is_suspect = is_leftover || self.store.lost.contains(id);
            let is_whole = || !is_suspect || self.store.chunks.plain(id).is_ok();
            if head.name == *name && is_whole() && self.reuse.chunk(id) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// A repair found chunks that it could not [`mend`](Self::mend).
    #[must_use]
    pub fn has_lost(&self) -> bool {
        !self.store.lost.is_empty()
    }

    /// Stores these bytes, which have this name, as the bytes of every lost chunk that had them; returns how many that
    /// were. What needs these chunks can be read again, in all versions.
    ///
    /// # Errors
    /// `Io` or `Unavailable`.
    pub fn mend(&self, name: &[u8; 32], plain: &[u8]) -> Result<u64> {
        let mut mended = 0;
        let key = self.store.index_keys.name(name);
        let entry = unless_corrupt(self.store.backend.get(Space::Name, &key))?.flatten();
        for id in ids_in(entry.as_deref()) {
            if !self.store.lost.contains(id) || self.store.chunks.plain(id).is_ok() {
                continue;
            }
            let head = unless_corrupt(self.store.chunks.head(id))?;
            if head.is_some_and(|head| lost::fits(&self.store.index_keys, &head, name, plain.len())) {
                lost::mend(self.store, id, name, plain)?;
                mended += 1;
            }
        }
        Ok(mended)
    }

    /// The id of a chunk named in this staging and not yet written.
    #[must_use]
    pub fn pending(&self, name: &[u8; 32]) -> Option<u64> {
        self.names.get(name).copied()
    }

    /// The next id, for the chunk with this name. Ids ascend and are never used again.
    pub fn assign(&mut self, name: [u8; 32]) -> u64 {
        let id = self.ids.next;
        self.ids.next += 1;
        self.names.insert(name, id);
        id
    }

    /// For each list of features the chunks that had one of them most recently: first those that share more of
    /// them, then the younger ones; at most [`MOST_RECALLED`].
    ///
    /// # Errors
    /// `Io` or `Unavailable`.
    pub fn recall(&mut self, features: &[&[u64]]) -> Result<Vec<Vec<u64>>> {
        let next = self.ids.next;
        let index = self.ids.index(self.store)?;
        // An entry may have outlived, in a crash, the chunk it names.
        let usable = |id| id < next && !self.store.pins.is_condemned(id);
        Ok(features.iter().map(|list| index.recent(list, usable, MOST_RECALLED)).collect())
    }

    /// The depth of a chunk with these bases, stored or put before.
    ///
    /// # Errors
    /// `Corrupt` when a base's head is damaged or missing; `Io` or `Unavailable`.
    pub fn depth_above(&self, bases: &[u64]) -> Result<u8> {
        let mut depth = 0;
        for &base in bases {
            let below = match self.staged.iter().find(|(id, ..)| *id == base) {
                Some((_, head, _)) => head.depth,
                None => self.store.chunks.head(base)?.depth,
            };
            let above = below.checked_add(1);
            depth = depth.max(above.ok_or_else(|| Error::corrupt("a chain of corrections is too long"))?);
        }
        Ok(depth)
    }

    /// Stages a chunk under the id it was assigned.
    ///
    /// # Errors
    /// `Io` or `Unavailable`.
    pub fn put(&mut self, chunk: NewChunk<'s, '_>) -> Result<()> {
        let NewChunk { id, head, payload, plain, features, search } = chunk;
        let name = self.store.index_keys.name(&head.name);
        let ids = match self.others.entry(name) {
            Occupied(looked_at) => looked_at.into_mut(),
            Vacant(unknown) => unknown.insert(ids_in(self.store.backend.get(Space::Name, &name)?.as_deref())),
        };
        ids.retain(|&old| old != id);
        ids.insert(0, id);
        self.batch.put(Space::Name, name, name_entry(ids));
        self.batch.put(Space::Head, id_key(id), head.encode(id));
        self.batch.put(Space::Payload, id_key(id), payload);
        self.searched.extend(search.iter().map(|&key| Entry { chunk: id, key }));
        let keys = feature_log::keys(features).into_iter().take(RECALL_FEATURES);
        self.entries.extend(keys.map(|key| Entry { chunk: id, key }));
        self.staged.push((id, head, plain));
        Ok(())
    }

    /// Writes what was staged and frees the ids for others.
    ///
    /// # Errors
    /// `Io` or `Unavailable`; nothing of this staging is then stored.
    pub fn write(mut self) -> Result<()> {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable();
        self.searched.sort_unstable();
        self.searched.dedup();
        for (log, entries) in [(recall::LOG, &entries), (search::LOG, &self.searched)] {
            if let Some((key, record)) = log.encode(entries) {
                self.batch.put(log.space, key, record);
            }
        }
        let Some((first, ..)) = self.staged.first() else { return Ok(()) };
        // Another handle on the same backend may have taken these ids: nothing of its may be overwritten.
        self.batch.expect(Space::Head, id_key(*first), None);
        self.store.backend.write(std::mem::take(&mut self.batch), Durability::Staged)?;
        // Not before: a chunk that was not written must not be a base.
        for (id, head, plain) in std::mem::take(&mut self.staged) {
            // What is stored as it is, is as near in the backend's buffers, and hardly ever a base; and a splice is put
            // together again as fast as it is copied.
            if !matches!(head.coding, Coding::Raw | Coding::Splice) {
                self.store.chunks.keep_copy(id, plain);
            }
            self.store.chunks.keep_head(id, Arc::new(head));
        }
        // Where nobody asks, nobody needs the table: it is read from the records when somebody does.
        let Some(index) = &mut self.ids.recall else { return Ok(()) };
        index.note(&entries);
        index.prune(&*self.store.backend)
    }
}

/// The name entry of these ids: the one that is to be found first, first.
pub(crate) fn name_entry(ids: &[u64]) -> Vec<u8> {
    let mut value = Vec::new();
    ids.iter().for_each(|&id| put_varint(&mut value, id));
    value
}

/// The ids in a name entry. An index: one that makes no sense names nothing, and the chunk is stored again.
pub(crate) fn ids_in(value: Option<&[u8]>) -> Vec<u64> {
    let mut reader = Reader::new(value.unwrap_or_default(), "name entry");
    let mut ids = Vec::new();
    while !reader.is_empty() {
        let Ok(id) = reader.varint() else { return Vec::new() };
        ids.push(id);
    }
    ids
}
