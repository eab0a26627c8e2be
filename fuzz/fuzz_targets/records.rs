//! Arbitrary records under a store: no panic, no endless work, no wrong bytes.
//!
//! A small real store (two versions, with corrections, a long list, every kind of entry) is damaged record by record
//! and opened again. Two games are played:
//!
//! - *damage*: bytes change without their seals. Whatever still reads must read as it was.
//!   What is ingested afterwards must come back exact, or be refused.
//! - *forgery*: records are written with right seals and checks, as somebody would who means harm. What reads need not
//!   be what it was, but nothing may panic.
#![no_main]

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, OnceLock};

use arbitrary::Arbitrary;
use engrams::store::backend::MemoryBackend;
use engrams::store::{Backend, Batch, Durability, Space, Superblock};
use engrams::{
    Attributes, ChunkParams, Compression, EngramStore, ErrorKind, IngestOptions, OpenOptions,
    StreamingDecoder, Transaction, VerifyOptions,
};
use libfuzzer_sys::fuzz_target;

type Record = (Space, Vec<u8>, Vec<u8>);

#[derive(Debug, Arbitrary)]
enum Edit {
    /// Changes one byte of a record.
    Flip { record: u16, at: u16, by: u8 },
    /// Cuts a record off.
    Truncate { record: u16, at: u16 },
    /// Removes a record.
    Remove { record: u16 },
    /// Gives a record the value of another.
    Copy { record: u16, from: u16 },
    /// Writes anything under any key.
    Write { space: u8, key: Vec<u8>, value: Vec<u8> },
    /// Changes one byte of a record's content and makes its seal or check right again.
    Forge { record: u16, at: u16, by: u8 },
    /// Writes anything under a small id, with a right seal or check.
    Invent { space: u8, id: u8, content: Vec<u8> },
}

const PATHS: [&str; 4] = ["a/long", "a/small", "a/twin", "b"];

/// Deterministic bytes without much structure.
fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// The content of each path in version 1 and in version 2.
fn contents(version: u64) -> BTreeMap<&'static str, Vec<u8>> {
    let mut long = noise(1, 9000);
    let mut small = b"a few lines of text\n".repeat(5);
    if version == 2 {
        long.splice(5000..5010, noise(9, 37));
        small.extend_from_slice(b"and one more\n");
    }
    BTreeMap::from([
        (PATHS[0], long),
        (PATHS[1], small),
        (PATHS[2], noise(1, 3000)),
        (PATHS[3], noise(7, 300 * version as usize)),
    ])
}

fn settings() -> (OpenOptions, IngestOptions) {
    let chunks = ChunkParams::new(64, 256, 1024).expect("within the limits");
    let superblock = Superblock { chunks, group: 4, ..Superblock::default() };
    let open = OpenOptions { cache_bytes: 1 << 20, superblock, ..OpenOptions::default() };
    let ingest = IngestOptions { threads: 1, compression: Compression::Zstd(1), ..IngestOptions::default() };
    (open, ingest)
}

fn ingest(store: &EngramStore, contents: &BTreeMap<&'static str, Vec<u8>>) -> engrams::Result<u64> {
    let attributes =
        Attributes { mode: 0o644, xattrs: vec![(b"user.x".into(), b"y".into())], ..Default::default() };
    let mut transaction = Transaction::begin(store, &settings().1)?;
    transaction.put_directory(b"a", attributes.clone())?;
    transaction.put_symlink(b"l", b"../a", attributes.clone())?;
    for (path, content) in contents {
        transaction.put_file(path.as_bytes(), attributes.clone(), &mut content.as_slice())?;
    }
    Ok(transaction.commit("fuzz")?.version)
}

/// The records of the good store.
fn good() -> &'static [Record] {
    static RECORDS: OnceLock<Vec<Record>> = OnceLock::new();
    RECORDS.get_or_init(|| {
        let backend = Arc::new(MemoryBackend::new());
        let store =
            EngramStore::with_backend(backend.clone(), &settings().0).expect("an empty backend opens");
        for version in 1..=2 {
            assert_eq!(ingest(&store, &contents(version)).expect("a good store takes files"), version);
        }
        let stats = store.stats().expect("a good store");
        assert!(stats.recalled_chunks > 0 && stats.chunks > 30, "{stats:?}");
        let report = store.verify(VerifyOptions { deep: true }, &mut |_| {}).expect("a good store");
        assert!(report.is_ok(), "{report:?}");
        Space::ALL
            .into_iter()
            .flat_map(|space| {
                let records = backend.contents(space).expect("it is open");
                records.into_iter().map(move |(key, value)| (space, key, value))
            })
            .collect()
    })
}

fn seal(space: Space, key: &[u8], content: &[u8]) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[space as u8, key.len() as u8]).update(key).update(content);
    [content, &hasher.finalize().as_bytes()[..4]].concat()
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// A page record with these plain bytes.
fn page(key: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut record = vec![0];
    put_varint(&mut record, plain.len() as u64);
    record.push(0);
    let check = blake3::Hasher::new().update(key).update(plain).finalize();
    record.extend_from_slice(&check.as_bytes()[..8]);
    record.extend_from_slice(plain);
    seal(Space::Page, key, &record)
}

/// The plain bytes of a good page record.
fn plain_page(records: &[Record], key: &[u8]) -> Option<Vec<u8>> {
    let (_, _, record) = records.iter().find(|(space, found, _)| *space == Space::Page && found == key)?;
    // Without its seal.
    let (&depth, mut rest) = record.get(..record.len().checked_sub(4)?)?.split_first()?;
    let len = varint(&mut rest)? as usize;
    let mut prefix = Vec::new();
    let mut raw = false;
    if depth == 0 {
        raw = rest.first() == Some(&0);
        rest = rest.get(1..)?;
    } else {
        let id = u64::from_be_bytes(key.try_into().ok()?);
        prefix = plain_page(records, &id.checked_sub(varint(&mut rest)?)?.to_be_bytes())?;
    }
    let coded = rest.get(8..)?;
    if raw {
        return Some(coded.to_vec());
    }
    let mut context = zstd_safe::DCtx::create();
    let mut plain = Vec::with_capacity(len);
    context.set_parameter(zstd_safe::DParameter::Format(zstd_safe::FrameFormat::Magicless)).ok()?;
    if !prefix.is_empty() {
        context.ref_prefix(&prefix).ok()?;
    }
    context.decompress(&mut plain, coded).ok()?;
    Some(plain)
}

fn change(content: &mut [u8], at: u16, by: u8) {
    if let Some(last) = content.len().checked_sub(1) {
        content[usize::from(at) % (last + 1)] ^= by.max(1);
    }
}

/// Applies the edits; tells whether one of them was a forgery.
fn apply(edits: Vec<Edit>) -> (Vec<(Space, Vec<u8>, Option<Vec<u8>>)>, bool) {
    let good = good();
    let pick = |record: u16| good[usize::from(record) % good.len()].clone();
    let mut forged = false;
    let mut changes = Vec::new();
    for edit in edits {
        let (space, key, value) = match edit {
            Edit::Flip { record, at, by } => {
                let (space, key, mut value) = pick(record);
                change(&mut value, at, by);
                (space, key, Some(value))
            }
            Edit::Truncate { record, at } => {
                let (space, key, mut value) = pick(record);
                value.truncate(usize::from(at) % value.len().max(1));
                (space, key, Some(value))
            }
            Edit::Remove { record } => {
                let (space, key, _) = pick(record);
                (space, key, None)
            }
            Edit::Copy { record, from } => {
                let (space, key, _) = pick(record);
                (space, key, Some(pick(from).2))
            }
            Edit::Write { space, key, value } => (Space::ALL[usize::from(space) % Space::ALL.len()], key, Some(value)),
            Edit::Forge { record, at, by } => {
                forged = true;
                let (space, key, mut value) = pick(record);
                match space {
                    Space::Page => {
                        value = plain_page(good, &key).expect("good pages decode");
                        change(&mut value, at, by);
                        value = page(&key, &value);
                    }
                    Space::Meta | Space::Version | Space::Head => {
                        value.truncate(value.len() - 4);
                        change(&mut value, at, by);
                        value = seal(space, &key, &value);
                    }
                    _ => change(&mut value, at, by),
                }
                (space, key, Some(value))
            }
            Edit::Invent { space, id, content } => {
                forged = true;
                let key = u64::from(id).to_be_bytes().to_vec();
                match space % 6 {
                    0 => (Space::Page, key.clone(), Some(page(&key, &content))),
                    1 => (Space::Head, key.clone(), Some(seal(Space::Head, &key, &content))),
                    2 => (Space::Version, key.clone(), Some(seal(Space::Version, &key, &content))),
                    3 => (Space::Meta, b"head".to_vec(), Some(seal(Space::Meta, b"head", &content))),
                    4 => (
                        Space::Meta,
                        b"superblock".to_vec(),
                        Some(seal(Space::Meta, b"superblock", &content)),
                    ),
                    _ => (Space::Payload, key, Some(content)),
                }
            }
        };
        changes.push((space, key, value));
    }
    (changes, forged)
}

/// Everything a path holds, if it can be read.
fn read(store: &EngramStore, path: &str, version: u64) -> engrams::Result<Vec<u8>> {
    let mut decoder = StreamingDecoder::builder(store, path).with_version(version).build()?;
    let mut content = Vec::new();
    decoder.read_to_end(&mut content).map_err(|error| engrams::Error::io("reading", error))?;
    Ok(content)
}

/// A forged number of versions makes every walk over them long, and tells nothing.
const MANY: u64 = 1000;

fuzz_target!(|edits: Vec<Edit>| {
    let edited = edits.len();
    let (changes, forged) = apply(edits);
    let backend = Arc::new(MemoryBackend::new());
    let mut batch = Batch::new();
    for (space, key, value) in good() {
        batch.put(*space, key.clone(), value.clone());
    }
    batch.changes.extend(changes);
    backend.write(batch, Durability::Durable).expect("a memory backend takes everything");

    let (open, _) = settings();
    let Ok(store) = EngramStore::with_backend(backend.clone(), &open) else { return };
    let newest = store.head().ok().flatten().map_or(0, |head| head.number);
    if newest > MANY {
        return;
    }
    for version in 1..=2 {
        for (path, content) in contents(version) {
            if let Ok(found) = read(&store, path, version) {
                assert!(forged || found == content, "wrong bytes in `{path}` of version {version}");
            }
        }
    }
    let _ = store.versions();
    let _ = store.stats();
    let _ = store.verify(VerifyOptions { deep: true }, &mut |_| {});
    // Damage must not spoil what comes. An ingest takes longer than all the rest, so few inputs pay for one.
    if edited % 4 != 1 {
        return;
    }
    let mut next = contents(2);
    next.insert(PATHS[3], noise(5, 2000));
    if let Ok(version) = ingest(&store, &next) {
        drop(store);
        if let Ok(store) = EngramStore::with_backend(backend, &open) {
            for (path, content) in next {
                match read(&store, path, version) {
                    Ok(found) => {
                        assert!(forged || found == content, "wrong bytes in `{path}` after an ingest")
                    }
                    Err(error) => {
                        assert!(forged || error.kind() != ErrorKind::NotFound, "`{path}` is gone: {error}")
                    }
                }
            }
        }
    }
});
