//! The store: opening it, and what readers and writers of chunks get hold of.

#[cfg(feature = "rocksdb")]
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engrams_core::Gear;

use crate::backend::{MemoryBackend, ReadOnly};
use crate::chunk::{ChunkReader, Plain};
use crate::encryption::{EncryptedBackend, StoreKey, no_store_yet, refuse_remains, unlock};
use crate::format::{Head, Superblock, Version};
use crate::index_keys::IndexKeys;
use crate::list::{Cursor, ListBuilder};
use crate::lost::Lost;
use crate::mark::CommitMark;
use crate::page::{PageStore, next_id};
use crate::pin::{Pin, Pins, Reuse};
use crate::recall::{self, Candidate};
use crate::reserve::{Reserve, Reserved};
use crate::staging::{Ids, Staging};
use crate::trace::FileTally;
use crate::tree::{FileNode, Piece};
use crate::versions::{HEAD_KEY, head_number, load_forgotten, read_version};
use crate::{Backend, Batch, Durability, Result, STORED_VECTOR_BYTES, Space, unless_corrupt};

/// Where, in the directory of a store, its database is.
pub(crate) const DATABASE: &str = "database";

/// Many versions of many files. A handle: clones share the store.
#[derive(Clone)]
pub struct EngramStore(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) backend: Arc<dyn Backend>,
    /// What `backend` is, when it is encrypted.
    pub(crate) encryption: Option<Arc<EncryptedBackend>>,
    pub(crate) gear: Gear,
    pub(crate) index_keys: IndexKeys,
    pub(crate) superblock: Superblock,
    pub(crate) chunks: ChunkReader,
    pub(crate) pages: Arc<PageStore>,
    ahead: Reserve,
    pub(crate) ids: Mutex<Ids>,
    /// The newest version; its lock is the commit lock.
    pub(crate) head: Mutex<Option<Version>>,
    pub(crate) mark: Option<CommitMark>,
    pub(crate) pins: Arc<Pins>,
    pub(crate) lost: Lost,
    /// Held by what removes records, and by what must see none go.
    pub(crate) collecting: Mutex<()>,
    pub(crate) recall_bytes: usize,
    pub(crate) read_only: bool,
    pub(crate) search: crate::search::Cached,
}

/// How to open a store.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Memory for decoded chunks, in bytes. Default 64 MiB: some 700 of them.
    pub cache_bytes: usize,
    /// Memory for chunks that are decoded before they are asked for, in bytes, all readers together. Default 16 MiB:
    /// enough for two extractions or four decoders at once; who finds none left decodes when asked.
    pub read_ahead_bytes: usize,
    /// Memory for the database's caches and write buffers, in bytes. Default 48 MiB, of which 2 cache: each time a write
    /// buffer is full it is synced, so with 8 MiB a first ingest of incompressible data takes twice as long. Half of what
    /// is more than the default goes to the cache.
    pub database_bytes: usize,
    /// Memory for the recall index, in bytes, taken at once, and only by what ingests something new. Default 8 MiB: the
    /// features of the last 65,000 chunks or more (4 GB with chunks of 64 KiB) and a sample of those of older ones.
    pub recall_bytes: usize,
    /// Open it as it is now, for reading alone: see [`EngramStore::open_read_only`]. Default: no.
    pub read_only: bool,
    /// The key of an encrypted store. One that is not there yet becomes an encrypted one if this is set. Default: none.
    pub key: Option<StoreKey>,
    /// What is frozen when the store is new; ignored when it exists.
    pub superblock: Superblock,
}

/// What the database of a store takes unless told otherwise (docs/decisions/0013).
pub(crate) const DEFAULT_DATABASE_BYTES: usize = 48 << 20;

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            read_ahead_bytes: 16 << 20,
            database_bytes: DEFAULT_DATABASE_BYTES,
            recall_bytes: 8 << 20,
            read_only: false,
            key: None,
            superblock: Superblock::default(),
        }
    }
}

/// The head's key in [`Space::Meta`].
impl EngramStore {
    /// Opens the store in directory `path`, and makes it when there is none.
    ///
    /// # Errors
    /// `Unavailable` when another process has it open, `Denied` when it is encrypted and the key is not its own (or it is
    /// not, and there is a key), `Unsupported` when a newer release wrote it, `Corrupt` when it is damaged, `Io` when
    /// the directory can't be used.
    #[cfg(feature = "rocksdb")]
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, &OpenOptions::default(), true)
    }

    /// Opens the store in directory `path`, which must exist.
    ///
    /// # Errors
    /// `NotFound` when there is none; otherwise as [`open`](Self::open).
    #[cfg(feature = "rocksdb")]
    pub fn open_existing(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, &OpenOptions::default(), false)
    }

    /// Opens the store in directory `path`; makes it when there is none and `create` is set.
    ///
    /// # Errors
    /// As [`open`](Self::open), [`open_existing`](Self::open_existing) and [`open_read_only`](Self::open_read_only).
    #[cfg(feature = "rocksdb")]
    pub fn open_with(path: impl AsRef<Path>, options: &OpenOptions, create: bool) -> Result<Self> {
        use crate::backend::{RocksBackend, RocksOptions};
        let path = path.as_ref();
        let database = path.join(DATABASE);
        refuse_foreign(path, &database)?;
        let mark = CommitMark::read(path)?;
        let rocks = RocksOptions { memory_bytes: options.database_bytes, read_only: options.read_only };
        let backend = match RocksBackend::open(&database, &rocks) {
            Err(error) if error.kind() != crate::ErrorKind::NotFound => return Err(error),
            Err(_) if create && !options.read_only => RocksBackend::create(&database, &rocks)?,
            Err(_) => {
                let missing = format!("there is no store at {}: ingest something first", path.display());
                return Err(crate::Error::not_found(missing));
            }
            Ok(backend) => backend,
        };
        Self::assemble(Arc::new(backend), options, Some(mark))
    }

    /// A store in memory: for tests and for what need not last.
    #[must_use]
    pub fn in_memory() -> Self {
        let backend = Arc::new(MemoryBackend::new());
        // A fresh memory backend has nothing to read wrongly and nowhere to fail.
        match Self::assemble(backend, &OpenOptions::default(), None) {
            Ok(store) => store,
            Err(error) => unreachable!("an empty memory backend opens: {error}"),
        }
    }

    /// The store in any [`Backend`], made when it is empty.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn with_backend(backend: Arc<dyn Backend>, options: &OpenOptions) -> Result<Self> {
        Self::assemble(backend, options, None)
    }

    pub(crate) fn assemble(
        mut backend: Arc<dyn Backend>,
        options: &OpenOptions,
        mark: Option<CommitMark>,
    ) -> Result<Self> {
        if options.read_only {
            backend = Arc::new(ReadOnly(backend));
        }
        let encryption = unlock(&backend, options.key.as_ref(), mark.as_ref(), options.read_only)?;
        let backend = encryption.clone().map_or(backend, |encrypted| encrypted);
        let secrets = encryption.as_ref().map(|encrypted| encrypted.secrets());
        let superblock = match backend.get(Space::Meta, Superblock::KEY)? {
            Some(record) => Superblock::decode(&record)?,
            None if options.read_only => {
                refuse_remains(&*backend, mark.as_ref())?;
                return Err(no_store_yet());
            }
            None => Self::make(&*backend, options, mark.as_ref())?,
        };
        let head = match backend.get(Space::Meta, HEAD_KEY)? {
            Some(record) => Some(read_version(&*backend, head_number(&record)?)?),
            None => None,
        };
        let number = head.as_ref().map_or(0, |head| head.number);
        if let Some(mark) = &mark {
            mark.check(number)?;
        }
        let end = next_id(&*backend, Space::Head)?;
        let leftover_start = head.as_ref().map_or(1, |head| head.chunks_end);
        // Entries may have outlived, in a crash, chunks that no version had. Who only reads gives no ids.
        let unused = if options.read_only { 0 } else { crate::search::LOG.next_id(&*backend)? };
        let pins = Arc::new(Pins::default());
        load_forgotten(&*backend, &pins)?;
        let lost = Lost::load(&*backend)?;
        let inner = Inner {
            lost,
            chunks: ChunkReader::new(Arc::clone(&backend), &superblock, options.cache_bytes),
            pages: Arc::new(PageStore::open(Arc::clone(&backend))?),
            ahead: Reserve::new(options.read_ahead_bytes),
            ids: Mutex::new(Ids {
                next: end.max(leftover_start).max(unused),
                leftover_start,
                leftover_end: end,
                recall: None,
            }),
            head: Mutex::new(head),
            superblock,
            gear: secrets.map_or(Gear::FROZEN, |secrets| secrets.gear()),
            index_keys: secrets.map_or_else(IndexKeys::plain, |secrets| secrets.index_keys()),
            encryption,
            backend,
            mark,
            pins,
            collecting: Mutex::default(),
            recall_bytes: options.recall_bytes,
            read_only: options.read_only,
            search: Mutex::default(),
        };
        inner.keep_spare()?;
        Ok(Self(Arc::new(inner)))
    }

    fn make(backend: &dyn Backend, options: &OpenOptions, mark: Option<&CommitMark>) -> Result<Superblock> {
        refuse_remains(backend, mark)?;
        let superblock = options.superblock.check()?;
        let mut batch = Batch::new();
        batch.expect(Space::Meta, Superblock::KEY, None);
        batch.put(Space::Meta, Superblock::KEY, superblock.encode());
        backend.write(batch, Durability::Durable)?;
        Ok(superblock)
    }

    /// Writes what is in memory and refuses every later call, on all handles, with `Unavailable`. A store in a
    /// directory can be opened again once the last handle, decoder and ingester of it is dropped.
    ///
    /// # Errors
    /// `Io` when what is in memory can't be written; what was committed is safe all the same.
    pub fn close(&self) -> Result<()> {
        self.0.backend.close()
    }

    /// What is frozen in this store.
    #[must_use]
    pub fn superblock(&self) -> &Superblock {
        &self.0.superblock
    }

    /// The head of chunk `id`.
    ///
    /// # Errors
    /// `Corrupt` when it is missing or damaged.
    pub fn chunk_head(&self, id: u64) -> Result<Arc<Head>> {
        self.0.chunks.head(id)
    }

    /// The head of chunk `id`, if there is such a chunk.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged.
    pub fn find_chunk_head(&self, id: u64) -> Result<Option<Arc<Head>>> {
        self.0.chunks.find_head(id)
    }

    /// Those of the chunks `ids` that resemble a chunk with this vector, nearest first; what is gone or damaged is left
    /// out.
    ///
    /// # Errors
    /// `Io` or `Unavailable`.
    pub fn rank(
        &self,
        vector: &[u8; STORED_VECTOR_BYTES],
        ids: impl Iterator<Item = u64>,
    ) -> Result<Vec<Candidate>> {
        recall::rank(&self.0.chunks, vector, ids)
    }

    /// The plain bytes of chunk `id`, checked against its name.
    ///
    /// # Errors
    /// `Corrupt`, naming the chunk, when it or one of its bases is damaged.
    pub fn chunk(&self, id: u64) -> Result<Plain> {
        self.0.chunks.plain(id)
    }

    /// The plain bytes of chunk `id`, for whoever corrects another chunk by them: made of payloads whose checks (4 bytes) are
    /// right, not compared with the name. Whoever gives bytes to a caller uses [`chunk`](Self::chunk).
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    pub fn base(&self, id: u64) -> Result<Plain> {
        self.0.chunks.base(id)
    }

    /// Memory to decode ahead of need: `wanted` bytes, or as many as other readers of this store have left.
    #[must_use]
    pub fn reserve_ahead(&self, wanted: usize) -> Reserved {
        self.0.ahead.take(wanted)
    }

    /// Adds to `into` the chunks that decoding `id` touches, itself not counted.
    ///
    /// # Errors
    /// `Corrupt` when a head is damaged or there are more than the store allows.
    pub fn closure(&self, id: u64, into: &mut Vec<u64>) -> Result<()> {
        self.0.chunks.closure(id, into)
    }

    /// Waits for exclusive use of the chunk ids. What is found there is kept for the draft that `reuse` is of.
    #[must_use]
    pub fn staging(&self, reuse: &Reuse) -> Staging<'_> {
        Staging::new(&self.0, self.0.ids(), reuse.clone())
    }

    /// A collection is about to remove this chunk: nothing new may lean on it.
    #[must_use]
    pub fn is_condemned(&self, chunk: u64) -> bool {
        self.0.pins.is_condemned(chunk)
    }

    /// A list of the pieces of one file; `like` is an older content of the same path.
    #[must_use]
    pub fn piece_list(&self, like: Option<&FileNode>) -> PieceList {
        PieceList(ListBuilder::new(Arc::clone(&self.0.pages), like))
    }

    /// A walk over the pieces of a file. While it is there, nothing of the file is collected; hold the tree the file is
    /// from until then.
    #[must_use]
    pub fn pieces(&self, file: &FileNode) -> Pieces {
        let pin = self.0.pins.content(&file.content);
        Pieces(Cursor::new(Arc::clone(&self.0.pages), &file.content, file.size), pin)
    }

    /// A tally of the change a file's new content makes to an engram.
    #[must_use]
    pub fn tally(&self, old: Option<&FileNode>) -> FileTally {
        FileTally::new(Arc::clone(&self.0), old)
    }

    /// Tells whether `stat` is what was [remembered](Self::remember) of the file at `path` whose content has this hash.
    /// What can't be read is not remembered.
    ///
    /// # Errors
    /// `Io` or `Unavailable`.
    pub fn remembers(&self, path: &[u8], hash: &[u8; 32], stat: &[u8]) -> Result<bool> {
        let found = unless_corrupt(self.0.backend.get(Space::Seen, &self.0.index_keys.seen(path)))?.flatten();
        Ok(found.is_some_and(|found| found == seen_value(path, hash, stat)))
    }

    /// Remembers what the file system said of the file at `path` when its content was this. A cache: it is only
    /// believed together with the content it was remembered for.
    ///
    /// # Errors
    /// `Io` or `Unavailable`.
    pub fn remember(&self, path: &[u8], hash: &[u8; 32], stat: &[u8]) -> Result<()> {
        let mut batch = Batch::new();
        batch.put(Space::Seen, self.0.index_keys.seen(path), seen_value(path, hash, stat));
        self.0.backend.write(batch, Durability::Staged)
    }
}

impl Inner {
    pub(crate) fn head(&self) -> MutexGuard<'_, Option<Version>> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ids(&self) -> MutexGuard<'_, Ids> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Collects the pieces of one file.
pub struct PieceList(ListBuilder);

impl PieceList {
    /// Adds the next piece.
    ///
    /// # Errors
    /// `Io` or `Unavailable` when a full page can't be staged.
    pub fn push(&mut self, piece: Piece) -> Result<()> {
        self.0.push(piece)
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    /// Ends the list: the content whose hash this is.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(self, hash: [u8; 32]) -> Result<FileNode> {
        let size = self.0.bytes();
        Ok(FileNode { size, hash, content: self.0.finish()? })
    }
}

/// Walks the pieces of a file.
pub struct Pieces(Cursor, #[expect(dead_code, reason = "held for its drop")] Pin);

impl Pieces {
    /// The piece that holds the byte at `offset`, with the file offset of its first byte; `None` at the end.
    ///
    /// # Errors
    /// `Corrupt` when the list is damaged.
    pub fn at(&mut self, offset: u64) -> Result<Option<(u64, Piece)>> {
        self.0.piece_at(offset)
    }
}

/// A directory that has files in it but no store is somebody else's.
#[cfg(feature = "rocksdb")]
fn refuse_foreign(path: &Path, database: &Path) -> Result<()> {
    if crate::repair::was_interrupted(path) {
        return Err(crate::Error::corrupt(format!(
            "the repair of the store at {} was interrupted: repair it again",
            path.display()
        )));
    }
    let occupied = path.is_file()
        || (path.is_dir()
            && !database.is_dir()
            && std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()));
    if occupied {
        return Err(crate::Error::invalid(format!(
            "{} is not a store and not empty: name another directory",
            path.display()
        )));
    }
    Ok(())
}

fn seen_value(path: &[u8], hash: &[u8; 32], stat: &[u8]) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(path.len() as u64).to_le_bytes()).update(path).update(hash).update(stat);
    hasher.finalize().as_bytes()[..16].to_vec()
}
