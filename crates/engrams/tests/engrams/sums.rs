//! Fear: a kept sum of a directory that is not the sum of its files, after whatever happened to them.

use std::sync::Arc;

use engrams::core::{Sample, Sketch};
use engrams::store::backend::MemoryBackend;
use engrams::store::{Backend, Batch, Durability, Space};
use engrams::{CollectOptions, EngramStore, Forget, IngestOptions, Retention, Transaction, VerifyOptions};

use crate::common::{assert_sound, edit, fixed, ingest, noise, open, small_store};

fn expected<'a>(files: impl IntoIterator<Item = &'a [u8]>) -> Sketch {
    let mut sum = Sketch::new();
    files.into_iter().for_each(|bytes| sum.merge(&Sketch::of_bytes(bytes)));
    sum
}

fn put(transaction: &mut Transaction, path: &str, bytes: &[u8]) {
    transaction.put_file(path.as_bytes(), fixed(), &mut &*bytes).unwrap();
}

fn kept(store: &EngramStore, directory: &str) -> Option<Sample> {
    store.kept_sample(&store.head().unwrap().unwrap(), directory.as_bytes()).unwrap()
}

#[test]
fn sums_follow_what_happens_to_files() {
    let (store, _) = small_store(16 << 10);
    let mut files: Vec<(String, Vec<u8>)> = (0..5_u64)
        .map(|at| (format!("{}/{at}", if at < 4 { "large/deep" } else { "small" }), noise(1_200_000, at)))
        .collect();
    let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    files.iter().for_each(|(path, bytes)| put(&mut transaction, path, bytes));
    transaction.commit("").unwrap();
    for round in 0..3 {
        let head = store.head().unwrap().unwrap();
        let below = |directory: &str| {
            let prefix = format!("{directory}/");
            expected(files.iter().filter(|(path, _)| path.starts_with(&prefix)).map(|(_, bytes)| &bytes[..]))
        };
        let whole = expected(files.iter().map(|(_, bytes)| &bytes[..]));
        for directory in ["large", "large/deep"] {
            assert!(kept(&store, directory).unwrap().agrees_with(below(directory).sample()), "round {round}");
            assert_eq!(store.sketch(&head, directory.as_bytes()).unwrap(), below(directory));
        }
        assert!(kept(&store, "").unwrap().agrees_with(whole.sample()));
        assert_eq!(store.sketch(&head, b"").unwrap().engram(), whole.engram());
        // What is small is counted when it is asked for.
        assert_eq!(kept(&store, "small"), None);
        assert_eq!(store.sketch(&head, b"small").unwrap(), below("small"));
        assert_sound(&store);
        let changed = &mut files[round].1;
        edit(changed, 20, round as u64);
        ingest(&store, &files[round].0.clone(), &files[round].1.clone());
    }
    let head = store.head().unwrap().unwrap();
    store
        .forget(&Forget { keep: Retention { last: Some(1), ..Retention::default() }, versions: vec![] })
        .unwrap();
    store.collect(&CollectOptions::default(), &mut |_| {}).unwrap();
    assert!(store.sample(&head, b"large").is_ok() && kept(&store, "large").is_some());
    assert_sound(&store);

    let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    transaction.remove(b"large").unwrap();
    transaction.commit("").unwrap();
    assert_eq!((kept(&store, "large"), kept(&store, "")), (None, None), "what shrank is not kept");
    assert_sound(&store);
}

#[test]
fn a_sum_of_which_little_is_left_is_counted_anew() {
    let (store, _) = small_store(16 << 10);
    let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    for at in 0..2 {
        // The second is so much more that hardly a feature of the first is sampled.
        put(&mut transaction, &format!("{at}"), &noise([5_000_000, 50_000_000][at as usize], at));
    }
    transaction.commit("").unwrap();
    let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    transaction.remove(b"1").unwrap();
    transaction.commit("").unwrap();
    let sample = kept(&store, "").unwrap();
    assert!(sample.len() >= 256, "{}", sample.len());
    assert!(sample.agrees_with(Sketch::of_bytes(&noise(5_000_000, 0)).sample()));
}

#[test]
fn a_damaged_sum_stops_nothing_and_is_reported() {
    let (store, backend) = small_store(16 << 10);
    ingest(&store, "large/f", &noise(5_000_000, 1));
    let version = store.head().unwrap().unwrap();
    drop(store);
    // Staged in this order: list page of the file, tree, sample, list of sums, engram.
    let mut pages: Vec<_> = backend.contents(Space::Page).unwrap().into_iter().collect();
    for back in [2, 1] {
        let at = pages.len() - 1 - back;
        let (key, good) = pages[at].clone();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 0x10;
        let write = |value: &Vec<u8>| {
            let mut batch = Batch::new();
            batch.put(Space::Page, key.clone(), value.clone());
            backend.write(batch, Durability::Durable).unwrap();
        };
        write(&bad);
        let store = open(Arc::<MemoryBackend>::clone(&backend), 16 << 10).unwrap();
        let report = store.verify(VerifyOptions::default(), &mut |_| {}).unwrap();
        assert_eq!(report.errors.len(), 1, "{report:?}");
        assert_eq!(store.kept_sample(&version, b"large").unwrap(), None);
        let counted = Sketch::of_bytes(&noise(5_000_000, 1));
        assert!(store.sample(&version, b"large").unwrap().agrees_with(counted.sample()));
        ingest(&store, &format!("large/after {back}"), &noise(100_000, 2));
        write(&good);
        pages[at].1 = good;
    }
}

#[test]
fn directories_that_did_not_change_share_their_sums() {
    let (store, backend) = small_store(16 << 10);
    let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    for directory in ["a", "b"] {
        put(&mut transaction, &format!("{directory}/file"), &noise(5_000_000, directory.len() as u64));
    }
    transaction.commit("").unwrap();
    let pages = |_: ()| backend.contents(Space::Page).unwrap().len();
    let before = pages(());
    ingest(&store, "a/other", b"too short to have a feature");
    // A leaf, an engram: no sum changed, so neither did the list.
    assert_eq!(pages(()) - before, 2);
    assert_sound(&store);
}
