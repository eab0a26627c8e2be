//! Fear: stored records that depend on how many threads happened to work on them.

use engrams::store::Space;
use engrams::{Compression, IngestOptions, Transaction};

use crate::common::{Records, assert_sound, edit, fixed, noise, records, small_store, text};

/// Three versions of a big file and many small ones; everything left behind but the moments of the commits.
fn stored_with(threads: usize, compression: Compression, average: usize) -> Records {
    let (store, backend) = small_store(average);
    let mut big = [text(700_000, 1), noise(100_000, 2), text(200_000, 3)].concat();
    let options = IngestOptions { threads, compression, ..IngestOptions::default() };
    for round in 0..3 {
        let mut tx = Transaction::begin(&store, &options).unwrap();
        tx.put_file(b"big", fixed(), &mut &big[..]).unwrap();
        for file in 0..150 {
            let bytes = text(file as usize * 37 % 900, file + round % 2);
            tx.put_file(format!("small/{file}").as_bytes(), fixed(), &mut &bytes[..]).unwrap();
        }
        tx.commit("").unwrap();
        edit(&mut big, 40, round);
    }
    assert_sound(&store);
    records(&backend, &[Space::Head, Space::Payload, Space::Page, Space::Name, Space::Recall, Space::Search])
}

#[test]
fn one_two_and_eight_threads_store_identical_records() {
    for (compression, average) in [
        (Compression::default(), 8192),
        (Compression::Zstd(1), 1024),
        (Compression::Zstd(13), 16_384),
        (Compression::Lz4, 4096),
    ] {
        let one = stored_with(1, compression, average);
        for threads in [2, 8] {
            let many = stored_with(threads, compression, average);
            let differs: Vec<_> =
                one.iter().filter(|(at, value)| many.get(*at) != Some(*value)).map(|(at, _)| at).collect();
            assert!(
                differs.is_empty(),
                "{compression:?}, {threads} threads: {} differ, first {:?}",
                differs.len(),
                differs[0]
            );
            assert_eq!(one.len(), many.len());
        }
    }
}
