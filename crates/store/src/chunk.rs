//! Reading chunks: heads, and plain bytes rebuilt from corrections.
//!
//! What a caller is given as a chunk was compared with its name. What only serves to rebuild or to correct another chunk
//! is rebuilt from payloads whose own checks are right, and hashed when somebody asks for it as a chunk: to hash
//! everything that a chunk leans on takes half as long as decoding it.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::cache::PlainCache;
use crate::codec::Decoders;
use crate::format::{Coding, Head, Superblock, id_key};
use crate::{Backend, Error, ErrorKind, Result, Space, unless_corrupt};

/// Plain bytes of a chunk, shared with the cache.
#[derive(Debug, Clone)]
pub struct Plain(Arc<Bytes>);

#[derive(Debug)]
struct Bytes {
    bytes: Vec<u8>,
    /// They were compared with the chunk's name.
    is_named: AtomicBool,
}

impl Plain {
    pub(crate) fn new(bytes: Vec<u8>, is_named: bool) -> Self {
        Self(Arc::new(Bytes { bytes, is_named: AtomicBool::new(is_named) }))
    }

    /// Its buffer, emptied, unless others read it.
    pub(crate) fn into_buffer(self) -> Option<Vec<u8>> {
        let mut bytes = Arc::try_unwrap(self.0).ok()?.bytes;
        bytes.clear();
        Some(bytes)
    }

    /// Bytes of memory it holds.
    pub(crate) fn footprint(&self) -> usize {
        self.0.bytes.capacity()
    }

    /// Its hash is `name`.
    fn is_named(&self, name: &[u8; 32]) -> bool {
        if !self.0.is_named.load(Ordering::Relaxed) && blake3::hash(self) == *name {
            self.0.is_named.store(true, Ordering::Relaxed);
        }
        self.0.is_named.load(Ordering::Relaxed)
    }
}

impl Deref for Plain {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.bytes
    }
}

/// Reads chunks of a backend, with a bounded cache of heads and of plain bytes. Any number of threads may read at once;
/// none decodes what another one is decoding.
pub(crate) struct ChunkReader {
    backend: Arc<dyn Backend>,
    max_closure: usize,
    max_depth: u8,
    decoders: Decoders,
    cache: Mutex<Cache>,
}

struct Cache {
    heads: LruCache<u64, Arc<Head>>,
    plain: PlainCache,
    /// Counts changes of stored heads: a head read before one must not be kept after it.
    changes: u64,
    /// Chunks that a thread is decoding.
    running: HashMap<u64, Arc<Running>>,
}

/// While chunks are re-based, one that comes after them may need this many times the chunks that the store allows
/// (docs/decisions/0019).
const REBASED_REACH: usize = 4;

/// A chunk that a thread is decoding, for others to wait for.
#[derive(Default)]
struct Running {
    outcome: Mutex<Option<Outcome>>,
    decided: Condvar,
}

#[derive(Clone)]
enum Outcome {
    Decoded(Plain),
    /// Whoever waited tries for itself: then each gets an error of its own.
    Failed,
}

impl Running {
    fn wait(&self) -> Outcome {
        let mut outcome = lock(&self.outcome);
        loop {
            match &*outcome {
                Some(decided) => return decided.clone(),
                None => outcome = self.decided.wait(outcome).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// The right, and the duty, to decode a chunk; dropped without [`done`](Self::done), the chunk has failed.
struct Claim<'r> {
    reader: &'r ChunkReader,
    id: u64,
    running: Arc<Running>,
}

impl Claim<'_> {
    fn done(self, plain: &Plain) {
        self.reader.cache().plain.insert(self.id, plain.clone());
        *lock(&self.running.outcome) = Some(Outcome::Decoded(plain.clone()));
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.reader.cache().running.remove(&self.id);
        // Nobody can begin to wait any more; often nobody has.
        if Arc::strong_count(&self.running) > 1 {
            lock(&self.running.outcome).get_or_insert(Outcome::Failed);
            self.running.decided.notify_all();
        }
    }
}

/// How to come by a chunk's bytes.
enum Way<'r> {
    Cached(Plain),
    Wait(Arc<Running>),
    Decode(Claim<'r>),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const UNNAMED: &str = "its bytes do not match its name";

/// Heads kept in memory: some 200 bytes each. Recall looks at all parts of a store, and a head that is read again costs as
/// much as to look at ten.
const CACHED_HEADS: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");
/// Heads read at once.
const HEADS_READ: u64 = 16;

impl ChunkReader {
    pub(crate) fn new(backend: Arc<dyn Backend>, superblock: &Superblock, cache_bytes: usize) -> Self {
        Self {
            backend,
            max_closure: usize::from(superblock.max_closure),
            max_depth: superblock.max_depth,
            decoders: Decoders::default(),
            cache: Mutex::new(Cache {
                heads: LruCache::new(CACHED_HEADS),
                plain: PlainCache::new(cache_bytes),
                changes: 0,
                running: HashMap::new(),
            }),
        }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        lock(&self.cache)
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

    /// The head of chunk `id` as it is stored now. Whoever needs one mostly needs those beside it: they are read too, which
    /// takes little longer.
    fn stored_head(&self, id: u64) -> Result<Option<Arc<Head>>> {
        let changes = self.cache().changes;
        let first = id - id % HEADS_READ;
        let keys: Vec<_> = (first..first + HEADS_READ).map(id_key).collect();
        let slices: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        // What lies beside it may be damaged.
        let records = unless_corrupt(self.backend.multi_get(Space::Head, &slices))?.unwrap_or_default();
        let decode =
            |id, record: Vec<u8>| Head::decode(id, &record, Superblock::MAX_CHUNK_BYTES).map(Arc::new);
        let (mut wanted, mut heads) = (None, Vec::new());
        for (at, record) in (first..).zip(records) {
            if at == id {
                wanted = Some(record);
            } else if let Some(Ok(head)) = record.map(|record| decode(at, record)) {
                heads.push((at, head));
            }
        }
        let wanted = match wanted {
            Some(record) => record,
            None => self.backend.get(Space::Head, &id_key(id))?,
        };
        let head = wanted.map(|record| decode(id, record)).transpose()?;
        heads.extend(head.clone().map(|head| (id, head)));
        let mut cache = self.cache();
        if cache.changes == changes {
            heads.into_iter().for_each(|(id, head)| drop(cache.heads.put(id, head)));
        }
        Ok(head)
    }

    /// The plain bytes of chunk `id`, checked against its name.
    pub(crate) fn plain(&self, id: u64) -> Result<Plain> {
        let plain = self.base(id)?;
        // Its name never changes, whatever is coded anew meanwhile.
        let head = self.head(id)?;
        if plain.is_named(&head.name) {
            return Ok(plain);
        }
        self.cache().plain.remove(id);
        for &base in &head.bases {
            self.plain(base).map_err(|e| e.within(format_args!("base of chunk {id}")))?;
        }
        Err(Error::corrupt(format!("chunk {id}: {UNNAMED}")))
    }

    /// The plain bytes of chunk `id`, for whoever rebuilds, corrects or counts others by them: made of payloads whose checks
    /// are right, without a look at the name.
    pub(crate) fn base(&self, id: u64) -> Result<Plain> {
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

    /// Recursion is bounded by `depth`, work by `max_closure`, whatever the records say. Whoever waits for a chunk is
    /// decoding only greater ones, so that no two wait for each other.
    fn rebuild(&self, id: u64, below: u64, depth: u8, decoded: &mut HashMap<u64, Plain>) -> Result<Plain> {
        if let Some(plain) = decoded.get(&id) {
            return Ok(plain.clone());
        }
        if id >= below || decoded.len() > self.reach() {
            return Err(Error::corrupt(format!("chunk {id} is a base out of bounds")));
        }
        loop {
            match self.way(id) {
                Way::Cached(plain) => return Ok(plain),
                Way::Wait(running) => match running.wait() {
                    Outcome::Decoded(plain) => return Ok(plain),
                    Outcome::Failed => {}
                },
                Way::Decode(claim) => {
                    let plain = self.read(id, depth, decoded)?;
                    decoded.insert(id, plain.clone());
                    claim.done(&plain);
                    return Ok(plain);
                }
            }
        }
    }

    fn way(&self, id: u64) -> Way<'_> {
        let mut cache = self.cache();
        if let Some(plain) = cache.plain.get(id) {
            return Way::Cached(plain);
        }
        if let Some(running) = cache.running.get(&id) {
            return Way::Wait(Arc::clone(running));
        }
        let running = Arc::<Running>::default();
        cache.running.insert(id, Arc::clone(&running));
        drop(cache);
        Way::Decode(Claim { reader: self, id, running })
    }

    /// Reads and decodes chunk `id`, after its bases.
    fn read(&self, id: u64, depth: u8, decoded: &mut HashMap<u64, Plain>) -> Result<Plain> {
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
        let mut bases = Vec::with_capacity(head.bases.len());
        for &base in &head.bases {
            let depth = depth.checked_sub(1).ok_or_else(|| {
                Error::corrupt(format!("chunk {id} is corrected more often than the store allows"))
            })?;
            let plain = self
                .rebuild(base, id, depth, decoded)
                .map_err(|e| e.within(format_args!("base of chunk {id}")))?;
            bases.push(plain);
        }
        let bases: Vec<&[u8]> = bases.iter().map(|base| &**base).collect();
        let payload = self
            .backend
            .get(Space::Payload, &id_key(id))?
            .ok_or_else(|| Error::corrupt(format!("chunk {id} has no payload")))?;
        let damaged = |why: &str| Error::corrupt(format!("chunk {id}: {why}"));
        // Of raw bytes the check is the beginning of their name.
        let is_sound = head.coding != Coding::Raw && Head::check_of(&payload) == head.payload_check;
        let len = head.len as usize;
        let buffer = self.cache().plain.buffer(len);
        let plain = self.decoders.decode(head.coding, &payload, &bases, len, buffer).map_err(|e| {
            damaged(if is_sound { "its payload does not decode" } else { "its payload is damaged" })
                .with_source(e)
        })?;
        let plain = Plain::new(plain, false);
        // A payload may be damaged in a bit that decoding does not need.
        if is_sound || plain.is_named(&head.name) { Ok(plain) } else { Err(damaged(UNNAMED)) }
    }

    /// Puts a copy of known good bytes into the cache.
    pub(crate) fn keep_copy(&self, id: u64, bytes: &[u8]) {
        let mut cache = self.cache();
        let mut copy = cache.plain.buffer(bytes.len());
        copy.extend_from_slice(bytes);
        cache.plain.insert(id, Plain::new(copy, true));
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
            cache.plain.remove(*id);
        }
    }
}
