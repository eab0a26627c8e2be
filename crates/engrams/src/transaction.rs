//! A transaction: many files, published as one version, or not at all.

use std::io::{self, Read};
use std::sync::{Arc, PoisonError};

use engrams_core::Chunking;
use engrams_store::tree::{Attributes, MAX_PATH_BYTES, Node};
use engrams_store::{Draft, EngramStore, Entry, Error, Result, Tree, check_path};

use crate::ingest::{
    Cutter, Event, Expected, Group, IngestOptions, Pipeline, Settings, SharedHasher, StreamingProgress,
};

/// Many files, published as one version, or not at all. Dropping it publishes nothing.
///
/// Files put one after the other form one stream: those of at least the minimum chunk size are cut by themselves,
/// smaller neighbours share chunks. Put files in path order where there is a choice.
pub struct Transaction {
    store: EngramStore,
    base: Tree,
    base_version: Option<u64>,
    provisional: u64,
    cutter: Cutter,
    pipeline: Pipeline,
    alone_from: usize,
    /// Cut points depend on the content, and are to be found.
    expects: bool,
    last_put: Option<(Vec<u8>, [u8; 32])>,
    only_mends: bool,
    failed: bool,
}

/// What a transaction published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionResult {
    /// The new version's number.
    pub version: u64,
    /// Files of the new version, in all trees.
    pub files: u64,
    /// What was read, decided and saved.
    pub progress: StreamingProgress,
}

/// What was read of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSummary {
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of them.
    pub hash: [u8; 32],
}

impl Transaction {
    /// Begins a transaction on the newest version.
    ///
    /// # Errors
    /// `Invalid` when an option is out of its range, `Io` when its thread can't be started.
    pub fn begin(store: &EngramStore, options: &IngestOptions) -> Result<Self> {
        Self::on(store, store.draft()?, options)
    }

    /// Begins a transaction that is refused if another commit comes first that changes one of these `paths`: for what is
    /// written depending on what was read there. Without this, others may change what was only read, and two that write
    /// the same content both succeed, like two counters that go from 1 to 2.
    ///
    /// # Errors
    /// As [`begin`](Self::begin); `Corrupt` when the newest version can't be read.
    pub fn begin_expecting(store: &EngramStore, options: &IngestOptions, paths: &[&[u8]]) -> Result<Self> {
        let mut draft = store.draft()?;
        paths.iter().try_for_each(|path| draft.expect(path))?;
        Self::on(store, draft, options)
    }

    /// Begins one that stores nothing but the bytes of lost chunks, and is not to be committed.
    #[cfg(unix)]
    pub(crate) fn mending(store: &EngramStore) -> Result<Self> {
        let settings = IngestOptions::default().settle(store)?;
        Self::with(store, store.draft()?, Settings { only_mends: true, ..settings })
    }

    fn on(store: &EngramStore, draft: Draft, options: &IngestOptions) -> Result<Self> {
        Self::with(store, draft, options.settle(store)?)
    }

    fn with(store: &EngramStore, draft: Draft, settings: Settings) -> Result<Self> {
        Ok(Self {
            store: store.clone(),
            base: draft.base_tree().clone(),
            base_version: draft.base().map(|base| base.number),
            provisional: draft.provisional(),
            cutter: Cutter::new(&settings, store.gear()),
            alone_from: settings.chunking.minimum(),
            expects: matches!(settings.chunking, Chunking::ContentDefined(_)) && !settings.only_mends,
            only_mends: settings.only_mends,
            pipeline: Pipeline::start(store.clone(), draft, settings)?,
            last_put: None,
            failed: false,
        })
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &EngramStore {
        &self.store
    }

    /// What the newest version held when this began.
    #[must_use]
    pub fn base(&self) -> &Tree {
        &self.base
    }

    /// The newest version's number when this began.
    #[must_use]
    pub fn base_version(&self) -> Option<u64> {
        self.base_version
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> StreamingProgress {
        self.pipeline.progress()
    }

    /// Everything at and below `path` goes, unless it is put or kept afterwards. The empty path is everything.
    ///
    /// # Errors
    /// `Invalid` for a path that is not allowed; otherwise why an earlier step failed.
    pub fn clear(&mut self, path: &[u8]) -> Result<()> {
        if !path.is_empty() {
            check_path(path)?;
        }
        self.event(Event::Clear(path.to_vec()))
    }

    /// Removes everything at and below `path`; returns how many entries of the base that were.
    ///
    /// # Errors
    /// As [`clear`](Self::clear).
    pub fn remove(&mut self, path: &[u8]) -> Result<u64> {
        self.clear(path)?;
        self.base.entries(path).try_fold(0, |count, entry| entry.map(|_| count + 1))
    }

    /// Keeps what the base version has at `path`, although it was cleared; `false`: there was nothing.
    ///
    /// # Errors
    /// As [`clear`](Self::clear); `Corrupt` when the base can't be read.
    pub fn keep(&mut self, path: &[u8]) -> Result<bool> {
        let kept = self.base.get(path)?.is_some();
        if kept {
            self.event(Event::Keep(path.to_vec()))?;
        }
        Ok(kept)
    }

    /// Puts a directory.
    ///
    /// # Errors
    /// As [`clear`](Self::clear).
    pub fn put_directory(&mut self, path: &[u8], attributes: Attributes) -> Result<()> {
        self.put(path, attributes, Node::Directory)
    }

    /// Puts a symbolic link; its target is kept as it is.
    ///
    /// # Errors
    /// As [`clear`](Self::clear).
    pub fn put_symlink(&mut self, path: &[u8], target: &[u8], attributes: Attributes) -> Result<()> {
        self.put(path, attributes, Node::Symlink(target.to_vec()))
    }

    fn put(&mut self, path: &[u8], attributes: Attributes, node: Node) -> Result<()> {
        check_path(path)?;
        attributes.check()?;
        if let Node::Symlink(target) = &node
            && target.len() > MAX_PATH_BYTES
        {
            let len = target.len();
            return Err(Error::invalid(format!("a link target of {len} bytes is over {MAX_PATH_BYTES}")));
        }
        let entry = Entry { path: path.to_vec(), version: self.provisional, attributes, node };
        self.event(Event::Put(Box::new(entry)))
    }

    /// Puts an entry whose content, if it is a file, is stored already.
    pub(crate) fn share(&mut self, entry: Entry) -> Result<()> {
        check_path(&entry.path)?;
        self.event(Event::Share(Box::new(Entry { version: self.provisional, ..entry })))
    }

    fn event(&mut self, event: Event) -> Result<()> {
        self.check()?;
        self.cutter.event(event);
        self.forward()
    }

    fn check(&self) -> Result<()> {
        if self.failed {
            return Err(Error::invalid("this transaction has failed: begin another"));
        }
        Ok(())
    }

    /// Sends on what is complete.
    fn forward(&mut self) -> Result<()> {
        while let Some(group) = self.cutter.next_group() {
            self.send(group)?;
        }
        Ok(())
    }

    fn send(&mut self, group: Group) -> Result<()> {
        while let Some(decided) = self.pipeline.decided() {
            self.cutter.recycle(decided);
        }
        self.pipeline.send(group).inspect_err(|_| self.failed = true)
    }

    fn cut(&mut self) -> Result<()> {
        self.cutter.expect(None);
        self.forward()?;
        match self.cutter.force_cut() {
            Some(group) => self.send(group),
            None => Ok(()),
        }
    }

    /// Puts a file with all that `reader` gives. Putting a path again replaces it.
    ///
    /// # Errors
    /// `Io` when the reader fails: the path is then as it was before, and the transaction goes on. Otherwise as
    /// [`clear`](Self::clear).
    pub fn put_file(
        &mut self,
        path: &[u8],
        attributes: Attributes,
        reader: &mut dyn Read,
    ) -> Result<FileSummary> {
        let mut file = self.begin_file(path, attributes)?;
        loop {
            match self.read_file(&mut file, reader) {
                Ok(true) => {}
                Ok(false) => return self.end_file(file),
                Err(Trouble::Reader(error)) => {
                    self.abandon_file(file)?;
                    return Err(Error::io(format_args!("reading `{}`", path.escape_ascii()), error));
                }
                Err(Trouble::Ours(error)) => return Err(error),
            }
        }
    }

    /// Begins a file: its bytes follow.
    pub(crate) fn begin_file(&mut self, path: &[u8], attributes: Attributes) -> Result<FileInHand> {
        check_path(path)?;
        attributes.check()?;
        self.check()?;
        Ok(FileInHand {
            path: path.to_vec(),
            attributes: Some(attributes),
            held: Vec::new(),
            alone: false,
            hasher: SharedHasher::default(),
            handed_over: false,
            size: 0,
        })
    }

    /// Reads once; `false` at the end.
    pub(crate) fn read_file(
        &mut self,
        file: &mut FileInHand,
        reader: &mut dyn Read,
    ) -> Result<bool, Trouble> {
        if file.attributes.is_none() {
            let len = self.cutter.read(reader).map_err(Trouble::Reader)?;
            file.absorb(self.cutter.last(len));
            self.flow(file, len).map_err(Trouble::Ours)?;
            return Ok(len > 0);
        }
        // Until it is known whether the file is cut by itself, its bytes wait here.
        let room = (self.alone_from - file.held.len()) as u64;
        let more = reader.take(room).read_to_end(&mut file.held).map_err(Trouble::Reader)? > 0;
        if file.held.len() == self.alone_from {
            self.release(file, true).map_err(Trouble::Ours)?;
        }
        Ok(more)
    }

    /// Adds bytes at hand.
    pub(crate) fn write_file(&mut self, file: &mut FileInHand, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if file.attributes.is_some() {
                let (now, later) = bytes.split_at(bytes.len().min(self.alone_from - file.held.len()));
                file.held.extend_from_slice(now);
                bytes = later;
                if file.held.len() == self.alone_from {
                    self.release(file, true)?;
                }
            } else {
                let (now, later) = bytes.split_at(bytes.len().min(256 << 10));
                file.absorb(now);
                self.cutter.append(now);
                self.flow(file, now.len())?;
                bytes = later;
            }
        }
        Ok(())
    }

    /// Lets a file's first bytes into the stream, after a cut when the file is `alone`.
    fn release(&mut self, file: &mut FileInHand, alone: bool) -> Result<()> {
        let Some(attributes) = file.attributes.take() else { return Ok(()) };
        if alone {
            self.cut()?;
            let before = self.base.get(&file.path)?;
            let before = before.as_ref().and_then(Entry::file).filter(|_| self.expects);
            self.cutter.expect(before.map(|before| Expected::new(&self.store, before)));
        }
        self.cutter.event(Event::Begin { path: file.path.clone(), attributes: Box::new(attributes) });
        file.alone = alone;
        let held = std::mem::take(&mut file.held);
        file.absorb(&held);
        self.cutter.append(&held);
        self.flow(file, held.len())
    }

    /// The file's next `len` bytes are in the stream, and hashed unless that is left to who decides.
    fn flow(&mut self, file: &mut FileInHand, len: usize) -> Result<()> {
        file.size += len as u64;
        self.pipeline.counts().read.add(len as u64);
        if file.size >= HAND_OVER_BYTES && !file.handed_over {
            file.handed_over = true;
            self.cutter.event(Event::Hash(Arc::clone(&file.hasher)));
        }
        self.forward()
    }

    /// Ends a file.
    pub(crate) fn end_file(&mut self, mut file: FileInHand) -> Result<FileSummary> {
        self.check()?;
        self.release(&mut file, false)?;
        if file.alone {
            self.cut()?;
        }
        if file.handed_over {
            self.cutter.event(Event::Hashed);
            self.sync()?;
        }
        let hash = *file.hasher.lock().unwrap_or_else(PoisonError::into_inner).finalize().as_bytes();
        self.cutter.event(Event::End { hash });
        self.forward()?;
        let summary = FileSummary { size: file.size, hash };
        self.last_put = Some((file.path, hash));
        Ok(summary)
    }

    /// Gives a file up: its path is as it was before.
    pub(crate) fn abandon_file(&mut self, file: FileInHand) -> Result<()> {
        self.check()?;
        if file.attributes.is_none() {
            self.cut()?;
            self.cutter.event(Event::Abandon);
        }
        Ok(())
    }

    /// Remembers what the file system said (`stat`: any bytes) of the file put last, which must be `path`.
    ///
    /// # Errors
    /// `Invalid` when another file was put last; `Io` or `Unavailable`.
    pub fn remember(&mut self, path: &[u8], stat: &[u8]) -> Result<()> {
        if self.only_mends {
            return Ok(());
        }
        match &self.last_put {
            Some((last, hash)) if last == path => self.store.remember(path, hash, stat),
            _ => Err(Error::invalid(format!("`{}` is not the file put last", path.escape_ascii()))),
        }
    }

    /// The base version's file at `path` was remembered with exactly this `stat`.
    ///
    /// # Errors
    /// `Corrupt` when the base can't be read; `Io` or `Unavailable`.
    pub fn unchanged(&self, path: &[u8], stat: &[u8]) -> Result<bool> {
        match self.base.get(path)?.as_ref().and_then(Entry::file) {
            Some(file) => self.store.remembers(path, &file.hash, stat),
            None => Ok(false),
        }
    }

    /// Waits until everything put so far is decided: a failure shows here at the latest.
    ///
    /// # Errors
    /// Why a step failed.
    pub fn sync(&mut self) -> Result<()> {
        self.check()?;
        self.cut()?;
        let group = self.cutter.take();
        self.send(group)?;
        self.pipeline.sync().inspect_err(|_| self.failed = true)
    }

    /// Waits until everything that was read has mended what it could, and publishes nothing.
    #[cfg(unix)]
    pub(crate) fn finish_mending(mut self) -> Result<()> {
        self.sync()
    }

    /// Publishes everything as one version. Once it returns, power loss changes nothing.
    ///
    /// # Errors
    /// `Conflict` when a commit since [`begin`](Self::begin) changed a path that this changes too, and not alike, or one that
    /// was [expected](Self::begin_expecting); nothing is then published, and [`EngramStore::retry`] does it again. What others
    /// made and removed again meanwhile is as it was. Otherwise why a step failed.
    pub fn commit(mut self, message: &str) -> Result<TransactionResult> {
        self.sync()?;
        let Self { pipeline, store, .. } = self;
        let counts = pipeline.progress();
        let version = pipeline.commit(message)?;
        drop(store);
        Ok(TransactionResult { version: version.number, files: version.files, progress: counts })
    }
}

/// Why reading into the stream stopped.
pub(crate) enum Trouble {
    /// The reader failed.
    Reader(io::Error),
    /// The store failed.
    Ours(Error),
}

/// A file being put.
pub(crate) struct FileInHand {
    path: Vec<u8>,
    /// `None` once its bytes flow.
    attributes: Option<Attributes>,
    held: Vec<u8>,
    alone: bool,
    hasher: SharedHasher,
    /// Who decides hashes what comes.
    handed_over: bool,
    size: u64,
}

impl FileInHand {
    /// Bytes so far.
    pub(crate) fn len(&self) -> u64 {
        self.size + self.held.len() as u64
    }

    fn absorb(&mut self, bytes: &[u8]) {
        if !self.handed_over {
            self.hasher.lock().unwrap_or_else(PoisonError::into_inner).update(bytes);
        }
    }
}

/// A file this long is hashed by who decides from here on, whose threads then share the work evenly with the caller's.
/// Its end waits for them, which smaller files should not.
const HAND_OVER_BYTES: u64 = 32 << 20;
