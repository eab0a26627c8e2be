//! Fear: a history of writing, forgetting and collecting, in any order and by several threads, that ends otherwise than it
//! should.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engrams::store::backend::{Fault, FaultyBackend, MemoryBackend};
use engrams::store::{Backend, Space};
use engrams::{
    CollectOptions, EngramStore, ErrorKind, Forget, IngestOptions, Result, Retention, Transaction,
};
use proptest::prelude::*;

use crate::collect::{collect, keep_last};
use crate::common::{
    Random, assert_sound, backend_of, cases, edit, fixed, noise, open, records, small_store, text, try_read,
};

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

fn session_over(backend: Arc<dyn Backend>) -> Session {
    Session { store: open(backend, 1024).unwrap(), model: Model::new(), tagged: BTreeMap::new() }
}

proptest! {
    #![proptest_config(cases(64))]

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
