//! Fear: a file that is cut otherwise, or wrongly, because of what was at its path before.

use engrams::store::{Backend, Batch, Durability, Space};
use engrams::{Attributes, EngramStore, IngestOptions, Search, Transaction};
use proptest::prelude::*;

use super::common::{
    assert_sound, cases, edit, fixed, ingest, noise, open, read, records, root, small_store, sum, text,
};

/// Offsets and lengths of the pieces of a file.
fn pieces(store: &EngramStore, path: &str) -> Vec<(u64, u32)> {
    let entry = store.tree(None).unwrap().get(path.as_bytes()).unwrap().unwrap();
    let mut pieces = store.pieces(entry.file().unwrap());
    let (mut offset, mut found) = (0, Vec::new());
    while let Some((start, piece)) = pieces.at(offset).unwrap() {
        found.push((start, piece.len));
        offset = start + u64::from(piece.len);
    }
    found
}

#[derive(Debug, Clone)]
enum Change {
    /// Bytes are inserted and removed here and there.
    Edits(usize),
    /// As many bytes as before, some of them others.
    InPlace(usize),
    Cut(usize),
    Longer(usize),
}

fn apply(bytes: &mut Vec<u8>, change: &Change, seed: u64) {
    match *change {
        Change::Edits(count) => edit(bytes, count, seed),
        Change::InPlace(count) => {
            let step = bytes.len() / (count + 1) + 1;
            bytes.iter_mut().skip(step / 2).step_by(step).for_each(|byte| *byte ^= 0x55);
        }
        Change::Cut(at) => bytes.truncate(at),
        Change::Longer(by) => bytes.extend(noise(by, seed)),
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0_usize..6).prop_map(Change::Edits),
        (0_usize..6).prop_map(Change::InPlace),
        (2_000_usize..60_000).prop_map(Change::Cut),
        (0_usize..20_000).prop_map(Change::Longer),
    ]
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn a_file_over_another_is_cut_as_one_of_its_own(
        lengths in (0_usize..40_000, 0_usize..40_000),
        changes in prop::collection::vec(prop::collection::vec(change(), 0..3), 1..4),
        seed: u64,
    ) {
        let (store, _) = small_store(1024);
        let mut bytes = [text(lengths.0, seed), noise(lengths.1, seed)].concat();
        ingest(&store, "file", &bytes);
        for (round, changes) in (2..).zip(&changes) {
            changes.iter().for_each(|change| apply(&mut bytes, change, seed ^ round));
            ingest(&store, "file", &bytes);
            let (own, _) = small_store(1024);
            ingest(&own, "file", &bytes);
            prop_assert_eq!(pieces(&store, "file"), pieces(&own, "file"));
            prop_assert_eq!(read(&store, "file", round), &bytes[..]);
            prop_assert_eq!(root(&store), sum([&bytes[..]]));
        }
        assert_sound(&store);
    }
}

#[test]
fn what_comes_again_and_is_not_found_by_name_is_stored_like_anything_new() {
    let (bytes, other) = (text(60_000, 1), noise(30_000, 2));
    let (store, backend) = small_store(1024);
    ingest(&store, "file", &bytes);
    drop(store);
    let mut batch = Batch::new();
    for (space, key) in records(&backend, &[Space::Name]).into_keys() {
        batch.delete(space, key);
    }
    backend.write(batch, Durability::Durable).unwrap();

    let store = open(backend, 1024).unwrap();
    let attributes = Attributes { mode: 0o600, ..fixed() };
    let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    transaction.put_file(b"file", attributes, &mut &bytes[..]).unwrap();
    transaction.put_file(b"other", fixed(), &mut &other[..]).unwrap();
    let result = transaction.commit("").unwrap();
    assert_eq!(result.progress.reused, 0);
    assert_eq!(read(&store, "file", 2), bytes);
    assert_eq!(root(&store), sum([&bytes[..], &other[..]]));
    // It is chosen as a base, and found, by its features.
    let found = store.find(&bytes[20_000..40_000]).run().unwrap();
    assert_eq!(found.matches[0].name.path, b"file");
}
