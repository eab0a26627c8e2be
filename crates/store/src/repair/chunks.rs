//! Chunks: each is decoded; what fails is looked for elsewhere, in this store and in the sources, and stored again under
//! the same id. What is found nowhere is lost, and kept track of.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Repair;
use super::trees::Needed;
use crate::backend::KeyRange;
use crate::codec::Decoders;
use crate::error::unless_corrupt;
use crate::format::{Coding, Head, Superblock, id_key, id_of_key};
use crate::id_set::IdSet;
use crate::lost::{self, fits, mend, placeholder};
use crate::staging::ids_in;
use crate::store::Inner;
use crate::{Batch, Durability, Result, Space};

/// Heads read at once.
const RUN: usize = 256;

/// What the records say of the chunks.
#[derive(Default)]
struct Surveyed {
    /// Chunks with a head that can be read.
    heads: IdSet,
    /// Chunks that can't be decoded, those without a head among them.
    damaged: IdSet,
    /// What others lean on.
    bases: IdSet,
}

impl Repair<'_, '_> {
    /// Decodes all chunks and mends what fails; returns what is lost.
    pub(super) fn chunks(&mut self, needed: &Needed) -> Result<IdSet> {
        let mut found = self.survey()?;
        for id in needed.keys().copied().chain(found.bases.iter()) {
            if !found.heads.contains(id) && found.damaged.insert(id) {
                self.report.found(format!("chunk {id}: it has no head"));
            }
        }
        let keys = self.keys_of_headless(&found)?;
        let mut still = IdSet::default();
        for id in found.damaged.iter() {
            let least = needed.get(&id).copied().unwrap_or(0);
            if !self.mend(id, least, keys.get(&id).copied())? {
                still.insert(id);
            }
        }
        let kept = self.kept(needed)?;
        let mut lost = IdSet::default();
        for id in still.iter() {
            if kept.contains(id) {
                lost.insert(id);
                self.keep_lost(id, needed.get(&id).copied().unwrap_or(0), keys.get(&id).copied())?;
            } else {
                let mut batch = Batch::new();
                batch.delete(Space::Head, id_key(id)).delete(Space::Payload, id_key(id));
                self.store.backend.write(batch, Durability::Staged)?;
                self.store.chunks.remove(&[id]);
            }
        }
        self.report.lost_chunks = lost.len();
        self.has_revived = self.store.lost.ids().iter().any(|id| !lost.contains(id));
        let mut batch = Batch::new();
        lost::record(&mut batch, &lost);
        self.store.backend.write(batch, Durability::Staged)?;
        self.store.lost.replace(lost.clone());
        Ok(lost)
    }

    fn survey(&mut self) -> Result<Surveyed> {
        let mut found = Surveyed::default();
        let mut from = Vec::new();
        let store = Arc::clone(self.store);
        let snapshot = store.backend.snapshot()?;
        // In runs, so that a long scan does not hold what decoding needs.
        loop {
            let range = KeyRange { from: &from, ..KeyRange::default() };
            let run: Vec<_> = snapshot.scan(Space::Head, range).take(RUN).collect();
            if run.is_empty() {
                return Ok(found);
            }
            let mut last = None;
            for record in run {
                let Some((key, record)) = self.report.unless_damaged(record)? else { continue };
                self.step();
                let id = id_of_key(Space::Head, &key)?;
                last = Some(key);
                let head = Head::decode(id, &record, Superblock::MAX_CHUNK_BYTES);
                let Some(head) = self.report.unless_damaged(head)? else {
                    found.damaged.insert(id);
                    continue;
                };
                found.heads.insert(id);
                found.bases.extend(head.bases.iter().copied());
                if self.store.lost.contains(id) {
                    // Known since an earlier repair, and looked for again.
                    if unless_corrupt(self.store.chunks.plain(id))?.is_none() {
                        found.damaged.insert(id);
                    }
                } else if self.report.unless_damaged(self.store.chunks.plain(id))?.is_none() {
                    found.damaged.insert(id);
                } else {
                    self.payload(id, &head)?;
                }
            }
            let Some(last) = last else { return Ok(found) };
            from = [last.as_slice(), &[0]].concat();
        }
    }

    /// A payload that decodes all the same may be damaged in a bit that the coding does not use.
    fn payload(&mut self, id: u64, head: &Head) -> Result<()> {
        let payload = self.store.backend.get(Space::Payload, &id_key(id))?.unwrap_or_default();
        if payload.len() as u64 == u64::from(head.coded_len) && Head::check_of(&payload) == head.payload_check
        {
            return Ok(());
        }
        self.report.found(format!("chunk {id}: its payload is damaged, but decodes"));
        let plain = self.store.chunks.plain(id)?;
        mend(self.store, id, &head.name, &plain)?;
        self.report.mended_chunks += 1;
        Ok(())
    }

    /// The first bytes of the names of chunks whose heads are gone, as the name index has them.
    fn keys_of_headless(&mut self, found: &Surveyed) -> Result<BTreeMap<u64, [u8; 8]>> {
        let mut keys = BTreeMap::new();
        if found.damaged.iter().all(|id| found.heads.contains(id)) {
            return Ok(keys);
        }
        let snapshot = self.store.backend.snapshot()?;
        for record in snapshot.scan(Space::Name, KeyRange::default()) {
            let Some((key, value)) = unless_corrupt(record)? else { continue };
            let Ok(key) = <[u8; 8]>::try_from(key) else { continue };
            for id in ids_in(Some(&value)) {
                if found.damaged.contains(id) && !found.heads.contains(id) {
                    keys.insert(id, key);
                }
            }
        }
        Ok(keys)
    }

    /// Stores a damaged chunk anew, if its bytes are anywhere. `least`: how many bytes pieces need of it; `key`: how its
    /// name begins, if its head is gone.
    fn mend(&mut self, id: u64, least: u32, key: Option<[u8; 8]>) -> Result<bool> {
        let store = Arc::clone(self.store);
        // It leaned on one that was mended.
        if unless_corrupt(store.chunks.plain(id))?.is_some() {
            self.report.mended_chunks += 1;
            return Ok(true);
        }
        let head = match (unless_corrupt(store.chunks.head(id))?, key) {
            (Some(head), _) => (*head).clone(),
            (None, Some(key)) => placeholder(key, least),
            (None, None) => return Ok(false),
        };
        let mut found = by_itself(&store, id, &head)?;
        for place in std::iter::once(&store).chain(self.sources.iter().map(|source| &source.0)) {
            if found.is_none() {
                found = bytes_of(&store, place, &head)?;
            }
        }
        let Some((name, plain)) = found else { return Ok(false) };
        mend(&store, id, &name, &plain)?;
        self.report.mended_chunks += 1;
        Ok(true)
    }

    /// All that files need, bases included.
    fn kept(&self, needed: &Needed) -> Result<IdSet> {
        let mut kept = IdSet::default();
        kept.extend(needed.keys().copied());
        let snapshot = self.store.backend.snapshot()?;
        for record in snapshot.scan(Space::Head, KeyRange { descending: true, ..KeyRange::default() }) {
            let Some((key, record)) = unless_corrupt(record)? else { continue };
            let id = id_of_key(Space::Head, &key)?;
            if kept.contains(id)
                && let Some(head) = unless_corrupt(Head::decode(id, &record, Superblock::MAX_CHUNK_BYTES))?
            {
                kept.extend(head.bases.iter().copied());
            }
        }
        Ok(kept)
    }

    /// A lost chunk has a head and a payload all the same, so that all else goes on as ever.
    fn keep_lost(&self, id: u64, least: u32, key: Option<[u8; 8]>) -> Result<()> {
        let mut batch = Batch::new();
        let mut head = None;
        if unless_corrupt(self.store.chunks.head(id))?.is_none() {
            let new = placeholder(key.unwrap_or_default(), least);
            batch.put(Space::Head, id_key(id), new.encode(id)).put(Space::Payload, id_key(id), []);
            head = Some(new);
        } else if unless_corrupt(self.store.backend.get(Space::Payload, &id_key(id)))?.flatten().is_none() {
            batch.put(Space::Payload, id_key(id), []);
        }
        if !batch.is_empty() {
            self.store.backend.write(batch, Durability::Staged)?;
        }
        if let Some(head) = head {
            self.store.chunks.replace_head(id, Arc::new(head));
        }
        Ok(())
    }
}

/// A chunk without its head that is not a correction: its payload says the rest, and the name index whether it is right.
fn by_itself(store: &Inner, id: u64, head: &Head) -> Result<Option<([u8; 32], Vec<u8>)>> {
    let payload = unless_corrupt(store.backend.get(Space::Payload, &id_key(id)))?.flatten();
    let Some(payload) = payload else { return Ok(None) };
    let len = head.len as usize;
    for coding in [Coding::Raw, Coding::Zstd, Coding::Lz4] {
        let (len, room) = match coding {
            Coding::Raw => (payload.len(), payload.len()),
            _ => (len, len),
        };
        let decoded = Decoders::default().decode(coding, &payload, &[], len, Vec::with_capacity(room));
        if let Some(plain) = unless_corrupt(decoded)? {
            let name = *blake3::hash(&plain).as_bytes();
            if fits(&store.index_keys, head, &name, plain.len()) {
                return Ok(Some((name, plain)));
            }
        }
    }
    Ok(None)
}

/// The bytes of a chunk of `place`, which may be another store, that has the name of this head, or what is known of it.
fn bytes_of(store: &Inner, place: &Inner, head: &Head) -> Result<Option<([u8; 32], Vec<u8>)>> {
    let entry =
        unless_corrupt(place.backend.get(Space::Name, &lost::key_of(&place.index_keys, head)))?.flatten();
    for id in ids_in(entry.as_deref()) {
        let Some(plain) = unless_corrupt(place.chunks.plain(id))? else { continue };
        let name = *blake3::hash(&plain).as_bytes();
        if fits(&store.index_keys, head, &name, plain.len()) {
            return Ok(Some((name, plain.to_vec())));
        }
    }
    Ok(None)
}
