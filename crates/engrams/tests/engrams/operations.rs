//! Fear: an operation of the medium that fails, whichever it is, in a session that does all that users do.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use engrams::store::backend::{Backend, Batch, Durability, MemoryBackend, Snapshot};
use engrams::store::{Error, ErrorKind, Space};
use engrams::{Chunking, CollectOptions, EngramStore, Forget, IngestOptions, Result, Retention, Transaction};

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
        if durability == Durability::Settled {
            journal.flushed = journal.batches.len();
        }
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

/// A step of the session.
enum Step {
    /// A version, and the files in it.
    Commit(fn(&mut Transaction) -> Result<()>, Files),
    Tag(&'static str, u64),
    Forget(Forget),
    Collect,
}

/// What is in a store: versions by number, and tags.
#[derive(Debug, Clone, Default, PartialEq)]
struct State {
    versions: BTreeMap<u64, Files>,
    tags: BTreeMap<String, u64>,
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

/// Ingest, overwrite, edit in place, remove with a rename and a copy, and ingest again; between them tag, forget by number
/// and by rule, and collect.
fn session() -> Vec<Step> {
    let small = text(700, 3);
    let edited = [&small[..100], b"wedge", &small[200..]].concat();
    vec![
        Step::Commit(
            |transaction| {
                transaction.put_directory(b"d", fixed())?;
                put(transaction, "d/a", &old())?;
                put(transaction, "d/b", &text(700, 3))
            },
            Files::from([("d/a", old()), ("d/b", small.clone())]),
        ),
        Step::Tag("first", 1),
        Step::Commit(
            |transaction| put(transaction, "d/a", &new()),
            Files::from([("d/a", new()), ("d/b", small)]),
        ),
        Step::Commit(
            |transaction| {
                let mut edit = transaction.edit(b"d/b")?;
                edit.replace(100, 200, &b"wedge"[..])?;
                edit.finish().map(drop)
            },
            Files::from([("d/a", new()), ("d/b", edited.clone())]),
        ),
        Step::Forget(Forget { versions: vec![2], ..Forget::default() }),
        Step::Commit(
            |transaction| {
                transaction.copy(b"d/b", b"d/copy")?;
                transaction.rename(b"d/b", b"d/moved")?;
                transaction.remove(b"d/a").map(drop)
            },
            Files::from([("d/copy", edited.clone()), ("d/moved", edited.clone())]),
        ),
        Step::Tag("first", 3),
        // The chunks of version 1, on which those of version 3 lean, go.
        Step::Forget(Forget {
            keep: Retention { last: Some(1), ..Retention::default() },
            ..Forget::default()
        }),
        Step::Collect,
        Step::Commit(
            |transaction| put(transaction, "d/a", &new()),
            Files::from([("d/a", new()), ("d/copy", edited.clone()), ("d/moved", edited)]),
        ),
    ]
}

fn run(store: &EngramStore, step: &Step) -> Result<()> {
    match step {
        Step::Commit(fill, _) => {
            let options = IngestOptions {
                chunking: Some(Chunking::Fixed(1024)),
                threads: 1,
                ..IngestOptions::default()
            };
            let mut transaction = Transaction::begin(store, &options)?;
            fill(&mut transaction)?;
            transaction.commit("step").map(drop)
        }
        Step::Tag(name, version) => store.tag(name, *version),
        Step::Forget(what) => store.forget(what).map(drop),
        Step::Collect => {
            let options = CollectOptions { rebase_above: 0.0, ..CollectOptions::default() };
            store.collect(&options, &mut |_| {}).map(drop)
        }
    }
}

/// What is in the store before each step, and after the last.
fn states(session: &[Step]) -> Vec<State> {
    let mut states = vec![State::default()];
    let mut newest = 0;
    for step in session {
        let mut state = states.last().cloned().unwrap_or_default();
        match step {
            Step::Commit(_, files) => {
                newest += 1;
                state.versions.insert(newest, files.clone());
            }
            Step::Tag(name, version) => drop(state.tags.insert((*name).to_owned(), *version)),
            Step::Forget(Forget { versions, keep }) => {
                let is_tagged = |number: &u64| state.tags.values().any(|tagged| tagged == number);
                let by_rule = |number: &u64| keep.last.is_some() && *number < newest && !is_tagged(number);
                state.versions.retain(|number, _| !versions.contains(number) && !by_rule(number));
            }
            Step::Collect => {}
        }
        states.push(state);
    }
    states
}

/// What the store says is in it, its files read where they can be: those that can't are not in it.
fn state_of(store: &EngramStore) -> State {
    let mut state = State::default();
    let names = ["d/a", "d/b", "d/copy", "d/moved"];
    for version in store.versions().unwrap() {
        let tree = store.tree(Some(version.number)).unwrap();
        let files = tree.entries(b"").filter(|entry| entry.as_ref().unwrap().file().is_some()).count();
        let read =
            |name: &&'static str| Some((*name, try_read(store, name.as_bytes(), Some(version.number)).ok()?));
        let read: Files = names.iter().filter_map(read).collect();
        assert_eq!(read.len(), files, "version {}", version.number);
        state.versions.insert(version.number, read);
    }
    state.tags = store.tags().unwrap().into_iter().map(|tag| (tag.name, tag.version)).collect();
    state
}

fn assert_exact(store: &EngramStore, expected: &State, context: &str) {
    assert!(state_of(store) == *expected, "{context}");
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
    let states = states(&session);
    for number in 0..operations() {
        let medium = Medium::failing(number..number + 1);
        let opened = open(Arc::<Medium>::clone(&medium), 1024);
        let store = opened.or_else(|_| open(Arc::<Medium>::clone(&medium), 1024)).unwrap();
        for (before, step) in states.iter().zip(&session) {
            if run(&store, step).is_err() {
                assert_exact(&store, before, &format!("after operation {number} failed"));
                run(&store, step).unwrap();
            }
        }
        let last = &states[session.len()];
        assert_exact(&store, last, &format!("operation {number} failed"));
        drop(store);
        let store = open(medium.after_power_loss(usize::MAX), 1024).unwrap();
        assert_exact(&store, last, &format!("reopened after operation {number} failed"));
    }
}

#[test]
fn power_lost_at_any_operation_takes_nothing_that_was_done() {
    let session = session();
    let states = states(&session);
    let mut lost = 0;
    for number in 0..operations() {
        let medium = Medium::failing(number..u64::MAX);
        let mut done = 0;
        if let Ok(store) = open(Arc::<Medium>::clone(&medium), 1024) {
            done = session.iter().take_while(|step| run(&store, step).is_ok()).count();
        }
        for kept in 0..=medium.staged() {
            let context = format!("power lost at operation {number}, {kept} staged writes kept");
            let store = open(medium.after_power_loss(kept), 1024).unwrap();
            let found = state_of(&store);
            // Of a collection nothing is seen: it is run again.
            let after = [done, done + 1].into_iter().find(|&at| states.get(at) == Some(&found));
            let after = after.unwrap_or_else(|| panic!("{context}: {done} steps done"));
            assert_exact(&store, &states[after], &context);
            session[after..].iter().for_each(|step| run(&store, step).unwrap());
            assert_exact(&store, &states[session.len()], &context);
            lost += usize::from(kept < medium.staged());
        }
    }
    assert!(lost > 0, "nothing was ever lost: the test proves nothing");
}
