//! Whole trees, in and out, through the library.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::*;
use crate::{EngramStore, ErrorKind, IngestOptions, Transaction};

struct Bed {
    directory: tempfile::TempDir,
    store: EngramStore,
}

impl Bed {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), store: EngramStore::in_memory() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn begin(&self) -> Transaction {
        Transaction::begin(&self.store, &IngestOptions::default()).unwrap()
    }

    fn ingest(&self, options: &TreeOptions) -> TreeSummary {
        let mut tx = self.begin();
        let summary = ingest_tree(&mut tx, &self.path("t"), b"t", options, &mut |_| {}).unwrap();
        tx.commit("").unwrap();
        summary
    }

    fn paths(&self) -> Vec<String> {
        let tree = self.store.tree(None).unwrap();
        tree.entries(b"").map(|entry| String::from_utf8(entry.unwrap().path).unwrap()).collect()
    }
}

fn content(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_summary_says_what_became_of_the_tree() {
    let bed = Bed::new();
    bed.write("t/a", "one");
    bed.write("t/d/b", "two");
    std::os::unix::fs::symlink("a", bed.path("t/l")).unwrap();
    let first = bed.ingest(&TreeOptions::new());
    assert_eq!((first.files, first.directories, first.symlinks), (2, 2, 1));
    assert_eq!((first.unchanged, first.bytes_read, first.skipped_count), (0, 6, 0));
    bed.write("t/a", "three");
    let second = bed.ingest(&TreeOptions::new());
    assert_eq!((second.files, second.unchanged, second.bytes_read), (2, 1, 5));
    let forced = bed.ingest(&TreeOptions::new().with_force_read(true));
    assert_eq!((forced.unchanged, forced.bytes_read), (0, 8));
    let tree = bed.store.tree(None).unwrap();
    assert_eq!(tree.get(b"t/d/b").unwrap().unwrap().version, 1, "reading again changes nothing");
    assert_eq!(tree.get(b"t/a").unwrap().unwrap().version, 2);

    let options = ExtractOptions::new();
    let out = extract(&bed.store, &tree, &[], &bed.path("out"), &options, &mut |_| {}).unwrap();
    assert_eq!((out.files, out.directories, out.symlinks, out.bytes), (2, 2, 1, 8));
    assert_eq!(content(&bed.path("out/t/a")), "three");
}

#[test]
fn an_ingest_that_was_never_published_vouches_for_nothing() {
    let bed = Bed::new();
    let path = bed.write("t/a", "content");
    bed.ingest(&TreeOptions::new());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let mut tx = bed.begin();
    ingest_tree(&mut tx, &bed.path("t"), b"t", &TreeOptions::new(), &mut |_| {}).unwrap();
    tx.sync().unwrap();
    drop(tx);
    bed.ingest(&TreeOptions::new());
    let entry = bed.store.tree(None).unwrap().get(b"t/a").unwrap().unwrap();
    assert_eq!(entry.attributes.mode, 0o640);
}

#[test]
fn what_is_gone_from_the_directory_is_gone_from_the_tree_alone() {
    let bed = Bed::new();
    bed.write("t/a", "a");
    bed.write("t/d/b", "b");
    bed.write("single", "s");
    let mut tx = bed.begin();
    ingest_file(&mut tx, &bed.path("single"), b"other/single", &TreeOptions::new(), &mut |_| {}).unwrap();
    tx.commit("").unwrap();
    bed.ingest(&TreeOptions::new());
    assert_eq!(bed.paths(), ["other/single", "t", "t/a", "t/d", "t/d/b"]);
    fs::remove_dir_all(bed.path("t/d")).unwrap();
    bed.ingest(&TreeOptions::new());
    assert_eq!(bed.paths(), ["other/single", "t", "t/a"]);
}

#[test]
fn exclusion_is_asked_with_paths_relative_to_the_directory() {
    let bed = Bed::new();
    bed.write("t/a", "a");
    bed.write("t/d/b", "b");
    bed.write("t/e/c", "c");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    bed.ingest(&TreeOptions::new().with_exclude(move |path| {
        heard.lock().unwrap().push(String::from_utf8(path.to_vec()).unwrap());
        path == b"d"
    }));
    assert_eq!(*asked.lock().unwrap(), ["a", "d", "e", "e/c"]);
    assert_eq!(bed.paths(), ["t", "t/a", "t/e", "t/e/c"]);
}

#[test]
fn one_file_has_the_hash_that_b3sum_prints() {
    let bed = Bed::new();
    let path = bed.write("file", "content");
    std::os::unix::fs::symlink("file", bed.path("link")).unwrap();
    let mut tx = bed.begin();
    for path in [&path, &bed.path("link")] {
        let outcome = ingest_file(&mut tx, path, b"x", &TreeOptions::new(), &mut |_| {}).unwrap();
        assert_eq!((outcome.size, outcome.unchanged), (7, false));
        assert_eq!(outcome.hash, *blake3::hash(b"content").as_bytes());
    }
    tx.commit("").unwrap();
    let again = ingest_file(&mut bed.begin(), &path, b"x", &TreeOptions::new(), &mut |_| {}).unwrap();
    assert!(again.unchanged);
    assert_eq!(again.hash, *blake3::hash(b"content").as_bytes());
}

#[test]
fn what_is_no_file_or_directory_is_an_error_before_anything_is_cleared() {
    let bed = Bed::new();
    let file = bed.write("t/a", "a");
    let mut tx = bed.begin();
    let options = TreeOptions::new();
    let kind = |result: crate::Result<TreeSummary>| result.unwrap_err().kind();
    assert_eq!(
        kind(ingest_tree(&mut tx, &bed.path("none"), b"t", &options, &mut |_| {})),
        ErrorKind::NotFound
    );
    assert_eq!(kind(ingest_tree(&mut tx, &file, b"t", &options, &mut |_| {})), ErrorKind::Invalid);
    assert_eq!(
        kind(ingest_tree(&mut tx, &bed.path("t"), b"../t", &options, &mut |_| {})),
        ErrorKind::Invalid
    );
    let none = ingest_file(&mut tx, &bed.path("none"), b"x", &options, &mut |_| {}).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound);
    let directory = ingest_file(&mut tx, &bed.path("t"), b"x", &options, &mut |_| {}).unwrap_err();
    assert_eq!(directory.kind(), ErrorKind::Invalid);
}

#[test]
fn the_store_can_not_ingest_itself() {
    let bed = Bed::new();
    bed.write("t/store/inside/x", "x");
    bed.write("t/a", "a");
    let options = || TreeOptions::new().with_store_directory(bed.path("t/store"));
    for dir in ["t/store", "t/store/inside"] {
        let error = ingest_tree(&mut bed.begin(), &bed.path(dir), b"t", &options(), &mut |_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    let mut tx = bed.begin();
    let mut told = 0;
    ingest_tree(&mut tx, &bed.path("t"), b"t", &options(), &mut |event| {
        told += u32::from(matches!(event, TreeEvent::StoreItself { path: b"t/store" }));
    })
    .unwrap();
    tx.commit("").unwrap();
    assert_eq!((told, bed.paths()), (1, vec!["t".to_owned(), "t/a".to_owned()]));
}
