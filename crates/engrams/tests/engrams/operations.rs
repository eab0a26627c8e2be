//! Fear: an operation of the medium that fails, whichever it is, in a session that does all that users do.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use engrams::store::backend::{Backend, Batch, Durability, MemoryBackend, Snapshot};
use engrams::store::{Error, ErrorKind, Space};
use engrams::{Chunking, EngramStore, IngestOptions, Result, Transaction};

use crate::common::{assert_sound, fixed, noise, open, text, try_read};

/// A medium of which some operations fail, counted from 0, and which remembers what a power cut may take.
struct Medium {
    inner: MemoryBackend,
    operations: AtomicU64,
    failing: std::ops::Range<u64>,
    journal: Mutex<Journal>,
}

#[derive(Default)]
struct Journal {
    batches: Vec<(Batch, Durability)>,
    /// So many of them were flushed.
    flushed: usize,
}

impl Medium {
    fn failing(failing: std::ops::Range<u64>) -> Arc<Self> {
        let (inner, operations) = (MemoryBackend::new(), AtomicU64::new(0));
        Arc::new(Self { inner, operations, failing, journal: Mutex::default() })
    }

    fn operation(&self) -> Result<()> {
        let number = self.operations.fetch_add(1, Ordering::SeqCst);
        if self.failing.contains(&number) {
            return Err(Error::new(ErrorKind::Io, format!("operation {number} fails")));
        }
        Ok(())
    }

    /// How many writes since the last flush are not durable by themselves.
    fn staged(&self) -> usize {
        let journal = self.journal.lock().unwrap();
        let later = &journal.batches[journal.flushed..];
        later.iter().filter(|(_, durability)| *durability == Durability::Staged).count()
    }

    /// What a power cut leaves that takes all but the first `kept` of these.
    fn after_power_loss(&self, mut kept: usize) -> Arc<MemoryBackend> {
        let journal = self.journal.lock().unwrap();
        let left = MemoryBackend::new();
        for (number, (batch, durability)) in journal.batches.iter().enumerate() {
            if number >= journal.flushed && *durability == Durability::Staged {
                if kept == 0 {
                    continue;
                }
                kept -= 1;
            }
            let changes = Batch { preconditions: Vec::new(), ..batch.clone() };
            left.write(changes, Durability::Durable).unwrap();
        }
        Arc::new(left)
    }
}

impl Backend for Medium {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.operation()?;
        self.inner.get(space, key)
    }

    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        self.operation()?;
        self.inner.multi_get(space, keys)
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        self.operation()?;
        self.inner.snapshot()
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<()> {
        self.operation()?;
        let mut journal = self.journal.lock().unwrap();
        self.inner.write(batch.clone(), durability)?;
        journal.batches.push((batch, durability));
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        self.operation()?;
        let mut journal = self.journal.lock().unwrap();
        journal.flushed = journal.batches.len();
        Ok(())
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }

    fn stored_bytes(&self) -> Result<u64> {
        self.inner.stored_bytes()
    }
}

type Files = BTreeMap<&'static str, Vec<u8>>;

/// A step of the session, and the files after it.
struct Step {
    run: fn(&mut Transaction) -> Result<()>,
    after: Files,
}

fn old() -> Vec<u8> {
    noise(6 * 1024, 1)
}

fn new() -> Vec<u8> {
    let mut bytes = old();
    bytes.iter_mut().step_by(1500).for_each(|byte| *byte ^= 0x55);
    bytes.extend(text(2000, 2));
    bytes
}

fn put(transaction: &mut Transaction, path: &str, bytes: &[u8]) -> Result<()> {
    transaction.put_file(path.as_bytes(), fixed(), &mut &*bytes).map(drop)
}

/// Ingest, overwrite, edit in place, remove with a rename and a copy, and ingest again.
fn session() -> Vec<Step> {
    let small = text(700, 3);
    let edited = [&small[..100], b"wedge", &small[200..]].concat();
    vec![
        Step {
            run: |transaction| {
                transaction.put_directory(b"d", fixed())?;
                put(transaction, "d/a", &old())?;
                put(transaction, "d/b", &text(700, 3))
            },
            after: Files::from([("d/a", old()), ("d/b", small.clone())]),
        },
        Step {
            run: |transaction| put(transaction, "d/a", &new()),
            after: Files::from([("d/a", new()), ("d/b", small)]),
        },
        Step {
            run: |transaction| {
                let mut edit = transaction.edit(b"d/b")?;
                edit.replace(100, 200, &b"wedge"[..])?;
                edit.finish().map(drop)
            },
            after: Files::from([("d/a", new()), ("d/b", edited.clone())]),
        },
        Step {
            run: |transaction| {
                transaction.copy(b"d/b", b"d/copy")?;
                transaction.rename(b"d/b", b"d/moved")?;
                transaction.remove(b"d/a").map(drop)
            },
            after: Files::from([("d/copy", edited.clone()), ("d/moved", edited.clone())]),
        },
        Step {
            run: |transaction| put(transaction, "d/a", &new()),
            after: Files::from([("d/a", new()), ("d/copy", edited.clone()), ("d/moved", edited)]),
        },
    ]
}

fn run(store: &EngramStore, step: &Step) -> Result<()> {
    let options =
        IngestOptions { chunking: Some(Chunking::Fixed(1024)), threads: 1, ..IngestOptions::default() };
    let mut transaction = Transaction::begin(store, &options)?;
    (step.run)(&mut transaction)?;
    transaction.commit("step").map(drop)
}

/// Every version there is shows what its step made of it.
fn assert_exact(store: &EngramStore, session: &[Step], context: &str) {
    let newest = store.head().unwrap().map_or(0, |head| head.number);
    for (number, step) in (1..=newest).zip(session) {
        let tree = store.tree(Some(number)).unwrap();
        let paths: Vec<_> = tree.entries(b"").map(|e| e.unwrap()).filter(|e| e.file().is_some()).collect();
        assert_eq!(paths.len(), step.after.len(), "{context}: version {number}");
        for (path, bytes) in &step.after {
            let found = try_read(store, path.as_bytes(), Some(number));
            assert!(found.is_ok_and(|found| found == *bytes), "{context}: `{path}` in version {number}");
        }
    }
    assert_sound(store);
}

/// How many operations the session has when none fails.
fn operations() -> u64 {
    let medium = Medium::failing(0..0);
    let store = open(Arc::<Medium>::clone(&medium), 1024).unwrap();
    session().iter().for_each(|step| run(&store, step).unwrap());
    medium.operations.load(Ordering::SeqCst)
}

#[test]
fn whatever_fails_once_can_be_done_again() {
    let session = session();
    for number in 0..operations() {
        let medium = Medium::failing(number..number + 1);
        let opened = open(Arc::<Medium>::clone(&medium), 1024);
        let store = opened.or_else(|_| open(Arc::<Medium>::clone(&medium), 1024)).unwrap();
        for (done, step) in (0..).zip(&session) {
            if run(&store, step).is_err() {
                assert_eq!(store.head().unwrap().map_or(0, |head| head.number), done, "operation {number}");
                run(&store, step).unwrap();
            }
        }
        assert_exact(&store, &session, &format!("operation {number} failed"));
        drop(store);
        let store = open(medium.after_power_loss(usize::MAX), 1024).unwrap();
        assert_exact(&store, &session, &format!("reopened after operation {number} failed"));
    }
}

#[test]
fn power_lost_at_any_operation_takes_nothing_that_was_committed() {
    let session = session();
    let mut lost = 0;
    for number in 0..operations() {
        let medium = Medium::failing(number..u64::MAX);
        let mut published = 0;
        if let Ok(store) = open(Arc::<Medium>::clone(&medium), 1024) {
            published = session.iter().take_while(|step| run(&store, step).is_ok()).count();
        }
        for kept in 0..=medium.staged() {
            let context = format!("power lost at operation {number}, {kept} staged writes kept");
            let store = open(medium.after_power_loss(kept), 1024).unwrap();
            let found = store.head().unwrap().map_or(0, |head| head.number) as usize;
            assert!(found == published || found == published + 1, "{context}: {found} after {published}");
            assert_exact(&store, &session, &context);
            session[found..].iter().for_each(|step| run(&store, step).unwrap());
            assert_exact(&store, &session, &context);
            lost += usize::from(kept < medium.staged());
        }
    }
    assert!(lost > 0, "nothing was ever lost: the test proves nothing");
}
