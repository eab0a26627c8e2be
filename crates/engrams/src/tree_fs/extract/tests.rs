//! Entries that no ingest would make: what a damaged or malicious store may say.

use std::fs;

use std::sync::Arc;

use super::*;
use crate::store::backend::MemoryBackend;
use crate::store::{Backend, Batch, Durability, Space};
use crate::{Chunking, IngestOptions, OpenOptions, Timestamp, Transaction};

/// A store with one file, and its entry.
fn stored(content: &[u8]) -> (EngramStore, Entry) {
    let store = EngramStore::in_memory();
    let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    let attributes = Attributes { mode: 0o644, mtime: Timestamp::now(), ..Attributes::default() };
    tx.put_file(b"file", attributes, &mut &content[..]).unwrap();
    tx.commit("").unwrap();
    let entry = store.tree(None).unwrap().get(b"file").unwrap().unwrap();
    (store, entry)
}

/// Restores entries as they are, whatever they are, and returns what failed.
fn restore_all(store: &EngramStore, dest: &Path, entries: &[Entry]) -> Vec<FailedPath> {
    let mut extract = Extract {
        upcoming: Upcoming::new(store, 2),
        destination: Destination::open(dest).unwrap(),
        force: false,
        pending: Vec::new(),
        blocked: Vec::new(),
        links: HashMap::new(),
        summary: ExtractSummary::default(),
        on_event: &mut |_| {},
    };
    let entries: Vec<_> = entries.iter().cloned().map(Ok).collect();
    extract.restore_all(b"", entries.into_iter());
    extract.finish_directories(None);
    extract.summary.failed
}

fn renamed(entry: &Entry, path: &[u8]) -> Entry {
    Entry { path: path.to_vec(), ..entry.clone() }
}

#[test]
fn a_directory_waits_for_what_sorts_between_it_and_its_children() {
    assert!(!is_passed(b"a", b"a-b"));
    assert!(!is_passed(b"a", b"a/x"));
    assert!(is_passed(b"a", b"a0"));
    assert!(is_passed(b"a", b"b"));
}

#[test]
fn paths_that_lead_outside_are_refused() {
    let (store, entry) = stored(b"content");
    let bed = tempfile::tempdir().unwrap();
    let outside = bed.path().join("outside").into_os_string().into_encoded_bytes();
    let dest = bed.path().join("dest");
    let entries: Vec<_> = [&b"../outside"[..], b"a/../../outside", &outside, b"a//b", b"./a", b"", b"a/b\0c"]
        .into_iter()
        .map(|path| renamed(&entry, path))
        .collect();
    let failed = restore_all(&store, &dest, &entries);
    assert_eq!(failed.len(), entries.len(), "{failed:?}");
    assert!(!bed.path().join("outside").exists());
    assert_eq!(fs::read_dir(&dest).unwrap().count(), 0);
}

#[test]
fn a_link_from_the_store_is_not_walked_through() {
    let (store, entry) = stored(b"content");
    let bed = tempfile::tempdir().unwrap();
    let (outside, dest) = (bed.path().join("outside"), bed.path().join("dest"));
    fs::create_dir(&outside).unwrap();
    let target = outside.as_os_str().as_encoded_bytes().to_vec();
    let link = Entry { node: Node::Symlink(target), ..renamed(&entry, b"a") };
    let directory = Entry { node: Node::Directory, ..renamed(&entry, b"a/d") };
    let failed =
        restore_all(&store, &dest, &[link, renamed(&entry, b"a/b"), directory, renamed(&entry, b"a/d/e")]);
    let paths: Vec<_> = failed.iter().map(|failed| failed.path.as_slice()).collect();
    assert_eq!(paths, [&b"a/b"[..], b"a/d"], "what lies under a failed directory is not tried: {failed:?}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn content_that_does_not_have_its_hash_never_appears() {
    let (store, entry) = stored(b"content");
    let dest = tempfile::tempdir().unwrap();
    let Node::File(node) = &entry.node else { panic!("{entry:?}") };
    let forged = Entry { node: Node::File(FileNode { hash: [7; 32], ..node.clone() }), ..entry.clone() };
    let failed = restore_all(&store, dest.path(), &[forged]);
    assert_eq!(failed[0].error.kind(), ErrorKind::Corrupt);
    assert!(failed[0].error.to_string().contains("version 1"), "{failed:?}");
    assert_eq!(fs::read_dir(dest.path()).unwrap().count(), 0, "nothing is left");
}

#[test]
fn a_hard_link_group_never_lends_other_content() {
    let (store, entry) = stored(b"content");
    let bed = tempfile::tempdir().unwrap();
    let attributes = Attributes { hard_link: Some(b"a".to_vec()), ..entry.attributes.clone() };
    let one = Entry { attributes: attributes.clone(), ..renamed(&entry, b"a") };
    let same = Entry { attributes: attributes.clone(), ..renamed(&entry, b"b") };
    let node = FileNode {
        size: 0,
        hash: *blake3::hash(b"").as_bytes(),
        content: crate::Content::Inline(Vec::new()),
    };
    let other = Entry { attributes, node: Node::File(node), ..renamed(&entry, b"c") };
    let failed = restore_all(&store, bed.path(), &[one, same, other]);
    assert!(failed.is_empty(), "{failed:?}");
    let inode =
        |name: &str| std::os::unix::fs::MetadataExt::ino(&fs::metadata(bed.path().join(name)).unwrap());
    assert_eq!(inode("a"), inode("b"));
    assert_ne!(inode("a"), inode("c"));
    assert_eq!(fs::read(bed.path().join("c")).unwrap(), b"");
}

#[test]
fn attributes_that_make_no_sense_do_no_harm() {
    let (store, entry) = stored(b"content");
    let dest = tempfile::tempdir().unwrap();
    let attributes = Attributes {
        mode: u32::MAX,
        mtime: Timestamp { seconds: i64::MAX, nanoseconds: u32::MAX },
        uid: u32::MAX,
        gid: u32::MAX,
        sparse: true,
        hard_link: Some(b"../../etc/passwd".to_vec()),
        xattrs: vec![(b"no such namespace".to_vec(), vec![0; 10]), (Vec::new(), Vec::new())],
    };
    let failed = restore_all(&store, dest.path(), &[Entry { attributes, ..entry }]);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].error.to_string().starts_with("restored, but not all of its attributes"), "{failed:?}");
    let path = dest.path().join("file");
    assert_eq!(fs::read(&path).unwrap(), b"content");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions());
    assert_eq!(mode & 0o6000, 0, "no set-id bits for an owner that could not be set");
}

/// Files long and short, some of them sharing chunks, empty ones, links; every ninth payload is damaged.
fn damaged_tree() -> Arc<MemoryBackend> {
    let backend = Arc::new(MemoryBackend::new());
    let store = EngramStore::with_backend(Arc::<MemoryBackend>::clone(&backend), &OpenOptions::default());
    let store = store.unwrap();
    let chunking = Some(Chunking::fixed(1000).unwrap());
    let mut tx = Transaction::begin(&store, &IngestOptions { chunking, ..IngestOptions::default() }).unwrap();
    let attributes = Attributes { mode: 0o644, mtime: Timestamp::now(), ..Attributes::default() };
    let mut state = 1_u64;
    for at in 0..120_usize {
        let len = [0, 10, 300, 2500, 30_000][at % 5];
        let content: Vec<u8> = (0..len)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        let mut attributes = attributes.clone();
        if at % 13 == 3 {
            attributes.hard_link = Some(format!("d{}/f003", at % 2).into_bytes());
        }
        tx.put_file(format!("d{}/f{at:03}", at % 2).as_bytes(), attributes, &mut &content[..]).unwrap();
    }
    tx.commit("").unwrap();
    for (number, (key, mut value)) in backend.contents(Space::Payload).unwrap().into_iter().enumerate() {
        if number % 9 == 4 {
            value[0] ^= 1;
            let mut batch = Batch::new();
            batch.put(Space::Payload, key, value);
            backend.write(batch, Durability::Durable).unwrap();
        }
    }
    backend
}

#[test]
fn what_is_restored_and_reported_and_when_does_not_depend_on_threads() {
    let backend = damaged_tree();
    let mut expected = None;
    for (threads, read_ahead_bytes, cache_bytes) in [
        (1, 1 << 20, 0),
        (2, 1 << 20, 0),
        (2, 0, 0),
        (8, 5000, 0),
        (8, 1 << 20, 1 << 20),
        (0, 16 << 20, 64 << 20),
    ] {
        let options = OpenOptions { read_ahead_bytes, cache_bytes, ..OpenOptions::default() };
        let store = EngramStore::with_backend(Arc::<MemoryBackend>::clone(&backend), &options).unwrap();
        let dest = tempfile::tempdir().unwrap();
        let mut events = Vec::new();
        let mut on_event = |event: ExtractEvent<'_>| events.push(format!("{event:?}"));
        let options = ExtractOptions::new().with_threads(threads);
        let paths = [b"d0/f010".to_vec(), b"d1".to_vec(), b"d0".to_vec()];
        let tree = store.tree(None).unwrap();
        let summary = extract(&store, &tree, &paths, dest.path(), &options, &mut on_event).unwrap();
        assert!(summary.failed_count > 20 && summary.files > 40, "{summary:?}");
        let mut found = Vec::new();
        for entry in tree.entries(b"") {
            let path = entry.unwrap().path;
            let content = fs::read(dest.path().join(std::str::from_utf8(&path).unwrap()));
            found.push((path, content.ok()));
        }
        let outcome = (events, format!("{summary:?}"), found);
        let expected = expected.get_or_insert_with(|| outcome.clone());
        assert!(*expected == outcome, "{threads} {read_ahead_bytes}: {:?}\n{:?}", expected.1, outcome.1);
    }
}

/// Found: one damaged page of the tree cost every file behind it.
#[test]
fn a_damaged_page_of_the_tree_costs_what_it_lists_alone_and_is_named() {
    let backend = Arc::new(MemoryBackend::new());
    let open = |backend: &Arc<MemoryBackend>| {
        EngramStore::with_backend(Arc::<MemoryBackend>::clone(backend), &OpenOptions::default()).unwrap()
    };
    let store = open(&backend);
    let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    for directory in 0..40 {
        tx.put_directory(format!("{directory:02}").as_bytes(), Attributes::default()).unwrap();
        for file in 0..10 {
            let path = format!("{directory:02}/{file}");
            tx.put_file(path.as_bytes(), Attributes::default(), &mut path.as_bytes()).unwrap();
        }
    }
    tx.commit("").unwrap();
    drop(store);
    let (mut first, mut middle, mut last, mut parts) = (0, 0, 0, 0);
    for (key, good) in backend.contents(Space::Page).unwrap() {
        let put = |value: &[u8]| {
            let mut batch = Batch::new();
            batch.put(Space::Page, key.as_slice(), value);
            backend.write(batch, Durability::Durable).unwrap();
        };
        let mut bad = good.clone();
        bad[1] ^= 1;
        put(&bad);
        let store = open(&backend);
        let tree = store.tree(None).unwrap();
        let (listed, damage): (Vec<_>, Vec<_>) = tree.entries(b"").partition(|entry| entry.is_ok());
        let files: Vec<_> =
            listed.iter().flatten().filter(|e| e.file().is_some()).map(|e| e.path.clone()).collect();
        let dest = tempfile::tempdir().unwrap();
        let summary = extract(&store, &tree, &[], dest.path(), &ExtractOptions::new(), &mut |_| {}).unwrap();
        assert_eq!((summary.files, summary.failed_count), (files.len() as u64, damage.len() as u64));
        for path in &files {
            let path = std::str::from_utf8(path).unwrap();
            assert_eq!(fs::read_to_string(dest.path().join(path)).unwrap(), path);
        }
        for (failed, error) in summary.failed.iter().zip(damage) {
            assert!(failed.error.to_string().ends_with(&error.unwrap_err().to_string()), "{failed:?}");
        }
        let (has_first, has_last) = (files.contains(&b"00/0".to_vec()), files.contains(&b"39/9".to_vec()));
        first += u64::from(!has_first && has_last);
        middle += u64::from(has_first && has_last && files.len() < 400);
        last += u64::from(has_first && !has_last);
        // A part of a directory, the rest of which can't be listed.
        if let Some(path) = files.iter().find(|path| tree.get(&path[..2]).is_err()) {
            let dest = tempfile::tempdir().unwrap();
            let asked = [path[..2].to_vec()];
            let part = extract(&store, &tree, &asked, dest.path(), &ExtractOptions::new(), &mut |_| {});
            let part = part.unwrap();
            let below = files.iter().filter(|file| file.starts_with(&path[..3])).count();
            assert_eq!((part.files, part.failed_count > 0), (below as u64, true));
            parts += 1;
        }
        put(&good);
    }
    assert!(first.min(middle).min(last).min(parts) > 0, "{first} {middle} {last} {parts}");
}
