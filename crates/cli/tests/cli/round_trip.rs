//! Trees come back exact.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Gid, Timespec, Timestamps, UTIME_OMIT, Uid, chownat, utimensat};

use crate::bed::{Bed, is_root, noise};
use crate::snapshot::{assert_same, assert_same_snapshots, snapshot};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn set_mtime(path: &Path, seconds: i64, nanoseconds: i64) {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds },
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// A directory with everything a file system can hold and a store must give back.
fn nasty(bed: &Bed) -> std::path::PathBuf {
    let root = bed.path("tree");
    fs::create_dir(&root).unwrap();
    for name in [&b"not \xff utf-8"[..], b"new\nline", b"back\\slash", b"-rf", b" ", "grün".as_bytes()] {
        let directory = root.join(OsStr::from_bytes(name));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join(OsStr::from_bytes(name)), name).unwrap();
    }
    // Siblings around a directory's name, in the order of bytes.
    for name in ["a", "a-b", "a.d", "a0"] {
        fs::create_dir(root.join(name)).unwrap();
        fs::write(root.join(name).join("x"), name).unwrap();
        fs::write(root.join(format!("{name}-file")), name).unwrap();
    }
    fs::create_dir(root.join("empty directory")).unwrap();
    fs::write(root.join("empty file"), "").unwrap();
    bed.write(&format!("tree/{}deep", "d/".repeat(150)), "deep");
    for n in 0..500 {
        bed.write(&format!("tree/many/{}/{n}", n % 7), format!("file number {n}\n").repeat(n % 50));
    }
    let mut big = noise(1, 3 << 20);
    big.extend_from_within(..1 << 20);
    bed.write("tree/big", &big);

    symlink("nowhere", root.join("dangling")).unwrap();
    symlink("/etc/passwd", root.join("absolute")).unwrap();
    symlink(OsStr::from_bytes(b"../\xfe"), root.join("upwards")).unwrap();
    symlink("a", root.join("to a directory")).unwrap();
    set_mtime(&root.join("dangling"), 5, 7);

    fs::create_dir(root.join("links")).unwrap();
    fs::write(root.join("links/one"), "several names").unwrap();
    fs::hard_link(root.join("links/one"), root.join("links/two")).unwrap();
    fs::hard_link(root.join("links/one"), root.join("a-link")).unwrap();

    let sparse = File::create(root.join("sparse")).unwrap();
    sparse.write_all_at(b"begin", 0).unwrap();
    sparse.write_all_at(&noise(2, 10_000), (4 << 20) + 123).unwrap();
    sparse.set_len(16 << 20).unwrap();
    File::create(root.join("only a hole")).unwrap().set_len(1 << 20).unwrap();
    fs::write(root.join("zeros that are there"), vec![0; 1 << 20]).unwrap();

    // Where the file system has none, there are none to compare.
    let _ = xattr::set(root.join("a-file"), "user.note", b"with \0 in it");
    let _ = xattr::set(root.join("a-file"), "user.empty", b"");
    let _ = xattr::set(root.join("a"), "user.directory", b"also");

    if is_root() {
        let owner = |path: &str, uid, gid| {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            chownat(CWD, root.join(path), Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).unwrap();
        };
        owner("a0-file", 1234, 5678);
        owner("absolute", 12, 34);
        owner("a.d", 1, 2);
    }
    set_mode(&root.join("a0-file"), 0o4751);
    set_mode(&root.join("a-b-file"), 0o000);
    set_mode(&root.join("a.d-file"), 0o444);
    set_mode(&root.join("a.d"), 0o3775);
    set_mode(&root.join("many/3"), 0o555);
    if is_root() {
        set_mode(&root.join("many/4"), 0o000);
    } else {
        // A user can't read what he forbids himself; `unreadable` tests that.
        set_mode(&root.join("a-b-file"), 0o400);
    }
    set_mtime(&root.join("a-file"), 1_000_000_000, 123_456_789);
    set_mtime(&root.join("big"), -1, 999_999_999);
    set_mtime(&root.join("many/3"), 1, 1);
    set_mtime(&root.join("a"), 2, 2);
    set_mtime(&root, 3, 3);
    root
}

#[test]
fn a_nasty_tree_comes_back_exact() {
    let bed = Bed::new();
    let root = nasty(&bed);
    let before = snapshot(&root);
    bed.ok(&["ingest", "tree"]);
    assert_same_snapshots(&before, &snapshot(&root));
    bed.ok(&["extract", "-o", "out"]);
    assert_same_snapshots(&before, &snapshot(&bed.path("out/tree")));
    bed.ok(&["verify", "--deep"]);
}

#[test]
fn extracting_with_force_over_something_else_gives_the_same_tree() {
    let bed = Bed::new();
    let root = nasty(&bed);
    bed.ok(&["ingest", "tree"]);
    let out = bed.path("out/tree");
    bed.ok(&["extract", "-o", "out"]);
    // Over itself, read-only directories, hard links and all.
    bed.ok(&["extract", "-o", "out", "--force"]);
    assert_same(&root, &out);
    // Over other kinds of things in the same places.
    fs::remove_file(out.join("big")).unwrap();
    fs::create_dir(out.join("big")).unwrap();
    fs::remove_file(out.join("dangling")).unwrap();
    fs::write(out.join("dangling"), "a file").unwrap();
    fs::remove_dir(out.join("empty directory")).unwrap();
    symlink("/", out.join("empty directory")).unwrap();
    fs::write(out.join("a-file"), "changed").unwrap();
    bed.ok(&["extract", "-o", "out", "--force"]);
    assert_same(&root, &out);
}

#[test]
fn one_path_comes_back_with_the_directories_above_it() {
    let bed = Bed::new();
    let root = nasty(&bed);
    bed.ok(&["ingest", "tree"]);
    bed.ok(&["extract", "tree/many/3", "tree/a/x", "tree/many/3/10", "-o", "out"]);
    assert_same(&root.join("many/3"), &bed.path("out/tree/many/3"));
    let (expected, found) = (snapshot(&root), snapshot(&bed.path("out/tree")));
    for path in [&b""[..], b"a", b"a/x", b"many"] {
        assert_eq!(found[path], expected[path], "{}", path.escape_ascii());
    }
    assert!(!found.contains_key(&b"a-file"[..]));
    assert!(!found.contains_key(&b"many/2"[..]));
}

#[test]
fn every_version_comes_back_as_it_was() {
    let bed = Bed::new();
    bed.write("t/kept", "the same");
    bed.write("t/changed", "one");
    bed.write("t/gone", "soon");
    fs::create_dir(bed.path("t/was a directory")).unwrap();
    let mut snapshots = vec![snapshot(&bed.path("t"))];
    bed.ok(&["ingest", "t"]);
    bed.write("t/changed", "two");
    fs::remove_file(bed.path("t/gone")).unwrap();
    fs::remove_dir(bed.path("t/was a directory")).unwrap();
    bed.write("t/was a directory", "now a file");
    bed.write("t/new/one", "new");
    snapshots.push(snapshot(&bed.path("t")));
    bed.ok(&["ingest", "t"]);
    fs::remove_file(bed.path("t/changed")).unwrap();
    bed.write("t/changed/into a directory", "three");
    set_mode(&bed.path("t/kept"), 0o600);
    snapshots.push(snapshot(&bed.path("t")));
    bed.ok(&["ingest", "t"]);
    for (n, expected) in snapshots.iter().enumerate() {
        let (version, out) = ((n + 1).to_string(), format!("out{n}"));
        bed.ok(&["extract", "--version", &version, "-o", &out]);
        assert_same_snapshots(expected, &snapshot(&bed.path(&out).join("t")));
    }
}

#[test]
fn a_hard_link_whose_first_name_is_not_restored_is_still_a_file() {
    let bed = Bed::new();
    bed.write("t/a", "content");
    fs::hard_link(bed.path("t/a"), bed.path("t/b")).unwrap();
    fs::hard_link(bed.path("t/a"), bed.path("t/c")).unwrap();
    bed.ok(&["ingest", "t"]);
    bed.ok(&["extract", "t/b", "t/c", "-o", "out"]);
    let found = snapshot(&bed.path("out/t"));
    assert_eq!(fs::read(bed.path("out/t/c")).unwrap(), b"content");
    assert_eq!(found.len(), 3, "the directory, b and c");
    // And when its first name leaves the tree, though the file itself did not change.
    bed.ok(&["ingest", "t", "--exclude", "a"]);
    bed.ok(&["extract", "-o", "out2"]);
    assert_eq!(fs::read(bed.path("out2/t/b")).unwrap(), b"content");
    assert_eq!(snapshot(&bed.path("out2/t")), found);
}

#[test]
fn trees_and_files_stay_beside_each_other() {
    let bed = Bed::new();
    bed.write("one/x", "1");
    bed.write("two/x", "2");
    bed.write("single", "3");
    bed.ok(&["ingest", "one", "two", "single"]);
    fs::remove_file(bed.path("one/x")).unwrap();
    bed.ok(&["ingest", "one"]);
    bed.ok(&["ingest", "two", "--as", "nested/two"]);
    bed.ok(&["extract", "-o", "out"]);
    assert_same(&bed.path("one"), &bed.path("out/one"));
    assert_same(&bed.path("two"), &bed.path("out/two"));
    assert_same(&bed.path("two"), &bed.path("out/nested/two"));
    assert_same(&bed.path("single"), &bed.path("out/single"));
}

#[test]
fn excluded_paths_are_left_out_with_all_under_them() {
    let bed = Bed::new();
    for name in ["t/a.o", "t/b/c.o", "t/b/c", "t/target/x", "t/b/target/y", "t/docs/a.pdf", "t/docs/b/c.pdf"]
    {
        bed.write(name, name);
    }
    bed.ok(&["ingest", "t", "--exclude", "*.o", "--exclude", "target/", "--exclude", "docs/*.pdf"]);
    let listed = bed.json(&["ls"]);
    let paths: Vec<_> =
        listed["entries"].as_array().unwrap().iter().map(|e| e["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["t", "t/b", "t/b/c", "t/docs", "t/docs/b", "t/docs/b/c.pdf"]);
}

#[test]
fn the_store_inside_the_tree_is_left_out() {
    let bed = Bed::new();
    bed.write("t/x", "x");
    for _ in 0..2 {
        let answer = bed.run(&["-s", "t/.engrams", "ingest", "t"]);
        assert!(answer.line(0).contains("t/.engrams: left out"), "{answer:?}");
    }
    let listed = bed.ok(&["-s", "t/.engrams", "ls", "--json"]).json();
    assert_eq!(listed["entries"].as_array().unwrap().len(), 2);
    let answer = bed.run(&["-s", "t/.engrams", "ingest", "t/.engrams"]);
    assert!(answer.line(2).contains("belongs to the store itself"), "{answer:?}");
}
