//! Fear: a recall index that grows without bound, or whose damage costs more than ratio.

use std::sync::Arc;

use engrams::store::Backend;
use engrams::store::backend::MemoryBackend;
use engrams::store::{Batch, Durability, Space, Superblock};
use engrams::{ChunkParams, EngramStore, OpenOptions, VerifyOptions};

use crate::common::{assert_sound, edit, ingest, noise, read, records};

fn open_with(backend: &Arc<MemoryBackend>, recall_bytes: usize) -> EngramStore {
    let chunks = ChunkParams::from_average(1024).unwrap();
    let superblock = Superblock { chunks, ..Superblock::default() };
    let options = OpenOptions { superblock, recall_bytes, ..OpenOptions::default() };
    EngramStore::with_backend(Arc::<MemoryBackend>::clone(backend), &options).unwrap()
}

/// Bytes of all recall records after six streams of noise and an edited copy of the first and the last.
fn stored(recall_bytes: usize) -> (usize, Vec<u64>) {
    let backend = Arc::new(MemoryBackend::new());
    let store = open_with(&backend, recall_bytes);
    let mut recalled = Vec::new();
    for seed in 0..6 {
        ingest(&store, &format!("f{seed}"), &noise(150_000, seed));
    }
    for seed in [5, 0] {
        let mut bytes = noise(150_000, seed);
        edit(&mut bytes, 400, seed);
        recalled.push(ingest(&store, "edited", &bytes).recalled);
        assert!(read(&store, "edited", store.head().unwrap().unwrap().number) == bytes);
    }
    assert_sound(&store);
    (records(&backend, &[Space::Recall]).values().map(Vec::len).sum(), recalled)
}

#[test]
fn a_full_index_forgets_the_old_and_stays_within_its_bounds() {
    let (all_bytes, all) = stored(1 << 20);
    let (few_bytes, few) = stored(1 << 13);
    assert!(all.iter().all(|&recalled| recalled > 40), "{all:?}");
    // 1,024 entries have room: those of the last stream, and some of the first.
    assert!(few[0] > all[0] / 2, "{few:?} of {all:?}");
    assert!(few[1] < all[1], "{few:?} of {all:?}");
    assert!(few_bytes < 2 * 1024 * 7 && few_bytes < all_bytes, "{few_bytes} of {all_bytes}");
}

#[test]
fn a_damaged_recall_record_is_named_by_verify_and_passed_over_by_ingest() {
    let backend = Arc::new(MemoryBackend::new());
    let store = open_with(&backend, 1 << 20);
    let mut bytes = noise(200_000, 1);
    ingest(&store, "f", &bytes);
    drop(store);
    let all = records(&backend, &[Space::Recall]);
    let ((_, key), value) = all.iter().next_back().unwrap();
    let mut bad = value.clone();
    bad[3] ^= 1;
    let mut batch = Batch::new();
    batch.put(Space::Recall, key.clone(), bad);
    backend.write(batch, Durability::Durable).unwrap();
    let store = open_with(&backend, 1 << 20);
    let report = store.verify(VerifyOptions::default(), &mut |_| {}).unwrap();
    assert!(report.errors.len() == 1 && report.errors[0].contains("recall record"), "{:?}", report.errors);
    edit(&mut bytes, 100, 2);
    let result = ingest(&store, "f", &bytes);
    assert!(result.recalled > 0, "{result:?}");
    assert!(read(&store, "f", 2) == bytes);
}

#[test]
fn an_index_read_again_recalls_what_the_one_in_memory_would() {
    let stored = |reopens: bool| {
        let backend = Arc::new(MemoryBackend::new());
        let mut store = open_with(&backend, 1 << 20);
        let mut bytes = noise(100_000, 3);
        for round in 0..4 {
            ingest(&store, "f", &bytes);
            edit(&mut bytes, 60, round);
            if reopens {
                store = open_with(&backend, 1 << 20);
            }
        }
        records(&backend, &[Space::Head, Space::Payload, Space::Recall])
    };
    assert!(stored(false) == stored(true));
}
