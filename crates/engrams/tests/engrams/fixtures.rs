//! Fear: a store that an earlier release wrote is not read, or read otherwise.
//!
//! `testdata/stores` has, for each format, the records of a plain and of an encrypted store, and a listing of all that is in
//! them; its README says how they are written.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use engrams::store::backend::MemoryBackend;
use engrams::store::{Backend, Space, Superblock};
use engrams::{
    Attributes, ChunkParams, EngramStore, ErrorKind, Forget, IngestOptions, Node, OpenOptions, StoreKey,
    Transaction,
};

use crate::common::{
    Records, assert_sound, backend_of, edit, fixed, ingest, noise, records, testdata, text, try_read,
};

/// The format that this release writes.
const FORMAT: &str = "format-1";
/// What each format's directory has.
const STORES: [&str; 2] = ["plain", "encrypted"];

fn path(format: &str, name: &str) -> PathBuf {
    testdata("stores").join(format).join(name)
}

fn options(store: &str) -> OpenOptions {
    let superblock = Superblock { chunks: ChunkParams::from_average(1024).unwrap(), ..Superblock::default() };
    let key = (store == "encrypted").then(|| StoreKey::from_bytes([7; 32]));
    OpenOptions { key, superblock, ..OpenOptions::default() }
}

/// Every kind of record: corrections, a list in pages, sums of a large directory, every kind of entry, tags, a forgotten
/// version, and notes of what was seen.
fn write(store: &EngramStore) {
    let mut long = text(40_000, 1);
    for version in 1..=4u64 {
        let mut tx = Transaction::begin(store, &IngestOptions::default()).unwrap();
        let xattrs = vec![(b"user.origin".to_vec(), b"a fixture".to_vec())];
        tx.put_directory(b"docs", Attributes { mode: 0o755, xattrs, ..fixed() }).unwrap();
        tx.put_symlink(b"docs/latest", b"../long", fixed()).unwrap();
        tx.put_file(b"docs/empty", fixed(), &mut &b""[..]).unwrap();
        tx.put_file("docs/caf\u{e9}".as_bytes(), fixed(), &mut &text(600, version)[..]).unwrap();
        tx.put_file(b"long", fixed(), &mut &long[..]).unwrap();
        tx.put_file(b"noise", fixed(), &mut &noise(3000, version / 2)[..]).unwrap();
        match version {
            1 => drop(tx.put_file(b"large/0", fixed(), &mut &text(8_000, 9).repeat(8)[..]).unwrap()),
            // Enough for a sum of its own.
            3 => {
                for to in 1..70 {
                    tx.copy(b"large/0", format!("large/{to}").as_bytes()).unwrap();
                }
            }
            4 => drop(tx.put_file(b"large/7", fixed(), &mut &text(900, 7)[..]).unwrap()),
            _ => {}
        }
        tx.commit(&format!("message {version}")).unwrap();
        store.remember(b"long", &[version as u8; 32], b"stat").unwrap();
        edit(&mut long, 4, version);
    }
    store.tag("first", 1).unwrap();
    let forget = Forget { versions: vec![2], ..Forget::default() };
    assert_eq!(store.forget(&forget).unwrap().forget, [2]);
}

/// All that is in a store, as lines.
fn listing(store: &EngramStore) -> String {
    let mut out = String::new();
    let mut versions = store.versions().unwrap();
    versions.reverse();
    for version in versions {
        let number = version.number;
        writeln!(out, "version {number} `{}`, {} entries", version.message, version.entries).unwrap();
        for entry in store.tree(Some(number)).unwrap().entries(b"") {
            let entry = entry.unwrap();
            let (path, a) = (String::from_utf8(entry.path.clone()).unwrap(), &entry.attributes);
            let node = match &entry.node {
                Node::Directory => "directory".to_owned(),
                Node::Symlink(target) => format!("link to {}", target.escape_ascii()),
                Node::File(file) => {
                    let bytes = try_read(store, &entry.path, Some(number)).unwrap();
                    assert_eq!(*blake3::hash(&bytes).as_bytes(), file.hash, "{path}");
                    format!("file {} {}", bytes.len(), blake3::hash(&bytes).to_hex())
                }
            };
            let xattrs: Vec<_> =
                a.xattrs.iter().map(|(k, v)| format!(" {}={}", k.escape_ascii(), v.escape_ascii())).collect();
            writeln!(out, "  {path} {:o} {} {node}{}", a.mode, a.mtime.seconds, xattrs.concat()).unwrap();
        }
    }
    for tag in store.tags().unwrap() {
        writeln!(out, "tag {} {}", tag.name, tag.version).unwrap();
    }
    out
}

/// Space, length of the key, key, length of the value, value, for each record; lengths of 4 bytes, little-endian.
fn to_bytes(records: &Records) -> Vec<u8> {
    let mut out = Vec::new();
    for ((space, key), value) in records {
        out.push(*space as u8);
        for part in [key, value] {
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
            out.extend_from_slice(part);
        }
    }
    out
}

fn from_bytes(mut bytes: &[u8]) -> Records {
    let mut records = Records::new();
    while let Some((&space, rest)) = bytes.split_first() {
        bytes = rest;
        let mut part = || {
            let (len, rest) = bytes.split_first_chunk().unwrap();
            let (part, rest) = rest.split_at(u32::from_le_bytes(*len) as usize);
            bytes = rest;
            part.to_vec()
        };
        let (key, value) = (part(), part());
        let space = Space::ALL.into_iter().find(|known| *known as u8 == space).unwrap();
        records.insert((space, key), value);
    }
    records
}

/// The plain store of the format that this release writes: its records, for stores of 1 KiB chunks.
pub(crate) fn plain() -> Records {
    from_bytes(&std::fs::read(path(FORMAT, "plain")).unwrap())
}

/// The names of all formats' directories.
fn formats() -> Vec<String> {
    let mut formats: Vec<_> =
        std::fs::read_dir(testdata("stores")).unwrap().map(|entry| entry.unwrap()).collect();
    formats.retain(|entry| entry.file_type().unwrap().is_dir());
    assert!(!formats.is_empty());
    formats.into_iter().map(|format| format.file_name().into_string().unwrap()).collect()
}

#[test]
fn stores_of_every_format_open_read_as_they_were_and_are_written_to() {
    for format in formats() {
        let expected = std::fs::read_to_string(path(&format, "listing.txt")).unwrap();
        for name in STORES {
            let fixture = from_bytes(&std::fs::read(path(&format, name)).unwrap());
            let backend = backend_of(&fixture);
            let store =
                EngramStore::with_backend(Arc::<MemoryBackend>::clone(&backend), &options(name)).unwrap();
            assert_sound(&store);
            assert_eq!(listing(&store), expected, "{format} {name}");
            assert!(records(&backend, &Space::ALL) == fixture, "{format} {name}: reading changed it");
            assert_eq!(store.version(2).unwrap_err().kind(), ErrorKind::NotFound);
            assert!(store.remembers(b"long", &[4; 32], b"stat").unwrap());
            // What is known of old content is used: an edit of it costs little.
            let before = backend.stored_bytes().unwrap();
            edit_long(&store);
            let added = backend.stored_bytes().unwrap() - before;
            assert!(added < 12_000, "{format} {name}: {added} bytes for an edit");
            assert_sound(&store);
        }
    }
}

fn edit_long(store: &EngramStore) {
    let mut long = try_read(store, b"long", None).unwrap();
    long.splice(9_000..9_000, *b"more");
    ingest(store, "long", &long);
    assert!(try_read(store, b"long", None).unwrap() == long);
}

#[test]
#[ignore = "writes the fixture of this format: only with ENGRAMS_WRITE_FIXTURES set, and only for a new format"]
fn write_fixtures() {
    if std::env::var_os("ENGRAMS_WRITE_FIXTURES").is_none() {
        return;
    }
    for name in STORES {
        let backend = Arc::new(MemoryBackend::new());
        let store = EngramStore::with_backend(Arc::<MemoryBackend>::clone(&backend), &options(name)).unwrap();
        write(&store);
        assert_sound(&store);
        std::fs::write(path(FORMAT, name), to_bytes(&records(&backend, &Space::ALL))).unwrap();
        std::fs::write(path(FORMAT, "listing.txt"), listing(&store)).unwrap();
    }
}

/// The same in the files of a database.
#[cfg(feature = "rocksdb")]
mod on_disk {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn directory(format: &str, store: &str) -> PathBuf {
        path(format, &format!("{store}.store"))
    }

    /// All files below `directory`, by their path there.
    fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(directory).unwrap() {
            let (path, name) = entry.map(|entry| (entry.path(), PathBuf::from(entry.file_name()))).unwrap();
            if path.is_dir() {
                found.extend(files(&path).into_iter().map(|(below, bytes)| (name.join(below), bytes)));
            } else {
                found.insert(name, fs::read(path).unwrap());
            }
        }
        found
    }

    #[test]
    fn stores_on_disk_of_every_format_open_read_as_they_were_and_are_written_to() {
        for format in formats() {
            let expected = fs::read_to_string(path(&format, "listing.txt")).unwrap();
            for name in STORES {
                // Opening one leaves its mark.
                let place = tempfile::tempdir().unwrap();
                let fixture = files(&directory(&format, name));
                for (file, bytes) in &fixture {
                    let to = place.path().join(file);
                    fs::create_dir_all(to.parent().unwrap()).unwrap();
                    fs::write(to, bytes).unwrap();
                }
                let has = |file: &str| fixture.contains_key(Path::new(file));
                assert!(has("COMMIT") && has("database/MANIFEST.guard"));
                assert_eq!(has("LOCKED-KEY"), name == "encrypted");

                let look = OpenOptions { read_only: true, ..options(name) };
                let store = EngramStore::open_with(place.path(), &look, false).unwrap();
                assert_sound(&store);
                assert_eq!(listing(&store), expected, "{format} {name}");
                drop(store);
                assert!(files(place.path()) == fixture, "{format} {name}: reading changed it");

                let store = EngramStore::open_with(place.path(), &options(name), false).unwrap();
                assert!(store.remembers(b"long", &[4; 32], b"stat").unwrap());
                edit_long(&store);
                store.close().unwrap();
                drop(store);
                let store = EngramStore::open_with(place.path(), &look, false).unwrap();
                assert_sound(&store);
                let (versions, tags) = expected.split_at(expected.find("tag ").unwrap());
                let now = listing(&store);
                assert!(now.starts_with(versions) && now.ends_with(tags), "{format} {name}: {now}");
                assert_eq!(store.version(5).unwrap().parent, Some(4));
            }
        }
    }

    #[test]
    #[ignore = "writes the fixture of this format: only with ENGRAMS_WRITE_FIXTURES set, and only for a new format"]
    fn write_fixtures_on_disk() {
        if std::env::var_os("ENGRAMS_WRITE_FIXTURES").is_none() {
            return;
        }
        for name in STORES {
            let place = directory(FORMAT, name);
            drop(fs::remove_dir_all(&place));
            let store = EngramStore::open_with(&place, &options(name), true).unwrap();
            write(&store);
            assert_sound(&store);
            store.close().unwrap();
        }
    }
}
