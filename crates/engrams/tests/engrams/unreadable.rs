//! Fear: records that can't be read at all, as where a block of a table is damaged: what they cost beyond themselves.

use std::ops::RangeInclusive;
use std::sync::Arc;

use engrams::store::backend::{Backend, Batch, Durability, KeyRange, KeyValue, MemoryBackend, Snapshot};
use engrams::store::{Error, ErrorKind, Space};
use engrams::{
    CollectOptions, EngramStore, Forget, IngestOptions, Result, Retention, Transaction, VerifyOptions,
};

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

/// Six versions of one file, of which the second was forgotten; three tags.
fn six() -> Records {
    let (store, backend) = small_store(1024);
    for version in 1..=6 {
        commit(&store, &[("f".to_owned(), text(3000, version))]);
    }
    for (name, version) in [("a", 1), ("b", 4), ("c", 6)] {
        store.tag(name, version).unwrap();
    }
    store.forget(&Forget { versions: vec![2], ..Forget::default() }).unwrap();
    drop(store);
    records(&backend, &Space::ALL)
}

fn nothing_is_forgotten(store: &EngramStore, inner: &MemoryBackend) {
    let before = records(inner, &Space::ALL);
    let last = |count| Retention { last: Some(count), ..Retention::default() };
    for what in [
        Forget { keep: last(1), ..Forget::default() },
        Forget { keep: last(3), versions: vec![5] },
        Forget { versions: vec![5], ..Forget::default() },
    ] {
        for refused in [store.forget_plan(&what), store.forget(&what)] {
            let error = refused.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.to_string().starts_with("what is kept can't be told: "), "{error}");
        }
    }
    assert_eq!(records(inner, &Space::ALL), before);
}

/// Found: one damaged record made all versions unlisted.
#[test]
fn versions_beside_damaged_records_are_listed_and_read_and_the_damaged_are_named() {
    let all = six();
    let versions = keys_of(&all, Space::Version);
    let number = |(_, key): &(Space, Vec<u8>)| u64::from_be_bytes(key.as_slice().try_into().unwrap());
    // The newest can't be damaged: such a store does not open.
    for (first, last) in (0..4).flat_map(|first| (first..4).map(move |last| (first, last))) {
        let block = &versions[first..=last];
        let lost: Vec<u64> = block.iter().rev().map(|key| number(key)).collect();
        let mut flipped = all.clone();
        block.iter().for_each(|key| flipped.get_mut(*key).unwrap()[3] ^= 1);
        let mut absent = all.clone();
        block.iter().for_each(|key| drop(absent.remove(*key)));
        let opened = |records: &Records| {
            let inner = backend_of(records);
            (open(Arc::<MemoryBackend>::clone(&inner), 1024), inner)
        };
        for (store, inner) in [damaged(&all, block), opened(&flipped), opened(&absent)] {
            let store = store.unwrap();
            let list = store.readable_versions().unwrap();
            let listed: Vec<u64> = list.versions.iter().map(|version| version.number).collect();
            let named: Vec<u64> = list.damaged.iter().map(|version| version.number).collect();
            let others: Vec<u64> = [6, 5, 4, 3, 1].into_iter().filter(|n| !lost.contains(n)).collect();
            assert_eq!((listed, named), (others.clone(), lost.clone()));
            let errors = found(&store);
            for damaged in &list.damaged {
                let name = format!("version {}", damaged.number);
                assert!(damaged.error.to_string().starts_with(&name), "{:?}", damaged.error);
                assert!(errors.iter().any(|line| line.starts_with(&name)), "{name}: {errors:?}");
            }
            assert_eq!(store.versions().unwrap_err().kind(), ErrorKind::Corrupt);
            for version in others {
                assert!(try_read(&store, b"f", Some(version)).unwrap() == text(3000, version));
            }
            nothing_is_forgotten(&store, &inner);
            assert_eq!(collect(&store).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }
}

#[test]
fn without_the_record_of_forgotten_versions_those_that_are_there_are_listed_all_the_same() {
    let mut all = six();
    all.get_mut(&(Space::Meta, b"forgotten".to_vec())).unwrap()[0] ^= 1;
    let third = keys_of(&all, Space::Version)[1].clone();
    let (store, inner) = damaged(&all, &[&third]);
    let store = store.unwrap();
    let list = store.readable_versions().unwrap();
    assert!(list.versions.iter().map(|version| version.number).eq([6, 5, 4, 1]));
    assert!(list.damaged.iter().map(|version| version.number).eq([3]));
    assert_eq!(
        store.forget(&Forget { versions: vec![1], ..Forget::default() }).unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    assert_eq!(records(&inner, &Space::ALL), all);
}

/// Found: one damaged tag made all tags unreadable, and `verify` named the first alone.
#[test]
fn tags_beside_damaged_ones_are_listed_and_each_damaged_one_is_named() {
    let all = six();
    let tags: Vec<_> = all.keys().filter(|(_, key)| key.starts_with(b"tag/")).collect();
    let mut flipped = all.clone();
    tags[..2].iter().for_each(|key| flipped.get_mut(*key).unwrap()[0] ^= 1);
    let inner = backend_of(&flipped);
    let store = open(Arc::<MemoryBackend>::clone(&inner), 1024).unwrap();
    let list = store.readable_tags().unwrap();
    assert!(list.tags.iter().map(|tag| tag.name.as_str()).eq(["c"]));
    assert_eq!(list.damaged.len(), 2);
    let named = found(&store);
    assert!(named.iter().any(|line| line.contains("tag/a")), "{named:?}");
    assert!(named.iter().any(|line| line.contains("tag/b")), "{named:?}");
    assert_eq!(store.tags().unwrap_err().kind(), ErrorKind::Corrupt);
    nothing_is_forgotten(&store, &inner);
    // A name is given anew, and taken away, whatever was there.
    store.tag("a", 5).unwrap();
    store.untag("b").unwrap();
    assert!(store.tags().unwrap().iter().map(|tag| tag.name.as_str()).eq(["a", "c"]));

    let (store, inner) = damaged(&all, &tags[..2]);
    let store = store.unwrap();
    let list = store.readable_tags().unwrap();
    assert!(list.tags.iter().map(|tag| tag.name.as_str()).eq(["c"]));
    assert_eq!(list.damaged.len(), 1);
    assert!(found(&store).iter().any(|line| line.contains("a block is damaged")));
    nothing_is_forgotten(&store, &inner);
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
