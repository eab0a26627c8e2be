//! A backend in memory: every key keeps the values that some open snapshot can still see.
//!
//! For tests, for small transient stores, and as the plainest reading of the contract. Nothing survives the
//! value, so all durability levels mean the same here. Reads share one lock, writes exclude them briefly; a
//! scan takes the lock once per item, so that it never keeps writers out.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Backend, Batch, Durability, KeyRange, KeyValue, Snapshot};
use crate::error::unless_corrupt;
use crate::{Error, ErrorKind, Result, Space};

/// An ordered key-value database in memory.
#[derive(Debug, Default)]
pub struct MemoryBackend {
    state: RwLock<State>,
}

/// A value and the write that set it; `None`: deleted by that write.
type Dated = (u64, Option<Arc<[u8]>>);

#[derive(Debug, Default)]
struct State {
    /// Per key what was written, oldest first, never empty.
    spaces: BTreeMap<Space, BTreeMap<Vec<u8>, Vec<Dated>>>,
    /// The number of the last write.
    sequence: u64,
    /// Open snapshots by the last write they see.
    snapshots: BTreeMap<u64, usize>,
    /// Keys that hold more than their newest value.
    stale: BTreeSet<(Space, Vec<u8>)>,
    live_bytes: u64,
    closed: bool,
}

impl MemoryBackend {
    /// An empty backend.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything in `space` now, in ascending order of keys; for tests, and to look inside.
    ///
    /// # Errors
    /// `Unavailable` when closed.
    pub fn contents(&self, space: Space) -> Result<Vec<KeyValue>> {
        self.snapshot()?.scan(space, KeyRange::default()).collect()
    }

    /// Everything in `backend` that can be read.
    pub(crate) fn copy_of(backend: &dyn Backend) -> Result<Self> {
        let (copy, snapshot) = (Self::new(), backend.snapshot()?);
        for space in Space::ALL {
            for record in snapshot.scan(space, KeyRange::default()) {
                if let Some((key, value)) = unless_corrupt(record)? {
                    let mut batch = Batch::new();
                    batch.put(space, key, value);
                    copy.write(batch, Durability::Staged)?;
                }
            }
        }
        Ok(copy)
    }

    /// No code panics while it holds the lock, so a poisoned lock still guards a whole state.
    fn read(&self) -> Result<RwLockReadGuard<'_, State>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if state.closed { Err(closed()) } else { Ok(state) }
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error of a precondition that does not hold, the same from every backend here.
pub(crate) fn unmet(space: Space, key: &[u8]) -> Error {
    let message = format!("`{}` in space {space:?} is not what the batch expects", key.escape_ascii());
    Error::new(ErrorKind::Conflict, message)
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the store in memory was closed")
}

impl State {
    fn value(&self, space: Space, key: &[u8], at: u64) -> Option<&Arc<[u8]>> {
        visible(self.spaces.get(&space)?.get(key)?, at)
    }

    fn set(&mut self, space: Space, key: Vec<u8>, value: Option<Vec<u8>>) {
        let added = value.as_ref().map_or(0, |value| key.len() + value.len());
        let keys = self.spaces.entry(space).or_default();
        let replaced = keys
            .get(&key)
            .and_then(|versions| visible(versions, self.sequence))
            .map_or(0, |value| key.len() + value.len());
        self.live_bytes = self.live_bytes + added as u64 - replaced as u64;
        keys.entry(key.clone()).or_default().push((self.sequence, value.map(Arc::from)));
        self.prune(space, key);
    }

    /// Forgets what no snapshot, open or to come, can see of `key`.
    fn prune(&mut self, space: Space, key: Vec<u8>) {
        let oldest = self.snapshots.keys().next().copied().unwrap_or(self.sequence);
        let Some(keys) = self.spaces.get_mut(&space) else { return };
        let Some(versions) = keys.get_mut(&key) else { return };
        let seen_by_oldest = versions.iter().rposition(|(sequence, _)| *sequence <= oldest).unwrap_or(0);
        versions.drain(..seen_by_oldest);
        match versions.as_slice() {
            [(sequence, None)] if *sequence <= oldest => {
                keys.remove(&key);
                self.stale.remove(&(space, key));
            }
            [_] => {
                self.stale.remove(&(space, key));
            }
            _ => {
                self.stale.insert((space, key));
            }
        }
    }

    fn release(&mut self, sequence: u64) {
        let was_oldest = self.snapshots.keys().next() == Some(&sequence);
        if let Some(count) = self.snapshots.get_mut(&sequence) {
            *count -= 1;
            if *count == 0 {
                self.snapshots.remove(&sequence);
                if was_oldest {
                    for (space, key) in std::mem::take(&mut self.stale) {
                        self.prune(space, key);
                    }
                }
            }
        }
    }
}

fn visible(versions: &[Dated], at: u64) -> Option<&Arc<[u8]>> {
    versions.iter().rev().find(|(sequence, _)| *sequence <= at)?.1.as_ref()
}

impl Backend for MemoryBackend {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let state = self.read()?;
        Ok(state.value(space, key, state.sequence).map(|value| value.to_vec()))
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        let mut state = self.exclusive();
        if state.closed {
            return Err(closed());
        }
        let sequence = state.sequence;
        *state.snapshots.entry(sequence).or_insert(0) += 1;
        Ok(Box::new(MemorySnapshot { backend: self, sequence }))
    }

    fn write(&self, batch: Batch, _durability: Durability) -> Result<()> {
        let mut state = self.exclusive();
        if state.closed {
            return Err(closed());
        }
        for (space, key, expected) in &batch.preconditions {
            let found = state.value(*space, key, state.sequence);
            if found.map(|value| &value[..]) != expected.as_deref() {
                return Err(unmet(*space, key));
            }
        }
        state.sequence += 1;
        for (space, key, value) in batch.changes {
            state.set(space, key, value);
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        self.read().map(drop)
    }

    /// Replaced values are dropped with the last snapshot that sees them: there is nothing to do.
    fn compact(&self) -> Result<u64> {
        self.read().map(|_| 0)
    }

    fn close(&self) -> Result<()> {
        *self.exclusive() = State { closed: true, ..State::default() };
        Ok(())
    }

    /// The bytes of all keys and values that can be read now.
    fn stored_bytes(&self) -> Result<u64> {
        Ok(self.read()?.live_bytes)
    }
}

struct MemorySnapshot<'b> {
    backend: &'b MemoryBackend,
    sequence: u64,
}

impl Snapshot for MemorySnapshot<'_> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let state = self.backend.read()?;
        Ok(state.value(space, key, self.sequence).map(|value| value.to_vec()))
    }

    fn scan<'a>(
        &'a self,
        space: Space,
        range: KeyRange<'a>,
    ) -> Box<dyn Iterator<Item = Result<KeyValue>> + 'a> {
        Box::new(Scan { snapshot: self, space, range, last: None, done: false })
    }
}

impl Drop for MemorySnapshot<'_> {
    fn drop(&mut self) {
        self.backend.exclusive().release(self.sequence);
    }
}

struct Scan<'a> {
    snapshot: &'a MemorySnapshot<'a>,
    space: Space,
    range: KeyRange<'a>,
    /// The key yielded last.
    last: Option<Vec<u8>>,
    done: bool,
}

impl Scan<'_> {
    fn step(&self) -> Result<Option<KeyValue>> {
        let state = self.snapshot.backend.read()?;
        let Some(keys) = state.spaces.get(&self.space) else { return Ok(None) };
        let (mut lower, mut upper) =
            (Bound::Included(self.range.from), self.range.to.map_or(Bound::Unbounded, Bound::Excluded));
        if let Some(last) = &self.last {
            let side = if self.range.descending { &mut upper } else { &mut lower };
            *side = Bound::Excluded(last);
        }
        // A range that ends before it begins is a panic to `BTreeMap`, and nothing to a scan.
        if let (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to)) = (lower, upper)
            && from >= to
        {
            return Ok(None);
        }
        let mut range = keys.range::<[u8], _>((lower, upper)).filter_map(|(key, versions)| {
            Some((key.clone(), visible(versions, self.snapshot.sequence)?.to_vec()))
        });
        Ok(if self.range.descending { range.next_back() } else { range.next() })
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<KeyValue>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        match self.step() {
            Ok(Some(found)) => {
                self.last = Some(found.0.clone());
                Some(Ok(found))
            }
            Ok(None) => {
                self.done = true;
                None
            }
            Err(error) => {
                self.done = true;
                Some(Err(error))
            }
        }
    }
}
