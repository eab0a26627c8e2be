//! Random transactions against a `BTreeMap` that can't be wrong; every version is read back.
//!
//! Operations that the store must refuse (a file below a file, a file in place of a full directory) are tried as well:
//! the model knows, and expects the transaction to fail as a whole. Other writers commit in between, readers fail
//! midway, one write may fail, stores are opened anew, and at the end everything is verified, engrams included.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use arbitrary::Arbitrary;
use engrams::store::backend::{Fault, FaultyBackend, MemoryBackend, Snapshot};
use engrams::store::{Backend, Batch, Durability, Space, Superblock};
use engrams::{
    Attributes, ChunkParams, Compression, EngramStore, Error, ErrorKind, IngestOptions, Node, OpenOptions,
    Result, StreamingDecoder, Transaction, VerifyOptions,
};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    compression: u8,
    threshold: u8,
    /// The write that fails and applies nothing; the medium goes on as if nothing had been.
    fault: Option<u8>,
    operations: Vec<Operation>,
}

#[derive(Debug, Arbitrary)]
enum Operation {
    PutFile {
        path: u8,
        mode: u8,
        content: Content,
    },
    /// The reader fails after all of the content.
    FailFile {
        path: u8,
        content: Content,
    },
    PutDirectory {
        path: u8,
        mode: u8,
    },
    PutSymlink {
        path: u8,
        target: u8,
    },
    /// 0: everything.
    Clear {
        path: u8,
    },
    Keep {
        path: u8,
    },
    Sync,
    Commit,
    GiveUp,
    Reopen,
    /// Somebody else changes one path and commits, while the transaction is under way.
    Other {
        path: u8,
        content: Option<Content>,
    },
}

/// A content by recipe: a few bytes of input make many bytes of files that resemble each other.
#[derive(Debug, Clone, Arbitrary)]
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
        // Seed 0 is text of a kind, the others are noise.
        let plain = self.seed.is_multiple_of(4);
        let mut bytes: Vec<u8> = (0..self.len % 9000)
            .map(|_| if plain { b"abc \n"[usize::from(next() % 5)] } else { next() })
            .collect();
        let at = usize::from(self.edit_at) % (bytes.len() + 1);
        bytes.splice(at..at, self.edit.iter().copied());
        bytes
    }
}

const PATHS: [&str; 12] =
    ["a", "a/b", "a/b/c", "a/b/d", "a-", "b", "b/x", "b/y", "b/y/z", "c", "c/\u{ff}", "d"];

fn path(index: u8) -> &'static str {
    PATHS[usize::from(index) % PATHS.len()]
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Thing {
    Directory { mode: u32 },
    Symlink { target: Vec<u8> },
    File { mode: u32, content: Vec<u8> },
}

type Tree = BTreeMap<&'static str, Thing>;

fn attributes(mode: u32) -> Attributes {
    Attributes { mode, ..Attributes::default() }
}

/// `path` is `above` or lies below it.
fn is_under(path: &str, above: &str) -> bool {
    above.is_empty() || path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether the rules of a tree let something be put there.
fn has_place(tree: &Tree, path: &str, is_leaf: bool) -> bool {
    let above_is_directory = path
        .match_indices('/')
        .all(|(at, _)| tree.get(&path[..at]).is_none_or(|above| matches!(above, Thing::Directory { .. })));
    let has_below = tree.keys().any(|other| *other != path && is_under(other, path));
    above_is_directory && !(is_leaf && has_below)
}

struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::Error::other("the reader fails")) } else { self.0.read(out) }
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
        self.0.close()
    }

    fn stored_bytes(&self) -> Result<u64> {
        self.0.stored_bytes()
    }
}

fn is_injected(error: &Error) -> bool {
    error.to_string().contains("injected fault")
}

/// A transaction under way, and what the model makes of it.
struct Draft {
    transaction: Transaction,
    base: Tree,
    tree: Tree,
    /// Paths that others changed since it began, also those they changed back.
    touched: BTreeSet<&'static str>,
    /// It must fail: something was put where nothing can be.
    doomed: bool,
}

struct Bed {
    backend: Arc<MemoryBackend>,
    store: EngramStore,
    options: IngestOptions,
    versions: Vec<Tree>,
    draft: Option<Draft>,
}

/// The smallest chunk: a file of so many bytes or more is cut by itself, and begins before it ends.
const MINIMUM: usize = 64;

fn open(backend: &Arc<MemoryBackend>, write: Option<u64>) -> EngramStore {
    let chunks = ChunkParams::new(MINIMUM, 256, 1024).expect("within the limits");
    let superblock = Superblock { chunks, group: 4, max_depth: 3, max_closure: 5, ..Superblock::default() };
    let options = OpenOptions { cache_bytes: 1 << 20, superblock, ..OpenOptions::default() };
    let faulty = FaultyBackend::new(Shared(Arc::clone(backend)), Fault { write, ..Fault::default() });
    EngramStore::with_backend(Arc::new(faulty), &options).expect("what was written can be opened")
}

impl Bed {
    fn newest(&self) -> Tree {
        self.versions.last().cloned().unwrap_or_default()
    }

    fn draft(&mut self) -> &mut Draft {
        let (store, options, tree) = (&self.store, &self.options, self.versions.last());
        self.draft.get_or_insert_with(|| Draft {
            transaction: Transaction::begin(store, options).expect("a transaction begins"),
            base: tree.cloned().unwrap_or_default(),
            tree: tree.cloned().unwrap_or_default(),
            touched: BTreeSet::new(),
            doomed: false,
        })
    }

    fn operate(&mut self, operation: &Operation) {
        match operation {
            Operation::Commit => return self.commit(),
            Operation::GiveUp => return self.draft = None,
            Operation::Reopen => {
                self.draft = None;
                self.store = open(&self.backend, None);
                return;
            }
            Operation::Other { path: at, content } => return self.other(path(*at), content.as_ref()),
            _ => {}
        }
        let draft = self.draft();
        let Draft { transaction, base, tree, doomed, .. } = draft;
        let outcome = match operation {
            Operation::PutFile { path: at, mode, content } => {
                let (at, mode, content) = (path(*at), u32::from(*mode % 2), content.bytes());
                *doomed |= !has_place(tree, at, true);
                let put = transaction.put_file(at.as_bytes(), attributes(mode), &mut content.as_slice());
                tree.insert(at, Thing::File { mode, content });
                put.map(drop)
            }
            Operation::FailFile { path: at, content } => {
                let (at, content) = (path(*at), content.bytes());
                *doomed |= content.len() >= MINIMUM && !has_place(tree, at, true);
                match transaction.put_file(at.as_bytes(), attributes(0), &mut Failing(&content)) {
                    Ok(_) => panic!("a failing reader is no success"),
                    Err(error) if error.kind() == ErrorKind::Io && !is_injected(&error) => Ok(()),
                    Err(error) => Err(error),
                }
            }
            Operation::PutDirectory { path: at, mode } => {
                let (at, mode) = (path(*at), u32::from(*mode % 2));
                *doomed |= !has_place(tree, at, false);
                tree.insert(at, Thing::Directory { mode });
                transaction.put_directory(at.as_bytes(), attributes(mode))
            }
            Operation::PutSymlink { path: at, target } => {
                let (at, target) = (path(*at), vec![b't'; usize::from(*target) + 1]);
                *doomed |= !has_place(tree, at, true);
                let put = transaction.put_symlink(at.as_bytes(), &target, attributes(0o777));
                tree.insert(at, Thing::Symlink { target });
                put
            }
            Operation::Clear { path: at } => {
                let at = if *at == 0 { "" } else { path(*at) };
                tree.retain(|other, _| !is_under(other, at));
                match transaction.remove(at.as_bytes()) {
                    Ok(count) => {
                        assert_eq!(count as usize, base.keys().filter(|other| is_under(other, at)).count());
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            }
            Operation::Keep { path: at } => {
                let at = path(*at);
                if let Some(thing) = base.get(at) {
                    *doomed |= !has_place(tree, at, !matches!(thing, Thing::Directory { .. }));
                    tree.insert(at, thing.clone());
                }
                transaction.keep(at.as_bytes()).map(|kept| assert_eq!(kept, base.contains_key(at)))
            }
            Operation::Sync => transaction.sync().map(|()| assert!(!*doomed, "what has no place was taken")),
            _ => Ok(()),
        };
        if let Err(error) = outcome {
            assert!(*doomed || is_injected(&error), "{operation:?} failed: {error}");
            self.draft = None;
        }
    }

    fn commit(&mut self) {
        self.draft();
        let Some(Draft { transaction, base, tree, touched, doomed }) = self.draft.take() else { return };
        let newest = self.newest();
        let committed = transaction.commit("round trip");
        if committed.as_ref().is_err_and(is_injected) {
            return;
        }
        if doomed {
            let error = committed.expect_err("what has no place was published");
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            return;
        }
        // What changed here is carried over to what others committed meanwhile.
        let mut merged = newest.clone();
        for at in PATHS {
            let (old, new, found) = (base.get(at), tree.get(at), newest.get(at));
            if old == new || found == new {
                continue;
            }
            // What others made and removed again can't be told from what was never there.
            if touched.contains(at) && (old.is_some() || found.is_some()) {
                let error = committed.expect_err("a conflict was published");
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                return;
            }
            match new {
                Some(thing) => merged.insert(at, thing.clone()),
                None => merged.remove(at),
            };
        }
        let result = match committed {
            Ok(result) => result,
            // Changes that are right by themselves need not be so together.
            Err(error) if error.kind() == ErrorKind::Conflict && !is_whole(&merged) => return,
            Err(error) => panic!("{error}"),
        };
        assert!(is_whole(&merged), "a tree with something below a file was published");
        self.versions.push(merged);
        assert_eq!(result.version, self.versions.len() as u64);
    }

    fn other(&mut self, at: &'static str, content: Option<&Content>) {
        let mut tree = self.newest();
        let mut transaction = Transaction::begin(&self.store, &self.options).expect("a transaction begins");
        let possible = content.is_none() || has_place(&tree, at, true);
        match content {
            Some(content) => {
                let content = content.bytes();
                // The mode of some of the files that the transaction itself puts.
                let put = transaction.put_file(at.as_bytes(), attributes(0), &mut content.as_slice());
                assert!(put.is_ok() || !possible || put.as_ref().is_err_and(is_injected));
                if put.is_err() {
                    return;
                }
                tree.insert(at, Thing::File { mode: 0, content });
            }
            None => {
                if let Err(error) = transaction.remove(at.as_bytes()) {
                    return assert!(is_injected(&error), "{error}");
                }
                tree.retain(|other, _| !is_under(other, at));
            }
        }
        match transaction.commit("other") {
            Ok(result) => {
                assert!(possible);
                let before = self.newest();
                if let Some(draft) = &mut self.draft {
                    draft.touched.extend(PATHS.into_iter().filter(|at| before.get(at) != tree.get(at)));
                }
                self.versions.push(tree);
                assert_eq!(result.version, self.versions.len() as u64);
            }
            Err(error) => assert!(!possible || is_injected(&error), "{error}"),
        }
    }

    fn check(&self, store: &EngramStore) {
        for (number, tree) in (1_u64..).zip(&self.versions) {
            let version = store.version(number).expect("every version is there");
            let mut entries = store.tree_of(Some(&version)).entries(b"");
            for (path, thing) in tree {
                let entry = entries.next().expect("no path is missing").expect("trees can be read");
                assert_eq!(entry.path, path.as_bytes(), "version {number}");
                match (thing, &entry.node) {
                    (Thing::Directory { mode }, Node::Directory) => assert_eq!(entry.attributes.mode, *mode),
                    (Thing::Symlink { target }, Node::Symlink(found)) => assert_eq!(found, target),
                    (Thing::File { mode, content }, Node::File(file)) => {
                        assert_eq!(entry.attributes.mode, *mode);
                        assert_eq!(file.hash, *blake3::hash(content).as_bytes());
                        self.read(store, path, number, content);
                    }
                    (thing, node) => panic!("{thing:?} is {node:?}"),
                }
            }
            assert!(entries.next().is_none(), "version {number} has more than it should");
            assert_eq!(version.entries, tree.len() as u64);
            let files = tree.values().filter(|thing| matches!(thing, Thing::File { .. })).count();
            assert_eq!(version.files, files as u64);
            if files == 0 {
                assert!(store.engram(&version).expect("engrams can be read").is_zero());
            }
        }
        let report = store.verify(VerifyOptions { deep: true }, &mut |_| {}).expect("it can be verified");
        assert!(report.is_ok(), "{report:#?}");
    }

    fn read(&self, store: &EngramStore, path: &str, number: u64, content: &[u8]) {
        let builder = StreamingDecoder::builder(store, path).with_version(number);
        let mut decoder = builder.build().expect("it can be opened");
        let mut found = Vec::new();
        decoder.read_to_end(&mut found).expect("it can be read");
        assert!(found == content, "wrong bytes in `{path}` of version {number}");
        let middle = content.len() / 3;
        decoder.seek(SeekFrom::Start(middle as u64)).expect("it can be sought");
        assert!(
            decoder.read_n_bytes(500).expect("it can be read")
                == content[middle..content.len().min(middle + 500)]
        );
    }
}

/// Nothing lies below a file or a symbolic link.
fn is_whole(tree: &Tree) -> bool {
    tree.keys().all(|path| has_place(tree, path, false))
}

fuzz_target!(|input: Input| {
    let compression = match input.compression % 4 {
        0 => Compression::None,
        1 => Compression::Lz4,
        level => Compression::Zstd(i32::from(level)),
    };
    let backend = Arc::new(MemoryBackend::new());
    // The first write makes the store.
    let store = open(&backend, input.fault.map(|write| u64::from(write) + 1));
    let options = IngestOptions {
        threads: 1,
        compression,
        correction_threshold: f64::from(255 - input.threshold) / 255.0,
        ..IngestOptions::default()
    };
    let mut bed = Bed { backend, store, options, versions: Vec::new(), draft: None };
    for operation in input.operations.iter().take(40) {
        bed.operate(operation);
    }
    bed.commit();
    bed.check(&bed.store);
    bed.check(&open(&bed.backend, None));
});
