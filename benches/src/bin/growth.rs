//! What recall costs as a store grows: `cargo run --release --bin growth [CHUNKS...]`, by default 10 k, 1 M and 10 M.
//!
//! Fills one store with made-up chunks (heads and features as real ones have them, payloads of one byte), about 2 GB in a
//! temporary directory, and keeps a copy of it at each size. Then opens the copies in turn, in several rounds, and recalls for
//! chunks like nothing stored and for runs of chunks that share six of eight features with stored ones: look-up and ranking,
//! as ingest does them, with the store's files in the system's cache. Prints a table in Markdown, of medians; fails when what
//! is young is not found.

use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use engrams::store::{Coding, Head, NewChunk, Reuse};
use engrams::{EngramStore, OpenOptions};
use engrams_benches::median;
use engrams_kernels::mix64;

/// Probes of each kind.
const PROBES: u64 = 20_000;
/// Related probes follow each other in the order of stored chunks, as a new version of a file does.
const RUN: u64 = 64;
/// As in the superblock.
const GROUP: u64 = 16;
/// Each size is measured so often.
const ROUNDS: usize = 5;
/// Figures of one measurement, in the order of the table.
const FIGURES: usize = 7;

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
    sizes.sort_unstable();
    sizes.dedup();
    let directory = tempfile::tempdir()?;
    let path = directory.path().as_os_str();
    let mut stored = 0;
    for size in &sizes {
        child(["fill".as_ref(), path, stored.to_string().as_ref(), size.to_string().as_ref()])?;
        stored = *size;
    }
    let mut seen: Vec<[Vec<f64>; FIGURES]> = vec![Default::default(); sizes.len()];
    for _ in 0..ROUNDS {
        for (size, seen) in sizes.iter().zip(&mut seen) {
            let printed = child(["measure".as_ref(), path, size.to_string().as_ref()])?;
            for (figure, seen) in printed.split_whitespace().zip(seen) {
                seen.push(figure.parse()?);
            }
        }
    }
    println!(
        "| chunks | unrelated, us | young, us | found | old, us | found | opening, ms | resident, MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (size, seen) in sizes.iter().zip(seen) {
        let [unrelated, young, young_found, old, old_found, opening, resident] = seen.map(median);
        println!(
            "| {size} | {unrelated:.1} | {young:.1} | {young_found:.1} % | {old:.1} | {old_found:.1} % | \
             {opening:.0} | {resident:.0} |"
        );
    }
    Ok(())
}

/// Runs a step in a process of its own, so that its memory is its own, and returns what it prints.
fn child<const N: usize>(arguments: [&OsStr; N]) -> Result<String, Box<dyn Error>> {
    let ran = Command::new(std::env::current_exe()?).args(arguments).stderr(Stdio::inherit()).output()?;
    if !ran.status.success() {
        return Err(format!("a step failed: {}", ran.status).into());
    }
    Ok(String::from_utf8(ran.stdout)?)
}

/// The copy of the store when it had so many chunks.
fn copy_at(path: &Path, chunks: u64) -> PathBuf {
    path.join(chunks.to_string())
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
    let store = EngramStore::open_with(path.join("filled"), &options, true)?;
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
    drop(draft);
    store.backup_to(copy_at(path, to))?;
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

/// The median of runs, for one probe, in microseconds: other work on the machine must not show.
fn cost(runs: Vec<Duration>) -> f64 {
    median(runs.iter().map(|run| run.as_secs_f64() * 1e6 / RUN as f64).collect())
}

/// Recalls for runs of chunks like those from `starts` on; returns the cost of each and the share that was found, in percent.
fn related(
    store: &EngramStore,
    reuse: &Reuse,
    starts: impl Iterator<Item = u64>,
) -> engrams::Result<(f64, f64)> {
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
    Ok((cost(runs), hits as f64 / f64::from(probes) * 100.0))
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
    let place = copy_at(path, stored);
    warm(&place)?;
    let options = OpenOptions::default();
    let store = EngramStore::open_with(place, &options, false)?;
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
    let unrelated = cost(times);
    let start = |run: u64, of: u64| mix64(run + 1) % of.saturating_sub(RUN).max(1);
    let recent = stored.min(50_000);
    let runs = PROBES / RUN;
    let (young, young_found) =
        related(&store, reuse, (0..runs).map(|run| stored - recent + 1 + start(run, recent)))?;
    let (old, old_found) = related(&store, reuse, (0..runs).map(|run| 1 + start(run, stored)))?;
    println!(
        "{unrelated} {young} {young_found} {old} {old_found} {} {}",
        opening.as_millis(),
        resident_mib()
    );
    store.close()?;
    if young_found < 95.0 { Err("young chunks were not found".into()) } else { Ok(()) }
}

/// Resident memory of this process, where the system tells; else 0.
fn resident_mib() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) / 256
}
