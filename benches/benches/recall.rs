//! Recall of one group of chunks: from features to candidates, then their heads, then their distances. How it depends on
//! the number of stored chunks is what the suite shows; what bounds it is the work for each feature.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engrams::EngramStore;
use engrams::store::{Coding, Head, NewChunk, RECALL_FEATURES, Result, STORED_VECTOR_BYTES};
use engrams_kernels::mix64;

/// Chunks that are recalled for together.
const GROUP: u64 = 16;
/// Chunks staged in one batch while a store is filled.
const BATCH: u64 = 1000;

fn features(chunk: u64) -> Vec<u64> {
    (0..RECALL_FEATURES as u64).map(|i| mix64(chunk * RECALL_FEATURES as u64 + i)).collect()
}

fn vector(chunk: u64) -> [u8; STORED_VECTOR_BYTES] {
    let mut vector = [0; STORED_VECTOR_BYTES];
    for (i, word) in (0..).zip(vector.chunks_mut(8)) {
        word.copy_from_slice(&mix64(!chunk ^ i << 40).to_le_bytes());
    }
    vector
}

/// Stages chunks that have features, vectors and names, and no bytes.
fn fill(store: &EngramStore, chunks: u64) -> Result<()> {
    let draft = store.draft()?;
    for first in (0..chunks).step_by(BATCH as usize) {
        let mut staging = store.staging(draft.reuse());
        for chunk in first..chunks.min(first + BATCH) {
            let mut name = [0; 32];
            name[..8].copy_from_slice(&mix64(chunk).to_le_bytes());
            let head = Head {
                name,
                len: 1,
                coded_len: 1,
                coding: Coding::Raw,
                depth: 0,
                bases: Vec::new(),
                vector: vector(chunk),
                payload_check: [0; 4],
            };
            let id = staging.assign(name);
            let features = features(chunk);
            staging.put(NewChunk {
                id,
                head,
                payload: vec![0],
                plain: &[0],
                features: &features,
                search: &[],
            })?;
        }
        staging.write()?;
    }
    Ok(())
}

/// The nearest stored chunk for each chunk of a group: its distance and its id.
fn recall(store: &EngramStore, queries: &[(Vec<u64>, [u8; STORED_VECTOR_BYTES])]) -> Result<Vec<(u32, u64)>> {
    let lists: Vec<&[u64]> = queries.iter().map(|(features, _)| features.as_slice()).collect();
    let draft = store.draft()?;
    let proposed = store.staging(draft.reuse()).recall(&lists)?;
    let mut nearest = Vec::with_capacity(queries.len());
    for (ids, (_, vector)) in proposed.into_iter().zip(queries) {
        let mut best = (u32::MAX, u64::MAX);
        for id in ids {
            let head = store.chunk_head(id)?;
            let distance = head.vector.iter().zip(vector).map(|(a, b)| (a ^ b).count_ones()).sum();
            best = best.min((distance, id));
        }
        nearest.push(best);
    }
    Ok(nearest)
}

#[expect(clippy::expect_used, reason = "a benchmark whose store fails should stop")]
fn sizes(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut group = c.benchmark_group("recall for 16 chunks");
    group.throughput(Throughput::Elements(GROUP));
    for chunks in [1_000_u64, 10_000, 100_000] {
        let on_disk = EngramStore::open(directory.path().join(chunks.to_string())).expect("a new store");
        for (backend, store) in [("memory", EngramStore::in_memory()), ("RocksDB", on_disk)] {
            fill(&store, chunks).expect("a new store takes chunks");
            // Chunks from everywhere, each with two of its features lost and a few of its vector's bits changed.
            let queries: Vec<_> = (0..GROUP)
                .map(|i| {
                    let chunk = i * (chunks / GROUP);
                    let (mut features, mut vector) = (features(chunk), vector(chunk));
                    features[0] = mix64(u64::MAX - i);
                    features[1] = mix64(u64::MAX / 2 - i);
                    vector[0] ^= 7;
                    (features, vector)
                })
                .collect();
            let found = recall(&store, &queries).expect("a store that was just filled can be read");
            let first = found[0].1;
            for (i, &(distance, id)) in (0..).zip(&found) {
                assert_eq!(
                    (distance, id - first),
                    (3, i * (chunks / GROUP)),
                    "the chunk itself is the nearest"
                );
            }
            group.bench_function(format!("of {chunks}, {backend}"), |b| {
                b.iter(|| recall(&store, black_box(&queries)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, sizes);
criterion_main!(benches);
