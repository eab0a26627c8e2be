//! Fear: a long file whose hash is carried on by another thread, and is then that of other bytes.

use std::io::Read;

use engrams::{ErrorKind, IngestOptions, Transaction};

use crate::common::{fixed, noise, read, small_store};

/// Longer than what the caller's thread hashes by itself, and quick to ingest: one part again and again.
fn long(extra: usize) -> Vec<u8> {
    let mut bytes = noise(1 << 20, 5).repeat(34);
    bytes.extend(noise(extra, 6));
    bytes
}

/// Fails after its bytes.
struct Broken<'a>(&'a [u8]);

impl Read for Broken<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(std::io::Error::other("the cable was pulled")),
            len => Ok(len),
        }
    }
}

#[test]
fn long_files_have_the_hash_of_their_content_on_any_number_of_threads() {
    for threads in [1, 2, 8] {
        let (store, _) = small_store(64 << 10);
        let options = IngestOptions { threads, ..IngestOptions::default() };
        let mut tx = Transaction::begin(&store, &options).unwrap();
        let files = [("a", long(3)), ("b", noise(300, 1)), ("c", long(70_001)), ("d", Vec::new())];
        for (path, bytes) in &files {
            let summary = tx.put_file(path.as_bytes(), fixed(), &mut &bytes[..]).unwrap();
            assert_eq!(summary.hash, *blake3::hash(bytes).as_bytes(), "{path} on {threads} threads");
            assert_eq!(summary.size, bytes.len() as u64);
        }
        tx.commit("").unwrap();
        for (path, bytes) in &files {
            assert!(read(&store, path, 1) == *bytes, "{path}");
        }
    }
}

#[test]
fn a_long_file_that_breaks_off_leaves_the_next_ones_hash_alone() {
    let (store, _) = small_store(64 << 10);
    let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    let bytes = long(17);
    let error = tx.put_file(b"broken", fixed(), &mut Broken(&bytes)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    let summary = tx.put_file(b"whole", fixed(), &mut &bytes[..]).unwrap();
    assert_eq!(summary.hash, *blake3::hash(&bytes).as_bytes());
    tx.commit("").unwrap();
    assert!(read(&store, "whole", 1) == bytes);
    assert!(store.head().unwrap().unwrap().files == 1);
}
