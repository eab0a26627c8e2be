//! Fear: an old version that a newer one changed, and a real history that costs as much as its parts.

use std::path::{Path, PathBuf};

use engrams::store::Space;
use engrams::store::backend::MemoryBackend;
use engrams::{EngramStore, IngestOptions, Transaction};

use crate::common::{
    assert_sound, edit, fixed, ingest, read, records, root, small_store, sum, testdata, text, try_read,
};

#[test]
fn old_versions_stay_exact_after_a_hundred_overwrites() {
    let (store, backend) = small_store(16_384);
    let mut bytes = text(1 << 20, 1);
    let mut hashes = Vec::new();
    for version in 1..=100 {
        assert_eq!(ingest(&store, "f", &bytes).version, version);
        hashes.push(blake3::hash(&bytes));
        edit(&mut bytes, 4, version);
    }
    // A fresh store, so that nothing comes from memory.
    let store = EngramStore::with_backend(backend, &engrams::OpenOptions::default()).unwrap();
    for (at, hash) in hashes.iter().enumerate() {
        assert!(blake3::hash(&read(&store, "f", at as u64 + 1)) == *hash, "version {}", at + 1);
    }
    let stats = store.stats().unwrap();
    assert!(stats.max_chain <= u64::from(store.superblock().max_depth), "{stats:?}");
    assert!(stats.ingested_bytes > 99 << 20, "{stats:?}");
    assert!(stats.stored_bytes < 3 << 20, "{stats:?}");
    assert_eq!(store.versions().unwrap().len(), 100);
}

/// The files of one release, by path, in path order.
pub(crate) fn release(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(at) = directories.pop() {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
                files.push((name, std::fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// The releases of the real history, oldest first.
pub(crate) fn releases() -> Vec<Vec<(String, Vec<u8>)>> {
    let history = testdata("history");
    let mut directories: Vec<PathBuf> = std::fs::read_dir(history)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    directories.sort();
    directories.iter().map(|directory| release(directory)).collect()
}

/// Ingests the releases as versions of the tree `semver`.
pub(crate) fn ingest_history(store: &EngramStore, releases: &[Vec<(String, Vec<u8>)>]) {
    for files in releases {
        let mut tx = Transaction::begin(store, &IngestOptions::default()).unwrap();
        tx.clear(b"semver").unwrap();
        for (path, bytes) in files {
            tx.put_file(format!("semver/{path}").as_bytes(), fixed(), &mut &bytes[..]).unwrap();
        }
        tx.commit("a release").unwrap();
    }
}

pub(crate) fn assert_exact(store: &EngramStore, releases: &[Vec<(String, Vec<u8>)>]) {
    for (at, files) in releases.iter().enumerate() {
        let version = at as u64 + 1;
        let tree = store.tree(Some(version)).unwrap();
        let paths: Vec<_> = tree.entries(b"semver").map(|e| e.unwrap().path).collect();
        assert!(paths.iter().map(|p| &p[7..]).eq(files.iter().map(|(path, _)| path.as_bytes())));
        for (path, bytes) in files {
            assert!(
                try_read(store, format!("semver/{path}").as_bytes(), Some(version)).unwrap() == *bytes,
                "{path}"
            );
        }
        let engram = store.engram(&store.version(version).unwrap()).unwrap();
        assert!(engram == sum(files.iter().map(|(_, bytes)| &bytes[..])));
    }
}

#[test]
fn a_real_history_is_restored_exactly_and_costs_little_more_than_one_release() {
    let releases = releases();
    assert_eq!(releases.len(), 5);
    let (store, backend) = small_store(65_536);
    ingest_history(&store, &releases);
    assert_exact(&store, &releases);
    assert_sound(&store);
    let payload = |backend: &MemoryBackend| {
        records(backend, &[Space::Payload]).values().map(|v| v.len() as u64).sum::<u64>()
    };
    let stats = store.stats().unwrap();
    let ratio = stats.ingested_bytes as f64 / payload(&backend) as f64;
    // Measured 17.5: 589,373 bytes in 33,663 of payload.
    assert!(ratio > 14.0, "{ratio:.2}: {stats:?}");
    assert!(!root(&store).is_zero());
}
