//! Fear: records that can't be read at all, as where a block of a table is damaged: what they cost beyond themselves.

use std::ops::RangeInclusive;
use std::sync::Arc;

use engrams::store::backend::{Backend, Batch, Durability, KeyRange, KeyValue, MemoryBackend, Snapshot};
use engrams::store::{Error, ErrorKind, Space};
use engrams::{CollectOptions, EngramStore, Forget, IngestOptions, Result, Transaction, VerifyOptions};

use crate::common::{Records, backend_of, fixed, open, records, small_store, text, try_read};

/// A medium with neighbours that can't be read.
struct Unreadable {
    inner: Arc<MemoryBackend>,
    space: Space,
    keys: RangeInclusive<Vec<u8>>,
}

impl Unreadable {
    fn hits(&self, space: Space, key: &[u8]) -> bool {
        space == self.space && self.keys.start().as_slice() <= key && key <= self.keys.end().as_slice()
    }
}

fn unreadable() -> Error {
    Error::new(ErrorKind::Corrupt, "a block is damaged")
}

impl Backend for Unreadable {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if self.hits(space, key) { Err(unreadable()) } else { self.inner.get(space, key) }
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        Ok(Box::new(Instant { medium: self, inner: self.inner.snapshot()? }))
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<()> {
        self.inner.write(batch, durability)
    }

    fn flush(&self) -> Result<()> {
        self.inner.flush()
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }

    fn stored_bytes(&self) -> Result<u64> {
        self.inner.stored_bytes()
    }
}

struct Instant<'m> {
    medium: &'m Unreadable,
    inner: Box<dyn Snapshot + 'm>,
}

impl Snapshot for Instant<'_> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if self.medium.hits(space, key) { Err(unreadable()) } else { self.inner.get(space, key) }
    }

    fn scan<'a>(
        &'a self,
        space: Space,
        range: KeyRange<'a>,
    ) -> Box<dyn Iterator<Item = Result<KeyValue>> + 'a> {
        let mut told = false;
        Box::new(self.inner.scan(space, range).filter_map(move |record| match record {
            Ok((key, _)) if self.medium.hits(space, &key) => {
                (!std::mem::replace(&mut told, true)).then(|| Err(unreadable()))
            }
            other => Some(other),
        }))
    }
}

/// The store of these records, of which those in `block` can't be read.
fn damaged(all: &Records, block: &[&(Space, Vec<u8>)]) -> (Result<EngramStore>, Arc<MemoryBackend>) {
    let inner = backend_of(all);
    let (first, last) = (block[0], block[block.len() - 1]);
    let medium =
        Unreadable { inner: Arc::clone(&inner), space: first.0, keys: first.1.clone()..=last.1.clone() };
    (open(Arc::new(medium), 1024), inner)
}

fn keys_of(all: &Records, space: Space) -> Vec<&(Space, Vec<u8>)> {
    all.keys().filter(|(found, _)| *found == space).collect()
}

/// What a plain verification finds.
fn found(store: &EngramStore) -> Vec<String> {
    store.verify(VerifyOptions::default(), &mut |_| {}).unwrap().errors
}

fn collect(store: &EngramStore) -> Result<engrams::Collected> {
    store.collect(&CollectOptions::default(), &mut |_| {})
}

/// A version with these files, each remembered.
fn commit(store: &EngramStore, files: &[(String, Vec<u8>)]) {
    let mut tx = Transaction::begin(store, &IngestOptions::default()).unwrap();
    tx.clear(b"").unwrap();
    for (path, bytes) in files {
        tx.put_file(path.as_bytes(), fixed(), &mut &bytes[..]).unwrap();
        tx.remember(path.as_bytes(), b"stat").unwrap();
    }
    tx.commit("").unwrap();
}

/// Found: `verify` found nothing, and the next ingest and every collection failed.
#[test]
fn what_was_seen_of_files_is_named_by_verify_and_hinders_no_ingest_and_no_collection() {
    let (store, backend) = small_store(1024);
    let mut files: Vec<_> = (0..30).map(|at| (format!("f{at:02}"), text(300, at))).collect();
    commit(&store, &files);
    let gone = files.split_off(20);
    commit(&store, &files);
    drop(store);
    let all = records(&backend, &Space::ALL);
    let seen = keys_of(&all, Space::Seen);
    assert_eq!(seen.len(), 30);
    for block in [&seen[..], &seen[..10], &seen[10..20], &seen[20..]] {
        let (store, inner) = damaged(&all, block);
        let store = store.unwrap();
        let named = found(&store);
        assert!(named.len() == 1 && named[0].contains("Seen"), "{named:?}");

        let tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
        let known = |(path, _): &&(String, Vec<u8>)| tx.unchanged(path.as_bytes(), b"stat").unwrap();
        let unknown = files.len() - files.iter().filter(known).count();
        assert!(unknown <= block.len() && (unknown > 0 || block.len() < 30), "{unknown}");
        drop(tx);
        commit(&store, &files);

        let removed = collect(&store).unwrap().seen_entries as usize;
        assert!(removed <= gone.len() && removed >= gone.len().saturating_sub(block.len()), "{removed}");
        let left = inner.contents(Space::Seen).unwrap().len();
        assert_eq!(left, 30 - removed, "nothing that is needed went");
        assert!(files.iter().all(|(path, bytes)| try_read(&store, path.as_bytes(), None).unwrap() == *bytes));
    }
}

/// Found: `verify` found nothing, and every collection was refused.
#[test]
fn pages_that_nothing_needs_are_named_by_verify_and_hinder_no_collection() {
    let (store, backend) = small_store(1024);
    let versions: Vec<Vec<_>> = (1..=4)
        .map(|version| {
            let many = (0..100).map(|at| (format!("many/{at:03}"), text(40, 100 * version + at)));
            many.chain([("long".to_owned(), text(60_000, version))]).collect()
        })
        .collect();
    versions.iter().for_each(|files| commit(&store, files));
    store.forget(&Forget { versions: vec![1, 2], ..Forget::default() }).unwrap();
    drop(store);
    let all = records(&backend, &Space::ALL);
    let pages = keys_of(&all, Space::Page);
    let (mut freed, mut refused) = (0, 0);
    for block in pages.windows(1).chain(pages.windows(3)) {
        let (store, inner) = damaged(&all, block);
        // New pages can't be numbered where the last ones can't be read.
        let Ok(store) = store else { continue };
        let named = found(&store);
        assert!(named.iter().any(|line| line.contains("Page")), "{block:?}: {named:?}");
        let before = records(&inner, &Space::ALL);
        match collect(&store) {
            Ok(collected) => {
                assert!(collected.chunks > 0 && collected.pages > 0, "{collected:?}");
                for (version, files) in (1..).zip(&versions).skip(2) {
                    for (path, bytes) in files {
                        assert!(try_read(&store, path.as_bytes(), Some(version)).unwrap() == *bytes);
                    }
                }
                freed += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt);
                assert_eq!(records(&inner, &Space::ALL), before, "nothing was removed");
                let kept = |version: u64| {
                    let files = &versions[version as usize - 1];
                    files.iter().all(|(path, _)| try_read(&store, path.as_bytes(), Some(version)).is_ok())
                };
                // A base of a needed page, or such a page itself; also one that has been read before.
                let fresh = damaged(&all, block).0.unwrap();
                let listed = |version| fresh.tree(Some(version)).unwrap().entries(b"").all(|e| e.is_ok());
                assert!(!(listed(3) && listed(4) && kept(3) && kept(4)), "{block:?}: {error}");
                refused += 1;
            }
        }
    }
    assert!(freed >= 3 && refused >= 3, "{freed} {refused}");
}

#[test]
fn a_damaged_record_of_lost_chunks_is_named_by_verify() {
    let (store, backend) = small_store(1024);
    commit(&store, &[("f".to_owned(), text(3000, 1))]);
    let mut batch = Batch::new();
    batch.put(Space::Meta, *b"lost", *b"no such record");
    backend.write(batch, Durability::Durable).unwrap();
    let named = found(&store);
    assert!(named.len() == 1 && named[0].starts_with("Meta record"), "{named:?}");
}
