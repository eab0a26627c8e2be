//! Fear: that many threads on one store, and a collection beside them, end otherwise than one after the other would.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engrams::{
    CollectOptions, Compression, Conflict, EngramStore, Entry, Error, ErrorKind, IngestOptions, Result,
    StreamingDecoder, Transaction,
};

use crate::collect::keep_last;
use crate::common::{Random, assert_sound, edit, fixed, small_store, text};

/// Bytes that tell what they must be: so a reader needs nobody else to know whether they are right.
fn content(seed: u64) -> Vec<u8> {
    let mut bytes = text(2_000 + 4_000 * (seed % 5) as usize, seed % 3);
    edit(&mut bytes, (seed % 7) as usize, seed);
    [&seed.to_le_bytes()[..], &bytes].concat()
}

fn is_right(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|seed| content(u64::from_le_bytes(*seed)) == bytes)
}

/// A file that all threads count up, each from what it found.
const COUNTER: &str = "counter";

fn read_entry(store: &EngramStore, entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    StreamingDecoder::of_entry(store, entry).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn begin(store: &EngramStore) -> Result<Transaction> {
    begin_expecting(store, &[])
}

fn begin_expecting(store: &EngramStore, paths: &[&[u8]]) -> Result<Transaction> {
    let compression = Compression::Zstd(1);
    let options = IngestOptions { threads: 1, compression, ..IngestOptions::default() };
    Transaction::begin_expecting(store, &options, paths)
}

/// Adds one to the counter: the version, and what it is now.
fn count_up(store: &EngramStore) -> Result<(u64, Vec<u8>)> {
    // Two that read 1 both write 2: without this that would be no conflict.
    let mut tx = begin_expecting(store, &[COUNTER.as_bytes()])?;
    let found = tx.base().get(COUNTER.as_bytes())?.map(|entry| read_entry(store, &entry));
    let found = found.map_or(0, |bytes| String::from_utf8(bytes).unwrap().parse::<u64>().unwrap());
    let next = (found + 1).to_string().into_bytes();
    tx.put_file(COUNTER.as_bytes(), fixed(), &mut &next[..])?;
    Ok((tx.commit("")?.version, next))
}

/// What one commit changed: a path, and what is there from then on.
type Change = (String, Option<Vec<u8>>);

/// What was done to a store.
#[derive(Default)]
struct Log {
    changes: Mutex<BTreeMap<u64, Change>>,
    counted: AtomicU64,
    conflicts: AtomicU64,
    read: AtomicU64,
    collections: AtomicU64,
    freed: AtomicU64,
}

impl Log {
    fn add(&self, version: u64, change: Change) {
        assert!(self.changes.lock().unwrap().insert(version, change).is_none(), "two commits of one number");
    }

    /// Every version, by the changes done one after the other.
    fn versions(&self) -> BTreeMap<u64, BTreeMap<String, Vec<u8>>> {
        let (mut files, mut versions) = (BTreeMap::new(), BTreeMap::new());
        for (version, (path, content)) in &*self.changes.lock().unwrap() {
            match content {
                Some(content) => drop(files.insert(path.clone(), content.clone())),
                None => drop(files.remove(path)),
            }
            versions.insert(*version, files.clone());
        }
        versions
    }
}

const WRITERS: u64 = 10;
const READERS: u64 = 2;
const KEPT: u64 = 30;

fn write(store: &EngramStore, log: &Log, thread: u64, until: Instant) {
    let (mut random, mut mine) = (Random(thread), BTreeMap::new());
    while Instant::now() < until {
        let path = format!("{thread}/{}", random.below(4));
        match random.below(8) {
            0 | 1 => {
                let mut attempts = 0;
                let (version, now) = store
                    .retry(1000, |store| {
                        attempts += 1;
                        count_up(store)
                    })
                    .unwrap();
                log.conflicts.fetch_add(attempts - 1, Ordering::Relaxed);
                log.counted.fetch_add(1, Ordering::Relaxed);
                log.add(version, (COUNTER.to_owned(), Some(now)));
            }
            2 if mine.contains_key(&path) => {
                let mut tx = begin(store).unwrap();
                assert_eq!(tx.remove(path.as_bytes()).unwrap(), 1);
                log.add(tx.commit("").unwrap().version, (path.clone(), None));
                mine.remove(&path);
            }
            3 if mine.contains_key(&path) => {
                // Few seeds, so that what one thread forgets another stores.
                let (new, old): (_, &Vec<u8>) = (content(random.below(40) as u64), &mine[&path]);
                let mut tx = begin(store).unwrap();
                let mut edit = tx.edit(path.as_bytes()).unwrap();
                edit.replace(0, old.len() as u64, &new[..]).unwrap();
                edit.finish().unwrap();
                log.add(tx.commit("").unwrap().version, (path.clone(), Some(new.clone())));
                mine.insert(path, new);
            }
            _ => {
                let new = content(random.below(40) as u64);
                let mut tx = begin(store).unwrap();
                tx.put_file(path.as_bytes(), fixed(), &mut &new[..]).unwrap();
                log.add(tx.commit("").unwrap().version, (path.clone(), Some(new.clone())));
                mine.insert(path, new);
            }
        }
    }
}

fn look(store: &EngramStore, log: &Log, done: &AtomicBool) {
    let mut newest = 0;
    while !done.load(Ordering::Relaxed) {
        let version = store.head().unwrap();
        let Some(version) = version else { continue };
        assert!(version.number >= newest, "a version that was seen is gone");
        newest = version.number;
        for entry in store.tree_of(Some(&version)).entries(b"") {
            let entry = match entry {
                Ok(entry) => entry,
                // Forgotten between the two calls above.
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                Err(error) => panic!("{error:?}"),
            };
            let bytes = read_entry(store, &entry);
            let name = entry.path.escape_ascii();
            assert!(entry.path == COUNTER.as_bytes() || is_right(&bytes), "version {newest}: `{name}`");
            log.read.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn tidy(store: &EngramStore, log: &Log, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        if store.head().unwrap().is_none() {
            continue;
        }
        keep_last(store, KEPT);
        let turn = log.collections.fetch_add(1, Ordering::Relaxed);
        let rebase_above = if turn.is_multiple_of(2) { 0.0 } else { 0.1 };
        let options = CollectOptions { rebase_above, compression: Compression::Zstd(1) };
        let found = store.collect(&options, &mut |_| {}).unwrap();
        log.freed.fetch_add(found.chunks, Ordering::Relaxed);
    }
}

/// Ten threads commit to the store for so long, while others read and collect.
fn together(store: &EngramStore, time: Duration) -> Log {
    let (log, done) = (Log::default(), AtomicBool::new(false));
    let until = Instant::now() + time;
    std::thread::scope(|threads| {
        for _ in 0..READERS {
            threads.spawn(|| look(store, &log, &done));
        }
        threads.spawn(|| tidy(store, &log, &done));
        let writers: Vec<_> = (0..WRITERS)
            .map(|thread| {
                let log = &log;
                threads.spawn(move || write(store, log, thread, until))
            })
            .collect();
        let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        done.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(|writer| writer.is_ok()), "a writer stopped");
    });
    log
}

/// What is kept is what the same changes make one after the other.
fn assert_sequential(store: &EngramStore, log: &Log) {
    let model = log.versions();
    let newest = model.keys().next_back().copied().unwrap_or_default();
    assert!(model.keys().copied().eq(1..=newest), "a commit is missing or came from nowhere");
    let versions = store.versions().unwrap();
    assert_eq!(versions.first().map(|version| version.number), Some(newest));
    for version in &versions {
        let mut files = BTreeMap::new();
        for entry in store.tree_of(Some(version)).entries(b"") {
            let entry = entry.unwrap();
            files.insert(String::from_utf8(entry.path.clone()).unwrap(), read_entry(store, &entry));
        }
        assert!(files == model[&version.number], "version {} of {newest}", version.number);
    }
    let counted = log.counted.load(Ordering::Relaxed);
    if counted > 0 {
        assert_eq!(model[&newest][COUNTER], counted.to_string().into_bytes(), "an update was lost");
    }
    assert_sound(store);
    println!(
        "{newest} commits ({counted} of one counter, {} conflicts tried again), {} files read meanwhile, {} collections freed \
         {} chunks, {} versions kept",
        log.conflicts.load(Ordering::Relaxed),
        log.read.load(Ordering::Relaxed),
        log.collections.load(Ordering::Relaxed),
        log.freed.load(Ordering::Relaxed),
        versions.len()
    );
}

#[test]
fn ten_threads_in_memory_end_as_one_after_the_other() {
    let (store, _) = small_store(1024);
    let log = together(&store, Duration::from_secs(2));
    assert_sequential(&store, &log);
}

#[cfg(feature = "rocksdb")]
fn on_disk(time: Duration) {
    use engrams::store::Superblock;
    use engrams::{ChunkParams, OpenOptions};

    let directory = tempfile::tempdir().unwrap();
    let chunks = ChunkParams::from_average(1024).unwrap();
    let superblock = Superblock { chunks, ..Superblock::default() };
    let options = OpenOptions { superblock, ..OpenOptions::default() };
    let store = EngramStore::open_with(directory.path(), &options, true).unwrap();
    let log = together(&store, time);
    assert_sequential(&store, &log);
    store.close().unwrap();
    drop(store);
    assert_sequential(&EngramStore::open_existing(directory.path()).unwrap(), &log);
}

#[cfg(feature = "rocksdb")]
#[test]
fn ten_threads_on_disk_end_as_one_after_the_other() {
    on_disk(Duration::from_secs(2));
}

#[cfg(feature = "rocksdb")]
#[test]
#[ignore = "takes more than a minute; `cargo xtask test --long` runs it"]
fn ten_threads_on_disk_for_a_minute_end_as_one_after_the_other() {
    on_disk(Duration::from_secs(60));
}

#[test]
fn what_conflicts_is_done_again_until_it_is_not_or_the_attempts_are_used_up() {
    let (store, _) = small_store(1024);
    let conflict = || Conflict { path: b"f".to_vec(), expected: Some(1), found: Some(2) };
    let mut left = 3;
    let done = store.retry(4, |_| {
        left -= 1;
        if left > 0 { Err(Error::conflicting(conflict())) } else { Ok(left) }
    });
    assert_eq!(done.unwrap(), 0);

    let mut tried = 0;
    let refused = store.retry(4, |_| {
        tried += 1;
        Err::<(), _>(Error::conflicting(conflict()))
    });
    let refused = refused.unwrap_err();
    assert_eq!((tried, refused.kind(), refused.conflict()), (4, ErrorKind::Conflict, Some(&conflict())));
    let text = refused.to_string();
    assert!(text.contains("4 attempts") && text.contains("expected version 1, found version 2"), "{text}");

    let mut tried = 0;
    let failed = store.retry(4, |_| {
        tried += 1;
        Err::<(), _>(Error::not_found("nothing"))
    });
    assert_eq!(
        (tried, failed.unwrap_err().kind()),
        (1, ErrorKind::NotFound),
        "only conflicts are tried again"
    );
}
