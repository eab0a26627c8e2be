//! What the tests share: generated data, a store to look into, and the obvious ways to write, read and sum.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use engrams::core::{Dimension, features_of, is_recall};
use engrams::store::backend::MemoryBackend;
use engrams::store::{Backend, Batch, Durability, Space, Superblock};
use engrams::{
    Attributes, ChunkParams, Engram, EngramStore, OpenOptions, Result, StreamingDecoder, StreamingIngester,
    StreamingResult, Timestamp, VerifyOptions,
};
use proptest::prelude::ProptestConfig;

/// The package's directory: where it runs before where it was compiled, since one target directory may serve several
/// clones.
pub(crate) fn package() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into()).into()
}

/// What the repository keeps for tests.
pub(crate) fn testdata(name: &str) -> PathBuf {
    package().join("../../testdata").join(name)
}

/// splitmix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Bytes that nothing compresses.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut out: Vec<u8> =
        std::iter::repeat_with(|| random.next().to_le_bytes()).flatten().take(len).collect();
    out.truncate(len);
    out
}

/// Words and lines, which compress about as source text does.
pub(crate) fn text(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed ^ 0x7e47);
    let mut out = Vec::with_capacity(len + 16);
    while out.len() < len {
        let word = random.next() % 4096;
        out.extend_from_slice(format!("{:x}", word.wrapping_mul(0x9e37_79b9_7f4a) >> (word % 40)).as_bytes());
        out.push(if random.below(9) == 0 { b'\n' } else { b' ' });
    }
    out.truncate(len);
    out
}

/// A few small edits: bytes replaced, inserted, removed.
pub(crate) fn edit(bytes: &mut Vec<u8>, edits: usize, seed: u64) {
    let mut random = Random(seed);
    for _ in 0..edits {
        let at = random.below(bytes.len());
        let len = random.below(24);
        let end = (at + len).min(bytes.len());
        let new = noise(random.below(24), random.next());
        bytes.splice(at..end, new);
    }
}

/// Attributes that do not change with the clock or the user.
pub(crate) fn fixed() -> Attributes {
    Attributes {
        mode: 0o644,
        mtime: Timestamp { seconds: 1_700_000_000, nanoseconds: 5 },
        ..Attributes::default()
    }
}

/// A store over `backend` that cuts chunks of `average` bytes.
pub(crate) fn open(backend: Arc<dyn Backend>, average: usize) -> Result<EngramStore> {
    let chunks = ChunkParams::from_average(average).unwrap();
    let superblock = Superblock { chunks, ..Superblock::default() };
    EngramStore::with_backend(backend, &OpenOptions { superblock, ..OpenOptions::default() })
}

/// A new store in memory that cuts chunks of `average` bytes, and its backend.
pub(crate) fn small_store(average: usize) -> (EngramStore, Arc<MemoryBackend>) {
    let backend = Arc::new(MemoryBackend::new());
    let store = open(Arc::<MemoryBackend>::clone(&backend), average).unwrap();
    (store, backend)
}

pub(crate) fn ingest(store: &EngramStore, path: &str, bytes: &[u8]) -> StreamingResult {
    let mut ingester =
        StreamingIngester::builder(store).with_path(path).with_attributes(fixed()).build().unwrap();
    ingester.ingest_bytes(bytes).unwrap();
    ingester.finalize().unwrap()
}

pub(crate) fn try_read(store: &EngramStore, path: &[u8], version: Option<u64>) -> std::io::Result<Vec<u8>> {
    let mut builder = StreamingDecoder::builder(store, path);
    if let Some(version) = version {
        builder = builder.with_version(version);
    }
    let mut out = Vec::new();
    builder.build()?.read_to_end(&mut out)?;
    Ok(out)
}

pub(crate) fn read(store: &EngramStore, path: &str, version: u64) -> Vec<u8> {
    try_read(store, path.as_bytes(), Some(version)).unwrap()
}

/// Verifies everything and expects nothing.
pub(crate) fn assert_sound(store: &EngramStore) {
    let report = store.verify(VerifyOptions { deep: true }, &mut |_| {}).unwrap();
    assert_eq!(report.errors, Vec::<String>::new());
}

/// The engram of one byte string, computed in the plainest way.
pub(crate) fn engram_of(bytes: &[u8]) -> Engram {
    let mut features = Vec::new();
    features_of(bytes, &mut features);
    features.retain(|&f| is_recall(f));
    let mut engram = Engram::new(Dimension::ENGRAM);
    engram.add_features(&features);
    engram
}

pub(crate) fn sum<'a>(files: impl IntoIterator<Item = &'a [u8]>) -> Engram {
    let mut sum = Engram::new(Dimension::ENGRAM);
    files.into_iter().for_each(|bytes| sum.merge(&engram_of(bytes)));
    sum
}

/// The newest version's root engram.
pub(crate) fn root(store: &EngramStore) -> Engram {
    store.engram(&store.head().unwrap().unwrap()).unwrap()
}

pub(crate) type Records = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

pub(crate) fn records(backend: &MemoryBackend, spaces: &[Space]) -> Records {
    let mut out = Records::new();
    for &space in spaces {
        out.extend(backend.contents(space).unwrap().into_iter().map(|(key, value)| ((space, key), value)));
    }
    out
}

/// A backend with these records.
pub(crate) fn backend_of(records: &Records) -> Arc<MemoryBackend> {
    let backend = MemoryBackend::new();
    let mut batch = Batch::new();
    for ((space, key), value) in records {
        batch.put(*space, key.clone(), value.clone());
    }
    backend.write(batch, Durability::Durable).unwrap();
    Arc::new(backend)
}

/// So many cases, more or fewer as PROPTEST_CASES says (256: as written), and no file left behind by a failure: a found
/// bug becomes a named test.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    let cases = (cases * asked.cases / 256).max(4);
    ProptestConfig { cases, failure_persistence: None, ..asked }
}
