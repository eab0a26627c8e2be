//! Chunks and the indexes of them: every head and payload, and what is found by it.

use std::collections::HashMap;

use engrams_core::Gear;

use super::Verification;
use crate::backend::KeyRange;
use crate::error::unless_corrupt;
use crate::format::{Head, Superblock, id_key, id_of_key};
use crate::staging::ids_in;
use crate::{Error, Result, Space, feature_log, recall, search};

/// What the recall index says: for each chunk the keys of its features.
type Recalled = HashMap<u64, Vec<u32>>;

/// An entry of the search index: a chunk and a key.
type Searched = (u64, u32);

/// The keys under which a chunk may be in the recall index.
fn recall_keys(gear: &Gear, plain: &[u8]) -> Vec<u32> {
    feature_log::keys(&recall::smallest_features(gear, plain))
}

impl Verification<'_> {
    pub(super) fn chunks(&mut self) -> Result<()> {
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
    pub(super) fn count(&mut self, space: Space, of: &dyn Fn(&[u8]) -> u64) -> Result<Option<u64>> {
        let (mut unread, mut sum) = (Vec::new(), 0);
        for record in self.snapshot.scan(space, KeyRange::default()) {
            match record {
                Ok((_, value)) => sum += of(&value),
                Err(error) => unread.push(error.within(format_args!("{space:?} records"))),
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
}
