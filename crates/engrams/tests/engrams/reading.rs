//! Fear: a byte from the wrong place, wherever one seeks and however one reads.

use std::io::{Read, Seek, SeekFrom};

use engrams::{Chunking, EngramStore, ErrorKind, StreamingDecoder, StreamingIngester};
use proptest::prelude::*;

use engrams::store::{Backend, Batch, Durability, Space};

use crate::common::{cases, ingest, noise, open, records, small_store, text};

fn stored(bytes: &[u8], chunking: Chunking) -> EngramStore {
    let store = EngramStore::in_memory();
    let mut ingester =
        StreamingIngester::builder(&store).with_path("f").with_chunking(chunking).build().unwrap();
    ingester.ingest_bytes(bytes).unwrap();
    ingester.finalize().unwrap();
    store
}

fn decoder(store: &EngramStore) -> StreamingDecoder {
    StreamingDecoder::builder(store, "f").build().unwrap()
}

fn chunking() -> impl Strategy<Value = Chunking> {
    prop_oneof![
        (64_usize..5000).prop_map(|size| Chunking::fixed(size).unwrap()),
        Just(Chunking::fixed(100_000).unwrap()),
        (8_u32..15).prop_map(|bits| {
            Chunking::ContentDefined(engrams::ChunkParams::from_average(1 << bits).unwrap())
        }),
        (64_usize..200, 0_usize..900).prop_map(|(minimum, more)| {
            Chunking::ContentDefined(engrams::ChunkParams::new(minimum, 256, 257 + more).unwrap())
        }),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Read(usize),
    Start(u64),
    Current(i64),
    End(i64),
    Chunk,
    Bytes(u64),
    To(u64),
}

fn step(len: u64) -> impl Strategy<Value = Step> {
    let by = len as i64 + 10;
    prop_oneof![
        3 => (0_usize..9000).prop_map(Step::Read),
        1 => (0..len + 10).prop_map(Step::Start),
        1 => (-by..by).prop_map(Step::Current),
        1 => (-by..5).prop_map(Step::End),
        2 => Just(Step::Chunk),
        2 => (0_u64..9000).prop_map(Step::Bytes),
        1 => (0..len + 10).prop_map(Step::To),
    ]
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn seek_then_read_crosses_a_chunk_boundary(
        len in 0_usize..40_000, chunking in chunking(), places in proptest::collection::vec((any::<u64>(), 1_usize..12_000), 1..12),
    ) {
        let bytes = noise(len, len as u64);
        let store = stored(&bytes, chunking);
        let mut decoder = decoder(&store);
        for (at, count) in places {
            let at = (at % (len as u64 + 1)) as usize;
            prop_assert_eq!(decoder.seek(SeekFrom::Start(at as u64)).unwrap(), at as u64);
            let mut out = vec![0; count.min(len - at)];
            decoder.read_exact(&mut out).unwrap();
            prop_assert_eq!(&out[..], &bytes[at..at + out.len()]);
        }
    }

    #[test]
    fn reads_seeks_chunks_and_read_n_bytes_share_one_position(
        chunking in chunking(), steps in proptest::collection::vec(step(20_000), 1..30),
        offset in 0_u64..20_000, max in proptest::option::of(0_u64..25_000),
    ) {
        let bytes = text(20_000, 3);
        let store = stored(&bytes, chunking);
        let mut builder = StreamingDecoder::builder(&store, "f").with_offset(offset);
        if let Some(max) = max {
            builder = builder.with_max_bytes(max);
        }
        let mut decoder = builder.build().unwrap();
        let end = max.map_or(20_000, |max| (offset + max).min(20_000));
        prop_assert_eq!(decoder.end(), end);
        let mut at = offset;
        let mut returned = 0;
        let upto = |at: u64, count: u64| &bytes[at.min(end) as usize..at.saturating_add(count).min(end).max(at.min(end)) as usize];
        for step in steps {
            match step {
                Step::Read(count) => {
                    let mut out = vec![0; count];
                    let len = decoder.read(&mut out).unwrap();
                    let expected = upto(at, count as u64);
                    prop_assert!(expected.starts_with(&out[..len]));
                    prop_assert_eq!(len == 0, expected.is_empty());
                    at += len as u64;
                    returned += len as u64;
                }
                Step::Bytes(count) => {
                    let out = decoder.read_n_bytes(count).unwrap();
                    prop_assert_eq!(&out[..], upto(at, count));
                    at += out.len() as u64;
                    returned += out.len() as u64;
                }
                Step::Chunk => match decoder.next() {
                    Some(chunk) => {
                        let chunk = chunk.unwrap();
                        prop_assert_eq!(chunk.offset, at);
                        prop_assert!(!chunk.is_empty() && upto(at, u64::MAX).starts_with(&chunk));
                        at += chunk.len() as u64;
                        returned += chunk.len() as u64;
                    }
                    None => prop_assert!(at >= end),
                },
                Step::To(to) => {
                    decoder.seek_to(to);
                    at = to;
                }
                Step::Start(to) => at = { prop_assert_eq!(decoder.seek(SeekFrom::Start(to)).unwrap(), to); to },
                Step::Current(by) | Step::End(by) => {
                    let (from, whence) = match step {
                        Step::End(_) => (end, SeekFrom::End(by)),
                        _ => (at, SeekFrom::Current(by)),
                    };
                    match (decoder.seek(whence), from.checked_add_signed(by)) {
                        (Ok(found), Some(to)) => at = { prop_assert_eq!(found, to); to },
                        (Err(error), None) => prop_assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput),
                        other => prop_assert!(false, "{other:?}"),
                    }
                }
            }
            let progress = decoder.progress();
            prop_assert_eq!((progress.position, progress.bytes_read), (at, returned));
            prop_assert_eq!(progress.total_bytes, end - offset);
        }
    }
}

#[test]
fn max_bytes_is_enforced_also_after_seeks() {
    let bytes = noise(10_000, 1);
    let store = stored(&bytes, Chunking::fixed(1000).unwrap());
    for (offset, max) in
        [(0, 0), (10_000, 0), (0, 1), (999, 2), (2500, 4000), (0, 10_000), (9000, u64::MAX), (0, 10_001)]
    {
        let end = u64::saturating_add(offset, max).min(10_000) as usize;
        let build = || {
            StreamingDecoder::builder(&store, "f").with_offset(offset).with_max_bytes(max).build().unwrap()
        };
        let mut out = Vec::new();
        build().read_to_end(&mut out).unwrap();
        assert_eq!(out, bytes[offset as usize..end]);
        let chunks: Vec<u8> = build().flat_map(|chunk| chunk.unwrap().to_vec()).collect();
        assert_eq!(chunks, bytes[offset as usize..end]);
        let mut after_seek = build();
        assert_eq!(after_seek.seek(SeekFrom::End(0)).unwrap(), end as u64);
        assert_eq!(after_seek.read(&mut [0; 10]).unwrap(), 0);
        assert!(after_seek.seek_to(9_999_999).next().is_none());
        after_seek.seek_to(offset.saturating_sub(3));
        assert_eq!(after_seek.read_n_bytes(u64::MAX).unwrap(), bytes[offset.saturating_sub(3) as usize..end]);
        assert_eq!(after_seek.read_n_bytes(1).unwrap(), b"");
    }
}

#[test]
fn an_offset_past_the_end_is_refused_and_the_end_itself_is_not() {
    let store = stored(b"12345", Chunking::fixed(64).unwrap());
    let mut at_end = StreamingDecoder::builder(&store, "f").with_offset(5).build().unwrap();
    assert_eq!(at_end.read(&mut [0; 4]).unwrap(), 0);
    let error = StreamingDecoder::builder(&store, "f").with_offset(6).build().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    for part in ["offset 6", "`f`", "5 bytes"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn what_is_not_there_is_not_found_and_named() {
    let store = EngramStore::in_memory();
    let kind = |error: Option<engrams::Error>| error.unwrap().kind();
    assert_eq!(kind(StreamingDecoder::builder(&store, "f").build().err()), ErrorKind::NotFound);
    ingest(&store, "f", b"1");
    for builder in [
        StreamingDecoder::builder(&store, "g"),
        StreamingDecoder::builder(&store, "f").with_version(0),
        StreamingDecoder::builder(&store, "f").with_version(2),
        StreamingDecoder::builder(&store, ""),
    ] {
        assert_eq!(kind(builder.build().err()), ErrorKind::NotFound);
    }
    let error = StreamingDecoder::builder(&store, "f").with_version(7).build().err().unwrap();
    assert!(error.to_string().contains("version 7"), "{error}");
}

#[test]
fn a_decoder_keeps_the_version_it_was_built_on() {
    let (store, _) = small_store(1024);
    let (old, new) = (noise(20_000, 1), noise(30_000, 2));
    ingest(&store, "f", &old);
    let mut pinned = decoder(&store);
    let mut head = vec![0; 5000];
    pinned.read_exact(&mut head).unwrap();
    ingest(&store, "f", &new);
    let mut rest = Vec::new();
    pinned.read_to_end(&mut rest).unwrap();
    assert_eq!([head, rest].concat(), old);
    assert_eq!(decoder(&store).read_n_bytes(u64::MAX).unwrap(), new);
}

#[test]
fn damage_met_by_the_iterator_is_not_the_end_of_the_file_for_a_reader() {
    let (store, backend) = small_store(1024);
    ingest(&store, "f", &noise(20_000, 1));
    drop(store);
    for ((space, key), mut value) in records(&backend, &[Space::Payload]) {
        value[0] ^= 1;
        let mut batch = Batch::new();
        batch.put(space, key, value);
        backend.write(batch, Durability::Durable).unwrap();
    }
    let store = open(backend, 1024).unwrap();
    let mut decoder = StreamingDecoder::builder(&store, "f").build().unwrap();
    assert!(decoder.next().unwrap().is_err());
    assert!(decoder.next().is_none());
    assert!(decoder.read(&mut [0; 10]).is_err());
}
