//! Fear: a collection that takes what somebody needs, or leaves what nobody does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use engrams::store::backend::{Fault, FaultyBackend, MemoryBackend, Snapshot};
use engrams::store::{Backend, Batch, Durability, Space};
use engrams::{
    CollectOptions, CollectStep, Collected, EngramStore, ErrorKind, Forget, IngestOptions, Result, Retention,
    Transaction,
};
use proptest::prelude::*;

use crate::common::{
    Random, Records, assert_sound, backend_of, cases, edit, fixed, ingest, noise, open, read, records,
    small_store, text, try_read,
};
use crate::forget::forget;
use crate::history::{ingest_history, releases};

fn collect(store: &EngramStore) -> Collected {
    store.collect(&CollectOptions::default(), &mut |_| {}).unwrap()
}

fn keep_last(store: &EngramStore, count: u64) {
    let keep = Retention { last: Some(count), ..Retention::default() };
    store.forget(&Forget { keep, ..Forget::default() }).unwrap();
}

fn stored(backend: &MemoryBackend) -> u64 {
    backend.stored_bytes().unwrap()
}

#[test]
fn what_only_forgotten_versions_had_is_freed_to_the_last_record() {
    let (store, backend) = small_store(1024);
    ingest(&store, "keep", &text(30_000, 1));
    // Half of it is shared with what is kept, half is of its own.
    ingest(&store, "go", &[text(30_000, 1), noise(30_000, 2)].concat());
    let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    tx.remove(b"go").unwrap();
    tx.commit("").unwrap();
    forget(&store, &[1, 2]);
    let report = collect(&store);
    assert_eq!(report.versions, 2);
    assert!(report.chunks >= 20 && report.pages >= 2 && report.recall_entries > 0, "{report:?}");
    assert_eq!(report.bytes_after, stored(&backend));
    assert!(report.bytes_before - report.bytes_after > 30_000, "{report:?}");
    assert_sound(&store);
    assert!(read(&store, "keep", 3) == text(30_000, 1));
    let fresh = small_store(1024);
    ingest(&fresh.0, "keep", &text(30_000, 1));
    // A record of forgotten versions more, and the padding of greater ids.
    assert!(stored(&backend) < stored(&fresh.1) + 200, "{} {}", stored(&backend), stored(&fresh.1));
    let again = collect(&store);
    assert_eq!((again.versions, again.chunks, again.pages), (0, 0, 0));
    assert_eq!(again.bytes_after, again.bytes_before);
}

#[test]
fn leftovers_of_an_ingest_that_never_committed_are_freed() {
    let (store, backend) = small_store(1024);
    ingest(&store, "f", &text(20_000, 1));
    let before = stored(&backend);
    let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    tx.put_file(b"g", fixed(), &mut &noise(100_000, 1)[..]).unwrap();
    tx.sync().unwrap();
    assert_eq!(collect(&store).chunks, 0, "an ingest is under way");
    drop(tx);
    assert!(stored(&backend) > before + 100_000);
    collect(&store);
    // Recall records that were several are one now.
    assert!((before - 100..=before).contains(&stored(&backend)), "{} after {before}", stored(&backend));
    assert_sound(&store);
    assert_eq!(ingest(&store, "g", &noise(100_000, 1)).version, 2);
    assert_sound(&store);
}

/// The race of such systems: an ingest finds a chunk, a collection removes it, the ingest refers to it.
#[test]
fn an_ingest_stopped_between_lookup_and_commit_loses_nothing() {
    let (store, backend) = small_store(1024);
    let (old, new) = (text(60_000, 1), text(60_000, 2));
    ingest(&store, "f", &old);
    ingest(&store, "f", &new);
    // Finds the chunks of version 1 and stops; others of its chunks are corrected against them.
    let mut like = old.clone();
    edit(&mut like, 10, 3);
    let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    tx.put_file(b"again", fixed(), &mut &old[..]).unwrap();
    tx.put_file(b"like", fixed(), &mut &like[..]).unwrap();
    tx.sync().unwrap();
    assert!(tx.progress().reused > 30, "{:?}", tx.progress());
    ingest(&store, "f", b"nothing of all that");
    keep_last(&store, 1);
    let report = collect(&store);
    assert_eq!(report.versions, 2);
    assert!(report.chunks < 50, "{report:?}");
    assert_eq!(tx.commit("").unwrap().version, 4);
    let store = open(backend_of(&records(&backend, &Space::ALL)), 1024).unwrap();
    for (path, bytes) in [("again", &old), ("like", &like), ("f", &b"nothing of all that".to_vec())] {
        assert!(read(&store, path, 4) == *bytes, "{path}");
    }
    assert_sound(&store);
}

/// The same race from the other side: what is condemned is not found.
#[test]
fn an_ingest_during_a_collection_stores_again_what_is_condemned() {
    for step in [CollectStep::Marking, CollectStep::Rebasing, CollectStep::Sweeping] {
        let (store, backend) = small_store(1024);
        let old = text(60_000, 1);
        ingest(&store, "f", &old);
        let (mut next, mut last) = (old.clone(), old.clone());
        edit(&mut next, 40, 5);
        edit(&mut last, 60, 6);
        ingest(&store, "f", &next);
        ingest(&store, "g", &last);
        forget(&store, &[1]);
        let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
        tx.remove(b"g").unwrap();
        tx.commit("").unwrap();
        forget(&store, &[2, 3]);
        let mut ingested = None;
        let options = CollectOptions { rebase_above: 0.0, ..CollectOptions::default() };
        store
            .collect(&options, &mut |progress| {
                if progress.step == step && ingested.is_none() {
                    ingested = Some(ingest(&store, "old", &old).version);
                    let mut like = old.clone();
                    edit(&mut like, 10, 7);
                    ingest(&store, "like", &like);
                }
            })
            .unwrap();
        assert_eq!(ingested, Some(5), "{step:?}");
        let store = open(backend_of(&records(&backend, &Space::ALL)), 1024).unwrap();
        assert!(read(&store, "old", 5) == old && read(&store, "f", 6) == next, "{step:?}");
        assert_sound(&store);
        collect(&store);
        assert!(read(&store, "old", 6) == old && read(&store, "f", 4) == next, "{step:?}");
        assert_sound(&store);
    }
}

#[test]
fn a_reader_reads_exactly_while_everything_around_it_is_coded_anew() {
    let (store, _) = small_store(1024);
    let mut bytes = text(200_000, 1);
    for version in 1..=6 {
        ingest(&store, "f", &bytes);
        if version < 6 {
            edit(&mut bytes, 150, version);
        }
    }
    keep_last(&store, 1);
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                threads.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        assert!(try_read(&store, b"f", None).unwrap() == bytes);
                    }
                })
            })
            .collect();
        let report = store.collect(&CollectOptions::default(), &mut |_| {});
        done.store(true, Ordering::SeqCst);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        assert!(report.unwrap().rebased > 50);
    });
    assert_sound(&store);
}

#[test]
fn the_real_history_takes_as_much_as_a_fresh_store_of_what_is_kept() {
    let releases = releases();
    for kept in [1, 2, 3] {
        for average in [4096, 65_536] {
            let (store, backend) = small_store(average);
            ingest_history(&store, &releases);
            let before = stored(&backend);
            keep_last(&store, kept as u64);
            let report = collect(&store);
            let (fresh, fresh_backend) = small_store(average);
            ingest_history(&fresh, &releases[releases.len() - kept..]);
            let (after, fresh) = (stored(&backend), stored(&fresh_backend));
            let share = after as f64 / fresh as f64;
            println!(
                "{kept} of 5, chunks of {average}: {before} to {after}, fresh {fresh}: {share:.3}; {report:?}"
            );
            assert!(share < 1.15, "{share:.3}");
            assert_sound(&store);
            for (at, files) in releases.iter().enumerate().skip(releases.len() - kept) {
                for (path, bytes) in files {
                    let path = format!("semver/{path}");
                    assert!(
                        try_read(&store, path.as_bytes(), Some(at as u64 + 1)).unwrap() == *bytes,
                        "{path}"
                    );
                }
            }
        }
    }
}

#[test]
fn after_a_collection_later_versions_cost_as_little_as_in_a_fresh_store() {
    let releases = releases();
    let (store, backend) = small_store(65_536);
    ingest_history(&store, &releases[..4]);
    keep_last(&store, 1);
    collect(&store);
    let (fresh, fresh_backend) = small_store(65_536);
    ingest_history(&fresh, &releases[3..4]);
    let (before, fresh_before) = (stored(&backend), stored(&fresh_backend));
    ingest_history(&store, &releases[4..]);
    ingest_history(&fresh, &releases[4..]);
    let (cost, fresh_cost) = (stored(&backend) - before, stored(&fresh_backend) - fresh_before);
    assert!(cost as f64 <= fresh_cost as f64 * 1.15, "{cost} against {fresh_cost}");
}

#[test]
fn what_the_file_system_said_of_files_that_are_gone_is_forgotten() {
    let (store, backend) = small_store(1024);
    let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    for path in ["d/a", "d/b"] {
        tx.put_file(path.as_bytes(), fixed(), &mut path.as_bytes()).unwrap();
        tx.remember(path.as_bytes(), b"stat").unwrap();
    }
    tx.commit("").unwrap();
    let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    tx.remove(b"d/b").unwrap();
    tx.commit("").unwrap();
    assert_eq!(backend.contents(Space::Seen).unwrap().len(), 2);
    assert_eq!(collect(&store).seen_entries, 1);
    let tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    assert!(tx.unchanged(b"d/a", b"stat").unwrap());
}

#[test]
fn damage_that_hides_what_is_needed_stops_a_collection_before_it_removes_anything() {
    let (store, backend) = small_store(1024);
    for version in 1..=3 {
        ingest(&store, "f", &text(50_000, version));
    }
    forget(&store, &[1]);
    drop(store);
    let good = records(&backend, &Space::ALL);
    let mut refused = 0;
    for space in [Space::Page, Space::Head] {
        for key in good.keys().filter(|(found, _)| *found == space).cloned().collect::<Vec<_>>() {
            let mut damaged = good.clone();
            damaged.get_mut(&key).unwrap()[1] ^= 0x40;
            let damaged = backend_of(&damaged);
            let store = open(Arc::<MemoryBackend>::clone(&damaged), 1024).unwrap();
            let before = records(&damaged, &Space::ALL);
            match store.collect(&CollectOptions::default(), &mut |_| {}) {
                Ok(_) => {
                    assert!(read(&store, "f", 2) == text(50_000, 2));
                    assert_sound(&store);
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt);
                    assert_eq!(records(&damaged, &Space::ALL), before);
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 30, "{refused}");
}

/// Every file of every version.
type Model = BTreeMap<u64, BTreeMap<String, Vec<u8>>>;

fn assert_exact(store: &EngramStore, model: &Model, context: &dyn std::fmt::Debug) {
    let numbers: Vec<u64> = store.versions().unwrap().iter().rev().map(|version| version.number).collect();
    assert_eq!(numbers, model.keys().copied().collect::<Vec<_>>(), "{context:?}");
    for (number, files) in model {
        let tree = store.tree(Some(*number)).unwrap();
        let paths: Vec<Vec<u8>> = tree.entries(b"").map(|entry| entry.unwrap().path).collect();
        assert!(
            paths.iter().map(Vec::as_slice).eq(files.keys().map(String::as_bytes)),
            "{context:?} {number}"
        );
        for (path, bytes) in files {
            let found = try_read(store, path.as_bytes(), Some(*number));
            assert!(
                found.as_ref().is_ok_and(|found| found == bytes),
                "{context:?} {number} `{path}`: {found:?}"
            );
        }
    }
    assert_sound(store);
}

#[derive(Debug, Clone)]
enum Operation {
    /// Content of one of a few kinds under one of a few paths.
    Put {
        path: u8,
        kind: u8,
        seed: u8,
    },
    /// Takes the content of an older version, which may be forgotten by then.
    Revive {
        path: u8,
        version: u8,
    },
    Remove {
        path: u8,
    },
    KeepLast(u8),
    ForgetOne(u8),
    Tag(u8),
    Untag,
    Collect {
        rebase: bool,
    },
    Abandon {
        seed: u8,
    },
    Reopen,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (0..4u8, 0..4u8, 0..6u8).prop_map(|(path, kind, seed)| Operation::Put { path, kind, seed }),
        2 => (0..4u8, any::<u8>()).prop_map(|(path, version)| Operation::Revive { path, version }),
        1 => (0..4u8).prop_map(|path| Operation::Remove { path }),
        2 => (1..4u8).prop_map(Operation::KeepLast),
        2 => any::<u8>().prop_map(Operation::ForgetOne),
        1 => any::<u8>().prop_map(Operation::Tag),
        1 => Just(Operation::Untag),
        4 => any::<bool>().prop_map(|rebase| Operation::Collect { rebase }),
        1 => (0..6u8).prop_map(|seed| Operation::Abandon { seed }),
        1 => Just(Operation::Reopen),
    ]
}

fn content(kind: u8, seed: u8) -> Vec<u8> {
    let seed = u64::from(seed);
    match kind {
        0 => text(3_000 + 500 * seed as usize, 1),
        1 => {
            let mut bytes = text(40_000, 2);
            edit(&mut bytes, 20 * seed as usize, seed);
            bytes
        }
        2 => noise(9_000, seed),
        _ => [text(20_000, 2), noise(3_000, seed), text(20_000, 3)].concat(),
    }
}

/// A store with what it should hold, and what no more is known of since a step failed.
struct Session {
    store: EngramStore,
    model: Model,
    tagged: BTreeMap<String, u64>,
}

impl Session {
    fn commit(
        &mut self,
        change: impl FnOnce(&mut Transaction) -> Result<()>,
        files: BTreeMap<String, Vec<u8>>,
    ) -> Result<()> {
        let mut tx =
            Transaction::begin(&self.store, &IngestOptions { threads: 1, ..IngestOptions::default() })?;
        change(&mut tx)?;
        let version = tx.commit("")?.version;
        self.model.insert(version, files);
        Ok(())
    }

    fn newest(&self) -> BTreeMap<String, Vec<u8>> {
        self.model.values().next_back().cloned().unwrap_or_default()
    }

    fn run(&mut self, operation: &Operation) -> Result<()> {
        let mut files = self.newest();
        match *operation {
            Operation::Put { path, kind, seed } => {
                let (path, bytes) = (format!("p{path}"), content(kind, seed));
                files.insert(path.clone(), bytes.clone());
                self.commit(|tx| tx.put_file(path.as_bytes(), fixed(), &mut &bytes[..]).map(drop), files)
            }
            Operation::Revive { path, version } => {
                let Some(old) = self.model.values().nth(usize::from(version) % self.model.len().max(1))
                else {
                    return Ok(());
                };
                let Some(bytes) = old.values().next().cloned() else { return Ok(()) };
                let path = format!("p{path}");
                files.insert(path.clone(), bytes.clone());
                self.commit(|tx| tx.put_file(path.as_bytes(), fixed(), &mut &bytes[..]).map(drop), files)
            }
            Operation::Remove { path } => {
                let path = format!("p{path}");
                if files.remove(&path).is_none() {
                    return Ok(());
                }
                self.commit(|tx| tx.remove(path.as_bytes()).map(drop), files)
            }
            Operation::KeepLast(count) => {
                let keep = Retention { last: Some(count.into()), ..Retention::default() };
                let plan = self.store.forget(&Forget { keep, ..Forget::default() })?;
                plan.forget.iter().for_each(|number| drop(self.model.remove(number)));
                Ok(())
            }
            Operation::ForgetOne(which) => {
                let numbers: Vec<u64> = self.model.keys().copied().collect();
                let Some(&number) = numbers.get(usize::from(which) % numbers.len().max(1)) else {
                    return Ok(());
                };
                match self.store.forget(&Forget { versions: vec![number], ..Forget::default() }) {
                    Ok(_) => drop(self.model.remove(&number)),
                    Err(error) if error.kind() == ErrorKind::Invalid => {
                        assert!(
                            Some(&number) == numbers.last() || self.tagged.values().any(|n| *n == number)
                        );
                    }
                    Err(error) => return Err(error),
                }
                Ok(())
            }
            Operation::Tag(which) => {
                let numbers: Vec<u64> = self.model.keys().copied().collect();
                let Some(&number) = numbers.get(usize::from(which) % numbers.len().max(1)) else {
                    return Ok(());
                };
                let name = format!("t{}", which % 2);
                self.store.tag(&name, number)?;
                self.tagged.insert(name, number);
                Ok(())
            }
            Operation::Untag => {
                let Some(name) = self.tagged.keys().next().cloned() else { return Ok(()) };
                self.store.untag(&name)?;
                self.tagged.remove(&name);
                Ok(())
            }
            Operation::Collect { rebase } => {
                let rebase_above = if rebase { 0.0 } else { 1.0 };
                let options = CollectOptions { rebase_above, ..CollectOptions::default() };
                self.store.collect(&options, &mut |_| {}).map(drop)
            }
            Operation::Abandon { seed } => {
                let mut tx = Transaction::begin(&self.store, &IngestOptions::default())?;
                tx.put_file(b"x", fixed(), &mut &content(3, seed)[..])?;
                tx.sync()
            }
            Operation::Reopen => Ok(()),
        }
    }
}

/// 64 histories, or as many as PROPTEST_CASES says: each takes longer than most properties do.
fn histories() -> ProptestConfig {
    let many = std::env::var("PROPTEST_CASES").ok().and_then(|count| count.parse().ok());
    cases(many.unwrap_or(64))
}

fn session_over(backend: Arc<dyn Backend>) -> Session {
    Session { store: open(backend, 1024).unwrap(), model: Model::new(), tagged: BTreeMap::new() }
}

proptest! {
    #![proptest_config(histories())]

    #[test]
    fn any_history_of_forgetting_and_collecting_equals_the_model(
        operations in proptest::collection::vec(operation(), 1..30)
    ) {
        let backend = Arc::new(MemoryBackend::new());
        let mut session = session_over(Arc::<MemoryBackend>::clone(&backend) as Arc<dyn Backend>);
        for operation in &operations {
            session.run(operation).unwrap();
            if matches!(operation, Operation::Reopen) {
                session.store = open(Arc::<MemoryBackend>::clone(&backend) as Arc<dyn Backend>, 1024).unwrap();
            }
            if matches!(operation, Operation::Collect { .. }) {
                assert_exact(&session.store, &session.model, &operation);
            }
        }
        assert_exact(&session.store, &session.model, &operations);
        let names: BTreeMap<String, u64> =
            session.store.tags().unwrap().into_iter().map(|tag| (tag.name, tag.version)).collect();
        prop_assert_eq!(names, session.tagged);
    }

    #[test]
    fn any_history_on_a_failing_medium_equals_the_model(
        operations in proptest::collection::vec(operation(), 1..20),
        at in 0u64..150,
        fatal: bool,
    ) {
        let fault = Fault { write: Some(at), fatal, ..Fault::default() };
        let faulty = Arc::new(FaultyBackend::new(MemoryBackend::new(), fault));
        let store = open(Arc::<FaultyBackend<MemoryBackend>>::clone(&faulty) as Arc<dyn Backend>, 1024);
        let Ok(store) = store else { return Ok(()) };
        let mut session = Session { store, model: Model::new(), tagged: BTreeMap::new() };
        for operation in &operations {
            if session.run(operation).is_err() {
                // What did not succeed was not done: forgetting and committing are whole batches.
                let context = (operation, at, fatal);
                let store = open(backend_of(&records(faulty.inner(), &Space::ALL)), 1024).unwrap();
                assert_exact(&store, &session.model, &context);
                collect(&store);
                assert_exact(&store, &session.model, &context);
                if fatal {
                    return Ok(());
                }
            }
        }
        assert_exact(&session.store, &session.model, &operations);
    }
}

/// Six versions of text that drifts, of which one is kept: a collection has to do everything it ever does.
fn before_collection() -> (Records, Vec<u8>) {
    let (store, backend) = small_store(1024);
    let mut bytes = text(50_000, 1);
    for version in 1..=6 {
        let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
        tx.put_file(b"f", fixed(), &mut &bytes[..]).unwrap();
        tx.put_file(format!("g{version}").as_bytes(), fixed(), &mut &noise(5_000, version)[..]).unwrap();
        tx.remember(format!("g{version}").as_bytes(), b"stat").unwrap();
        if version > 1 {
            tx.clear(format!("g{}", version - 1).as_bytes()).unwrap();
        }
        tx.commit("").unwrap();
        if version < 6 {
            edit(&mut bytes, 60, version);
        }
    }
    keep_last(&store, 1);
    drop(store);
    (records(&backend, &Space::ALL), bytes)
}

/// A medium with these records that fails.
fn faulty(records: &Records, fault: Fault) -> Arc<FaultyBackend<MemoryBackend>> {
    let faulty = FaultyBackend::new(MemoryBackend::new(), fault);
    let mut batch = Batch::new();
    for ((space, key), value) in records {
        batch.put(*space, key.clone(), value.clone());
    }
    faulty.inner().write(batch, Durability::Durable).unwrap();
    Arc::new(faulty)
}

#[test]
fn a_collection_that_is_interrupted_at_any_step_is_finished_by_the_next() {
    let (before, bytes) = before_collection();
    let faulty = |fault| faulty(&before, fault);
    let whole = faulty(Fault::default());
    let store = open(Arc::<FaultyBackend<MemoryBackend>>::clone(&whole), 1024).unwrap();
    let report = collect(&store);
    assert!(report.rebased > 50 && report.chunks > 50 && report.seen_entries > 0, "{report:?}");
    assert_sound(&store);
    let (writes, size) = (whole.writes(), stored(whole.inner()));
    assert!(writes > 40, "{writes}");
    for (at, fatal) in (0..writes).flat_map(|at| [(at, false), (at, true)]) {
        let backend = faulty(Fault { write: Some(at), fatal, ..Fault::default() });
        let store = open(Arc::<FaultyBackend<MemoryBackend>>::clone(&backend), 1024).unwrap();
        let error = store.collect(&CollectOptions::default(), &mut |_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "write {at}");
        if !fatal {
            // The same process goes on: what was condemned may be used again, and is there.
            assert!(read(&store, "f", 6) == bytes, "write {at}");
            ingest(&store, "again", &noise(5_000, 3));
            assert_sound(&store);
        }
        drop(store);
        let left = backend_of(&records(backend.inner(), &Space::ALL));
        let store = open(Arc::<MemoryBackend>::clone(&left), 1024).unwrap();
        assert!(read(&store, "f", 6) == bytes, "write {at}");
        assert_sound(&store);
        collect(&store);
        assert!(read(&store, "f", 6) == bytes, "write {at}");
        assert_sound(&store);
        if fatal {
            let share = stored(&left) as f64 / size as f64;
            assert!(share < 1.1, "interrupted at write {at}: {} against {size}", stored(&left));
        }
    }
}

#[test]
fn what_an_interrupted_sweep_leaves_can_be_used_again() {
    // More chunks than one batch removes, in chains that reach from one batch into the others.
    let (store, backend) = small_store(256);
    let mut contents = vec![text(60_000, 1)];
    for version in 1..6 {
        let mut next = contents[0].clone();
        edit(&mut next, 100, version);
        contents.push(next);
    }
    contents.iter().for_each(|bytes| drop(ingest(&store, "f", bytes)));
    ingest(&store, "f", b"nothing of all that");
    keep_last(&store, 1);
    drop(store);
    let before = records(&backend, &Space::ALL);
    for at in 0.. {
        let faulty = faulty(&before, Fault { write: Some(at), ..Fault::default() });
        let store = open(Arc::<FaultyBackend<MemoryBackend>>::clone(&faulty), 256).unwrap();
        if store.collect(&CollectOptions::default(), &mut |_| {}).is_ok() {
            assert!(at > 5, "{at}");
            break;
        }
        drop(store);
        let store = open(backend_of(&records(faulty.inner(), &Space::ALL)), 256).unwrap();
        for (version, bytes) in (8..).zip(&contents) {
            assert_eq!(ingest(&store, "f", bytes).version, version);
            assert!(read(&store, "f", version) == *bytes, "write {at}, version {version}");
        }
        assert_sound(&store);
    }
}

/// A backend that does something just before it answers one of its readers.
struct Interrupted {
    inner: Arc<MemoryBackend>,
    space: Space,
    /// Answers until then, and what is done.
    interruption: Mutex<Option<(usize, Box<dyn FnOnce() + Send>)>>,
}

impl Backend for Interrupted {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut interruption = self.interruption.lock().unwrap();
        if space == self.space {
            match &mut *interruption {
                Some((0, _)) => (interruption.take().unwrap().1)(),
                Some((left, _)) => *left -= 1,
                None => {}
            }
        }
        drop(interruption);
        self.inner.get(space, key)
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        self.inner.snapshot()
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<()> {
        self.inner.write(batch, durability)
    }

    fn flush(&self) -> Result<()> {
        self.inner.flush()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }

    fn stored_bytes(&self) -> Result<u64> {
        self.inner.stored_bytes()
    }
}

#[test]
fn a_reader_that_a_whole_collection_overtakes_between_two_records_reads_exactly() {
    let (before, bytes) = before_collection();
    let mut overtaken = 0;
    for space in [Space::Page, Space::Head, Space::Payload] {
        for at in (0..).step_by(3) {
            let inner = backend_of(&before);
            let collector = open(Arc::<MemoryBackend>::clone(&inner), 1024).unwrap();
            let interruption = Box::new(move || assert!(collect(&collector).rebased > 30));
            let interruption = Mutex::new(Some((at, interruption as Box<dyn FnOnce() + Send>)));
            let backend = Arc::new(Interrupted { inner, space, interruption });
            // A store of its own, so that what one has decoded the other has not.
            let reader = open(Arc::<Interrupted>::clone(&backend), 1024).unwrap();
            assert!(try_read(&reader, b"f", Some(6)).unwrap() == bytes, "{space:?} {at}");
            if backend.interruption.lock().unwrap().is_some() {
                break;
            }
            overtaken += 1;
        }
    }
    assert!(overtaken > 20, "{overtaken}");
}

#[test]
fn threads_that_commit_while_collections_run_end_as_if_one_after_the_other() {
    let (store, backend) = small_store(1024);
    let stop = AtomicBool::new(false);
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 25;
    let last: Vec<BTreeMap<String, Vec<u8>>> = std::thread::scope(|threads| {
        let collector = threads.spawn(|| {
            let mut freed = 0;
            while !stop.load(Ordering::SeqCst) {
                keep_last(&store, 3);
                let rebase_above = if freed % 2 == 0 { 0.0 } else { 0.1 };
                let options = CollectOptions { rebase_above, ..CollectOptions::default() };
                freed += store.collect(&options, &mut |_| {}).unwrap().chunks;
            }
            freed
        });
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let store = &store;
                threads.spawn(move || {
                    let (mut random, mut files) = (Random(thread), BTreeMap::new());
                    for _ in 0..ROUNDS {
                        // Few contents, so that what one forgets another stores.
                        let path = format!("{thread}/{}", random.below(3));
                        let bytes = content(random.below(4) as u8, random.below(5) as u8);
                        let mut tx = Transaction::begin(
                            store,
                            &IngestOptions { threads: 1, ..IngestOptions::default() },
                        )
                        .unwrap();
                        tx.put_file(path.as_bytes(), fixed(), &mut &bytes[..]).unwrap();
                        tx.commit("").unwrap();
                        files.insert(path, bytes);
                    }
                    files
                })
            })
            .collect();
        let last = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        stop.store(true, Ordering::SeqCst);
        assert!(collector.join().unwrap() > 0);
        last
    });
    keep_last(&store, 1);
    collect(&store);
    let newest = store.head().unwrap().unwrap().number;
    assert_eq!(newest, THREADS * ROUNDS);
    let store = open(backend_of(&records(&backend, &Space::ALL)), 1024).unwrap();
    let model = Model::from([(newest, last.into_iter().flatten().collect())]);
    assert_exact(&store, &model, &"after all");
}

#[test]
fn the_files_that_a_chunk_is_needed_for_are_those_that_its_loss_makes_unreadable() {
    let (store, backend) = small_store(1024);
    let mut bytes = text(12_000, 1);
    for version in 1..=4 {
        let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
        tx.put_file(b"f", fixed(), &mut &bytes[..]).unwrap();
        tx.put_file(b"g", fixed(), &mut &text(9_000, 7 + version / 3)[..]).unwrap();
        tx.commit("").unwrap();
        edit(&mut bytes, 5, version);
    }
    forget(&store, &[2]);
    let all = records(&backend, &Space::ALL);
    let ids: Vec<u64> = all
        .keys()
        .filter(|(space, _)| *space == Space::Head)
        .map(|(_, key)| u64::from_be_bytes(key.as_slice().try_into().unwrap()))
        .collect();
    let mut indirect = 0;
    for id in ids {
        let told = store.dependents(&[id]).unwrap();
        indirect += told.chunks - 1;
        let mut told: Vec<_> = told
            .files
            .into_iter()
            .flat_map(|file| file.versions.into_iter().map(move |version| (version, file.path.clone())))
            .collect();
        told.sort();
        let mut damaged = all.clone();
        damaged.remove(&(Space::Payload, id.to_be_bytes().to_vec()));
        let damaged = open(backend_of(&damaged), 1024).unwrap();
        let mut lost = Vec::new();
        for version in [1, 3, 4] {
            for path in [b"f", b"g"] {
                if try_read(&damaged, path, Some(version)).is_err() {
                    lost.push((version, path.to_vec()));
                }
            }
        }
        assert_eq!(told, lost, "chunk {id}");
    }
    assert!(indirect > 5);
    assert_eq!(store.dependents(&[99_999]).unwrap_err().kind(), ErrorKind::NotFound);
}
