//! Lost chunks: those that a repair found damaged and could not mend, and mending them when their bytes come again.
//!
//! Their ids are kept in a record, so that an ingest looks twice before it refers to one of them, and stores its bytes
//! again, under the same id, when it meets them: then every file of every version that needs the chunk can be read again.
//! The record is a hint: who finds an id in it tries the chunk itself, which may have been mended since.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engrams_core::{Gear, is_recall};

use crate::codec::{Compression, Encoder};
use crate::error::unless_corrupt;
use crate::format::{
    Coding, Head, MAX_ID, Reader, STORED_VECTOR_BYTES, id_key, put_varint, seal, stored_vector, unseal,
};
use crate::id_set::IdSet;
use crate::index_keys::IndexKeys;
use crate::staging::{ids_in, name_entry};
use crate::store::Inner;
use crate::tree::{Entry, Piece, difference};
use crate::{Backend, Batch, Durability, EngramStore, Result, Space, search};

/// Key of their record in [`Space::Meta`].
pub(crate) const KEY: &[u8] = b"lost";

/// The lost chunks of a store, as far as this process knows.
#[derive(Default)]
pub(crate) struct Lost(Mutex<IdSet>);

impl Lost {
    pub(crate) fn load(backend: &dyn Backend) -> Result<Self> {
        // A hint: without it damage is met when the chunk is read.
        let found = unless_corrupt(read(backend))?.unwrap_or_default();
        Ok(Self(Mutex::new(found)))
    }

    fn set(&self) -> MutexGuard<'_, IdSet> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        self.set().contains(id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.set().len() == 0
    }

    pub(crate) fn ids(&self) -> IdSet {
        self.set().clone()
    }

    pub(crate) fn replace(&self, ids: IdSet) {
        *self.set() = ids;
    }
}

/// The ids in the record; none when there is no record.
///
/// # Errors
/// `Corrupt` when it is damaged.
pub(crate) fn read(backend: &dyn Backend) -> Result<IdSet> {
    let mut ids = IdSet::default();
    let Some(record) = backend.get(Space::Meta, KEY)? else { return Ok(ids) };
    let mut reader = Reader::new(unseal(Space::Meta, KEY, &record)?, "record of lost chunks");
    let mut id = 0u64;
    while !reader.is_empty() {
        let more = reader.varint_up_to(MAX_ID)?;
        id += more;
        if more == 0 || id >= MAX_ID {
            return Err(reader.error("its ids do not ascend"));
        }
        ids.insert(id);
    }
    Ok(ids)
}

/// Puts the record into `batch`; none when there are no ids.
pub(crate) fn record(batch: &mut Batch, ids: &IdSet) {
    let (mut out, mut before) = (Vec::new(), 0);
    for id in ids.iter() {
        put_varint(&mut out, id - before);
        before = id;
    }
    if out.is_empty() {
        batch.delete(Space::Meta, KEY);
    } else {
        batch.put(Space::Meta, KEY, seal(Space::Meta, KEY, out));
    }
}

/// The head of a chunk of which only the key of its name entry is known, in place of its name, and how many bytes it has at
/// least.
pub(crate) fn placeholder(key: [u8; 8], len: u32) -> Head {
    let mut name = [0; 32];
    name[..8].copy_from_slice(&key);
    Head {
        name,
        len,
        coded_len: 0,
        coding: Coding::Raw,
        depth: 0,
        bases: Vec::new(),
        vector: [0; STORED_VECTOR_BYTES],
        payload_check: Head::check_of(&[]),
    }
}

/// The key of the chunk's name entry, also of one that has only a [`placeholder`].
pub(crate) fn key_of(keys: &IndexKeys, head: &Head) -> [u8; 8] {
    if head.name[8..] == [0; 24] { std::array::from_fn(|at| head.name[at]) } else { keys.name(&head.name) }
}

/// The bytes with this name are those that the lost chunk with this head had.
pub(crate) fn fits(keys: &IndexKeys, head: &Head, name: &[u8; 32], len: usize) -> bool {
    head.name == *name && head.len as usize == len
        || (head.name[8..] == [0; 24] && head.name[..8] == keys.name(name) && head.len as usize <= len)
}

/// A piece of a file that lies in a lost chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LostPiece {
    /// BLAKE3 of the whole file.
    pub hash: [u8; 32],
    /// Bytes of the whole file.
    pub size: u64,
    /// Where the piece begins in the file.
    pub offset: u64,
    /// Where it lies in the chunk.
    pub piece: Piece,
}

impl EngramStore {
    /// The pieces of all files of all versions that lie in lost chunks: who has such a file has these bytes of the chunks.
    ///
    /// # Errors
    /// `Corrupt` when a tree is damaged; `Io` or `Unavailable`.
    pub fn lost_pieces(&self) -> Result<Vec<LostPiece>> {
        let lost = self.0.lost.ids();
        let mut found = HashSet::new();
        let mut before = self.tree_of(None);
        let mut versions = self.versions()?;
        versions.reverse();
        for version in versions {
            let tree = self.tree_of(Some(&version));
            difference(&before, &tree, &mut |_, new| {
                let Some(file) = new.and_then(Entry::file) else { return Ok(()) };
                let (mut pieces, mut from) = (self.pieces(file), 0);
                while let Some((offset, piece)) = pieces.at(from)? {
                    if lost.contains(piece.chunk) {
                        found.insert(LostPiece { hash: file.hash, size: file.size, offset, piece });
                    }
                    from = offset + u64::from(piece.len);
                }
                Ok(())
            })?;
            before = tree;
        }
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_by_key(|lost| (lost.piece.chunk, lost.piece.start, lost.hash, lost.offset));
        Ok(found)
    }
}

/// Codes a lost chunk anew, by itself, from its bytes.
pub(crate) fn mend(store: &Inner, id: u64, name: &[u8; 32], plain: &[u8]) -> Result<()> {
    let (coding, payload) = Encoder::new(Compression::default())?.verbatim(plain)?;
    let head = Head {
        name: *name,
        len: plain.len() as u32,
        coded_len: payload.len() as u32,
        coding,
        depth: 0,
        bases: Vec::new(),
        vector: vector_of(&store.gear, plain),
        payload_check: Head::check_for(name, coding, &payload),
    };
    let mut batch = Batch::new();
    let key = store.index_keys.name(name);
    let mut ids = ids_in(unless_corrupt(store.backend.get(Space::Name, &key))?.flatten().as_deref());
    if !ids.contains(&id) {
        ids.push(id);
        batch.put(Space::Name, key, name_entry(&ids));
    }
    batch.put(Space::Head, id_key(id), head.encode(id));
    batch.put(Space::Payload, id_key(id), payload);
    // It was found through its bases, and has none now.
    let keys = search::keys_of(&store.gear, plain, &[], store.superblock.search_window);
    search::LOG.enter(&*store.backend, &mut batch, &keys, id, false)?;
    store.backend.write(batch, Durability::Staged)?;
    store.chunks.replace_head(id, Arc::new(head));
    Ok(())
}

fn vector_of(gear: &Gear, plain: &[u8]) -> [u8; STORED_VECTOR_BYTES] {
    let mut features = Vec::new();
    gear.features_of(plain, &mut features);
    features.retain(|&f| is_recall(f));
    stored_vector(&features)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::MemoryBackend;

    #[test]
    fn lost_ids_come_back_and_a_damaged_record_is_no_other_set() {
        let backend = MemoryBackend::new();
        let mut ids = IdSet::default();
        ids.extend([3, 4, 70_000]);
        let mut batch = Batch::new();
        record(&mut batch, &ids);
        backend.write(batch, Durability::Durable).unwrap();
        assert!(read(&backend).unwrap().iter().eq([3, 4, 70_000]));
        let good = backend.get(Space::Meta, KEY).unwrap().unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 2;
            let mut batch = Batch::new();
            batch.put(Space::Meta, KEY, bad);
            backend.write(batch, Durability::Durable).unwrap();
            assert!(read(&backend).is_err());
            assert!(Lost::load(&backend).unwrap().is_empty());
        }
    }
}
