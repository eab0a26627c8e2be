//! The nearest of many hypervectors, and the distance of two, beside what a user would otherwise take: the
//! simsimd crate, faiss's binary flat index, a plain loop. One thread, rounds interleaved, medians.
//!
//! Run from `benches/compare`: `FAISS_PYTHON=venv/bin/python cargo run --release --bin scan_peers`, where the
//! Python has faiss-cpu and numpy; without it faiss is left out, and the output says so. One JSON line for each
//! peer, then a table. All peers must find the same rows at the same distances, or the run stops.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use engrams_kernels::{BitCounters, Level, Neighbour, mix64};
use serde_json::{Value, json};
use simsimd::BinarySimilarity as _;

const ROWS: usize = 1_000_000;
const WORDS: usize = 16;
const NEAREST: usize = 10;
const ROUNDS: usize = 15;
const PAIRS: usize = 1000;

type Found = Vec<(u32, usize)>;
type Outcome<T> = Result<T, Box<dyn Error>>;
/// Runs once; gives seconds and what was found.
type Run<'a> = Box<dyn FnMut() -> Outcome<(f64, Found)> + 'a>;

fn main() -> Outcome<()> {
    let (query, matrix) = data();
    scan(&query, &matrix)?;
    pairs(&matrix);
    bundle();
    Ok(())
}

/// Features of 64 KiB, at 1 in 128 bytes, bundled into a hypervector of 1,024 bits: the rate is that of the 64 KiB.
fn bundle() {
    const INPUT: usize = 64 << 10;
    let features: Vec<u64> = (0..INPUT as u64 / 128).map(mix64).collect();
    let mut tiers = Vec::new();
    for level in Level::all_available() {
        let buffer = vec![0; BitCounters::<Vec<u64>>::buffer_len(WORDS)];
        tiers.push((format!("engrams-kernels, {level}"), BitCounters::new(level, WORDS, buffer)));
    }
    let mut seconds = vec![Vec::new(); tiers.len()];
    let mut expected = None;
    for _ in 0..20 * ROUNDS {
        for ((name, counters), seconds) in tiers.iter_mut().zip(&mut seconds) {
            let started = Instant::now();
            let mut majority = [0; WORDS];
            counters.clear();
            counters.add(black_box(&features));
            counters.majority(&[0; WORDS], &mut majority);
            seconds.push(started.elapsed().as_secs_f64());
            assert_eq!(&majority, expected.get_or_insert(majority), "{name} bundles otherwise");
        }
    }
    let names = tiers.iter().map(|(name, _)| name.clone());
    report(
        "bundle",
        "bundling the features of 64 KiB into 1024 bits, us",
        1e6,
        INPUT as f64,
        names.zip(seconds),
    );
}

/// Random rows, ten of which are at distances 11, 22, .. from the query: the answer has no ties.
fn data() -> (Vec<u64>, Vec<u64>) {
    let query: Vec<u64> = (0..WORDS as u64).map(|i| mix64(!i)).collect();
    let mut matrix: Vec<u64> = (0..(ROWS * WORDS) as u64).map(mix64).collect();
    for near in 1..=NEAREST {
        let row = mix64(near as u64) as usize % ROWS;
        let words = &mut matrix[row * WORDS..][..WORDS];
        words.copy_from_slice(&query);
        (0..11 * near).for_each(|bit| words[bit % WORDS] ^= 1 << (bit / WORDS));
    }
    (query, matrix)
}

fn scan(query: &[u64], matrix: &[u64]) -> Outcome<()> {
    let mut peers: Vec<(String, Run<'_>)> = Vec::new();
    for level in Level::all_available() {
        let run = move || {
            let mut buffer = [Neighbour::default(); NEAREST];
            let started = Instant::now();
            let found = level.nearest(black_box(query), black_box(matrix), &mut buffer);
            let seconds = started.elapsed().as_secs_f64();
            Ok((seconds, found.iter().map(|near| (near.distance, near.row)).collect()))
        };
        peers.push((format!("engrams-kernels, {level}"), Box::new(run)));
    }
    let simsimd = |a: &[u64], b: &[u64]| {
        u8::hamming(bytemuck::cast_slice(a), bytemuck::cast_slice(b)).map_or(u32::MAX, |bits| bits as u32)
    };
    peers.push(("simsimd, one call a row".to_owned(), Box::new(move || timed_loop(query, matrix, simsimd))));
    peers.push(("plain loop, count_ones".to_owned(), Box::new(move || timed_loop(query, matrix, plain))));
    match Faiss::start(query, matrix) {
        Ok(mut faiss) => peers.push(("faiss IndexBinaryFlat".to_owned(), Box::new(move || faiss.round()))),
        Err(why) => eprintln!("faiss is left out: {why}"),
    }
    let read = move || {
        let started = Instant::now();
        let sum = black_box(matrix).iter().fold(0, |sum, word| sum ^ word);
        let seconds = started.elapsed().as_secs_f64();
        black_box(sum);
        Ok((seconds, Vec::new()))
    };
    peers.push(("the bytes read, nothing else".to_owned(), Box::new(read)));

    let mut seconds = vec![Vec::new(); peers.len()];
    let mut expected: Option<Found> = None;
    for round in 0..=ROUNDS {
        for ((name, run), seconds) in peers.iter_mut().zip(&mut seconds) {
            let (took, found) = run()?;
            if !found.is_empty() {
                let first = expected.get_or_insert_with(|| found.clone());
                assert_eq!(&found, first, "{name} found other rows");
            }
            // The first round fills caches and page tables.
            if round > 0 {
                seconds.push(took);
            }
        }
    }
    let title = format!("nearest {NEAREST} of {ROWS} rows of {} bits, ms", WORDS * 64);
    let names = peers.iter().map(|(name, _)| name.clone());
    report("scan", &title, 1e3, (matrix.len() * 8) as f64, names.zip(seconds));
    Ok(())
}

fn plain(a: &[u64], b: &[u64]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

/// What one writes around a function of two vectors: a loop and a bounded heap.
fn timed_loop(
    query: &[u64],
    matrix: &[u64],
    distance: impl Fn(&[u64], &[u64]) -> u32,
) -> Outcome<(f64, Found)> {
    let started = Instant::now();
    let mut heap = BinaryHeap::new();
    for (row, words) in black_box(matrix).chunks_exact(WORDS).enumerate() {
        let item = (distance(query, words), row);
        if heap.len() < NEAREST {
            heap.push(item);
        } else if let Some(mut worst) = heap.peek_mut()
            && item < *worst
        {
            *worst = item;
        }
    }
    let found = heap.into_sorted_vec();
    Ok((started.elapsed().as_secs_f64(), found))
}

/// Distances of pairs in the first-level cache.
fn pairs(matrix: &[u64]) {
    let (a, b) = (&matrix[..PAIRS * WORDS], &matrix[PAIRS * WORDS..][..PAIRS * WORDS]);
    let mut peers: Vec<(String, Box<dyn Fn(&[u64], &[u64]) -> u64>)> = Vec::new();
    for level in Level::all_available() {
        peers.push((
            format!("engrams-kernels, {level}"),
            Box::new(move |a, b| {
                a.chunks_exact(WORDS).zip(b.chunks_exact(WORDS)).map(|(a, b)| level.hamming(a, b)).sum()
            }),
        ));
    }
    peers.push((
        "simsimd".to_owned(),
        Box::new(|a, b| {
            let pairs = a.chunks_exact(WORDS).zip(b.chunks_exact(WORDS));
            let bits =
                |(a, b)| u8::hamming(bytemuck::cast_slice(a), bytemuck::cast_slice(b)).unwrap_or(f64::NAN);
            pairs.map(bits).sum::<f64>() as u64
        }),
    ));
    peers.push((
        "plain loop, count_ones".to_owned(),
        Box::new(|a, b| {
            a.chunks_exact(WORDS).zip(b.chunks_exact(WORDS)).map(|(a, b)| u64::from(plain(a, b))).sum()
        }),
    ));
    let expected = u64::from(plain(a, b));
    let mut seconds = vec![Vec::new(); peers.len()];
    for _ in 0..20 * ROUNDS {
        for ((name, run), seconds) in peers.iter().zip(&mut seconds) {
            let started = Instant::now();
            let bits = run(black_box(a), black_box(b));
            seconds.push(started.elapsed().as_secs_f64() / PAIRS as f64);
            assert_eq!(bits, expected, "{name} measured another distance");
        }
    }
    let names = peers.iter().map(|(name, _)| name.clone());
    report("pairs", "distance of a pair of 1024 bits, ns", 1e9, (WORDS * 16) as f64, names.zip(seconds));
}

/// A JSON line for each peer, then all of them as a table, the fastest first.
fn report(what: &str, title: &str, unit: f64, bytes: f64, peers: impl Iterator<Item = (String, Vec<f64>)>) {
    let mut rows = Vec::new();
    for (name, mut seconds) in peers {
        seconds.sort_by(f64::total_cmp);
        let (least, median) = (seconds[0], seconds[seconds.len() / 2]);
        println!(
            "{}",
            json!({
                "what": what, "peer": name, "median_seconds": median, "least_seconds": least, "bytes": bytes
            })
        );
        rows.push((Reverse((1.0 / median) as u64), name, median, least));
    }
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    println!("\n{title:<58} {:>9} {:>9} {:>7}", "median", "least", "GB/s");
    for (_, name, median, least) in rows {
        println!("{name:<58} {:9.2} {:9.2} {:7.1}", median * unit, least * unit, bytes / median / 1e9);
    }
    println!();
}

/// `faiss_scan.py` beside this file, which holds the index and searches it once for each line it is sent.
struct Faiss {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Faiss {
    fn start(query: &[u64], matrix: &[u64]) -> Outcome<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/faiss_scan.py");
        let python = std::env::var("FAISS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut process = Command::new(python)
            .arg(script)
            .args([ROWS, WORDS * 64, NEAREST].map(|number| number.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut requests = process.stdin.take().ok_or("no pipe to the script")?;
        let answers = BufReader::new(process.stdout.take().ok_or("no pipe from the script")?);
        requests.write_all(bytemuck::cast_slice(query))?;
        requests.write_all(bytemuck::cast_slice(matrix))?;
        let mut faiss = Self { process, requests, answers };
        faiss.round()?;
        Ok(faiss)
    }

    fn round(&mut self) -> Outcome<(f64, Found)> {
        self.requests.write_all(b"\n")?;
        self.requests.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line)?;
        let numbers = |name: &str| answer[name].as_array().into_iter().flatten().filter_map(Value::as_u64);
        let found =
            numbers("distances").map(|d| d as u32).zip(numbers("rows").map(|row| row as usize)).collect();
        Ok((answer["seconds"].as_f64().ok_or("the script gave no time")?, found))
    }
}

impl Drop for Faiss {
    fn drop(&mut self) {
        // It has nothing to save; whether it could be ended makes no difference here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
