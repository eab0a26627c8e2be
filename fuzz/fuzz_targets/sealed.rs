//! Arbitrary records under an encrypted store, by somebody without its key: no panic, no wrong bytes, no costly opening.
//!
//! The store is the fixture in `testdata/stores`, whose records are the same in every process. A passphrase may lock it in
//! place of its key. Values are damaged, cut, removed, swapped and made up, the key record with right checks as well. Whatever
//! opens and reads all the same must be what was there: nothing but the key makes a value.
#![no_main]

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, OnceLock};

use arbitrary::Arbitrary;
use engrams::store::backend::MemoryBackend;
use engrams::store::{Backend, Batch, Durability, Space};
use engrams::{
    EngramStore, ErrorKind, Node, OpenOptions, PassphraseCost, RepairOptions, StoreKey, StreamingDecoder,
    VerifyOptions,
};
use libfuzzer_sys::fuzz_target;

const FIXTURE: &[u8] = include_bytes!("../../testdata/stores/format-1/encrypted");

type Records = Vec<(Space, Vec<u8>, Vec<u8>)>;

#[derive(Debug, Arbitrary)]
struct Input {
    /// The store is locked by a passphrase.
    by_words: bool,
    edits: Vec<Edit>,
    and_then: Then,
}

#[derive(Debug, Arbitrary)]
enum Edit {
    Flip {
        record: u16,
        at: u16,
        by: u8,
    },
    Truncate {
        record: u16,
        at: u16,
    },
    Remove {
        record: u16,
    },
    /// Gives a record the value of another.
    Copy {
        record: u16,
        from: u16,
    },
    Write {
        space: u8,
        id: u8,
        value: Vec<u8>,
    },
    /// The key record as it is.
    Key {
        value: Vec<u8>,
    },
    /// A key record with a right check, after its magic.
    ForgeKey {
        content: Vec<u8>,
    },
    /// One with these costs.
    Cost {
        memory_kib: u32,
        passes: u32,
        rest: Vec<u8>,
    },
    /// One byte of the key record, and a right check.
    FlipKey {
        at: u16,
        by: u8,
    },
}

#[derive(Debug, Arbitrary)]
enum Then {
    Read,
    Verify,
    Repair,
}

/// How the store is locked.
struct Lock {
    key: StoreKey,
    /// The key record.
    record: Vec<u8>,
}

struct Good {
    records: Records,
    by_key: Lock,
    by_words: Lock,
    /// Version and path to content.
    contents: BTreeMap<(u64, Vec<u8>), Vec<u8>>,
}

const KEY_RECORD: (Space, &[u8]) = (Space::Meta, b"encryption");

fn fixture() -> Records {
    let mut bytes = FIXTURE;
    let mut records = Records::new();
    while let Some((&space, rest)) = bytes.split_first() {
        bytes = rest;
        let mut part = || {
            let (len, rest) = bytes.split_first_chunk().expect("the fixture is whole");
            let (part, rest) = rest.split_at(u32::from_le_bytes(*len) as usize);
            bytes = rest;
            part.to_vec()
        };
        let (key, value) = (part(), part());
        let space = Space::ALL.into_iter().find(|known| *known as u8 == space).expect("a known space");
        records.push((space, key, value));
    }
    records
}

fn options(key: &StoreKey) -> OpenOptions {
    OpenOptions { key: Some(key.clone()), cache_bytes: 1 << 20, ..OpenOptions::default() }
}

fn backend_of(records: &Records) -> Arc<MemoryBackend> {
    let backend = MemoryBackend::new();
    let mut batch = Batch::new();
    for (space, key, value) in records {
        batch.put(*space, key.clone(), value.clone());
    }
    backend.write(batch, Durability::Durable).expect("a memory backend takes everything");
    Arc::new(backend)
}

fn good() -> &'static Good {
    static GOOD: OnceLock<Good> = OnceLock::new();
    GOOD.get_or_init(|| {
        let records = fixture();
        let backend = backend_of(&records);
        let lock = |key: StoreKey| {
            let record = backend.get(KEY_RECORD.0, KEY_RECORD.1).expect("it is open");
            Lock { key, record: record.expect("an encrypted store has one") }
        };
        let key = StoreKey::from_bytes([7; 32]);
        let store = EngramStore::with_backend(backend.clone(), &options(&key)).expect("the fixture opens");
        let mut contents = BTreeMap::new();
        for version in store.versions().expect("a good store") {
            for entry in store.tree(Some(version.number)).expect("a good store").entries(b"") {
                let entry = entry.expect("a good store");
                // One of many alike is enough.
                let is_alike = entry.path.starts_with(b"large/") && entry.path != b"large/7";
                if matches!(entry.node, Node::File(_)) && !is_alike {
                    let content = read(&store, &entry.path, version.number).expect("a good store");
                    contents.insert((version.number, entry.path), content);
                }
            }
        }
        let by_key = lock(key);
        let cost = PassphraseCost { memory_kib: 8, passes: 1 };
        let words = StoreKey::passphrase_at("words", cost).expect("within the limits");
        store.rekey(&words).expect("a good store");
        Good { records, by_key, by_words: lock(words), contents }
    })
}

fn read(store: &EngramStore, path: &[u8], version: u64) -> engrams::Result<Vec<u8>> {
    let mut decoder = StreamingDecoder::builder(store, path).with_version(version).build()?;
    let mut content = Vec::new();
    decoder.read_to_end(&mut content).map_err(|error| engrams::Error::io("reading", error))?;
    Ok(content)
}

/// A record with a right check.
fn checked(content: &[u8]) -> Vec<u8> {
    let (space, key) = KEY_RECORD;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[space as u8, key.len() as u8]).update(key).update(content);
    [content, &hasher.finalize().as_bytes()[..4]].concat()
}

const MAGIC: &[u8] = b"engrams\x1a";

fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// KiB times passes that a key record asks for, if it is one for a passphrase.
fn cost(record: &[u8]) -> Option<u64> {
    let mut rest = record.strip_prefix(MAGIC)?.get(2..)?;
    let mut varint = || {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let (&byte, more) = rest.split_first()?;
            rest = more;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    };
    let (memory, passes) = (varint()?, varint()?);
    // Beyond the limits it must cost nothing.
    ((8..=256 << 10).contains(&memory) && (1..=16).contains(&passes)).then_some(memory * passes)
}

/// Costs that are allowed and take long tell nothing: most KiB times passes that are tried.
const MOST_COST: u64 = 4096;

fn change(bytes: &mut [u8], at: u16, by: u8) {
    if let Some(last) = bytes.len().checked_sub(1) {
        bytes[usize::from(at) % (last + 1)] ^= by.max(1);
    }
}

fn apply(records: &mut Records, lock: &Lock, edit: Edit) {
    let count = records.len();
    let index = |record: u16| usize::from(record) % count;
    let mut set_key = |value: Vec<u8>| {
        let found = records.iter_mut().find(|(space, key, _)| (*space, &key[..]) == KEY_RECORD);
        found.expect("it is never removed, only emptied").2 = value;
    };
    match edit {
        Edit::Flip { record, at, by } => change(&mut records[index(record)].2, at, by),
        Edit::Truncate { record, at } => records[index(record)].2.truncate(usize::from(at)),
        Edit::Remove { record } => {
            let record = index(record);
            if (records[record].0, &records[record].1[..]) == KEY_RECORD {
                records[record].2.clear();
            } else {
                records.remove(record);
            }
        }
        Edit::Copy { record, from } => records[index(record)].2 = records[index(from)].2.clone(),
        Edit::Write { space, id, value } => {
            let space = Space::ALL[usize::from(space) % Space::ALL.len()];
            records.push((space, u64::from(id).to_be_bytes().to_vec(), value));
        }
        Edit::Key { value } => set_key(value),
        Edit::ForgeKey { content } => set_key(checked(&[MAGIC, &content].concat())),
        Edit::Cost { memory_kib, passes, rest } => {
            let mut content = [MAGIC, &[1, 1]].concat();
            put_varint(&mut content, memory_kib);
            put_varint(&mut content, passes);
            content.extend(rest);
            content.resize(content.len().max(120), 0);
            set_key(checked(&content));
        }
        Edit::FlipKey { at, by } => {
            let mut content = lock.record[..lock.record.len() - 4].to_vec();
            change(&mut content, at, by);
            set_key(checked(&content));
        }
    }
}

/// Opens the store, if it can be, and reads what is left.
fn look(backend: &Arc<MemoryBackend>, options: &OpenOptions) -> Option<EngramStore> {
    match EngramStore::with_backend(backend.clone(), options) {
        Ok(store) => {
            for ((version, path), content) in &good().contents {
                if let Ok(found) = read(&store, path, *version) {
                    assert!(
                        found == *content,
                        "wrong bytes in `{}` of version {version}",
                        path.escape_ascii()
                    );
                }
            }
            Some(store)
        }
        Err(error) => {
            let is_said =
                matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Denied | ErrorKind::Unsupported);
            assert!(is_said, "{error}");
            None
        }
    }
}

fuzz_target!(|input: Input| {
    let good = good();
    let lock = if input.by_words { &good.by_words } else { &good.by_key };
    let mut records = good.records.clone();
    for (space, key, value) in &mut records {
        if (*space, &key[..]) == KEY_RECORD {
            value.clone_from(&lock.record);
        }
    }
    input.edits.into_iter().for_each(|edit| apply(&mut records, lock, edit));
    let key_record = records.iter().find(|(space, key, _)| (*space, &key[..]) == KEY_RECORD);
    if key_record.and_then(|(.., value)| cost(value)).is_some_and(|cost| cost > MOST_COST) {
        return;
    }
    let backend = backend_of(&records);
    let options = options(&lock.key);
    let store = look(&backend, &options);
    match (input.and_then, store) {
        (Then::Verify, Some(store)) => {
            let _ = store.tags();
            let _ = store.verify(VerifyOptions { deep: true }, &mut |_| {});
        }
        (Then::Repair, store) => {
            drop(store);
            let repair = RepairOptions { open: options.clone(), ..RepairOptions::default() };
            let repaired =
                EngramStore::repair_backend(backend.clone(), &repair, &mut |_| Ok(()), &mut |_| {});
            if repaired.is_ok() {
                assert!(look(&backend, &options).is_some(), "a repaired store does not open");
            }
        }
        _ => {}
    }
});
