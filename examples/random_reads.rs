//! How long 64 KiB take from anywhere: random reads over all versions of a store, and what reading the newest
//! version in order decodes.
//!
//! `cargo run --release -p engrams-benches --example random_reads -- STORE [READS]`
//!
//! Each read opens a file of one version, as if for the first time, at a place drawn evenly from all bytes of that
//! version. The caches are warmed by as many other reads. The draw is the same in every run.

use std::collections::HashSet;
use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use engrams::store::backend::{RocksBackend, RocksOptions, Snapshot};
use engrams::store::{Backend, Batch, Durability, Space};
use engrams::{EngramStore, Entry, OpenOptions, StreamingDecoder};

const READ: u64 = 64 << 10;

/// Counts the payloads that are fetched: one for each chunk that is decoded.
struct Counting {
    inner: RocksBackend,
    fetched: AtomicU64,
    distinct: Mutex<HashSet<Vec<u8>>>,
}

impl Backend for Counting {
    fn get(&self, space: Space, key: &[u8]) -> engrams::Result<Option<Vec<u8>>> {
        if space == Space::Payload {
            self.fetched.fetch_add(1, Ordering::Relaxed);
            self.distinct.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_vec());
        }
        self.inner.get(space, key)
    }

    fn snapshot(&self) -> engrams::Result<Box<dyn Snapshot + '_>> {
        self.inner.snapshot()
    }

    fn write(&self, batch: Batch, durability: Durability) -> engrams::Result<()> {
        self.inner.write(batch, durability)
    }

    fn flush(&self) -> engrams::Result<()> {
        self.inner.flush()
    }

    fn close(&self) -> engrams::Result<()> {
        self.inner.close()
    }

    fn stored_bytes(&self) -> engrams::Result<u64> {
        self.inner.stored_bytes()
    }
}

fn open(directory: &Path) -> engrams::Result<(EngramStore, Arc<Counting>)> {
    let options = OpenOptions::default();
    let rocks = RocksOptions { memory_bytes: options.database_bytes, read_only: true };
    let inner = RocksBackend::open(directory.join("database"), &rocks)?;
    let backend = Arc::new(Counting { inner, fetched: AtomicU64::new(0), distinct: Mutex::default() });
    Ok((EngramStore::with_backend(Arc::<Counting>::clone(&backend), &options)?, backend))
}

/// splitmix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % limit.max(1)
    }
}

/// Files of a version, each after the bytes of all before it.
type Files = Vec<(u64, Vec<u8>)>;

/// The versions that have any bytes, with their files.
fn files(store: &EngramStore) -> engrams::Result<Vec<(u64, Files)>> {
    let mut versions = Vec::new();
    for version in store.versions()? {
        let (mut sum, mut files) = (0, Vec::new());
        for entry in store.tree(Some(version.number))?.entries(b"") {
            let Entry { path, node: engrams::Node::File(file), .. } = entry? else { continue };
            files.push((sum, path));
            sum += file.size;
        }
        if sum > 0 {
            versions.push((version.number, files));
        }
    }
    Ok(versions)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let directory = arguments.next().ok_or("usage: random_reads STORE [READS]")?;
    let reads: usize = match arguments.next() {
        Some(reads) => reads.to_str().ok_or("READS is a number")?.parse()?,
        None => 5000,
    };
    let directory = Path::new(&directory);

    let (store, backend) = open(directory)?;
    let began = Instant::now();
    let mut bytes = 0;
    for entry in store.tree(None)?.entries(b"") {
        let entry = entry?;
        if entry.file().is_some() {
            for chunk in StreamingDecoder::of_entry(&store, &entry)? {
                bytes += chunk?.len() as u64;
            }
        }
    }
    let took = began.elapsed();
    let distinct = backend.distinct.lock().map_or(0, |distinct| distinct.len());
    let fetched = backend.fetched.load(Ordering::Relaxed);
    println!("the newest version in order: {bytes} bytes in {took:.1?}");
    println!(
        "  chunks decoded {fetched}, distinct {distinct}: {:.2} times each",
        fetched as f64 / distinct as f64
    );
    drop((store, backend));

    let (store, backend) = open(directory)?;
    let versions = files(&store)?;
    let sizes: Vec<u64> = versions
        .iter()
        .map(|(number, _)| store.version(*number).map(|v| v.bytes))
        .collect::<engrams::Result<_>>()?;
    let total: u64 = sizes.iter().sum();
    if total == 0 {
        return Err("the store has no bytes to read".into());
    }
    let mut random = Random(7);
    let mut one = || -> engrams::Result<Duration> {
        let mut at = random.below(total);
        let mut which = 0;
        while at >= sizes[which] {
            at -= sizes[which];
            which += 1;
        }
        let (version, files) = &versions[which];
        let (start, path) = &files[files.partition_point(|(start, _)| *start <= at) - 1];
        let began = Instant::now();
        let mut decoder =
            StreamingDecoder::builder(&store, path).with_version(*version).with_offset(at - start).build()?;
        decoder.read_n_bytes(READ)?;
        Ok(began.elapsed())
    };
    for _ in 0..reads {
        one()?;
    }
    let before = backend.fetched.load(Ordering::Relaxed);
    let mut times = (0..reads).map(|_| one()).collect::<engrams::Result<Vec<_>>>()?;
    times.sort_unstable();
    let decoded = (backend.fetched.load(Ordering::Relaxed) - before) as f64 / reads as f64;
    let at = |share: f64| times[((reads - 1) as f64 * share) as usize];
    println!(
        "{reads} reads of {READ} bytes over {} versions: {decoded:.2} chunks decoded for each",
        versions.len()
    );
    println!("  p50 {:.3?}, p90 {:.3?}, p99 {:.3?}, max {:.3?}", at(0.5), at(0.9), at(0.99), at(1.0));
    Ok(())
}
