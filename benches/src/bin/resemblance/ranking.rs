//! How long the ranking takes among many chunks: a store of made-up ones, with as many features in the search index as
//! real ones have, and a query of 1 MB, eight versions of which are among them. Some features of the query are common: the
//! n-th of them is entered for so many chunks in proportion to 1 / n. The bytes of chunks are not there, so nothing is confirmed.

use std::path::Path;
use std::time::Instant;

use engrams::core::{locate_features, winnow};
use engrams::store::tree::Piece;
use engrams::store::{Coding, Head, NewChunk, search_key};
use engrams::{Attributes, EngramStore, Entry, Node, Search};
use engrams_benches::median;
use engrams_kernels::mix64;
use serde::Serialize;

use crate::Outcome;

#[derive(Serialize, Default)]
pub(crate) struct Timing {
    pub(crate) chunks: u64,
    pub(crate) entries: u64,
    pub(crate) query_bytes: usize,
    /// Entries under features of the query.
    pub(crate) entries_of_query: u64,
    /// Reading the index, the heads and the tree, in a store just opened.
    pub(crate) cold_seconds: f64,
    /// The ranking, of 101 runs the median and the slowest.
    pub(crate) warm_ms: f64,
    pub(crate) slowest_ms: f64,
}

/// Features that a chunk of 64 KiB is entered under.
const FEATURES: u64 = 64;
const CHUNK: usize = 64 << 10;
const QUERY: usize = 1_000_000;
const VERSIONS: u64 = 8;
/// Pieces of a file.
const PIECES: u64 = 1000;
/// One in so many chunks is entered under a feature of the query by chance.
const COMMON: u64 = 2;

pub(crate) fn measure(directory: &Path, chunks: u64) -> Outcome<Timing> {
    let query: Vec<u8> = (0..QUERY as u64).map(|at| (mix64(at + 1) >> 8) as u8).collect();
    let mut located = Vec::new();
    locate_features(&query, &mut located);
    let mut common: Vec<u32> = located.iter().map(|one| search_key(one.feature)).collect();
    common.sort_unstable();
    common.dedup();
    fill(directory, chunks, &query, &common)?;
    let store = EngramStore::open(directory)?;
    let began = Instant::now();
    let view = store.search_view()?;
    let cold_seconds = began.elapsed().as_secs_f64();
    let entries = view.entries() as u64;
    let entries_of_query = view.chunks_with(&common).iter().map(|chunks| chunks.len() as u64).sum();
    drop(view);
    let mut times = Vec::new();
    for _ in 0..101 {
        times.push(store.find(&query).run()?.ranking.as_secs_f64() * 1e3);
    }
    let slowest_ms = times.iter().copied().fold(0.0, f64::max);
    store.close()?;
    let warm_ms = median(times);
    Ok(Timing { chunks, entries, query_bytes: QUERY, entries_of_query, cold_seconds, warm_ms, slowest_ms })
}

fn fill(directory: &Path, chunks: u64, query: &[u8], common: &[u32]) -> Outcome<()> {
    let store = EngramStore::open(directory)?;
    let mut draft = store.draft()?;
    let parts: Vec<&[u8]> = query.chunks(CHUNK).collect();
    let planted = parts.len() as u64;
    let mut id = 0;
    while id < chunks {
        let mut staging = store.staging(draft.reuse());
        let mut keys: Vec<Vec<u32>> = Vec::new();
        let group: Vec<u64> = (id + 1..=chunks.min(id + 256)).collect();
        for &id in &group {
            let mut own: Vec<u32> = (0..FEATURES).map(|at| mix64(id * FEATURES + at) as u32).collect();
            if id % COMMON == 0 {
                let uniform = mix64(!id) as f64 / 2f64.powi(64);
                own.push(common[((common.len() as f64).powf(uniform) as usize).min(common.len() - 1)]);
            }
            if id <= planted {
                let (mut located, part) = (Vec::new(), parts[id as usize - 1]);
                locate_features(part, &mut located);
                own.clear();
                winnow(&located, part.len(), 2048, |one| own.push(search_key(one.feature)));
            }
            own.sort_unstable();
            own.dedup();
            keys.push(own);
        }
        for (&id, search) in group.iter().zip(&keys) {
            let mut name = [0; 32];
            name[..8].copy_from_slice(&mix64(id).to_be_bytes());
            let base = (id > planted && id <= planted * VERSIONS).then(|| id - planted);
            let payload = vec![0];
            let head = Head {
                name,
                len: CHUNK as u32,
                coded_len: 1,
                coding: if base.is_some() { Coding::Zstd } else { Coding::Raw },
                depth: base.map_or(0, |_| ((id - 1) / planted) as u8),
                bases: base.into_iter().collect(),
                vector: [0; 32],
                payload_check: Head::check_of(&payload),
            };
            if staging.assign(name) != id {
                return Err(format!("chunk {id} got another number").into());
            }
            staging.put(NewChunk { id, head, payload, plain: &[0], features: &[], search })?;
        }
        staging.write()?;
        id += group.len() as u64;
    }
    let (mut next, mut number) = (1, 0u64);
    while next <= chunks {
        let mut list = store.piece_list(None);
        // The first files are versions of the query.
        let end = if next <= planted * VERSIONS { next + planted } else { next + PIECES };
        for chunk in next..end.min(chunks + 1) {
            list.push(Piece { chunk, start: 0, len: CHUNK as u32 })?;
        }
        next = end;
        number += 1;
        let hash = *blake3::hash(&number.to_le_bytes()).as_bytes();
        let entry = Entry {
            path: format!("file-{number:08}").into_bytes(),
            version: draft.provisional(),
            attributes: Attributes::default(),
            node: Node::File(list.finish(hash)?),
        };
        draft.set(entry.path.clone(), Some(entry))?;
    }
    draft.commit("")?;
    store.close()?;
    Ok(())
}
