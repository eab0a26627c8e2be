//! Fear: a record that was made to hurt. Nothing panics, and nothing allocates or runs without bound.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use engrams::core::Dimension;
use engrams::store::backend::MemoryBackend;
use engrams::store::{Backend, Batch, Durability, Head, Space};
use engrams::{Engram, EngramStore, StreamingIngester, VerifyOptions};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::{
    Records, backend_of, cases, edit, fixed, ingest, noise, open, records, small_store, text, try_read,
};

/// Two versions of a small tree.
static RECORDS: LazyLock<Records> = LazyLock::new(|| {
    let (store, backend) = small_store(256);
    let mut bytes = text(9000, 1);
    ingest(&store, "f", &bytes);
    edit(&mut bytes, 3, 1);
    ingest(&store, "f", &bytes);
    ingest(&store, "g", &noise(100, 1));
    records(&backend, &Space::ALL)
});

/// `body` with the seal its place asks for: an adversary can compute it too.
fn sealed(space: Space, key: &[u8], body: &[u8]) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[space as u8, key.len() as u8]).update(key).update(body);
    [body, &hasher.finalize().as_bytes()[..4]].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A page record with these plain bytes and a good check.
fn page(key: &[u8], plain: &[u8]) -> Vec<u8> {
    let hash = blake3::Hasher::new().update(key).update(plain).finalize();
    [&[0][..], &varint(plain.len() as u64), &[0], &hash.as_bytes()[..8], plain].concat()
}

/// The plain bytes of a page that is kept as it is, if this is one.
fn plain_page(record: &[u8]) -> Option<&[u8]> {
    let [0, rest @ ..] = record else { return None };
    let (len, rest) = rest.split_at(rest.iter().position(|byte| byte & 0x80 == 0)? + 1);
    (len.len() < 3 && rest.first() == Some(&0)).then(|| rest.get(9..))?
}

/// How a record is spoilt.
#[derive(Debug, Clone)]
enum Spoil {
    /// Any bytes.
    Random(Vec<u8>),
    /// The record with some bytes changed, and its seal made good.
    Resealed(Vec<(usize, u8)>),
    /// The record cut short.
    Short(usize),
    /// A plain page with some bytes changed and its check made good.
    Repaged(Vec<(usize, u8)>),
    /// Plain bytes in a good page.
    Page(Vec<u8>),
    /// Another record's value, sealed for this place.
    Other(usize),
    /// Gone.
    Gone,
}

fn spoil() -> impl Strategy<Value = Spoil> {
    // Small numbers often, so that counts and lengths are believed.
    let byte = prop_oneof![3 => 0_u8..6, 1 => any::<u8>(), 1 => Just(0xff_u8)];
    prop_oneof![
        2 => vec(any::<u8>(), 0..60).prop_map(Spoil::Random),
        4 => vec((any::<usize>(), any::<u8>()), 1..4).prop_map(Spoil::Resealed),
        4 => vec((any::<usize>(), any::<u8>()), 1..4).prop_map(Spoil::Repaged),
        1 => any::<usize>().prop_map(Spoil::Short),
        3 => vec(byte, 0..80).prop_map(Spoil::Page),
        1 => any::<usize>().prop_map(Spoil::Other),
        1 => Just(Spoil::Gone),
    ]
}

/// Everything one can do to a store; errors are fine.
fn exercise(backend: Arc<MemoryBackend>) {
    let Ok(store) = open(backend, 256) else { return };
    let _ = store.versions();
    let _ = store.stats();
    for number in 0..5 {
        let Ok(version) = store.version(number) else { continue };
        let _ = store.engram(&version);
        for entry in store.tree_of(Some(&version)).entries(b"").take(1000).flatten() {
            let _ = try_read(&store, &entry.path, Some(number));
        }
        for path in [&b"f"[..], b"g", b"h"] {
            let _ = try_read(&store, path, Some(number));
        }
    }
    let _ = store.verify(VerifyOptions { deep: false }, &mut |_| {});
    let _ = store.verify(VerifyOptions { deep: true }, &mut |_| {});
    let _ = overwrite(&store);
    let _ = remove(&store);
}

fn overwrite(store: &EngramStore) -> engrams::Result<()> {
    let mut ingester = StreamingIngester::builder(store).with_path("f").with_attributes(fixed()).build()?;
    ingester.ingest_bytes(&text(9500, 1))?;
    ingester.finalize().map(drop)
}

fn remove(store: &EngramStore) -> engrams::Result<()> {
    let mut tx = engrams::Transaction::begin(store, &engrams::IngestOptions::default())?;
    tx.remove(b"g")?;
    tx.put_file(b"g", fixed(), &mut &b"again"[..])?;
    tx.commit("").map(drop)
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn spoilt_records_never_panic(spoils in vec((any::<usize>(), spoil()), 1..4)) {
        let backend = backend_of(&RECORDS);
        let all: Vec<_> = RECORDS.iter().collect();
        let spaces = Space::ALL;
        let mut batch = Batch::new();
        for (which, spoil) in spoils {
            // The space first, so that the few records of a small space are met as often.
            let space = spaces[which % spaces.len()];
            let here: Vec<_> = all.iter().filter(|((s, _), _)| *s == space).collect();
            if here.is_empty() {
                continue;
            }
            let ((_, key), value) = here[which / spaces.len() % here.len()];
            let body = &value[..value.len().saturating_sub(4)];
            let value = match spoil {
                Spoil::Random(bytes) => bytes,
                Spoil::Resealed(changes) => {
                    let mut body = body.to_vec();
                    for (at, byte) in changes {
                        let len = body.len().max(1);
                        if let Some(b) = body.get_mut(at % len) {
                            *b = byte;
                        }
                    }
                    sealed(space, key, &body)
                }
                Spoil::Repaged(changes) => match plain_page(value) {
                    Some(plain) => {
                        let mut plain = plain.to_vec();
                        for (at, byte) in changes {
                            let len = plain.len().max(1);
                            if let Some(b) = plain.get_mut(at % len) {
                                *b = byte;
                            }
                        }
                        page(key, &plain)
                    }
                    None => continue,
                },
                Spoil::Short(len) => value[..len % (value.len() + 1)].to_vec(),
                Spoil::Page(plain) => page(key, &plain),
                Spoil::Other(which) => sealed(space, key, &here[which % here.len()].1[..here[which % here.len()].1.len().saturating_sub(4)]),
                Spoil::Gone => {
                    batch.delete(space, key.clone());
                    continue;
                }
            };
            batch.put(space, key.clone(), value);
        }
        backend.write(batch, Durability::Durable).unwrap();
        exercise(backend);
    }

    #[test]
    fn records_at_keys_that_no_release_writes_never_panic(
        extra in vec((0_usize..8, prop_oneof![Just(vec![0xff; 8]), Just(vec![]), vec(any::<u8>(), 0..10)], vec(any::<u8>(), 0..20)), 1..4),
    ) {
        let backend = backend_of(&RECORDS);
        let mut batch = Batch::new();
        for (space, key, value) in extra {
            batch.put(Space::ALL[space], key, value);
        }
        backend.write(batch, Durability::Durable).unwrap();
        exercise(backend);
    }
}

#[test]
fn plain_pages_are_among_the_records_to_spoil() {
    let pages = RECORDS.iter().filter(|((space, _), _)| *space == Space::Page);
    assert!(pages.filter(|(_, value)| plain_page(value).is_some()).count() >= 1);
}

#[test]
fn an_engram_of_another_dimension_is_an_error_and_no_panic() {
    let backend = backend_of(&RECORDS);
    let mut batch = Batch::new();
    let small = Engram::new(Dimension::MIN).to_bytes();
    for (space, key) in RECORDS.keys().filter(|(space, _)| *space == Space::Page) {
        batch.put(*space, key.clone(), page(key, &small));
    }
    backend.write(batch, Durability::Durable).unwrap();
    exercise(backend);
}

#[test]
fn an_engram_page_of_another_dimension_beside_good_trees_is_an_error_and_no_panic() {
    let pages: Vec<_> = RECORDS.keys().filter(|(space, _)| *space == Space::Page).collect();
    for (space, key) in pages {
        let backend = backend_of(&RECORDS);
        let mut batch = Batch::new();
        batch.put(*space, key.clone(), page(key, &Engram::new(Dimension::MIN).to_bytes()));
        backend.write(batch, Durability::Durable).unwrap();
        exercise(backend);
    }
}

#[test]
fn heads_that_lean_on_each_other_too_deeply_are_errors_and_no_endless_work() {
    let mut spoilt = RECORDS.clone();
    let mut heads = BTreeMap::new();
    for ((space, key), value) in RECORDS.iter().filter(|((space, _), _)| *space == Space::Head) {
        let id = u64::from_be_bytes(key[..].try_into().unwrap());
        let mut head = Head::decode(id, value, 64 << 20).unwrap();
        // Every chunk leans on the eight before it: without a bound, reading one is exponential.
        head.bases = (1..=8).map_while(|back| id.checked_sub(back).filter(|&base| base > 0)).collect();
        head.depth = u8::from(!head.bases.is_empty()) * (id - 1).min(255) as u8;
        head.coding = if head.bases.is_empty() { head.coding } else { engrams::store::Coding::Zstd };
        head.len = 64 << 20;
        spoilt.insert((*space, key.clone()), head.encode(id));
        heads.insert(id, head);
    }
    assert!(heads.len() > 20);
    let start = std::time::Instant::now();
    exercise(backend_of(&spoilt));
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
