//! Fear: a copy that is no store, or holds half a commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engrams::store::backend::{MemoryBackend, copy_records};
use engrams::store::{Backend, Space};
use engrams::{CollectOptions, EngramStore, ErrorKind, Forget};

use crate::common::{assert_sound, edit, ingest, open, read, records, small_store, text};

fn content(version: u64) -> Vec<u8> {
    let mut bytes = text(60_000, 7);
    edit(&mut bytes, 5, version);
    bytes
}

/// Every version in it is what was written, and all is sound; the newest one's number.
fn assert_whole(store: &EngramStore) -> u64 {
    let versions = store.versions().unwrap();
    for version in &versions {
        assert!(read(store, "f", version.number) == content(version.number), "{}", version.number);
    }
    assert_sound(store);
    versions[0].number
}

#[test]
fn a_copy_made_while_an_ingest_and_collections_run_is_a_whole_store() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("store");
    let store = EngramStore::open(&path).unwrap();
    ingest(&store, "f", &content(1));
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for version in 2..=40 {
                ingest(&store, "f", &content(version));
                if version % 8 == 0 {
                    store.forget(&Forget { versions: vec![version - 5], ..Forget::default() }).unwrap();
                    store.collect(&CollectOptions::default(), &mut |_| {}).unwrap();
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut copies = 0;
        while !done.load(Ordering::Relaxed) {
            let to = place.path().join(format!("copy {copies}"));
            // By turns: the writer's own handle, which links, and a reader's, which copies.
            let newest = if copies % 2 == 0 {
                store.backup_to(&to).unwrap()
            } else {
                match EngramStore::open_read_only(&path) {
                    Ok(reader) => reader.backup_to(&to).unwrap(),
                    Err(error) if error.kind() == ErrorKind::Unavailable => continue,
                    Err(error) => panic!("{error:?}"),
                }
            };
            copies += 1;
            let copy = EngramStore::open_existing(&to).unwrap();
            assert!(assert_whole(&copy) >= newest);
            let next = copy.head().unwrap().unwrap().number + 1;
            ingest(&copy, "f", &content(next));
            assert_whole(&copy);
            copy.close().unwrap();
            drop(copy);
            std::fs::remove_dir_all(to).unwrap();
        }
        assert!(copies > 0);
    });
    assert_eq!(assert_whole(&store), 40);
}

#[test]
fn a_copy_goes_where_nothing_is_and_leaves_nothing_when_it_fails() {
    let place = tempfile::tempdir().unwrap();
    let store = EngramStore::open(place.path().join("store")).unwrap();
    ingest(&store, "f", &content(1));
    std::fs::create_dir(place.path().join("full")).unwrap();
    std::fs::write(place.path().join("full/file"), "somebody's").unwrap();
    let error = store.backup_to(place.path().join("full")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let below_a_file = place.path().join("full/file/copy");
    assert_eq!(store.backup_to(below_a_file).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(std::fs::read_dir(place.path().join("full")).unwrap().count(), 1);

    let closed = place.path().join("closed");
    store.close().unwrap();
    assert_eq!(store.backup_to(&closed).unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(!closed.join("database").exists());
}

#[test]
fn the_records_of_any_backend_can_be_copied() {
    let (store, backend) = small_store(1024);
    ingest(&store, "f", &content(1));
    ingest(&store, "f", &content(2));
    let error = store.backup_to(tempfile::tempdir().unwrap().path().join("x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let copy = Arc::new(MemoryBackend::new());
    copy_records(&*backend, &*copy).unwrap();
    assert_eq!(records(&copy, &Space::ALL), records(&backend, &Space::ALL));
    assert_eq!(assert_whole(&open(copy as Arc<dyn Backend>, 1024).unwrap()), 2);
}
