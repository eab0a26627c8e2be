//! Fear: a stream that fails, hesitates or comes in crumbs, and is stored as something else than it was.

use std::io::{self, BufRead, Cursor, ErrorKind as IoKind, Read};

use engrams::store::Space;
use engrams::store::backend::MemoryBackend;
use engrams::{EngramStore, ErrorKind, StreamingIngester, Transaction};
use proptest::prelude::*;

use crate::common::{
    Random, Records, assert_sound, cases, fixed, ingest, noise, read, records, small_store, text,
};

/// Gives at most `most(..)` bytes a call, now and then `Interrupted`, and fails at `fail_at`.
struct Crumbs<'a> {
    bytes: &'a [u8],
    at: usize,
    most: usize,
    fail_at: usize,
    interrupts: bool,
    random: Random,
}

impl<'a> Crumbs<'a> {
    fn new(bytes: &'a [u8], most: usize) -> Self {
        Self { bytes, at: 0, most, fail_at: usize::MAX, interrupts: false, random: Random(5) }
    }
}

impl Read for Crumbs<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.interrupts && self.random.below(3) == 0 {
            return Err(IoKind::Interrupted.into());
        }
        if self.at >= self.fail_at {
            return Err(io::Error::other("the tape tore"));
        }
        let len = out.len().min(1 + self.random.below(self.most)).min(self.bytes.len() - self.at);
        let len = len.min(self.fail_at - self.at);
        out[..len].copy_from_slice(&self.bytes[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

/// Everything a stream leaves behind but the moment of its commit.
fn left(backend: &MemoryBackend) -> Records {
    records(backend, &[Space::Head, Space::Payload, Space::Page, Space::Name, Space::Recall, Space::Search])
}

fn stored_by(fill: impl FnOnce(&mut StreamingIngester)) -> Records {
    let (store, backend) = small_store(1024);
    let mut ingester =
        StreamingIngester::builder(&store).with_path("f").with_attributes(fixed()).build().unwrap();
    fill(&mut ingester);
    ingester.finalize().unwrap();
    left(&backend)
}

#[test]
fn a_reader_that_fails_midway_leaves_nothing_visible_and_the_second_time_is_quick() {
    for (len, fail_at) in [(100_000, 60_000), (3000, 100), (100_000, 0)] {
        let (store, _) = small_store(1024);
        ingest(&store, "f", b"before");
        let bytes = noise(len, 3);
        let mut ingester = StreamingIngester::builder(&store).with_path("f").build().unwrap();
        let error = ingester.ingest_reader(Crumbs { fail_at, ..Crumbs::new(&bytes, 5000) }).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("`f`") && error.to_string().contains("the tape tore"), "{error}");
        assert!(std::error::Error::source(&error).is_some());
        assert_eq!(ingester.ingest_bytes(b"more").err().unwrap().kind(), ErrorKind::Invalid);
        assert_eq!(ingester.finalize().err().unwrap().kind(), ErrorKind::Invalid);
        assert_eq!(store.head().unwrap().unwrap().number, 1);
        assert_eq!(read(&store, "f", 1), b"before");

        let again = ingest(&store, "f", &bytes);
        if fail_at > 50_000 {
            assert!(again.reused * 3 > again.chunks, "{again:?}");
        }
        assert!(read(&store, "f", 2) == bytes);
        assert_sound(&store);
    }
}

#[test]
fn a_file_that_fails_midway_leaves_its_transaction_alive_and_its_path_as_it_was() {
    let (store, _) = small_store(1024);
    let (old, neighbour) = (text(5000, 1), text(90, 2));
    ingest(&store, "b", &old);
    for fail_at in [0, 10, 255, 256, 257, 1000, 40_000] {
        let torn = noise(80_000, fail_at as u64);
        let mut tx = Transaction::begin(&store, &engrams::IngestOptions::default()).unwrap();
        tx.put_file(b"a", fixed(), &mut &neighbour[..]).unwrap();
        let error =
            tx.put_file(b"b", fixed(), &mut Crumbs { fail_at, ..Crumbs::new(&torn, 700) }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("`b`"), "{error}");
        tx.put_file(b"c", fixed(), &mut &neighbour[..]).unwrap();
        let version = tx.commit("").unwrap().version;
        assert_eq!(read(&store, "a", version), neighbour);
        assert_eq!(read(&store, "b", version), old);
        assert_eq!(read(&store, "c", version), neighbour);
        let engram = store.engram(&store.version(version).unwrap()).unwrap();
        assert!(engram == crate::common::sum([&neighbour[..], &old, &neighbour]));
    }
    assert_sound(&store);
}

#[test]
fn interrupted_reads_are_tried_again() {
    let bytes = noise(50_000, 8);
    let whole = stored_by(|ingester| {
        ingester.ingest_bytes(&bytes).unwrap();
    });
    let interrupted = stored_by(|ingester| {
        ingester.ingest_reader(Crumbs { interrupts: true, ..Crumbs::new(&bytes, 3000) }).unwrap();
    });
    assert!(interrupted == whole);

    struct Interrupted<R>(R, bool);
    impl<R: Read> Read for Interrupted<R> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.0.read(out)
        }
    }
    impl<R: BufRead> BufRead for Interrupted<R> {
        fn fill_buf(&mut self) -> io::Result<&[u8]> {
            self.1 = !self.1;
            if self.1 { Err(IoKind::Interrupted.into()) } else { self.0.fill_buf() }
        }
        fn consume(&mut self, len: usize) {
            self.0.consume(len);
        }
    }
    let buffered = stored_by(|ingester| {
        ingester.ingest_buffered(Interrupted(io::BufReader::with_capacity(777, &bytes[..]), false)).unwrap();
    });
    assert!(buffered == whole);
}

#[test]
fn one_byte_reads_store_the_same_in_reasonable_time() {
    let bytes = text(60_000, 8);
    let whole = stored_by(|ingester| {
        ingester.ingest_bytes(&bytes).unwrap();
    });
    let start = std::time::Instant::now();
    let crumbs = stored_by(|ingester| {
        ingester.ingest_reader(Crumbs::new(&bytes, 1)).unwrap();
    });
    assert!(crumbs == whole);
    // A call for each byte costs; a quarter of a megabyte cleared for each byte costs a thousand times as much.
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}

#[test]
fn a_reader_that_returns_short_reads_is_read_to_its_end() {
    let bytes = noise(200_000, 8);
    for most in [1, 255, 256, 257, 4096, 1 << 20] {
        let store = EngramStore::in_memory();
        let mut ingester = StreamingIngester::builder(&store).with_path("f").build().unwrap();
        ingester
            .ingest_reader(Crumbs::new(&bytes[..if most == 1 { 20_000 } else { 200_000 }], most))
            .unwrap();
        let len = ingester.finalize().unwrap().bytes as usize;
        assert!(read(&store, "f", 1) == bytes[..len]);
        assert!(len >= 20_000);
    }
}

#[test]
fn a_reader_can_be_given_a_stream_in_several_parts() {
    let bytes = noise(70_000, 1);
    let whole = stored_by(|ingester| {
        ingester.ingest_reader(&bytes[..]).unwrap();
    });
    let parts = stored_by(|ingester| {
        ingester.ingest_reader(&bytes[..100]).unwrap().ingest_buffered(&bytes[100..30_001]).unwrap();
        ingester.ingest_bytes(&bytes[30_001..30_002]).unwrap().ingest_bytes(&[]).unwrap();
        ingester.ingest_reader(io::empty()).unwrap().ingest_reader(&bytes[30_002..]).unwrap();
    });
    assert!(parts == whole);
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn any_split_of_a_stream_stores_the_same_records(
        len in 0_usize..60_000, splits in proptest::collection::vec((0_usize..60_000, 0_u8..3), 0..8), capacity in 1_usize..9000,
    ) {
        let bytes = text(len, 77);
        let whole = stored_by(|ingester| { ingester.ingest_reader(&bytes[..]).unwrap(); });
        let mut cuts: Vec<(usize, u8)> = splits.iter().map(|(at, way)| (*at % (len + 1), *way)).collect();
        cuts.push((len, 1));
        cuts.sort_unstable();
        let split = stored_by(|ingester| {
            let mut from = 0;
            for (to, way) in cuts {
                let part = &bytes[from..to];
                from = to;
                match way {
                    0 => ingester.ingest_reader(Crumbs::new(part, capacity)).unwrap(),
                    1 => ingester.ingest_buffered(io::BufReader::with_capacity(capacity, Cursor::new(part))).unwrap(),
                    _ => ingester.ingest_bytes(part).unwrap(),
                };
            }
        });
        prop_assert!(split == whole);
    }
}
