//! Fear: files that get in each other's way, and trees that grow with every version.

use engrams::store::Space;
use engrams::{Attributes, Content, EngramStore, ErrorKind, IngestOptions, Timestamp, Transaction};

use crate::common::{
    assert_sound, fixed, ingest, noise, read, records, root, small_store, sum, text, try_read,
};

fn begin(store: &EngramStore) -> Transaction {
    Transaction::begin(store, &IngestOptions::default()).unwrap()
}

/// Chunk ids of the newest version's file.
fn chunks_of(store: &EngramStore, path: &str) -> Vec<(u64, u32)> {
    let entry = store.tree(None).unwrap().get(path.as_bytes()).unwrap().unwrap();
    let (mut pieces, mut offset, mut out) = (store.pieces(entry.file().unwrap()), 0, Vec::new());
    while let Some((start, piece)) = pieces.at(offset).unwrap() {
        offset = start + u64::from(piece.len);
        out.push((piece.chunk, piece.start));
    }
    out
}

#[test]
fn a_change_of_one_big_file_leaves_its_neighbours_chunks_alone() {
    let store = EngramStore::in_memory();
    let files: Vec<Vec<u8>> = (0..4).map(|seed| noise(100_000 + 777 * seed as usize, seed)).collect();
    let put = |files: &[Vec<u8>]| {
        let mut tx = begin(&store);
        for (at, bytes) in files.iter().enumerate() {
            tx.put_file(format!("{at}").as_bytes(), fixed(), &mut &bytes[..]).unwrap();
        }
        tx.commit("").unwrap()
    };
    put(&files);
    let before: Vec<_> = (0..4).map(|at| chunks_of(&store, &at.to_string())).collect();
    assert!(
        before.iter().all(|chunks| chunks.iter().all(|(_, start)| *start == 0)),
        "each begins its own chunks"
    );
    let mut changed = files.clone();
    changed[1] = noise(55_555, 99);
    let result = put(&changed);
    for at in [0, 2, 3] {
        assert_eq!(chunks_of(&store, &at.to_string()), before[at], "file {at}");
    }
    assert_eq!(
        result.progress.reused,
        before[0].len() as u64 + before[2].len() as u64 + before[3].len() as u64
    );
}

#[test]
fn small_neighbours_share_chunks() {
    let store = EngramStore::in_memory();
    let mut tx = begin(&store);
    for file in 0..200 {
        tx.put_file(format!("{file:03}").as_bytes(), fixed(), &mut &text(1000, file)[..]).unwrap();
    }
    let result = tx.commit("").unwrap();
    assert!(result.progress.chunks < 20, "{result:?}");
    for file in 0..200 {
        assert!(read(&store, &format!("{file:03}"), 1) == text(1000, file));
    }
    assert_sound(&store);
}

#[test]
fn sizes_around_the_least_chunk_come_back_between_any_neighbours() {
    let (store, _) = small_store(1024);
    let sizes = [0, 1, 255, 256, 257, 0, 3, 1023, 4096, 4097, 2, 255, 255, 255, 9000, 0, 256];
    let mut tx = begin(&store);
    for (at, len) in sizes.iter().enumerate() {
        tx.put_file(format!("{at:02}").as_bytes(), fixed(), &mut &noise(*len, at as u64)[..]).unwrap();
    }
    tx.commit("").unwrap();
    let all: Vec<_> = sizes.iter().enumerate().map(|(at, len)| noise(*len, at as u64)).collect();
    for (at, bytes) in all.iter().enumerate() {
        assert!(read(&store, &format!("{at:02}"), 1) == *bytes, "{at}");
    }
    assert!(root(&store) == sum(all.iter().map(|bytes| &bytes[..])));
    assert_sound(&store);
}

#[test]
fn a_file_below_a_file_is_refused() {
    let store = EngramStore::in_memory();
    ingest(&store, "a", b"file");
    let mut tx = begin(&store);
    tx.put_file(b"a/b", fixed(), &mut &b"x"[..]).unwrap();
    let error = tx.sync().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("`a/b`") && error.to_string().contains("`a`"), "{error}");
    assert_eq!(tx.commit("").unwrap_err().kind(), ErrorKind::Invalid);
    // Nor below a link, at any depth, or within one transaction.
    for path in ["link/x", "new/x", "new/x/y/z"] {
        let mut tx = begin(&store);
        tx.put_symlink(b"link", b"a", fixed()).unwrap();
        tx.put_file(b"new", fixed(), &mut &b""[..]).unwrap();
        tx.put_directory(path.as_bytes(), fixed()).unwrap();
        assert_eq!(tx.commit("").unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert_eq!(store.head().unwrap().unwrap().number, 1);
}

#[test]
fn a_file_in_place_of_a_directory_that_is_not_empty_is_refused() {
    let store = EngramStore::in_memory();
    ingest(&store, "d/x", b"file");
    let mut tx = begin(&store);
    tx.put_file(b"d", fixed(), &mut &b"x"[..]).unwrap();
    let error = tx.commit("").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("`d`"), "{error}");
    let mut tx = begin(&store);
    tx.clear(b"d").unwrap();
    tx.put_file(b"d", fixed(), &mut &b"x"[..]).unwrap();
    tx.commit("").unwrap();
    assert_eq!(read(&store, "d", 2), b"x");
    assert_eq!(read(&store, "d/x", 1), b"file");
    assert!(try_read(&store, b"d/x", Some(2)).is_err());
}

#[test]
fn removed_and_created_again_is_a_new_file_and_the_old_one_is_still_there() {
    let (store, _) = small_store(1024);
    ingest(&store, "f", b"first");
    let mut tx = begin(&store);
    assert_eq!(tx.remove(b"f").unwrap(), 1);
    tx.commit("").unwrap();
    let error = try_read(&store, b"f", None).unwrap_err();
    assert!(
        error.kind() == std::io::ErrorKind::NotFound && error.to_string().contains("version 2"),
        "{error}"
    );
    assert_eq!(ingest(&store, "f", b"first").version, 3);
    assert_eq!(store.tree(None).unwrap().get(b"f").unwrap().unwrap().version, 3);
    assert_eq!((read(&store, "f", 1), read(&store, "f", 3)), (b"first".to_vec(), b"first".to_vec()));
    let mut tx = begin(&store);
    assert_eq!(tx.remove(b"nothing").unwrap(), 0);
    tx.commit("").unwrap();
    assert_sound(&store);
}

#[test]
fn many_small_files_come_back_and_a_change_of_one_adds_a_handful_of_pages() {
    const FILES: usize = 20_000;
    let store_and_backend = small_store(65_536);
    let (store, backend) = (&store_and_backend.0, &store_and_backend.1);
    let pages = || records(backend, &[Space::Page]).len();
    let content = |file: usize| format!("{file}").into_bytes();
    let path = |file: usize| format!("{:02}/{file:06}", file % 50);
    let mut order: Vec<usize> = (0..FILES).collect();
    order.sort_by_key(|&file| path(file));
    let mut tx = begin(store);
    for &file in &order {
        tx.put_file(path(file).as_bytes(), fixed(), &mut &content(file)[..]).unwrap();
    }
    let result = tx.commit("").unwrap();
    assert_eq!(result.files, FILES as u64);
    assert!(result.progress.chunks < 20);
    let expected: Vec<_> = order.iter().map(|&file| path(file).into_bytes()).collect();
    let paths = || store.tree(None).unwrap().entries(b"").map(|e| e.unwrap().path).collect::<Vec<_>>();
    assert!(paths() == expected);
    for file in (0..FILES).step_by(97) {
        assert_eq!(read(store, &path(file), 1), content(file));
    }

    type Step = (&'static str, fn(&mut Transaction));
    let steps: [Step; 5] = [
        ("changed", |tx| {
            tx.put_file(b"07/000007", fixed(), &mut &b"changed"[..]).unwrap();
        }),
        ("added", |tx| {
            tx.put_file(b"25/new", fixed(), &mut &b"new"[..]).unwrap();
        }),
        ("appended", |tx| {
            tx.put_file(b"zz", fixed(), &mut &b"last"[..]).unwrap();
        }),
        ("removed", |tx| {
            tx.remove(b"03/000003").unwrap();
        }),
        ("nothing", |_| {}),
    ];
    for (what, step) in steps {
        let before = pages();
        let mut tx = begin(store);
        step(&mut tx);
        tx.commit(what).unwrap();
        // A leaf and its neighbour, the levels above, the engram.
        assert!(pages() - before <= 7, "{what}: {}", pages() - before);
    }
    assert_eq!(store.head().unwrap().unwrap().files, FILES as u64 + 1);
    assert_eq!(paths().len(), FILES + 1);
    assert_eq!(read(store, "07/000007", 6), b"changed");
    assert_eq!(read(store, "07/000007", 1), b"7");
    // A tree that is put again as it was is the same tree.
    let mut tx = begin(store);
    tx.clear(b"").unwrap();
    let old = store.tree(Some(6)).unwrap();
    for entry in old.entries(b"") {
        assert!(tx.keep(&entry.unwrap().path).unwrap());
    }
    let before = pages();
    tx.commit("the same").unwrap();
    assert!(
        store
            .tree(Some(7))
            .unwrap()
            .entries(b"")
            .map(Result::unwrap)
            .eq(old.entries(b"").map(Result::unwrap))
    );
    assert!(pages() - before <= 7, "kept: {}", pages() - before);
    assert_sound(store);
}

#[test]
fn a_small_edit_of_a_huge_list_shares_its_pages() {
    let (store, backend) = small_store(256);
    let mut bytes = noise(3 << 20, 1);
    ingest(&store, "f", &bytes);
    let entry = store.tree(None).unwrap().get(b"f").unwrap().unwrap();
    assert!(matches!(entry.file().unwrap().content, Content::Listed { pieces, .. } if pieces > 5000));
    let before = records(&backend, &[Space::Page]).len();
    bytes.splice(1_500_000..1_500_000, *b"an insertion");
    ingest(&store, "f", &bytes);
    let added = records(&backend, &[Space::Page]).len() - before;
    assert!(added <= 10, "{added}");
    assert!(read(&store, "f", 2) == bytes);
    assert_sound(&store);
}

#[test]
fn unchanged_is_true_only_for_the_content_and_the_stat_that_were_remembered() {
    let store = EngramStore::in_memory();
    let put = |path: &[u8], bytes: &[u8], stat: &[u8], commits: bool| {
        let mut tx = begin(&store);
        tx.put_file(path, fixed(), &mut &bytes[..]).unwrap();
        tx.remember(path, stat).unwrap();
        if commits {
            tx.commit("").unwrap();
        }
    };
    let unchanged = |path: &[u8], stat: &[u8]| begin(&store).unchanged(path, stat).unwrap();
    assert!(!unchanged(b"f", b"s1"));
    put(b"f", b"one", b"s1", true);
    assert!(unchanged(b"f", b"s1"));
    assert!(!unchanged(b"f", b"s2") && !unchanged(b"f", b"") && !unchanged(b"g", b"s1"));
    // Remembered, and never published.
    put(b"f", b"two", b"s2", false);
    assert!(!unchanged(b"f", b"s2"));
    put(b"f", b"two", b"s2", true);
    assert!(unchanged(b"f", b"s2") && !unchanged(b"f", b"s1"));
    // Overwritten without a stat.
    ingest(&store, "f", b"three");
    assert!(!unchanged(b"f", b"s2") && !unchanged(b"f", b"s1"));
    // Only of the file put last.
    let mut tx = begin(&store);
    tx.put_file(b"a", fixed(), &mut &b""[..]).unwrap();
    tx.put_file(b"b", fixed(), &mut &b""[..]).unwrap();
    assert_eq!(tx.remember(b"a", b"s").unwrap_err().kind(), ErrorKind::Invalid);
    tx.remember(b"b", b"s").unwrap();
    // Gone, or no file.
    drop(tx);
    let mut tx = begin(&store);
    tx.clear(b"f").unwrap();
    tx.put_directory(b"f", fixed()).unwrap();
    tx.commit("").unwrap();
    assert!(!unchanged(b"f", b"s2"));
}

#[test]
fn attributes_that_no_record_holds_are_refused_when_they_are_put() {
    let store = EngramStore::in_memory();
    let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    let good = Attributes { mode: 0o644, ..Attributes::default() };
    let bad = [
        Attributes { mode: 0o100_644, ..good.clone() },
        Attributes { mtime: Timestamp { seconds: 0, nanoseconds: 1_000_000_000 }, ..good.clone() },
        Attributes { xattrs: vec![(b"user.a".to_vec(), vec![0; 70_000])], ..good.clone() },
        Attributes { hard_link: Some(b"../up".to_vec()), ..good.clone() },
    ];
    for attributes in bad {
        let error = transaction.put_file(b"f", attributes.clone(), &mut &b"x"[..]).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert_eq!(transaction.put_directory(b"d", attributes).err().unwrap().kind(), ErrorKind::Invalid);
    }
    assert_eq!(
        transaction.put_symlink(b"l", &[b'x'; 5000], good.clone()).err().unwrap().kind(),
        ErrorKind::Invalid
    );
    transaction.put_file(b"f", good, &mut &b"x"[..]).unwrap();
    assert_eq!(transaction.commit("").unwrap().files, 1);
}

#[test]
fn extended_attributes_as_large_as_linux_allows_fit_into_pages() {
    let store = EngramStore::in_memory();
    let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    let large = Attributes { xattrs: vec![(b"user.a".to_vec(), vec![1; 60 << 10])], ..Attributes::default() };
    for number in 0..600 {
        transaction.put_directory(format!("{number:05}").as_bytes(), large.clone()).unwrap();
    }
    transaction.commit("").unwrap();
    let entries: Vec<_> = store.tree(None).unwrap().entries(b"").map(|entry| entry.unwrap()).collect();
    assert_eq!(entries.len(), 600);
    assert!(entries.iter().all(|entry| entry.attributes == large));
}

#[test]
fn files_without_bytes_do_not_pile_up_behind_a_pending_chunk() {
    let store = EngramStore::in_memory();
    let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    transaction.put_file(b"0", Attributes::default(), &mut &b"x"[..]).unwrap();
    for number in 0..60_000 {
        let path = format!("d/{number:06}");
        transaction.put_file(path.as_bytes(), Attributes::default(), &mut &b""[..]).unwrap();
    }
    assert!(transaction.progress().files > 20_000, "{:?}", transaction.progress());
    assert_eq!(transaction.commit("").unwrap().files, 60_001);
}
