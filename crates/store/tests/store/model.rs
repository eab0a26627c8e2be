//! Random typed operations against a `BTreeMap` that can't be wrong.

use std::collections::BTreeMap;

use engrams_store::backend::{KeyRange, KeyValue, MemoryBackend, Snapshot};
use engrams_store::{Backend, Batch, Durability, ErrorKind, Space};
use proptest::collection::vec;
use proptest::prelude::*;

type Model = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

#[derive(Debug, Clone)]
enum Operation {
    Write {
        /// Whether each precondition should hold, and the key it is about.
        expectations: Vec<(Space, Vec<u8>, bool)>,
        changes: Vec<(Space, Vec<u8>, Option<Vec<u8>>)>,
        durable: bool,
    },
    Get(Space, Vec<Vec<u8>>),
    Scan(Space, Vec<u8>, Option<Vec<u8>>, bool),
    Pin,
    Unpin(usize),
    Flush,
    Reopen,
}

fn space() -> impl Strategy<Value = Space> {
    proptest::sample::select(Space::ALL.to_vec())
}

/// Few letters and short keys, so that keys meet, are prefixes of each other and sit at the edges.
fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(proptest::sample::select(vec![0, 1, b'm', b'n', 0x7f, 0x80, 0xff]), 0..4)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![9 => vec(any::<u8>(), 0..40), 1 => (1000_usize..70_000).prop_map(|size| vec![7; size])]
}

fn operation() -> impl Strategy<Value = Operation> {
    let write = (
        vec((space(), key(), proptest::bool::weighted(0.9)), 0..3),
        vec((space(), key(), proptest::option::weighted(0.7, value())), 0..6),
        any::<bool>(),
    )
        .prop_map(|(expectations, changes, durable)| Operation::Write { expectations, changes, durable });
    prop_oneof![
        8 => write,
        3 => (space(), vec(key(), 0..5)).prop_map(|(space, keys)| Operation::Get(space, keys)),
        4 => (space(), key(), proptest::option::of(key()), any::<bool>())
            .prop_map(|(space, from, to, descending)| Operation::Scan(space, from, to, descending)),
        1 => Just(Operation::Pin),
        1 => any::<usize>().prop_map(Operation::Unpin),
        1 => Just(Operation::Flush),
        1 => Just(Operation::Reopen),
    ]
}

fn expected(model: &Model, space: Space, range: KeyRange<'_>) -> Vec<KeyValue> {
    let mut found: Vec<_> = model
        .iter()
        .filter(|((of, key), _)| {
            *of == space && key.as_slice() >= range.from && range.to.is_none_or(|to| key.as_slice() < to)
        })
        .map(|((_, key), value)| (key.clone(), value.clone()))
        .collect();
    if range.descending {
        found.reverse();
    }
    found
}

fn scan(snapshot: &dyn Snapshot, space: Space, range: KeyRange<'_>) -> Vec<KeyValue> {
    snapshot.scan(space, range).collect::<engrams_store::Result<_>>().unwrap()
}

/// Runs operations until the backend is to be opened again; says how many it ran.
fn run(backend: &dyn Backend, model: &mut Model, operations: &[Operation]) -> usize {
    let mut pinned: Vec<(Box<dyn Snapshot + '_>, Model)> = Vec::new();
    for (index, operation) in operations.iter().enumerate() {
        match operation {
            Operation::Write { expectations, changes, durable } => {
                let mut batch = Batch::new();
                let mut holds = true;
                for (space, key, hold) in expectations {
                    let mut value = model.get(&(*space, key.clone())).cloned();
                    if !hold {
                        holds = false;
                        value = if value.is_none() { Some(Vec::new()) } else { None };
                    }
                    batch.expect(*space, key.clone(), value);
                }
                batch.changes.clone_from(changes);
                let durability = if *durable { Durability::Durable } else { Durability::Staged };
                match backend.write(batch, durability) {
                    Ok(()) => assert!(holds, "a broken precondition passed"),
                    Err(error) => {
                        assert!(!holds, "{error:?}");
                        assert_eq!(error.kind(), ErrorKind::Conflict);
                        continue;
                    }
                }
                for (space, key, value) in changes.clone() {
                    match value {
                        Some(value) => model.insert((space, key), value),
                        None => model.remove(&(space, key)),
                    };
                }
            }
            Operation::Get(space, keys) => {
                let asked: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                let answers: Vec<_> =
                    keys.iter().map(|key| model.get(&(*space, key.clone())).cloned()).collect();
                assert_eq!(backend.multi_get(*space, &asked).unwrap(), answers);
                for (key, answer) in asked.iter().zip(&answers) {
                    assert_eq!(&backend.get(*space, key).unwrap(), answer);
                }
            }
            Operation::Scan(space, from, to, descending) => {
                let range = KeyRange { from, to: to.as_deref(), descending: *descending };
                let now = backend.snapshot().unwrap();
                assert_eq!(scan(&*now, *space, range), expected(model, *space, range));
                for (snapshot, then) in &pinned {
                    assert_eq!(scan(&**snapshot, *space, range), expected(then, *space, range));
                }
            }
            Operation::Pin => pinned.push((backend.snapshot().unwrap(), model.clone())),
            Operation::Unpin(which) if !pinned.is_empty() => {
                let which = which % pinned.len();
                drop(pinned.swap_remove(which));
            }
            Operation::Unpin(_) => {}
            Operation::Flush => backend.flush().unwrap(),
            Operation::Reopen => return index + 1,
        }
    }
    for (snapshot, then) in &pinned {
        for space in Space::ALL {
            let all = KeyRange::default();
            assert_eq!(scan(&**snapshot, space, all), expected(then, space, all));
        }
    }
    operations.len()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_behaves_like_a_map(operations in vec(operation(), 0..80)) {
        let backend = MemoryBackend::new();
        let (mut model, mut rest) = (Model::new(), &operations[..]);
        while !rest.is_empty() {
            rest = &rest[run(&backend, &mut model, rest)..];
            let bytes: usize = model.iter().map(|((_, key), value)| key.len() + value.len()).sum();
            prop_assert_eq!(backend.stored_bytes().unwrap(), bytes as u64);
        }
    }
}

#[cfg(feature = "rocksdb")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rocksdb_behaves_like_a_map(operations in vec(operation(), 0..80)) {
        use engrams_store::backend::{RocksBackend, RocksOptions};

        let place = tempfile::tempdir().unwrap();
        let options = RocksOptions::default();
        let mut backend = RocksBackend::create(place.path(), &options).unwrap();
        let (mut model, mut rest) = (Model::new(), &operations[..]);
        while !rest.is_empty() {
            rest = &rest[run(&backend, &mut model, rest)..];
            drop(backend);
            backend = RocksBackend::open(place.path(), &options).unwrap();
        }
        for space in Space::ALL {
            let all = KeyRange::default();
            prop_assert_eq!(scan(&*backend.snapshot().unwrap(), space, all), expected(&model, space, all));
        }
    }
}
