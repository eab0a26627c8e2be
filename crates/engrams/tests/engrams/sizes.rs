//! Fear: the sizes at which something begins or ends.

use std::io::Read;

use engrams::{ChunkParams, Chunking, EngramStore, StreamingDecoder, StreamingIngester};

use crate::common::{assert_sound, noise, read, root, sum};

fn round_trip(bytes: &[u8], chunking: Chunking) -> u64 {
    let store = EngramStore::in_memory();
    let mut ingester =
        StreamingIngester::builder(&store).with_path("f").with_chunking(chunking).build().unwrap();
    ingester.ingest_reader(bytes).unwrap();
    let result = ingester.finalize().unwrap();
    assert_eq!(result.bytes, bytes.len() as u64);
    assert_eq!(result.content_hash, *blake3::hash(bytes).as_bytes());
    assert_eq!(result.chunks, result.reused + result.recalled + result.verbatim);
    assert!(read(&store, "f", 1) == bytes);
    assert!(root(&store) == sum([bytes]));
    assert_sound(&store);
    result.chunks
}

#[test]
fn an_empty_stream_is_an_empty_file() {
    let store = EngramStore::in_memory();
    for fill in [0, 1, 2] {
        let mut ingester = StreamingIngester::builder(&store).with_path(format!("f{fill}")).build().unwrap();
        match fill {
            0 => {}
            1 => {
                ingester.ingest_reader(std::io::empty()).unwrap();
            }
            _ => {
                ingester.ingest_bytes(&[]).unwrap();
            }
        }
        let result = ingester.finalize().unwrap();
        assert_eq!((result.bytes, result.chunks), (0, 0));
        assert_eq!(result.content_hash, *blake3::hash(b"").as_bytes());
    }
    let mut decoder = StreamingDecoder::builder(&store, "f2").build().unwrap();
    assert!(decoder.next().is_none());
    assert_eq!(decoder.read(&mut [0; 9]).unwrap(), 0);
    assert_eq!(decoder.read_n_bytes(9).unwrap(), b"");
    assert_eq!(store.head().unwrap().unwrap().files, 3);
    assert!(root(&store).is_zero());
    assert_sound(&store);
}

#[test]
fn exactly_one_fixed_chunk_and_one_byte_less_and_more() {
    for size in [64, 4096, 65_536] {
        let chunking = Chunking::fixed(size).unwrap();
        for (len, chunks) in [(size - 1, 1), (size, 1), (size + 1, 2), (2 * size, 2), (2 * size + 1, 3)] {
            assert_eq!(round_trip(&noise(len, 4), chunking), chunks, "{len} of {size}");
        }
    }
}

#[test]
fn exactly_the_least_and_the_largest_content_defined_chunk_and_one_byte_less_and_more() {
    let params = ChunkParams::from_average(4096).unwrap();
    let chunking = Chunking::ContentDefined(params);
    for around in [params.minimum(), params.maximum()] {
        for len in [around - 1, around, around + 1] {
            // Constant data has no cut point of its own: chunks reach the maximum.
            let chunks = round_trip(&vec![7; len], chunking);
            assert_eq!(chunks, len.div_ceil(params.maximum()) as u64, "{len}");
            round_trip(&noise(len, 4), chunking);
        }
    }
}

#[test]
fn lists_just_short_of_pages_and_just_past_them_come_back() {
    let chunking = Chunking::fixed(64).unwrap();
    for chunks in [23, 24, 25, 26, 511, 512, 513, 1025] {
        assert_eq!(round_trip(&noise(chunks * 64, 1), chunking), chunks as u64);
    }
}
