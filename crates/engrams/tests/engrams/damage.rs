//! Fear: damage that comes back as bytes. Every flip in every kind of record must be an error or change nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use engrams::store::backend::MemoryBackend;
use engrams::store::{Backend, Batch, Durability, Space};
use engrams::{EngramStore, ErrorKind, IngestOptions, Transaction, VerifyOptions};

use crate::common::{
    Random, Records, assert_sound, backend_of, edit, fixed, ingest, noise, open, records, small_store, text,
    try_read,
};

struct Sample {
    records: Records,
    /// Version and path to content.
    files: BTreeMap<(u64, &'static str), Vec<u8>>,
}

/// Three versions: corrections, reused and packed chunks, a list in pages, index pages stay in `trees`.
static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let (store, backend) = small_store(256);
    let mut files = BTreeMap::new();
    let mut long = text(9000, 1);
    for version in 1..=3 {
        let now: [(&'static str, Vec<u8>); 5] = [
            ("long", long.clone()),
            ("noise", noise(900, 7)),
            ("small/a", text(40, version)),
            ("small/b", text(50, 5)),
            ("small/empty", Vec::new()),
        ];
        let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
        for (path, bytes) in now {
            tx.put_file(path.as_bytes(), fixed(), &mut &bytes[..]).unwrap();
            files.insert((version, path), bytes);
        }
        tx.commit("a message").unwrap();
        edit(&mut long, 3, version);
    }
    assert_sound(&store);
    assert!(store.stats().unwrap().recalled_chunks > 0);
    let records = records(&backend, &Space::ALL);
    Sample { records, files }
});

/// What became of one flip.
struct Outcome {
    /// Errors of opening, of reading, and what verification found.
    opening: Option<String>,
    reading: Vec<(String, String)>,
    verifying: Vec<String>,
}

impl Outcome {
    fn is_noticed(&self) -> bool {
        self.opening.is_some() || !self.reading.is_empty() || !self.verifying.is_empty()
    }
}

/// Reads everything and verifies in a fresh store; wrong bytes are the end.
fn look(backend: &Arc<MemoryBackend>, what: &str) -> Outcome {
    let store = match open(Arc::<MemoryBackend>::clone(backend), 256) {
        Ok(store) => store,
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported), "{what}: {error:?}");
            return Outcome { opening: Some(error.to_string()), reading: Vec::new(), verifying: Vec::new() };
        }
    };
    let mut reading = Vec::new();
    for ((version, path), bytes) in &SAMPLE.files {
        match try_read(&store, path.as_bytes(), Some(*version)) {
            Ok(found) => assert!(found == *bytes, "{what}: wrong bytes of `{path}` in version {version}"),
            Err(error) => reading.push(((*path).to_owned(), error.to_string())),
        }
    }
    // A fresh store again, so that nothing is verified from memory.
    let store = open(Arc::<MemoryBackend>::clone(backend), 256).unwrap();
    let verifying = match store.verify(VerifyOptions { deep: true }, &mut |_| {}) {
        Ok(report) => report.errors,
        Err(error) => vec![error.to_string()],
    };
    Outcome { opening: None, reading, verifying }
}

/// Flips every `step`th byte of every record of `space`; calls `judge` with the record's key and what became of it.
fn flip(space: Space, step: usize, mut judge: impl FnMut(&[u8], usize, u8, &Outcome)) {
    let backend = backend_of(&SAMPLE.records);
    let mut random = Random(space as u64);
    let mut flips = 0;
    for ((_, key), value) in SAMPLE.records.iter().filter(|((s, _), _)| *s == space) {
        let skip = random.below(step);
        for at in (0..value.len()).skip(skip).step_by(step) {
            let mut masks = vec![1 << random.below(8), (random.next() as u8).max(1)];
            if matches!(space, Space::Name | Space::Recall | Space::Search) {
                masks = (0..8).map(|bit| 1 << bit).collect();
            }
            for mask in masks {
                let mut bad = value.clone();
                bad[at] ^= mask;
                backend.write(put(space, key, &bad), Durability::Durable).unwrap();
                let what = format!("{space:?} {key:02x?} byte {at} of {} by {mask:#04x}", value.len());
                judge(key, at, mask, &look(&backend, &what));
                flips += 1;
            }
        }
        backend.write(put(space, key, value), Durability::Durable).unwrap();
    }
    assert!(flips > 0);
    assert!(!look(&backend, "nothing").is_noticed(), "the records are whole again");
}

fn put(space: Space, key: &[u8], value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.put(space, key, value);
    batch
}

/// Every flip in `space` is noticed.
fn all_noticed(space: Space, step: usize) {
    let mut missed = Vec::new();
    flip(space, step, |key, at, mask, outcome| {
        if !outcome.is_noticed() {
            missed.push(format!("{key:02x?} byte {at} by {mask:#04x}"));
        }
    });
    assert!(
        missed.is_empty(),
        "{} flips of {space:?} go unnoticed, first {:?}",
        missed.len(),
        &missed[..missed.len().min(8)]
    );
}

#[test]
fn a_flipped_byte_of_the_superblock_or_the_head_record_keeps_the_store_shut() {
    flip(Space::Meta, 1, |key, at, _, outcome| assert!(outcome.opening.is_some(), "{key:?} {at}"));
}

#[test]
fn a_flipped_byte_of_a_version_record_is_an_error_that_names_the_version() {
    flip(Space::Version, 1, |key, at, _, outcome| {
        let name = format!("version {}", key[7]);
        let lines = outcome.opening.iter().chain(&outcome.verifying);
        assert!(lines.into_iter().any(|line| line.contains(&name)), "{name} {at}");
    });
}

/// Names the chunk, and a file that needs it.
fn names_chunk_and_file(key: &[u8], at: usize, outcome: &Outcome) {
    let chunk = format!("chunk {}", u64::from_be_bytes(key.try_into().unwrap()));
    assert!(
        outcome
            .reading
            .iter()
            .any(|(path, error)| error.contains(&chunk) && error.contains(&format!("`{path}` of version"))),
        "{chunk} byte {at}, reading: {:?}",
        outcome.reading
    );
    assert!(
        outcome.verifying.iter().any(|line| line.contains(&chunk)),
        "{chunk} byte {at}: {:?}",
        outcome.verifying
    );
    for (path, _) in &outcome.reading {
        let file = format!("`{path}` of version");
        assert!(outcome.verifying.iter().any(|line| line.contains(&file)), "{file}: {:?}", outcome.verifying);
    }
}

#[test]
fn a_flipped_byte_of_a_chunks_head_is_an_error_that_names_the_chunk_and_the_file() {
    flip(Space::Head, 3, |key, at, _, outcome| names_chunk_and_file(key, at, outcome));
}

#[test]
fn a_flipped_byte_of_a_payload_is_found_by_verify_and_never_read() {
    let mut harmless = 0;
    flip(Space::Payload, 5, |key, at, _, outcome| {
        if outcome.reading.is_empty() {
            // zstd does not use every bit of a frame: the bytes are right, the damage is reported all the same.
            harmless += 1;
            assert!(!outcome.verifying.is_empty(), "{key:?} {at}");
        } else {
            names_chunk_and_file(key, at, outcome);
        }
    });
    assert!(harmless < 500, "{harmless}");
}

#[test]
fn a_flipped_byte_of_a_page_is_never_wrong_bytes() {
    flip(Space::Page, 7, |_, _, _, _| {});
}

#[test]
fn a_flipped_byte_of_a_page_is_noticed() {
    all_noticed(Space::Page, 7);
}

#[test]
fn a_flipped_byte_at_the_front_of_a_page_is_noticed() {
    // Depth, length, coding and zstd's frame header: they decide how the rest is read, and not all of them show in it.
    let mut missed = Vec::new();
    let backend = backend_of(&SAMPLE.records);
    for ((space, key), value) in SAMPLE.records.iter().filter(|((s, _), _)| *s == Space::Page) {
        for at in 0..value.len().min(16) {
            for mask in [1, 2, 4, 0x10] {
                let mut bad = value.clone();
                bad[at] ^= mask;
                backend.write(put(*space, key, &bad), Durability::Durable).unwrap();
                if !look(&backend, "page").is_noticed() {
                    missed.push((key[7], at, mask, value[at]));
                }
            }
        }
        backend.write(put(*space, key, value), Durability::Durable).unwrap();
    }
    assert!(
        missed.is_empty(),
        "{} unnoticed; page, byte, mask, value: {:?}",
        missed.len(),
        &missed[..missed.len().min(12)]
    );
}

#[test]
fn a_flipped_byte_of_the_name_index_is_noticed() {
    all_noticed(Space::Name, 1);
}

#[test]
fn a_flipped_byte_of_the_recall_index_is_noticed() {
    all_noticed(Space::Recall, 3);
}

#[test]
fn a_flipped_byte_of_the_search_index_is_noticed() {
    all_noticed(Space::Search, 3);
}

#[test]
fn a_flipped_byte_of_what_was_remembered_changes_nothing() {
    let (store, backend) = small_store(256);
    let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    let summary = tx.put_file(b"f", fixed(), &mut &b"content"[..]).unwrap();
    tx.remember(b"f", b"stat").unwrap();
    tx.commit("").unwrap();
    for ((space, key), value) in records(&backend, &[Space::Seen]) {
        for at in 0..value.len() {
            let mut bad = value.clone();
            bad[at] ^= 0x20;
            backend.write(put(space, &key, &bad), Durability::Durable).unwrap();
            assert!(!store.remembers(b"f", &summary.hash, b"stat").unwrap());
        }
    }
}

#[test]
fn a_record_in_anothers_place_is_an_error() {
    let backend = backend_of(&SAMPLE.records);
    for space in [Space::Head, Space::Payload, Space::Page, Space::Version] {
        let all: Vec<_> = SAMPLE.records.iter().filter(|((s, _), _)| *s == space).collect();
        for pair in all.windows(2) {
            let (((_, key), value), (_, other)) = (pair[0], pair[1]);
            if value == other {
                continue;
            }
            backend.write(put(space, key, other), Durability::Durable).unwrap();
            assert!(look(&backend, "misplaced").is_noticed(), "{space:?} {key:?}");
            backend.write(put(space, key, value), Durability::Durable).unwrap();
        }
    }
}

#[test]
fn a_lost_record_is_an_error() {
    let backend = backend_of(&SAMPLE.records);
    // The superblock has a test of its own; without remembered stats or an entry of the recall index nothing is wrong.
    let matters = |space: Space| !matches!(space, Space::Meta | Space::Seen | Space::Recall | Space::Search);
    for ((space, key), value) in SAMPLE.records.iter().filter(|((space, _), _)| matters(*space)) {
        let mut batch = Batch::new();
        batch.delete(*space, key.clone());
        backend.write(batch, Durability::Durable).unwrap();
        let noticed = look(&backend, "lost").is_noticed();
        assert!(noticed, "{space:?} {key:?} ({})", key.escape_ascii());
        backend.write(put(*space, key, value), Durability::Durable).unwrap();
    }
}

#[test]
fn a_lost_superblock_is_not_made_anew_over_what_is_there() {
    let mut lost = SAMPLE.records.clone();
    assert!(lost.remove(&(Space::Meta, b"superblock".to_vec())).is_some());
    assert!(look(&backend_of(&lost), "lost").opening.is_some());
}

#[test]
fn a_lost_head_record_does_not_look_like_an_empty_store() {
    let mut lost = SAMPLE.records.clone();
    assert!(lost.remove(&(Space::Meta, b"head".to_vec())).is_some());
    assert!(look(&backend_of(&lost), "lost").is_noticed());
}

/// A store of one file whose only chunks are damaged in `space`.
fn damaged(space: Space, bytes: &[u8]) -> EngramStore {
    let (store, backend) = small_store(1024);
    ingest(&store, "old", bytes);
    drop(store);
    for ((space, key), mut value) in records(&backend, &[space]) {
        let middle = value.len() / 2;
        value[middle] ^= 0x10;
        backend.write(put(space, &key, &value), Durability::Durable).unwrap();
    }
    open(backend, 1024).unwrap()
}

#[test]
fn damaged_old_payloads_do_not_keep_new_bytes_from_being_stored() {
    let bytes = text(20_000, 1);
    let mut like = bytes.clone();
    like.iter_mut().step_by(300).for_each(|b| *b ^= 1);
    let store = damaged(Space::Payload, &bytes);
    ingest(&store, "new", &like);
    assert!(try_read(&store, b"new", None).unwrap() == like);
}

#[test]
fn damaged_old_heads_do_not_keep_new_bytes_from_being_stored() {
    let bytes = text(20_000, 1);
    let mut like = bytes.clone();
    like.iter_mut().step_by(300).for_each(|b| *b ^= 1);
    let store = damaged(Space::Head, &bytes);
    ingest(&store, "new", &like);
    assert!(try_read(&store, b"new", None).unwrap() == like);
}

#[test]
fn a_damaged_name_index_does_not_keep_new_bytes_from_being_stored() {
    let bytes = text(20_000, 1);
    let store = damaged(Space::Name, &bytes);
    ingest(&store, "new", &bytes);
    assert!(try_read(&store, b"new", None).unwrap() == bytes);
}

/// Flips a byte in the middle of the record of `space` that `pick` chooses.
fn spoil(backend: &MemoryBackend, space: Space, pick: impl Fn(&[u8]) -> bool) {
    let records = records(backend, &[space]);
    let ((space, key), mut value) = records.into_iter().rfind(|((_, key), _)| pick(key)).unwrap();
    let middle = value.len() / 2;
    value[middle] ^= 0x10;
    let mut batch = Batch::new();
    batch.put(space, key, value);
    backend.write(batch, Durability::Durable).unwrap();
}

#[test]
fn a_damaged_engram_does_not_stop_commits_and_is_counted_anew() {
    let (store, backend) = small_store(1024);
    ingest(&store, "f", &text(5000, 1));
    drop(store);
    // The page written last is the engram.
    spoil(&backend, Space::Page, |_| true);
    let store = open(backend, 1024).unwrap();
    assert!(store.engram(&store.version(1).unwrap()).is_err());
    ingest(&store, "new", &text(3000, 2));
    let mut expected = store.engram(&store.version(2).unwrap()).unwrap();
    let clean = EngramStore::in_memory();
    ingest(&clean, "new", &text(3000, 2));
    ingest(&clean, "f", &text(5000, 1));
    expected.subtract(&clean.engram(&clean.version(2).unwrap()).unwrap());
    assert!(expected.is_zero());
}

#[test]
fn a_file_with_a_damaged_chunk_can_be_overwritten_and_removed() {
    for overwrite in [true, false] {
        let (store, backend) = small_store(1024);
        ingest(&store, "bad", &noise(20_000, 1));
        ingest(&store, "good", &noise(3000, 9));
        drop(store);
        spoil(&backend, Space::Payload, |key| key == 1u64.to_be_bytes());
        let store = open(backend, 1024).unwrap();
        assert!(try_read(&store, b"bad", None).is_err());
        let clean = EngramStore::in_memory();
        ingest(&clean, "good", &noise(3000, 9));
        if overwrite {
            for store in [&store, &clean] {
                ingest(store, "bad", &noise(20_000, 77));
            }
            assert_eq!(try_read(&store, b"bad", None).unwrap(), noise(20_000, 77));
        } else {
            let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
            transaction.remove(b"bad").unwrap();
            transaction.commit("").unwrap();
        }
        let engram = |store: &EngramStore| store.engram(&store.head().unwrap().unwrap()).unwrap();
        assert_eq!(engram(&store), engram(&clean));
    }
}
