//! Reading chunks: heads, and plain bytes rebuilt from corrections and checked against the chunk's name.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::buffer::{CAPACITY_STEP, buffer};
use crate::format::{Head, Superblock, id_key};
use crate::{Backend, Error, ErrorKind, Result, Space, codec};

/// Plain bytes of a chunk, shared with the cache.
#[derive(Debug, Clone)]
pub struct Plain(Arc<Vec<u8>>);

impl Plain {
    /// Bytes of memory it holds.
    fn footprint(&self) -> usize {
        self.0.capacity()
    }
}

impl Deref for Plain {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Reads chunks of a backend, with a bounded cache of heads and of plain bytes.
pub(crate) struct ChunkReader {
    backend: Arc<dyn Backend>,
    max_closure: usize,
    max_depth: u8,
    cache: Mutex<Cache>,
}

struct Cache {
    heads: LruCache<u64, Arc<Head>>,
    plain: LruCache<u64, Plain>,
    plain_bytes: usize,
    plain_budget: usize,
    /// Counts changes of stored heads: a head read before one must not be kept after it.
    changes: u64,
    /// Buffers of chunks that were dropped, for the next ones: what is never freed leaves no gaps.
    spare: Vec<Vec<u8>>,
}

/// While chunks are re-based, one that comes after them may need this many times the chunks that the store allows
/// (docs/decisions/0016).
const REBASED_REACH: usize = 4;

/// Spare buffers kept: about 3 MiB.
const SPARE_BUFFERS: usize = 32;

impl Cache {
    fn insert(&mut self, id: u64, plain: Plain) {
        self.plain_bytes += plain.footprint();
        if let Some((_, old)) = self.plain.push(id, plain) {
            self.dropped(old);
        }
        self.shrink_to(self.plain_budget);
    }

    fn shrink_to(&mut self, bytes: usize) {
        while self.plain_bytes > bytes {
            let Some((_, old)) = self.plain.pop_lru() else { break };
            self.dropped(old);
        }
    }

    fn dropped(&mut self, plain: Plain) {
        self.plain_bytes -= plain.footprint();
        if self.spare.len() < SPARE_BUFFERS
            && let Ok(mut bytes) = Arc::try_unwrap(plain.0)
        {
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    /// A buffer for `len` bytes: the smallest spare one that fits and is not far too large.
    fn buffer(&mut self, len: usize) -> Vec<u8> {
        let fits = |bytes: &&(usize, usize)| (len..=2 * len + CAPACITY_STEP).contains(&bytes.1);
        let sizes: Vec<(usize, usize)> = self.spare.iter().map(Vec::capacity).enumerate().collect();
        let best = sizes.iter().filter(fits).min_by_key(|(_, capacity)| *capacity);
        best.map_or_else(|| buffer(len), |&(at, _)| self.spare.swap_remove(at))
    }
}

/// Heads kept in memory. Few: small things that outlive the chunks beside them keep their memory from being used
/// again, and reading a head costs little (docs/decisions/0013).
const CACHED_HEADS: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

impl ChunkReader {
    pub(crate) fn new(backend: Arc<dyn Backend>, superblock: &Superblock, cache_bytes: usize) -> Self {
        Self {
            backend,
            max_closure: usize::from(superblock.max_closure),
            max_depth: superblock.max_depth,
            cache: Mutex::new(Cache {
                heads: LruCache::new(CACHED_HEADS),
                plain: LruCache::unbounded(),
                plain_bytes: 0,
                plain_budget: cache_bytes,
                changes: 0,
                spare: Vec::new(),
            }),
        }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The head of chunk `id`.
    pub(crate) fn head(&self, id: u64) -> Result<Arc<Head>> {
        self.find_head(id)?.ok_or_else(|| Error::corrupt(format!("chunk {id} has no head")))
    }

    /// The head of chunk `id`, if there is one.
    pub(crate) fn find_head(&self, id: u64) -> Result<Option<Arc<Head>>> {
        if let Some(head) = self.cache().heads.get(&id) {
            return Ok(Some(Arc::clone(head)));
        }
        self.stored_head(id)
    }

    /// The head of chunk `id` as it is stored now.
    fn stored_head(&self, id: u64) -> Result<Option<Arc<Head>>> {
        let changes = self.cache().changes;
        let Some(record) = self.backend.get(Space::Head, &id_key(id))? else { return Ok(None) };
        let head = Arc::new(Head::decode(id, &record, Superblock::MAX_CHUNK_BYTES)?);
        let mut cache = self.cache();
        if cache.changes == changes {
            cache.heads.put(id, Arc::clone(&head));
        }
        Ok(Some(head))
    }

    /// The plain bytes of chunk `id`, checked against its name.
    pub(crate) fn plain(&self, id: u64) -> Result<Plain> {
        let mut decoded = HashMap::new();
        self.rebuild(id, u64::MAX, self.max_depth, &mut decoded)
    }

    /// Adds to `into` the chunks that decoding `id` touches, itself not counted; `into` may hold `id` at most.
    pub(crate) fn closure(&self, id: u64, into: &mut Vec<u64>) -> Result<()> {
        self.closure_within(self.max_closure, id, into)
    }

    /// The same, also where re-basing was interrupted.
    pub(crate) fn wide_closure(&self, id: u64, into: &mut Vec<u64>) -> Result<()> {
        self.closure_within(self.reach(), id, into)
    }

    /// Most chunks that decoding one may touch while others are re-based.
    pub(crate) fn reach(&self) -> usize {
        REBASED_REACH * self.max_closure
    }

    fn closure_within(&self, limit: usize, id: u64, into: &mut Vec<u64>) -> Result<()> {
        for &base in &self.head(id)?.bases {
            if !into.contains(&base) {
                if into.len() > limit {
                    return Err(Error::corrupt(format!(
                        "chunk {id} needs more chunks than the store allows"
                    )));
                }
                into.push(base);
                self.closure_within(limit, base, into)?;
            }
        }
        Ok(())
    }

    /// Recursion is bounded by `depth`, work by `max_closure`, whatever the records say.
    fn rebuild(&self, id: u64, below: u64, depth: u8, decoded: &mut HashMap<u64, Plain>) -> Result<Plain> {
        if let Some(plain) = decoded.get(&id) {
            return Ok(plain.clone());
        }
        if let Some(plain) = self.cached(id) {
            return Ok(plain);
        }
        if id >= below || decoded.len() > self.reach() {
            return Err(Error::corrupt(format!("chunk {id} is a base out of bounds")));
        }
        let mut head = self.head(id)?;
        loop {
            match self.correct(id, &head, depth, decoded) {
                // A collection may have coded it anew, and removed its old bases, since its head was read.
                Err(error) if error.kind() == ErrorKind::Corrupt => match self.stored_head(id)? {
                    Some(now) if *now != *head => head = now,
                    _ => return Err(error),
                },
                other => return other,
            }
        }
    }

    fn correct(&self, id: u64, head: &Head, depth: u8, decoded: &mut HashMap<u64, Plain>) -> Result<Plain> {
        let mut prefix = Vec::new();
        let mut only = None;
        for &base in &head.bases {
            let depth = depth.checked_sub(1).ok_or_else(|| {
                Error::corrupt(format!("chunk {id} is corrected more often than the store allows"))
            })?;
            let plain = self
                .rebuild(base, id, depth, decoded)
                .map_err(|e| e.within(format_args!("base of chunk {id}")))?;
            if head.bases.len() == 1 { only = Some(plain) } else { prefix.extend_from_slice(&plain) }
        }
        let payload = self
            .backend
            .get(Space::Payload, &id_key(id))?
            .ok_or_else(|| Error::corrupt(format!("chunk {id} has no payload")))?;
        let plain = Self::decode(id, head, &payload, only.as_deref().unwrap_or(&prefix))?;
        decoded.insert(id, plain.clone());
        self.keep(id, &plain);
        Ok(plain)
    }

    fn decode(id: u64, head: &Head, payload: &[u8], prefix: &[u8]) -> Result<Plain> {
        let damaged = |why: &str| Error::corrupt(format!("chunk {id}: {why}"));
        let plain = codec::decode(head.coding, payload, prefix, head.len as usize).map_err(|e| {
            damaged(if Head::check_of(payload) == head.payload_check {
                "its payload does not decode"
            } else {
                "its payload is damaged"
            })
            .with_source(e)
        })?;
        if *blake3::hash(&plain).as_bytes() != head.name {
            return Err(damaged("its bytes do not match its name"));
        }
        Ok(Plain(Arc::new(plain)))
    }

    fn cached(&self, id: u64) -> Option<Plain> {
        self.cache().plain.get(&id).cloned()
    }

    /// Puts known good bytes into the cache.
    fn keep(&self, id: u64, plain: &Plain) {
        self.cache().insert(id, plain.clone());
    }

    /// Puts a copy of known good bytes into the cache.
    pub(crate) fn keep_copy(&self, id: u64, bytes: &[u8]) {
        let mut cache = self.cache();
        let room = cache.plain_budget.saturating_sub(bytes.len());
        cache.shrink_to(room);
        let mut copy = cache.buffer(bytes.len());
        copy.extend_from_slice(bytes);
        cache.insert(id, Plain(Arc::new(copy)));
    }

    pub(crate) fn keep_head(&self, id: u64, head: Arc<Head>) {
        self.cache().heads.put(id, head);
    }

    /// The head of chunk `id` was written anew.
    pub(crate) fn replace_head(&self, id: u64, head: Arc<Head>) {
        let mut cache = self.cache();
        cache.changes += 1;
        cache.heads.put(id, head);
    }

    /// These chunks are no longer stored.
    pub(crate) fn remove(&self, ids: &[u64]) {
        let mut cache = self.cache();
        cache.changes += 1;
        for id in ids {
            cache.heads.pop(id);
            if let Some(plain) = cache.plain.pop(id) {
                cache.dropped(plain);
            }
        }
    }
}
