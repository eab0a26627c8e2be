//! Extraction writes nowhere outside its directory, and replaces nothing without `--force`.

use std::fs;
use std::os::unix::fs::symlink;

use crate::bed::Bed;
use crate::snapshot::snapshot;

#[test]
fn nothing_is_replaced_without_force() {
    let bed = Bed::new();
    bed.write("t/a", "new");
    bed.write("t/b", "new");
    symlink("new", bed.path("t/l")).unwrap();
    bed.ok(&["ingest", "t"]);
    bed.write("out/t/a", "old");
    symlink("old", bed.path("out/t/l")).unwrap();
    let answer = bed.run(&["extract", "-o", "out"]);
    assert_eq!(answer.status, 3, "{answer:?}");
    let lines: Vec<_> = answer.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{answer:?}");
    assert!(lines[0].starts_with("engrams: t/a: ") && lines[0].contains("exists already"), "{answer:?}");
    assert!(lines[1].starts_with("engrams: t/l: ") && lines[1].contains("exists already"), "{answer:?}");
    assert_eq!(fs::read(bed.path("out/t/a")).unwrap(), b"old");
    assert_eq!(fs::read_link(bed.path("out/t/l")).unwrap().as_os_str(), "old");
    assert_eq!(fs::read(bed.path("out/t/b")).unwrap(), b"new");
    assert_eq!(snapshot(&bed.path("out/t")).len(), 4, "no temporary file is left");

    bed.ok(&["extract", "-o", "out", "--force"]);
    assert_eq!(fs::read(bed.path("out/t/a")).unwrap(), b"new");
    assert_eq!(fs::read_link(bed.path("out/t/l")).unwrap().as_os_str(), "new");
}

#[test]
fn a_file_never_replaces_a_directory_with_something_in_it() {
    let bed = Bed::new();
    bed.write("t/a", "file");
    bed.ok(&["ingest", "t"]);
    bed.write("out/t/a/precious", "kept");
    let answer = bed.run(&["extract", "-o", "out", "--force"]);
    assert!(answer.line(3).contains("t/a: ") && answer.stderr.contains("not empty"), "{answer:?}");
    assert_eq!(fs::read(bed.path("out/t/a/precious")).unwrap(), b"kept");
}

#[test]
fn a_planted_link_leads_nowhere() {
    let bed = Bed::new();
    bed.write("t/d/file", "content");
    bed.write("t/e", "content");
    bed.ok(&["ingest", "t"]);
    bed.write("outside/file", "untouched");
    bed.write("outside/e", "untouched");
    fs::create_dir_all(bed.path("out/t")).unwrap();
    symlink(bed.path("outside"), bed.path("out/t/d")).unwrap();
    symlink(bed.path("outside/e"), bed.path("out/t/e")).unwrap();
    let outside = snapshot(&bed.path("outside"));

    let answer = bed.run(&["extract", "-o", "out"]);
    assert_eq!(answer.status, 3, "{answer:?}");
    assert!(answer.stderr.contains("t/d: ") && answer.stderr.contains("t/e: "), "{answer:?}");
    assert_eq!(snapshot(&bed.path("outside")), outside);

    // One path alone goes through the same directories.
    let answer = bed.run(&["extract", "t/d/file", "-o", "out"]);
    assert_eq!(answer.status, 3, "{answer:?}");
    assert_eq!(snapshot(&bed.path("outside")), outside);

    // With force the link itself is replaced, not what it points to.
    bed.ok(&["extract", "-o", "out", "--force"]);
    assert_eq!(snapshot(&bed.path("outside")), outside);
    assert!(fs::symlink_metadata(bed.path("out/t/d")).unwrap().is_dir());
    assert_eq!(fs::read(bed.path("out/t/d/file")).unwrap(), b"content");
}

#[test]
fn a_link_that_a_version_holds_is_not_followed_by_another_version() {
    let bed = Bed::new();
    fs::create_dir_all(bed.path("t")).unwrap();
    symlink(bed.path("outside"), bed.path("t/d")).unwrap();
    bed.ok(&["ingest", "t"]);
    fs::remove_file(bed.path("t/d")).unwrap();
    bed.write("t/d/file", "content");
    bed.ok(&["ingest", "t"]);
    fs::create_dir(bed.path("outside")).unwrap();
    // First the link, then a file under the same name.
    bed.ok(&["extract", "--version", "1", "-o", "out"]);
    let answer = bed.run(&["extract", "--version", "2", "-o", "out"]);
    assert_eq!(answer.status, 3, "{answer:?}");
    assert_eq!(fs::read_dir(bed.path("outside")).unwrap().count(), 0);
}

#[test]
fn paths_that_lead_upwards_are_refused() {
    let bed = Bed::new();
    bed.write("t/a", "a");
    bed.ok(&["ingest", "t"]);
    for path in ["../t", "/etc/passwd", "t/../../x", "", "t//a", "./t"] {
        bed.run(&["extract", path, "-o", "out"]).line(2);
        bed.run(&["ingest", "t", "--as", path]).line(2);
    }
    assert!(!bed.path("out").exists());
    assert_eq!(bed.json(&["log"])["versions"].as_array().unwrap().len(), 1);
}

#[test]
fn a_path_that_is_not_there_fails_before_anything_is_written() {
    let bed = Bed::new();
    bed.write("t/a", "a");
    bed.ok(&["ingest", "t"]);
    let answer = bed.run(&["extract", "t/a", "t/b", "-o", "out"]);
    assert!(answer.line(1).contains("there is no `t/b` in version 1"), "{answer:?}");
    assert!(!bed.path("out").exists());
}
