//! Typed operations on a store against a `BTreeMap` of versions, on a medium that fails.
//!
//! Files are put, edited, copied, renamed and removed; versions tagged, forgotten, collected. One write or one flush fails,
//! once or for good. What failed was not done, or it was done whole: the store that is opened next equals the model from
//! before or after the operation, and from there on it goes on. At the end everything is read and verified deep.
#![no_main]

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use arbitrary::Arbitrary;
use engrams::store::backend::{Fault, FaultyBackend, MemoryBackend, Snapshot};
use engrams::store::{Backend, Batch, Durability, Space, Superblock};
use engrams::{
    Attributes, ChunkParams, CollectOptions, Compression, EngramStore, Error, ErrorKind, Forget,
    IngestOptions, OpenOptions, Result, Retention, StreamingDecoder, Transaction, VerifyOptions,
};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    /// Counted from the opening.
    write: Option<u8>,
    flush: Option<u8>,
    fatal: bool,
    operations: Vec<Operation>,
}

#[derive(Debug, Arbitrary)]
enum Operation {
    Put {
        path: u8,
        content: Content,
    },
    /// One pass over a file: part of it replaced, then something appended.
    Edit {
        path: u8,
        start: u16,
        removed: u16,
        inserted: Vec<u8>,
        appended: u8,
    },
    Copy {
        from: u8,
        to: u8,
    },
    Rename {
        from: u8,
        to: u8,
    },
    Remove {
        path: u8,
    },
    Tag {
        name: bool,
        version: u8,
    },
    Untag {
        name: bool,
    },
    Forget {
        version: u8,
    },
    KeepLast {
        count: u8,
    },
    Collect {
        rebase: bool,
    },
    /// Something is staged and never committed.
    Abandon {
        content: Content,
    },
    Reopen,
    Check,
}

/// A content by recipe.
#[derive(Debug, Arbitrary)]
struct Content {
    seed: u8,
    len: u16,
    edit_at: u16,
    edit: Vec<u8>,
}

impl Content {
    fn bytes(&self) -> Vec<u8> {
        let mut state = u32::from(self.seed % 4);
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let plain = self.seed.is_multiple_of(4);
        let mut bytes: Vec<u8> = (0..self.len % 6000)
            .map(|_| if plain { b"abc \n"[usize::from(next() % 5)] } else { next() })
            .collect();
        let at = usize::from(self.edit_at) % (bytes.len() + 1);
        bytes.splice(at..at, self.edit.iter().copied());
        bytes
    }
}

const PATHS: [&str; 5] = ["a", "b", "c", "d/e", "d/f"];

fn path(index: u8) -> &'static str {
    PATHS[usize::from(index) % PATHS.len()]
}

fn tag(name: bool) -> &'static str {
    if name { "one" } else { "two" }
}

type Files = BTreeMap<&'static str, Vec<u8>>;

/// What a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Model {
    versions: BTreeMap<u64, Files>,
    /// The number of the newest version that ever was.
    newest: u64,
    tags: BTreeMap<&'static str, u64>,
}

impl Model {
    fn files(&self) -> Files {
        self.versions.get(&self.newest).cloned().unwrap_or_default()
    }

    fn pick(&self, index: u8) -> Option<u64> {
        self.versions.keys().copied().nth(usize::from(index) % self.versions.len().max(1))
    }

    fn commit(mut self, files: Files) -> Self {
        self.newest += 1;
        self.versions.insert(self.newest, files);
        self
    }

    fn is_protected(&self, version: u64) -> bool {
        version == self.newest || self.tags.values().any(|tagged| *tagged == version)
    }
}

/// One memory backend under several stores, one after the other.
struct Shared(Arc<MemoryBackend>);

impl Backend for Shared {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.0.get(space, key)
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        self.0.snapshot()
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<()> {
        self.0.write(batch, durability)
    }

    fn flush(&self) -> Result<()> {
        self.0.flush()
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }

    fn stored_bytes(&self) -> Result<u64> {
        self.0.stored_bytes()
    }
}

fn open(backend: &Arc<MemoryBackend>, fault: Fault) -> EngramStore {
    let chunks = ChunkParams::new(64, 256, 1024).expect("within the limits");
    let superblock = Superblock { chunks, group: 4, max_depth: 3, max_closure: 5, ..Superblock::default() };
    let options = OpenOptions { cache_bytes: 1 << 20, superblock, ..OpenOptions::default() };
    let faulty = FaultyBackend::new(Shared(Arc::clone(backend)), fault);
    EngramStore::with_backend(Arc::new(faulty), &options).expect("what was written can be opened")
}

fn begin(store: &EngramStore) -> Result<Transaction> {
    let compression = Compression::Zstd(1);
    Transaction::begin(store, &IngestOptions { threads: 1, compression, ..IngestOptions::default() })
}

/// Does it, and tells what the store then holds if it succeeds.
fn operate(store: &EngramStore, model: &Model, operation: &Operation) -> (Result<()>, Model) {
    let mut files = model.files();
    let next = model.clone();
    match operation {
        Operation::Put { path: at, content } => {
            let bytes = content.bytes();
            files.insert(path(*at), bytes.clone());
            let done = begin(store).and_then(|mut transaction| {
                transaction.put_file(path(*at).as_bytes(), Attributes::default(), &mut &bytes[..])?;
                transaction.commit("")
            });
            (done.map(drop), next.commit(files))
        }
        Operation::Edit { path: at, start, removed, inserted, appended } => {
            let Some(file) = files.get_mut(path(*at)) else { return (Ok(()), next) };
            let start = usize::from(*start) % (file.len() + 1);
            let end = (start + usize::from(*removed)).min(file.len());
            let tail = vec![b'+'; usize::from(*appended)];
            file.splice(start..end, inserted.iter().copied());
            file.extend_from_slice(&tail);
            let done = begin(store).and_then(|mut transaction| {
                let mut edit = transaction.edit(path(*at).as_bytes())?;
                edit.replace(start as u64, end as u64, &inserted[..])?.append(&tail[..])?;
                edit.finish()?;
                transaction.commit("")
            });
            (done.map(drop), next.commit(files))
        }
        Operation::Copy { from, to } | Operation::Rename { from, to } => {
            let (from, to) = (path(*from), path(*to));
            let renames = matches!(operation, Operation::Rename { .. });
            let Some(file) = files.get(from).cloned().filter(|_| from != to) else { return (Ok(()), next) };
            files.insert(to, file);
            if renames {
                files.remove(from);
            }
            let done = begin(store).and_then(|mut transaction| {
                let (from, to) = (from.as_bytes(), to.as_bytes());
                if renames {
                    transaction.rename(from, to)?
                } else {
                    transaction.copy(from, to)?
                };
                transaction.commit("")
            });
            (done.map(drop), next.commit(files))
        }
        Operation::Remove { path: at } => {
            files.remove(path(*at));
            let done = begin(store).and_then(|mut transaction| {
                transaction.remove(path(*at).as_bytes())?;
                transaction.commit("")
            });
            (done.map(drop), next.commit(files))
        }
        Operation::Tag { name, version } => {
            let Some(version) = model.pick(*version) else { return (Ok(()), next) };
            let mut next = next;
            next.tags.insert(tag(*name), version);
            (store.tag(tag(*name), version), next)
        }
        Operation::Untag { name } => {
            let mut next = next;
            if next.tags.remove(tag(*name)).is_none() {
                let refused = store.untag(tag(*name));
                assert!(refused.is_err());
                return (Ok(()), next);
            }
            (store.untag(tag(*name)), next)
        }
        Operation::Forget { version } => {
            let Some(version) = model.pick(*version) else { return (Ok(()), next) };
            let done = store.forget(&Forget { versions: vec![version], ..Forget::default() });
            if model.is_protected(version) {
                let error = done.expect_err("a protected version was forgotten");
                assert!(error.kind() == ErrorKind::Invalid || is_injected(&error), "{error}");
                return (Ok(()), next);
            }
            let mut next = next;
            next.versions.remove(&version);
            (done.map(drop), next)
        }
        Operation::KeepLast { count } => {
            let count = usize::from(*count % 4) + 1;
            let keep = Retention { last: Some(count as u64), ..Retention::default() };
            let older = model.versions.len().saturating_sub(count);
            let mut next = next;
            for version in model.versions.keys().take(older).filter(|version| !model.is_protected(**version))
            {
                next.versions.remove(version);
            }
            (store.forget(&Forget { keep, ..Forget::default() }).map(drop), next)
        }
        Operation::Collect { rebase } => {
            let rebase_above = if *rebase { 0.0 } else { 1.0 };
            let options = CollectOptions { rebase_above, ..CollectOptions::default() };
            (store.collect(&options, &mut |_| {}).map(drop), next)
        }
        Operation::Abandon { content } => {
            let done = begin(store).and_then(|mut transaction| {
                let bytes = content.bytes();
                transaction.put_file(b"x", Attributes::default(), &mut &bytes[..])?;
                transaction.sync()
            });
            (done, next)
        }
        Operation::Reopen | Operation::Check => (Ok(()), next),
    }
}

fn is_injected(error: &Error) -> bool {
    let text = error.to_string();
    text.contains("injected fault") || text.contains("the faulty medium is gone")
}

/// What the store holds, read in full; `names` are the tags that may be there.
fn read(store: &EngramStore) -> Model {
    let versions = store.versions().expect("versions can be read");
    let mut model =
        Model { newest: versions.first().map_or(0, |version| version.number), ..Model::default() };
    for version in versions {
        let mut files = Files::new();
        for entry in store.tree_of(Some(&version)).entries(b"") {
            let entry = entry.expect("trees can be read");
            let path = PATHS.into_iter().find(|path| path.as_bytes() == entry.path);
            let path = path.expect("no path that was never written");
            let mut content = Vec::new();
            let builder = StreamingDecoder::builder(store, path).with_version(version.number);
            builder.build().expect("it can be opened").read_to_end(&mut content).expect("it can be read");
            files.insert(path, content);
        }
        model.versions.insert(version.number, files);
    }
    for found in store.tags().expect("tags can be read") {
        model.tags.insert(if found.name == tag(true) { tag(true) } else { tag(false) }, found.version);
    }
    model
}

fuzz_target!(|input: Input| {
    let backend = Arc::new(MemoryBackend::new());
    // The first write makes the store.
    let write = input.write.map(|write| u64::from(write) + 1);
    let fault = Fault { write, flush: input.flush.map(u64::from), fatal: input.fatal };
    let mut store = open(&backend, fault);
    let mut model = Model::default();
    for operation in input.operations.iter().take(30) {
        let (done, next) = operate(&store, &model, operation);
        match done {
            Ok(()) => model = next,
            Err(error) => {
                assert!(is_injected(&error), "{operation:?}: {error}");
                store = open(&backend, Fault::default());
                let found = read(&store);
                assert!(found == model || found == next, "{operation:?} was done in part");
                model = found;
            }
        }
        match operation {
            Operation::Reopen => store = open(&backend, Fault::default()),
            Operation::Check => assert!(read(&store) == model, "the store is not what it should be"),
            _ => {}
        }
    }
    store = open(&backend, Fault::default());
    assert!(read(&store) == model, "the store is not what it should be at the end");
    let report = store.verify(VerifyOptions { deep: true }, &mut |_| {}).expect("it can be verified");
    assert!(report.is_ok(), "{report:#?}");
});
