//! The fear: that something of what is stored can be read, or changed unnoticed, without the key.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use engrams::store::backend::{Fault, FaultyBackend, MemoryBackend, Snapshot};
use engrams::store::{Backend, Batch, Durability, Space, Superblock};
use engrams::{
    ChunkParams, CollectOptions, EngramStore, ErrorKind, Forget, IngestOptions, OpenOptions, PassphraseCost,
    RepairOptions, Result, Retention, StoreKey, Transaction, VerifyOptions,
};

use crate::common::{
    Records, assert_sound, backend_of, edit, fixed, ingest, noise, read, records, small_store, text, try_read,
};

fn key(byte: u8) -> StoreKey {
    StoreKey::from_bytes([byte; 32])
}

fn words(text: &str) -> StoreKey {
    StoreKey::passphrase_at(text, PassphraseCost { memory_kib: 8, passes: 1 }).unwrap()
}

fn open(backend: &Arc<MemoryBackend>, key: Option<StoreKey>) -> Result<EngramStore> {
    open_any(Arc::<MemoryBackend>::clone(backend), key)
}

fn open_any(backend: Arc<dyn Backend>, key: Option<StoreKey>) -> Result<EngramStore> {
    let superblock = Superblock { chunks: ChunkParams::from_average(1024).unwrap(), ..Superblock::default() };
    EngramStore::with_backend(backend, &OpenOptions { key, superblock, ..OpenOptions::default() })
}

/// What no byte of the store may show.
const SECRETS: [&str; 5] = ["diary of Ada", "secret-project", "quarterly", "the message of", "release-name"];

fn content(seed: u64) -> Vec<u8> {
    text(30_000, seed)
}

/// Noise, which is stored raw, and words that are so with it.
fn diary(number: usize) -> Vec<u8> {
    [b"diary of Ada", noise(5000, number as u64).as_slice()].concat()
}

/// Ingests, edits, renames, tags, forgets and collects; what versions 2 and up must read as afterwards.
fn session(store: &EngramStore) -> Vec<Vec<u8>> {
    let mut versions = vec![content(1)];
    for seed in 0..4 {
        let mut next = versions[versions.len() - 1].clone();
        edit(&mut next, 5, seed);
        versions.push(next);
    }
    for (number, content) in versions.iter().enumerate() {
        let mut tx = Transaction::begin(store, &IngestOptions::default()).unwrap();
        tx.put_file(b"secret-project/quarterly.txt", fixed(), &mut content.as_slice()).unwrap();
        tx.put_file(b"secret-project/noise", fixed(), &mut diary(number).as_slice()).unwrap();
        tx.commit("the message of a version").unwrap();
        store.remember(b"secret-project/quarterly.txt", &[number as u8; 32], b"stat").unwrap();
    }
    store.tag("release-name", 2).unwrap();
    store.tag("zebra", 3).unwrap();
    let keep = Retention { last: Some(3), ..Retention::default() };
    assert_eq!(store.forget(&Forget { keep, ..Forget::default() }).unwrap().forget, [1]);
    store.collect(&CollectOptions::default(), &mut |_| {}).unwrap();
    versions
}

fn all(backend: &MemoryBackend) -> Records {
    records(backend, &Space::ALL)
}

fn assert_kept(store: &EngramStore, versions: &[Vec<u8>]) {
    for (at, content) in versions.iter().enumerate().skip(1) {
        assert!(read(store, "secret-project/quarterly.txt", at as u64 + 1) == *content, "version {}", at + 1);
    }
}

#[test]
fn everything_works_on_an_encrypted_store_and_after_opening_it_again() {
    let backend = Arc::new(MemoryBackend::new());
    let store = open(&backend, Some(key(1))).unwrap();
    assert!(store.is_encrypted());
    let versions = session(&store);
    for _ in 0..2 {
        let store = open(&backend, Some(key(1))).unwrap();
        assert_kept(&store, &versions);
        let tags = store.tags().unwrap();
        assert_eq!(
            tags.iter().map(|tag| (&*tag.name, tag.version)).collect::<Vec<_>>(),
            [("release-name", 2), ("zebra", 3)]
        );
        assert!(store.remembers(b"secret-project/quarterly.txt", &[4; 32], b"stat").unwrap());
        assert!(!store.remembers(b"secret-project/quarterly.txt", &[4; 32], b"other").unwrap());
        assert_eq!(store.version(3).unwrap().message, "the message of a version");
        assert_sound(&store);
    }
    store.untag("zebra").unwrap();
    assert_eq!(store.tags().unwrap().len(), 1);
}

#[test]
fn the_same_content_again_costs_nothing_in_an_encrypted_store() {
    let backend = Arc::new(MemoryBackend::new());
    let store = open(&backend, Some(key(1))).unwrap();
    let bytes = text(60_000, 3);
    let first = ingest(&store, "a", &bytes);
    assert!(first.chunks > 30);
    drop(store);
    let store = open(&backend, Some(key(1))).unwrap();
    let payloads = backend.contents(Space::Payload).unwrap();
    let again = ingest(&store, "b", &bytes);
    assert_eq!((again.chunks, again.reused), (first.chunks, first.chunks));
    assert!(backend.contents(Space::Payload).unwrap() == payloads);
    assert!(read(&store, "b", 2) == bytes);
}

#[test]
fn an_edit_is_recalled_and_corrected_as_in_a_plain_store() {
    let mut edited = text(200_000, 3);
    let costs = [None, Some(key(1))].map(|key| {
        let backend = Arc::new(MemoryBackend::new());
        let store = open(&backend, key).unwrap();
        ingest(&store, "a", &text(200_000, 3));
        edited = text(200_000, 3);
        edit(&mut edited, 40, 8);
        let result = ingest(&store, "a", &edited);
        assert!(result.recalled > 0 && read(&store, "a", 2) == edited);
        result.correction_bytes
    });
    assert!(costs[1] < 2 * costs[0], "{costs:?}");
}

#[test]
fn no_byte_of_an_encrypted_store_shows_what_is_in_it() {
    let plain = Arc::new(MemoryBackend::new());
    let sealed = Arc::new(MemoryBackend::new());
    session(&open(&plain, None).unwrap());
    session(&open(&sealed, Some(words("hunter2"))).unwrap());
    let shows = |backend: &MemoryBackend, needle: &[u8]| {
        let found = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        all(backend).iter().any(|((_, key), value)| found(key) || found(value))
    };
    for needle in SECRETS {
        assert!(shows(&plain, needle.as_bytes()), "`{needle}` is not looked for where it is");
        assert!(!shows(&sealed, needle.as_bytes()), "`{needle}` can be read");
    }
    assert!(!shows(&sealed, b"hunter2"));
    // Noise is stored raw, and any 16 bytes of it would tell.
    let noise = noise(5000, 4);
    assert!(shows(&plain, &noise[2000..2016]));
    assert!(noise.chunks(16).all(|piece| !shows(&sealed, piece)), "content can be read");
    // Names of chunks are keys in a plain store, and ids of nothing in an encrypted one.
    let store = open(&sealed, Some(words("hunter2"))).unwrap();
    let names: BTreeSet<Vec<u8>> =
        all(&sealed).into_keys().filter(|(space, _)| *space == Space::Name).map(|(_, key)| key).collect();
    let heads = backend_heads(&store, &sealed);
    assert!(!heads.is_empty() && heads.iter().all(|name| !names.contains(&name[..8])));
    assert!(heads.iter().all(|name| !shows(&sealed, &name[..8])));
}

/// The names of all chunks.
fn backend_heads(store: &EngramStore, backend: &MemoryBackend) -> Vec<[u8; 32]> {
    let ids = backend.contents(Space::Head).unwrap().into_iter();
    let ids = ids.map(|(key, _)| u64::from_be_bytes(key.try_into().unwrap()));
    ids.map(|id| store.chunk_head(id).unwrap().name).collect()
}

/// Notes all values that are written.
struct Recorded(Arc<MemoryBackend>, Arc<Mutex<Vec<Vec<u8>>>>);

impl Backend for Recorded {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.0.get(space, key)
    }
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        self.0.snapshot()
    }
    fn write(&self, batch: Batch, durability: Durability) -> Result<()> {
        let mut values = self.1.lock().unwrap();
        let sealed = batch.changes.iter().filter(|(_, key, _)| key != b"encryption");
        values.extend(sealed.filter_map(|(.., value)| value.clone()));
        drop(values);
        self.0.write(batch, durability)
    }
    fn flush(&self) -> Result<()> {
        self.0.flush()
    }
    fn close(&self) -> Result<()> {
        self.0.close()
    }
    fn stored_bytes(&self) -> Result<u64> {
        self.0.stored_bytes()
    }
}

#[test]
fn no_nonce_comes_again_not_even_when_the_store_is_put_back_and_the_same_is_done_again() {
    let backend = Arc::new(MemoryBackend::new());
    drop(open(&backend, Some(key(1))).unwrap());
    let before = all(&backend);
    let values = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..3 {
        let recorded = Recorded(backend_of(&before), Arc::clone(&values));
        let store = open_any(Arc::new(recorded), Some(key(1))).unwrap();
        session(&store);
    }
    let values = values.lock().unwrap();
    let nonces: BTreeSet<&[u8]> = values.iter().map(|value| &value[value.len() - 24..]).collect();
    assert!(values.len() > 700, "{}", values.len());
    assert_eq!(nonces.len(), values.len());
}

#[test]
fn the_same_session_writes_the_same_records_on_any_number_of_threads() {
    let backend = Arc::new(MemoryBackend::new());
    drop(open(&backend, Some(key(1))).unwrap());
    let before = all(&backend);
    let [one, four] = [1, 4].map(|threads| {
        let backend = backend_of(&before);
        let store = open(&backend, Some(key(1))).unwrap();
        let options = IngestOptions { threads, ..IngestOptions::default() };
        for seed in 0..3 {
            let mut tx = Transaction::begin(&store, &options).unwrap();
            tx.put_file(b"a", fixed(), &mut content(seed).as_slice()).unwrap();
            tx.commit("").unwrap();
        }
        // A version's record tells when it was made.
        let records = all(&backend).into_iter().filter(|((space, _), _)| *space != Space::Version);
        records.map(|(place, value)| (place, value.len())).collect::<Vec<_>>()
    });
    assert!(one.len() > 50 && one == four);
}

/// A small store with all kinds of records.
fn small() -> (Records, Vec<Vec<u8>>) {
    let backend = Arc::new(MemoryBackend::new());
    let versions = session(&open(&backend, Some(key(1))).unwrap());
    let records = all(&backend);
    let spaces: BTreeSet<Space> = records.keys().map(|(space, _)| *space).collect();
    assert_eq!(spaces.len(), Space::ALL.len());
    (records, versions)
}

/// The store over these records is found to be damaged, and shows nothing that is wrong.
fn assert_detected(records: &Records, place: &(Space, Vec<u8>), versions: &[Vec<u8>]) {
    let store = match open(&backend_of(records), Some(key(1))) {
        Ok(store) => store,
        Err(error) => return assert_eq!(error.kind(), ErrorKind::Corrupt, "{place:?}: {error}"),
    };
    let detected = if place.0 == Space::Seen {
        // A cache: what is damaged in it is not believed.
        !store.remembers(b"secret-project/quarterly.txt", &[4; 32], b"stat").unwrap()
    } else {
        match store.verify(VerifyOptions { deep: false }, &mut |_| {}) {
            Ok(report) => !report.errors.is_empty(),
            Err(error) => error.kind() == ErrorKind::Corrupt,
        }
    };
    assert!(detected, "{place:?}");
    for (at, content) in versions.iter().enumerate().skip(1) {
        if let Ok(found) = try_read(&store, b"secret-project/quarterly.txt", Some(at as u64 + 1)) {
            assert!(found == *content, "{place:?}");
        }
    }
}

#[test]
fn a_flipped_bit_in_any_record_is_found() {
    let (records, versions) = small();
    for (number, (place, value)) in records.iter().enumerate() {
        let mut damaged = records.clone();
        let at = number * 7919 % value.len();
        damaged.get_mut(place).unwrap()[at] ^= 1 << (number % 8);
        assert_detected(&damaged, place, &versions);
    }
}

#[test]
fn two_records_that_changed_places_are_found() {
    let (records, versions) = small();
    let places: Vec<_> = records.keys().filter(|(_, key)| key != b"encryption").collect();
    // With the next of its kind, and with the first of the next kind.
    for pair in places.windows(2) {
        let mut swapped = records.clone();
        swapped.insert(pair[0].clone(), records[pair[1]].clone());
        swapped.insert(pair[1].clone(), records[pair[0]].clone());
        let place = if pair[0].0 == Space::Seen { pair[1] } else { pair[0] };
        assert_detected(&swapped, place, &versions);
    }
}

#[test]
fn records_of_another_store_with_the_same_key_are_refused() {
    let (records, versions) = small();
    let other = small().0;
    for (number, (place, value)) in
        other.iter().enumerate().filter(|(_, (place, _))| records.contains_key(place))
    {
        if number % 5 == 0 && place.1 != b"encryption" {
            let mut mixed = records.clone();
            mixed.insert(place.clone(), value.clone());
            assert_detected(&mixed, place, &versions);
        }
    }
}

#[test]
fn without_its_key_a_store_does_not_open() {
    let refused = |backend: &Arc<MemoryBackend>, key: Option<StoreKey>, why: &str| {
        let error = open(backend, key).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.to_string().contains(why), "{error}");
    };
    let sealed = Arc::new(MemoryBackend::new());
    drop(open(&sealed, Some(key(1))).unwrap());
    let before = all(&sealed);
    refused(&sealed, None, "the store is encrypted, and no key was given");
    refused(&sealed, Some(key(2)), "the key is not the one of this store");
    refused(&sealed, Some(words("x")), "locked with a key file, not with a passphrase");
    assert!(all(&sealed) == before);
    let plain = small_store(1024).1;
    refused(&plain, Some(key(1)), "the store is not encrypted, and a key was given");
    open(&plain, None).unwrap();
}

#[test]
fn a_store_whose_key_record_is_gone_is_not_taken_for_a_plain_or_a_new_one() {
    let (mut records, _) = small();
    records.remove(&(Space::Meta, b"encryption".to_vec())).unwrap();
    for (key, kind) in [(None, ErrorKind::Corrupt), (Some(key(1)), ErrorKind::Denied)] {
        assert_eq!(open(&backend_of(&records), key).err().unwrap().kind(), kind);
    }
    records.remove(&(Space::Meta, b"superblock".to_vec())).unwrap();
    for key in [None, Some(key(1))] {
        let backend = backend_of(&records);
        assert_eq!(open(&backend, key).err().unwrap().kind(), ErrorKind::Corrupt);
        assert!(all(&backend) == records, "something was written");
    }
}

#[test]
fn a_new_key_opens_the_store_and_the_old_one_does_not() {
    let backend = Arc::new(MemoryBackend::new());
    let store = open(&backend, Some(key(1))).unwrap();
    ingest(&store, "a", &content(1));
    let before = all(&backend);
    let mut old = key(1);
    for new in [key(2), words("a passphrase"), words("another"), key(3)] {
        let store = open(&backend, Some(old.clone())).unwrap();
        store.rekey(&new).unwrap();
        // The handle that was open goes on.
        assert!(read(&store, "a", 1) == content(1));
        assert_eq!(open(&backend, Some(old)).err().unwrap().kind(), ErrorKind::Denied);
        old = new;
    }
    let store = open(&backend, Some(old)).unwrap();
    assert!(read(&store, "a", 1) == content(1));
    // The lock alone changed.
    let changed = all(&backend).into_iter().filter(|(place, value)| before.get(place) != Some(value));
    assert_eq!(changed.map(|(place, _)| place.1).collect::<Vec<_>>(), [b"encryption".to_vec()]);
    assert_eq!(small_store(1024).0.rekey(&key(1)).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn stores_with_different_keys_cut_the_same_content_at_different_places() {
    let bytes = text(200_000, 9);
    let lengths = [(); 3].map(|()| {
        let backend = Arc::new(MemoryBackend::new());
        let store = open(&backend, Some(key(1))).unwrap();
        ingest(&store, "a", &bytes);
        let count = backend.contents(Space::Head).unwrap().len() as u64;
        (1..=count).map(|id| store.chunk_head(id).unwrap().len).collect::<Vec<_>>()
    });
    assert!(lengths[0] != lengths[1] && lengths[1] != lengths[2] && lengths[0] != lengths[2]);
}

/// A backend that a [`FaultyBackend`] can stand before without owning it.
struct Shared(Arc<MemoryBackend>);

impl Backend for Shared {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.0.get(space, key)
    }
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        self.0.snapshot()
    }
    fn write(&self, batch: Batch, durability: Durability) -> Result<()> {
        self.0.write(batch, durability)
    }
    fn flush(&self) -> Result<()> {
        self.0.flush()
    }
    fn close(&self) -> Result<()> {
        Ok(())
    }
    fn stored_bytes(&self) -> Result<u64> {
        self.0.stored_bytes()
    }
}

#[test]
fn a_crash_at_any_write_of_making_filling_and_rekeying_leaves_a_store_that_opens() {
    let new = words("new");
    let work = |store: &EngramStore| -> Result<()> {
        let mut tx = Transaction::begin(store, &IngestOptions { threads: 1, ..IngestOptions::default() })?;
        tx.put_file(b"a", fixed(), &mut content(1).as_slice())?;
        tx.commit("")?;
        store.rekey(&new)
    };
    let mut complete = false;
    for write in 0.. {
        let backend = Arc::new(MemoryBackend::new());
        let fault = Fault { write: Some(write), fatal: true, ..Fault::default() };
        let faulty = FaultyBackend::new(Shared(Arc::clone(&backend)), fault);
        complete = open_any(Arc::new(faulty), Some(key(1))).and_then(|store| work(&store)).is_ok();
        // Without a key record it is no store yet, and any key makes one.
        let opened = if complete { open(&backend, Some(new.clone())) } else { open(&backend, Some(key(1))) };
        let store = opened.unwrap_or_else(|error| panic!("write {write}: {error}"));
        if store.head().unwrap().is_some() {
            assert!(read(&store, "a", 1) == content(1));
        }
        assert_sound(&store);
        if complete {
            break;
        }
        assert!(write < 100, "it never ends");
    }
    assert!(complete);
}

/// Found by killing a process while it made an encrypted store: looking at what was there failed, for it tried to write.
#[test]
fn who_only_looks_makes_no_store_and_says_that_there_is_none() {
    let look = |backend: &Arc<MemoryBackend>, key: Option<StoreKey>| {
        let options = OpenOptions { key, read_only: true, ..OpenOptions::default() };
        EngramStore::with_backend(Arc::<MemoryBackend>::clone(backend), &options).err().unwrap()
    };
    let empty = Arc::new(MemoryBackend::new());
    let mut begun = small().0;
    begun.retain(|(_, key), _| key == b"encryption");
    for backend in [empty, backend_of(&begun)] {
        let before = all(&backend);
        assert_eq!(look(&backend, Some(key(1))).kind(), ErrorKind::NotFound);
        assert!(all(&backend) == before);
    }
    let mut headless = small().0;
    headless.remove(&(Space::Meta, b"superblock".to_vec())).unwrap();
    let error = look(&backend_of(&headless), Some(key(1)));
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

/// Found by damaging tables: one flipped bit in the block of the key record cost the whole store.
#[test]
fn a_lost_key_record_comes_back_from_a_copy_of_the_store_and_only_with_its_key() {
    let (records, versions) = small();
    let mut damaged = records.clone();
    for name in [&b"encryption"[..], b"superblock"] {
        damaged.remove(&(Space::Meta, name.to_vec())).unwrap();
    }
    let source = open(&backend_of(&records), Some(key(1))).unwrap();
    let foreign = open(&backend_of(&small().0), Some(key(1))).unwrap();
    let repair = |backend: &Arc<MemoryBackend>, key: StoreKey, sources: &[&EngramStore]| {
        let superblock = *source.superblock();
        let open = OpenOptions { key: Some(key), superblock, ..OpenOptions::default() };
        let sources = sources.iter().map(|&source| source.clone()).collect();
        let options = RepairOptions { sources, open, ..RepairOptions::default() };
        let backend = Arc::<MemoryBackend>::clone(backend);
        EngramStore::repair_backend(backend, &options, &mut |_| Ok(()), &mut |_| {})
    };
    let backend = backend_of(&damaged);
    // The record of another store unlocks, and opens nothing here.
    for sources in [&[][..], &[&foreign]] {
        let error = repair(&backend, key(1), sources).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("key record"), "{error}");
    }
    let nothing = repair(&Arc::new(MemoryBackend::new()), key(1), &[&source]).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::NotFound);
    assert_eq!(repair(&backend, key(2), &[&source]).unwrap_err().kind(), ErrorKind::Denied);
    assert!(all(&backend) == damaged, "something was written");
    let report = repair(&backend, key(1), &[&source]).unwrap();
    assert!(report.is_whole(), "{report:?}");
    assert_kept(&open(&backend, Some(key(1))).unwrap(), &versions);
}
