//! Fear: a restore that must touch more and more, the longer a history grows.

use engrams::{EngramStore, StreamingIngester};

use crate::common::{Random, assert_sound, edit, fixed, ingest, noise, small_store, text};

/// Asserts the limits for every chunk, and that the statistics say the same.
fn assert_bounded(store: &EngramStore) -> (u8, usize) {
    let stats = store.stats().unwrap();
    let (mut deepest, mut widest, mut chain, mut recalled, mut unique) = (0, 0, 0, 0, 0);
    for id in 1..=stats.chunks {
        let head = store.chunk_head(id).unwrap();
        let mut closure = Vec::new();
        store.closure(id, &mut closure).unwrap();
        assert!(head.depth <= 12 && closure.len() <= 24, "chunk {id}: {} {}", head.depth, closure.len());
        assert!(head.bases.len() <= 4 && head.bases.iter().all(|&base| base < id));
        let deepest_base = head.bases.iter().map(|&base| store.chunk_head(base).unwrap().depth).max();
        assert_eq!(head.depth, deepest_base.map_or(0, |depth| depth + 1));
        (deepest, widest) = (deepest.max(head.depth), widest.max(closure.len()));
        chain += u64::from(head.depth);
        recalled += u64::from(head.depth > 0);
        unique += u64::from(head.len);
    }
    assert_eq!(stats.max_chain, u64::from(deepest));
    assert!((stats.mean_chain - chain as f64 / stats.chunks as f64).abs() < 1e-9);
    assert_eq!((stats.recalled_chunks, stats.verbatim_chunks), (recalled, stats.chunks - recalled));
    assert_eq!(stats.unique_bytes, unique);
    (deepest, widest)
}

#[test]
fn many_versions_stay_within_depth_and_closure() {
    let (store, _) = small_store(4096);
    let mut bytes = text(60_000, 1);
    for version in 0..60 {
        ingest(&store, "f", &bytes);
        edit(&mut bytes, 12, version);
    }
    let (deepest, _) = assert_bounded(&store);
    assert!(deepest >= 4, "a history this long should use its chains: {deepest}");
    assert_sound(&store);
}

#[test]
fn chunks_recombined_from_two_others_never_outgrow_the_closure() {
    let (store, _) = small_store(4096);
    let mut random = Random(11);
    // Each file is the halves of two earlier ones: with two bases each, what a restore needs doubles every time.
    let mut pool: Vec<Vec<u8>> = (0..6).map(|seed| noise(4000, seed)).collect();
    for round in 0..120 {
        let (a, b) = (random.below(pool.len()), random.below(pool.len()));
        let cut = 1500 + random.below(1000);
        let mut child = [&pool[a][..cut], &pool[b][cut..]].concat();
        edit(&mut child, 4, round);
        child.resize(4000, 1);
        let mut ingester = StreamingIngester::builder(&store)
            .with_path(format!("f{round}"))
            .with_attributes(fixed())
            .with_chunking(engrams::Chunking::fixed(4000).unwrap())
            .build()
            .unwrap();
        ingester.ingest_bytes(&child).unwrap();
        ingester.finalize().unwrap();
        pool.push(child);
    }
    let (_, widest) = assert_bounded(&store);
    assert!(widest >= 8, "recombination should use its closure: {widest}");
    assert_sound(&store);
}

#[test]
fn a_chunk_that_lies_across_two_stored_ones_is_corrected_against_both() {
    let (store, _) = small_store(4096);
    let chunking = engrams::Chunking::fixed(16_000).unwrap();
    let bytes = noise(64_000, 5);
    for (path, bytes) in [("whole", &bytes[..]), ("shifted", &bytes[8000..56_000])] {
        let mut ingester =
            StreamingIngester::builder(&store).with_path(path).with_chunking(chunking).build().unwrap();
        ingester.ingest_bytes(bytes).unwrap();
        ingester.finalize().unwrap();
    }
    for id in 5..=7 {
        let head = store.chunk_head(id).unwrap();
        assert_eq!(head.bases.len(), 2, "chunk {id}");
        assert!(head.coded_len < 200, "chunk {id}: {} bytes", head.coded_len);
    }
    assert_sound(&store);
}

#[test]
fn new_text_is_corrected_against_the_text_before_it_and_noise_is_not() {
    let (store, _) = small_store(16_384);
    ingest(&store, "text", &text(400_000, 3));
    let text_end = store.stats().unwrap().chunks;
    ingest(&store, "noise", &noise(400_000, 4));
    let stats = store.stats().unwrap();
    assert!(stats.recalled_chunks * 2 > text_end, "{stats:?}");
    for id in text_end + 1..=stats.chunks {
        assert!(store.chunk_head(id).unwrap().bases.is_empty(), "chunk {id}");
    }
    assert_sound(&store);
}
