//! What recall costs as a store grows: `cargo run --release --bin growth [CHUNKS...]`, by default 10 k, 1 M and 10 M.
//!
//! Builds one store of made-up chunks (heads and features as real ones have them, payloads of one byte) in a temporary
//! directory of about 2 GB, and at each size opens it anew and recalls for chunks like nothing stored and for runs of
//! chunks that share six of eight features with stored ones: look-up and ranking, as ingest does them, with the store's
//! files in the system's cache. Prints a table in Markdown; fails when what is young is not found.

use std::error::Error;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use engrams::store::{Coding, Head, NewChunk, Reuse};
use engrams::{EngramStore, OpenOptions};
use engrams_kernels::mix64;

/// Probes of each kind.
const PROBES: u64 = 20_000;
/// Related probes follow each other in the order of stored chunks, as a new version of a file does.
const RUN: u64 = 64;
/// As in the superblock.
const GROUP: u64 = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["fill", path, from, to] => return fill(Path::new(path), from.parse()?, to.parse()?),
        ["measure", path, stored] => return measure(Path::new(path), stored.parse()?),
        _ => {}
    }
    let mut sizes: Vec<u64> = arguments.iter().map(|size| size.parse()).collect::<Result<_, _>>()?;
    if sizes.is_empty() {
        sizes = vec![10_000, 1_000_000, 10_000_000];
    }
    let directory = tempfile::tempdir()?;
    println!(
        "| chunks | unrelated, us | young, us | found | old, us | found | opening, ms | resident, MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut stored = 0;
    let path = directory.path().as_os_str();
    for size in sizes {
        child(["fill".as_ref(), path, stored.to_string().as_ref(), size.to_string().as_ref()])?;
        stored = stored.max(size);
        child(["measure".as_ref(), path, stored.to_string().as_ref()])?;
    }
    Ok(())
}

/// Runs a step in a process of its own, so that its memory is its own.
fn child<const N: usize>(arguments: [&OsStr; N]) -> Result<(), Box<dyn Error>> {
    let status = Command::new(std::env::current_exe()?).args(arguments).status()?;
    if status.success() { Ok(()) } else { Err(format!("a step failed: {status}").into()) }
}

/// The features of chunk `id`: spread as the smallest eight of 500 are.
fn features(id: u64) -> Vec<u64> {
    (0..8).map(|at| mix64(id * 8 + at + 1) >> 9).collect()
}

fn vector(id: u64) -> [u8; 32] {
    let mut vector = [0; 32];
    for (at, bytes) in vector.chunks_exact_mut(8).enumerate() {
        bytes.copy_from_slice(&mix64(!id ^ (at as u64) << 56).to_le_bytes());
    }
    vector
}

fn fill(path: &Path, from: u64, to: u64) -> Result<(), Box<dyn Error>> {
    // Large write buffers: with small ones, filling is mostly flushing.
    let options = OpenOptions { database_bytes: 256 << 20, ..OpenOptions::default() };
    let store = EngramStore::open_with(path.join("store"), &options, true)?;
    let draft = store.draft()?;
    let mut id = from;
    while id < to {
        let mut staging = store.staging(draft.reuse());
        // As ingest does: the index is in memory before it is written.
        staging.recall(&[])?;
        for _ in 0..GROUP.min(to - id) {
            id += 1;
            let mut name = vector(!id);
            name[8..16].copy_from_slice(&id.to_le_bytes());
            let payload = vec![0];
            let head = Head {
                name,
                len: 1,
                coded_len: 1,
                coding: Coding::Raw,
                depth: 0,
                bases: Vec::new(),
                vector: vector(id),
                payload_check: Head::check_of(&payload),
            };
            let given = staging.assign(name);
            if given != id {
                return Err(format!("chunk {id} was numbered {given}").into());
            }
            staging.put(NewChunk { id, head, payload, plain: &[0], features: &features(id), search: &[] })?;
        }
        staging.write()?;
    }
    store.close()?;
    Ok(())
}

/// One recall: candidates of the index and the successor, ranked by distance; returns the nearest.
fn recall(
    store: &EngramStore,
    reuse: &Reuse,
    features: &[u64],
    vector: &[u8; 32],
    successor: Option<u64>,
) -> engrams::Result<Option<u64>> {
    let found = store.staging(reuse).recall(&[features])?;
    let mut nearest = None;
    for id in found.into_iter().flatten().chain(successor) {
        if let Some(head) = store.find_chunk_head(id)? {
            let distance: u32 = head.vector.iter().zip(vector).map(|(a, b)| (a ^ b).count_ones()).sum();
            if distance <= 104 && nearest.is_none_or(|(least, _)| distance < least) {
                nearest = Some((distance, id));
            }
        }
    }
    Ok(nearest.map(|(_, id)| id))
}

/// The median of runs, for one probe: other work on the machine must not show.
fn median(mut runs: Vec<Duration>) -> Duration {
    runs.sort_unstable();
    runs.get(runs.len() / 2).copied().unwrap_or_default() / RUN as u32
}

/// Recalls for runs of chunks like those from `starts` on; returns the time for each and the share that was found.
fn related(
    store: &EngramStore,
    reuse: &Reuse,
    starts: impl Iterator<Item = u64>,
) -> engrams::Result<(Duration, f64)> {
    let (mut hits, mut probes, mut runs) = (0u64, 0u32, Vec::new());
    for start in starts {
        let mut successor = None;
        let mut time = Duration::ZERO;
        for id in start..start + RUN {
            let mut like = features(id);
            like[..2].copy_from_slice(&features(u64::MAX / 16 - id)[..2]);
            let mut vector = vector(id);
            vector[0] = !vector[0];
            let begun = Instant::now();
            let nearest = recall(store, reuse, &like, &vector, successor)?;
            time += begun.elapsed();
            hits += u64::from(nearest == Some(id));
            probes += 1;
            successor = nearest.map(|id| id + 1);
        }
        runs.push(time);
    }
    Ok((median(runs), hits as f64 / f64::from(probes)))
}

/// Reads all files of the store, so that the system's cache has them: tables are written past it, and what a medium takes
/// to deliver a block is not what grows.
fn warm(store: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(store)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            warm(&entry.path())?;
        } else {
            std::io::copy(&mut std::fs::File::open(entry.path())?, &mut std::io::sink())?;
        }
    }
    Ok(())
}

fn measure(path: &Path, stored: u64) -> Result<(), Box<dyn Error>> {
    warm(&path.join("store"))?;
    let options = OpenOptions::default();
    let store = EngramStore::open_with(path.join("store"), &options, false)?;
    let begun = Instant::now();
    let draft = store.draft()?;
    let reuse = draft.reuse();
    store.staging(reuse).recall(&[])?;
    let opening = begun.elapsed();
    let mut times = Vec::new();
    for run in 1..=PROBES / RUN {
        let begun = Instant::now();
        for probe in 0..RUN {
            let strange = u64::MAX / 16 - run * RUN - probe;
            if recall(&store, reuse, &features(strange), &vector(strange), None)?.is_some() {
                return Err("a chunk like nothing stored was recalled".into());
            }
        }
        times.push(begun.elapsed());
    }
    let unrelated = median(times);
    let place = |run: u64, of: u64| mix64(run + 1) % of.saturating_sub(RUN).max(1);
    let recent = stored.min(50_000);
    let runs = PROBES / RUN;
    let (young, young_found) =
        related(&store, reuse, (0..runs).map(|run| stored - recent + 1 + place(run, recent)))?;
    let (old, old_found) = related(&store, reuse, (0..runs).map(|run| 1 + place(run, stored)))?;
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    println!(
        "| {stored} | {:.1} | {:.1} | {:.1} % | {:.1} | {:.1} % | {} | {} |",
        us(unrelated),
        us(young),
        young_found * 100.0,
        us(old),
        old_found * 100.0,
        opening.as_millis(),
        resident_mib()
    );
    store.close()?;
    if young_found < 0.95 { Err("young chunks were not found".into()) } else { Ok(()) }
}

/// Resident memory of this process, where the system tells; else 0.
fn resident_mib() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) / 256
}
