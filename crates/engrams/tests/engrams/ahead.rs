//! Fear: decoding ahead that changes what is read, says the wrong thing, never ends, or takes more memory than it may.

use std::io::{Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use engrams::store::backend::{MemoryBackend, Snapshot};
use engrams::store::{Backend, Batch, Durability, Space};
use engrams::{
    Chunking, EngramStore, ErrorKind, OpenOptions, Result, StreamingDecoder, StreamingDecoderBuilder,
    StreamingIngester,
};
use proptest::prelude::*;

use crate::common::{Random, cases, edit, fixed, ingest, noise, records, small_store, text};

const CHUNK: usize = 1000;

/// A file of chunks of [`CHUNK`] bytes that nothing resembles.
fn plain_file(len: usize) -> (Arc<MemoryBackend>, Vec<u8>) {
    let backend = Arc::new(MemoryBackend::new());
    let store = EngramStore::with_backend(Arc::<MemoryBackend>::clone(&backend), &OpenOptions::default());
    let store = store.unwrap();
    let bytes = noise(len, 5);
    let mut ingester = StreamingIngester::builder(&store)
        .with_path("f")
        .with_attributes(fixed())
        .with_chunking(Chunking::fixed(CHUNK).unwrap())
        .build()
        .unwrap();
    ingester.ingest_bytes(&bytes).unwrap();
    ingester.finalize().unwrap();
    (backend, bytes)
}

/// Versions of one file, each an edit of the one before, so that most chunks are corrections.
fn corrected() -> (EngramStore, Arc<MemoryBackend>, Vec<u8>) {
    let (store, backend) = small_store(1024);
    let mut bytes = text(150_000, 1);
    for version in 0..6 {
        ingest(&store, "f", &bytes);
        edit(&mut bytes, 40, version);
    }
    ingest(&store, "f", &bytes);
    assert!(store.stats().unwrap().recalled_chunks > 50);
    (store, backend, bytes)
}

/// Hears of the key of each payload that is fetched.
type OnPayload = Box<dyn Fn(&[u8]) + Send + Sync>;

/// Looks at each payload that is fetched.
struct Watched {
    inner: Arc<MemoryBackend>,
    on_payload: OnPayload,
}

impl Backend for Watched {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if space == Space::Payload {
            (self.on_payload)(key);
        }
        self.inner.get(space, key)
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        self.inner.snapshot()
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<()> {
        self.inner.write(batch, durability)
    }

    fn flush(&self) -> Result<()> {
        self.inner.flush()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }

    fn stored_bytes(&self) -> Result<u64> {
        self.inner.stored_bytes()
    }
}

/// A store that keeps no chunk in memory and tells of each payload it fetches.
fn watched(
    inner: &Arc<MemoryBackend>,
    options: OpenOptions,
    on_payload: impl Fn(&[u8]) + Send + Sync + 'static,
) -> EngramStore {
    let watched = Watched { inner: Arc::clone(inner), on_payload: Box::new(on_payload) };
    EngramStore::with_backend(Arc::new(watched), &options).unwrap()
}

fn uncached() -> OpenOptions {
    OpenOptions { cache_bytes: 0, ..OpenOptions::default() }
}

fn builder(store: &EngramStore, threads: usize, window: usize) -> StreamingDecoderBuilder<'_> {
    StreamingDecoder::builder(store, "f").with_threads(threads).with_read_ahead(window)
}

#[test]
fn every_number_of_threads_and_every_window_read_the_same() {
    let (_, backend, bytes) = corrected();
    for cache_bytes in [0, 20_000, 64 << 20] {
        let options = OpenOptions { cache_bytes, ..OpenOptions::default() };
        let store = EngramStore::with_backend(Arc::<MemoryBackend>::clone(&backend), &options).unwrap();
        for threads in [0, 1, 2, 3, 8, 100] {
            for window in [0, 1, 5000, 100_000, usize::MAX] {
                let build = || builder(&store, threads, window).build().unwrap();
                let mut read = Vec::new();
                build().read_to_end(&mut read).unwrap();
                assert!(read == bytes, "{threads} {window}");
                let chunks: Vec<u8> = build().flat_map(|chunk| chunk.unwrap().to_vec()).collect();
                assert!(chunks == bytes, "{threads} {window}");
                let mut part = builder(&store, threads, window).with_offset(777).with_max_bytes(99_999);
                part = part.with_version(7);
                let part = part.build().unwrap().read_n_bytes(u64::MAX).unwrap();
                assert!(part == bytes[777..777 + 99_999], "{threads} {window}");
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn seeks_while_decoding_ahead_change_nothing(
        threads in 2_usize..5, window in 1_usize..60_000,
        runs in proptest::collection::vec((any::<u64>(), 1_usize..30_000, 1_usize..4000), 1..30),
    ) {
        let (backend, bytes) = plain_file(60_000);
        let options = OpenOptions { cache_bytes: 10 * CHUNK, ..OpenOptions::default() };
        let store = EngramStore::with_backend(backend, &options).unwrap();
        let mut decoder = builder(&store, threads, window).build().unwrap();
        for (at, len, step) in runs {
            let at = (at % 60_001) as usize;
            decoder.seek(SeekFrom::Start(at as u64)).unwrap();
            let expected = &bytes[at..bytes.len().min(at + len)];
            for expected in expected.chunks(step) {
                let mut read = vec![0; expected.len()];
                decoder.read_exact(&mut read).unwrap();
                prop_assert!(read == expected);
            }
        }
    }
}

#[test]
fn a_damaged_chunk_ahead_is_reported_at_its_byte_and_not_before() {
    let (backend, bytes) = plain_file(40 * CHUNK);
    let payloads = records(&backend, &[Space::Payload]);
    let damaged = [17, 18, 30];
    for ((space, key), mut value) in payloads {
        let number = u64::from_be_bytes(key.as_slice().try_into().unwrap()) - 1;
        if damaged.contains(&number) {
            value[3] ^= 1;
            let mut batch = Batch::new();
            batch.put(space, key, value);
            backend.write(batch, Durability::Durable).unwrap();
        }
    }
    for threads in [1, 2, 8] {
        let store = EngramStore::with_backend(Arc::<MemoryBackend>::clone(&backend), &uncached()).unwrap();
        let mut decoder = builder(&store, threads, 1 << 20).build().unwrap();
        for at in 0..40_u64 {
            let chunk = decoder.read_n_bytes(CHUNK as u64);
            if damaged.contains(&at) {
                for error in [chunk.unwrap_err(), decoder.read_n_bytes(1).unwrap_err()] {
                    assert_eq!(error.kind(), ErrorKind::Corrupt);
                    let (chunk, byte) = (format!("chunk {}", at + 1), format!("at byte {}", at * 1000));
                    for part in [&chunk[..], &byte, "`f` of version 1"] {
                        assert!(error.to_string().contains(part), "{part}: {error}");
                    }
                }
                assert_eq!(decoder.progress().position, at * CHUNK as u64);
                decoder.seek_to((at + 1) * CHUNK as u64);
            } else {
                assert!(chunk.unwrap() == bytes[at as usize * CHUNK..][..CHUNK], "{at}");
            }
        }
        assert!(decoder.next().is_none());
    }
}

#[test]
fn threads_end_with_their_decoder() {
    let (backend, _) = plain_file(300 * CHUNK);
    for read in [0, 4 * CHUNK, 100 * CHUNK, 300 * CHUNK] {
        let store = EngramStore::with_backend(Arc::<MemoryBackend>::clone(&backend), &OpenOptions::default());
        let store = store.unwrap();
        let mut decoder = builder(&store, 8, 1 << 20).build().unwrap();
        decoder.read_n_bytes(read as u64).unwrap();
        drop(store);
        drop(decoder);
        // Each thread holds the store, and the store its backend.
        assert_eq!(Arc::strong_count(&backend), 1, "after {read} bytes");
    }
}

#[test]
fn many_decoders_at_once_all_come_to_their_end() {
    let (_, backend, bytes) = corrected();
    for cache_bytes in [0, 64 << 20] {
        let options = OpenOptions { cache_bytes, ..OpenOptions::default() };
        let store = EngramStore::with_backend(Arc::<MemoryBackend>::clone(&backend), &options).unwrap();
        let read = |threads: usize| {
            let mut all = Vec::new();
            builder(&store, threads, 50_000).build().unwrap().read_to_end(&mut all).unwrap();
            assert!(all == bytes);
        };
        std::thread::scope(|scope| {
            (0..12).for_each(|at| drop(scope.spawn(move || read(1 + at % 4))));
        });
        // From the threads of a pool, which must not be waited for by their own work.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        pool.scope(|scope| (0..8).for_each(|_| scope.spawn(|_| read(3))));
    }
    // Alternating on one thread, more of them than the store has memory to decode ahead for.
    let options = OpenOptions { read_ahead_bytes: 120_000, ..OpenOptions::default() };
    let store = EngramStore::with_backend(backend, &options).unwrap();
    let mut decoders: Vec<_> = (0..9).map(|_| builder(&store, 2, 50_000).build().unwrap()).collect();
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min(at + 3001);
        for decoder in &mut decoders {
            assert!(decoder.read_n_bytes(3001).unwrap() == bytes[at..end]);
        }
        at = end;
    }
}

#[test]
fn what_is_decoded_ahead_stays_within_the_window_and_within_what_the_store_gives() {
    let (backend, bytes) = plain_file(200 * CHUNK);
    for (decoders, window, given, most) in
        [(1, 10 * CHUNK, 1 << 20, 10), (1, 1 << 30, 12 * CHUNK, 12), (4, 10 * CHUNK, 25 * CHUNK, 25)]
    {
        let (fetched, consumed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let furthest = Arc::new(AtomicUsize::new(0));
        let options = OpenOptions { read_ahead_bytes: given, ..uncached() };
        let counters = (Arc::clone(&fetched), Arc::clone(&consumed), Arc::clone(&furthest));
        let store = watched(&backend, options, move |_| {
            let fetched = counters.0.fetch_add(1, Ordering::SeqCst) + 1;
            let ahead = fetched.saturating_sub(counters.1.load(Ordering::SeqCst));
            counters.2.fetch_max(ahead, Ordering::SeqCst);
        });
        let mut decoders: Vec<_> =
            (0..decoders).map(|_| builder(&store, 3, window).build().unwrap()).collect();
        for (at, chunk) in bytes.chunks(CHUNK).enumerate() {
            for decoder in &mut decoders {
                assert!(decoder.read_n_bytes(CHUNK as u64).unwrap() == chunk);
                consumed.fetch_add(1, Ordering::SeqCst);
            }
            // While the caller does something else, the window fills: all of it but the chunk just handed out.
            let waiting = std::time::Instant::now();
            while at == 30 && decoders.len() == 1 && fetched.load(Ordering::SeqCst) < at + most {
                assert!(waiting.elapsed().as_secs() < 60, "{fetched:?}");
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
        // The chunk that is being handed out is no longer ahead, nor counted as consumed yet.
        let furthest = furthest.load(Ordering::SeqCst);
        assert!(furthest <= most + 1, "{furthest} chunks ahead, {most} allowed");
        // Each chunk once, or once for several decoders that need it at the same time.
        assert!(fetched.load(Ordering::SeqCst) <= 200 * decoders.len());
    }
}

#[test]
fn a_read_after_a_seek_decodes_only_what_it_needs() {
    let (backend, bytes) = plain_file(200 * CHUNK);
    let fetched = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&fetched);
    let store = watched(&backend, uncached(), move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let mut decoder = builder(&store, 4, 1 << 20).build().unwrap();
    let mut random = Random(1);
    let mut needed = 0;
    for _ in 0..200 {
        let (at, len) = (random.below(199 * CHUNK), 1 + random.below(2 * CHUNK));
        decoder.seek_to(at as u64);
        let read = decoder.read_n_bytes(len as u64).unwrap();
        assert!(read == bytes[at..][..read.len()]);
        needed += (at + read.len() - 1) / CHUNK - at / CHUNK + 1;
    }
    // Fewer only where a read begins in the chunk at hand.
    assert!(fetched.load(Ordering::SeqCst) <= needed, "{fetched:?} for {needed}");
}

#[test]
fn no_chunk_is_decoded_twice_by_threads_that_need_it_at_once() {
    let (_, backend, bytes) = corrected();
    for threads in [2, 6] {
        let fetched = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&fetched);
        let store = watched(&backend, OpenOptions::default(), move |key| {
            list.lock().unwrap().push(key.to_vec());
        });
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let read = builder(&store, 2, 50_000).build().unwrap().read_n_bytes(u64::MAX).unwrap();
                    assert!(read == bytes);
                });
            }
        });
        let mut fetched = fetched.lock().unwrap().clone();
        let all = fetched.len();
        fetched.sort_unstable();
        fetched.dedup();
        assert_eq!(all, fetched.len());
    }
}

#[test]
fn a_damaged_chunk_that_many_wait_for_is_an_error_for_each() {
    let (backend, _) = plain_file(3 * CHUNK);
    let ((space, key), mut value) = records(&backend, &[Space::Payload]).pop_first().unwrap();
    value[0] ^= 1;
    let mut batch = Batch::new();
    batch.put(space, key, value);
    backend.write(batch, Durability::Durable).unwrap();
    let store = EngramStore::with_backend(backend, &OpenOptions::default()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let error = builder(&store, 1, 0).build().unwrap().read_n_bytes(1).unwrap_err();
                assert!(error.to_string().contains("chunk 1: "), "{error}");
            });
        }
    });
}
