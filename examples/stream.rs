//! A stream in, a stream out: `cargo run -p engrams --example stream --no-default-features`.

use std::io::{Read, Seek, SeekFrom};

use engrams::{EngramStore, StreamingDecoder, StreamingIngester};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = EngramStore::in_memory(); // or EngramStore::open("memory.engrams")?
    let mut content: Vec<u8> =
        (0..500_000_u32).flat_map(|i| (i / 3).wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let first = content.clone();

    for round in 0..3 {
        let mut ingester =
            StreamingIngester::builder(&store).with_path("dump.bin").with_message("nightly").build()?;
        ingester.ingest_reader(content.as_slice())?;
        let result = ingester.finalize()?;
        println!(
            "version {}: {} chunks, {} reused, {} recalled, {} verbatim; corrections {} bytes",
            result.version,
            result.chunks,
            result.reused,
            result.recalled,
            result.verbatim,
            result.correction_bytes
        );
        let at = 400_000 * (round + 1);
        content.splice(at..at + 10, *b"an edit in the middle");
    }

    // The newest version, read from the middle on.
    let mut newest = StreamingDecoder::builder(&store, "dump.bin").build()?;
    newest.seek(SeekFrom::Start(399_990))?;
    assert_eq!(newest.read_n_bytes(31)?[10..], *b"an edit in the middle");

    // The oldest, whole.
    let mut oldest = Vec::new();
    StreamingDecoder::builder(&store, "dump.bin").with_version(1).build()?.read_to_end(&mut oldest)?;
    assert_eq!(oldest, first);
    Ok(())
}
