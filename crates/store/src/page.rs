//! Pages: small immutable byte strings (nodes of trees and of chunk lists, engrams), each coded against an older
//! page it resembles, checked on every read.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;

use crate::backend::KeyRange;
use crate::codec::{Compression, Decoders, Encoder};
use crate::format::{Coding, MAX_ID, Reader, id_key, id_of_key, put_varint, seal, unseal};
use crate::{Backend, Batch, Durability, Error, ErrorKind, Result, Space};

/// Longest plain page, in bytes: bounds what a record can make a reader allocate.
pub(crate) const MAX_PAGE_BYTES: usize = 8 << 20;
/// Longest chain of page corrections.
const MAX_PAGE_DEPTH: u8 = 16;
/// Pages are few and read often: a high level costs little and saves bytes for good.
const PAGE_COMPRESSION: Compression = Compression::Zstd(12);
/// Longer pages, which only extended attributes make, are not kept: the cache stays below 32 MiB.
const MAX_CACHED_BYTES: usize = 64 << 10;
const CACHED_PAGES: NonZeroUsize = NonZeroUsize::new(512).expect("not zero");

/// Reads and stages pages.
pub(crate) struct PageStore {
    backend: Arc<dyn Backend>,
    next: AtomicU64,
    decoders: Decoders,
    cache: Mutex<LruCache<u64, Page>>,
}

#[derive(Clone)]
struct Page {
    plain: Arc<[u8]>,
    depth: u8,
}

impl PageStore {
    /// Pages of `backend`; new ids come after every id staged so far, published or not.
    pub(crate) fn open(backend: Arc<dyn Backend>) -> Result<Self> {
        let next = next_id(&*backend, Space::Page)?;
        let cache = Mutex::new(LruCache::new(CACHED_PAGES));
        Ok(Self { backend, next: AtomicU64::new(next), decoders: Decoders::default(), cache })
    }

    /// The next id.
    pub(crate) fn next(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// The plain bytes of page `id`.
    pub(crate) fn get(&self, id: u64) -> Result<Arc<[u8]>> {
        Ok(self.page(id, MAX_PAGE_DEPTH)?.plain)
    }

    /// Stages a page, coded against page `like` when that helps; returns its id.
    pub(crate) fn put(&self, plain: &[u8], like: Option<u64>) -> Result<u64> {
        if plain.len() > MAX_PAGE_BYTES {
            return Err(Error::invalid(format!("a page of {} bytes is over {MAX_PAGE_BYTES}", plain.len())));
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let base = match like {
            Some(like) => {
                Some((like, self.page(like, MAX_PAGE_DEPTH)?)).filter(|(_, p)| p.depth < MAX_PAGE_DEPTH)
            }
            None => None,
        };
        let (record, depth) = encode(id, plain, base.as_ref().map(|(id, page)| (*id, page)))?;
        let mut batch = Batch::new();
        batch.expect(Space::Page, id_key(id), None);
        batch.put(Space::Page, id_key(id), record);
        self.backend.write(batch, Durability::Staged)?;
        self.keep(id, Page { plain: plain.into(), depth });
        Ok(id)
    }

    /// Codes page `id`, whose plain bytes these are, anew, against page `base` where that helps.
    pub(crate) fn recode(&self, id: u64, plain: &[u8], base: Option<u64>) -> Result<()> {
        let base = match base {
            Some(base) => Some((base, self.page(base, MAX_PAGE_DEPTH)?)),
            None => None,
        };
        let mut batch = Batch::new();
        batch.put(Space::Page, id_key(id), encode(id, plain, base.as_ref().map(|(id, page)| (*id, page)))?.0);
        self.backend.write(batch, Durability::Staged)
    }

    /// These pages are no longer stored.
    pub(crate) fn remove(&self, ids: &[u64]) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        ids.iter().for_each(|id| drop(cache.pop(id)));
    }

    fn keep(&self, id: u64, page: Page) {
        if page.plain.len() > MAX_CACHED_BYTES {
            return;
        }
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).put(id, page);
    }

    /// Recursion is bounded by `depth`, whatever the records say.
    fn page(&self, id: u64, depth: u8) -> Result<Page> {
        if let Some(page) = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(page.clone());
        }
        let page = self.read(id, depth).map_err(|e| e.within(format_args!("page {id}")))?;
        self.keep(id, page.clone());
        Ok(page)
    }

    fn read(&self, id: u64, allowed: u8) -> Result<Page> {
        let mut record = None;
        loop {
            let now = self.backend.get(Space::Page, &id_key(id))?;
            let now = now.ok_or_else(|| Error::corrupt("it is missing"))?;
            match self.decode(id, allowed, &now) {
                // A collection may have coded it anew, and removed its old base, since its record was read.
                Err(error) if error.kind() == ErrorKind::Corrupt && record.as_ref() != Some(&now) => {
                    record = Some(now);
                }
                other => return other,
            }
        }
    }

    fn decode(&self, id: u64, allowed: u8, record: &[u8]) -> Result<Page> {
        let (header, coded) = Header::parse(id, record)?;
        let prefix = match header.base {
            None => None,
            Some(base) => {
                let left = allowed.checked_sub(1);
                let left = left.ok_or_else(|| Error::corrupt("page record: it is corrected too often"))?;
                Some(self.page(base, left)?.plain)
            }
        };
        let (prefix, buffer) = (prefix.as_deref().unwrap_or(&[]), Vec::with_capacity(header.len));
        let plain = self.decoders.decode(header.coding, coded, &[prefix], header.len, buffer)?;
        if check(id, &plain) != header.check {
            return Err(Error::corrupt("its bytes do not match its check"));
        }
        Ok(Page { plain: plain.into(), depth: header.depth })
    }
}

/// What a page's record says before its coded bytes.
struct Header {
    depth: u8,
    len: usize,
    coding: Coding,
    base: Option<u64>,
    check: [u8; 8],
}

impl Header {
    fn parse(id: u64, record: &[u8]) -> Result<(Self, &[u8])> {
        let mut reader = Reader::new(unseal(Space::Page, &id_key(id), record)?, "page record");
        let depth = reader.u8()?;
        let len = reader.varint_up_to(MAX_PAGE_BYTES as u64)? as usize;
        let (coding, base) = if depth == 0 {
            let coding = match reader.u8()? {
                0 => Coding::Raw,
                2 => Coding::Zstd,
                _ => return Err(reader.error("it has an unknown coding")),
            };
            (coding, None)
        } else {
            let back = reader.varint()?;
            let base = id.checked_sub(back).filter(|_| back > 0);
            (Coding::Zstd, Some(base.ok_or_else(|| reader.error("its base is not older"))?))
        };
        let check = reader.array::<8>()?;
        Ok((Self { depth, len, coding, base, check }, reader.rest()))
    }
}

/// The page that the record of page `id` is coded against, if any.
pub(crate) fn base_of(id: u64, record: &[u8]) -> Result<Option<u64>> {
    let header = Header::parse(id, record).map_err(|e| e.within(format_args!("page {id}")))?;
    Ok(header.0.base)
}

/// The record of a page, coded against `base` if there is one, and its depth.
fn encode(id: u64, plain: &[u8], base: Option<(u64, &Page)>) -> Result<(Vec<u8>, u8)> {
    let mut out = Vec::new();
    let depth = base.map_or(0, |(_, page)| page.depth + 1);
    out.push(depth);
    put_varint(&mut out, plain.len() as u64);
    let coded = match base {
        Some((base, page)) => {
            put_varint(&mut out, id - base);
            Encoder::new(PAGE_COMPRESSION)?.correction(plain, &page.plain)?
        }
        None => {
            let (coding, coded) = Encoder::new(PAGE_COMPRESSION)?.verbatim(plain)?;
            out.push(coding as u8);
            coded
        }
    };
    out.extend_from_slice(&check(id, plain));
    out.extend_from_slice(&coded);
    Ok((seal(Space::Page, &id_key(id), out), depth))
}

/// First 8 bytes of BLAKE3 over the id and the plain bytes.
fn check(id: u64, plain: &[u8]) -> [u8; 8] {
    let hash = blake3::Hasher::new().update(&id_key(id)).update(plain).finalize();
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    [a, b, c, d, e, f, g, h]
}

/// The id after the largest one of `space`; 1 when it is empty.
///
/// # Errors
/// `Corrupt` when that id is none a store could have reached.
pub(crate) fn next_id(backend: &dyn Backend, space: Space) -> Result<u64> {
    let snapshot = backend.snapshot()?;
    let range = KeyRange { descending: true, ..KeyRange::default() };
    let Some(last) = snapshot.scan(space, range).next().transpose()? else { return Ok(1) };
    match id_of_key(space, &last.0)? {
        last if last < MAX_ID => Ok(last + 1),
        last => Err(Error::corrupt(format!("{space:?} record {last} is out of range"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::MemoryBackend;

    #[test]
    fn pages_come_back_through_chains_and_a_fresh_reader() {
        let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
        let store = PageStore::open(Arc::clone(&backend)).unwrap();
        let mut plain: Vec<u8> =
            (0..3000u32).flat_map(|i| i.wrapping_mul(2654435761).to_le_bytes()).collect();
        let mut ids = Vec::new();
        for round in 0..40usize {
            plain[round * 7] ^= 0xff;
            let id = store.put(&plain, ids.last().map(|&(id, _)| id)).unwrap();
            ids.push((id, plain.clone()));
        }
        let fresh = PageStore::open(Arc::clone(&backend)).unwrap();
        for (id, plain) in ids.iter().rev() {
            assert_eq!(&*fresh.get(*id).unwrap(), &plain[..]);
        }
        assert!(fresh.put(b"next", None).unwrap() > ids.last().unwrap().0);
    }

    #[test]
    fn a_flipped_byte_anywhere_in_a_page_record_names_the_page() {
        let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
        let store = PageStore::open(Arc::clone(&backend)).unwrap();
        let first = store.put(&[7; 500], None).unwrap();
        let second = store.put(&[8; 500], Some(first)).unwrap();
        for id in [first, second] {
            let good = backend.get(Space::Page, &id_key(id)).unwrap().unwrap();
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 1;
                let mut batch = Batch::new();
                batch.put(Space::Page, id_key(id), bad);
                backend.write(batch, Durability::Staged).unwrap();
                let error = PageStore::open(Arc::clone(&backend)).unwrap().get(id).unwrap_err();
                assert!(error.to_string().contains(&format!("page {id}")), "{error}");
            }
            let mut batch = Batch::new();
            batch.put(Space::Page, id_key(id), good);
            backend.write(batch, Durability::Staged).unwrap();
        }
    }
}
