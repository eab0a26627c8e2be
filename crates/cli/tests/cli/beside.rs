//! Reading neither waits for a writer nor needs leave to write; a second writer is told at once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use engrams::EngramStore;

use crate::bed::{Bed, noise};
use crate::snapshot::snapshot;
use crate::unreadable::as_a_user;

/// Every way to look at a store.
const READING: [&[&str]; 11] = [
    &["log"],
    &["ls"],
    &["ls", "--version", "1"],
    &["cat", "t/file"],
    &["stats"],
    &["verify"],
    &["verify", "--deep"],
    &["damage", "--chunk", "1"],
    &["tag"],
    &["gc", "--dry-run"],
    &["forget", "--keep-last", "1", "--dry-run"],
];

/// A store of two versions.
fn stored(bed: &Bed) -> Vec<u8> {
    let mut content = noise(1, 300_000);
    bed.write("t/file", &content);
    bed.ok(&["ingest", "t"]);
    content.splice(1000..1000, *b"some more");
    bed.write("t/file", &content);
    bed.ok(&["ingest", "t"]);
    content
}

#[test]
fn every_look_at_a_store_works_beside_its_writer_and_a_second_writer_is_told() {
    let bed = Bed::new();
    let content = stored(&bed);
    let writer = EngramStore::open(bed.path("store")).unwrap();
    let mut transaction = engrams::Transaction::begin(&writer, &engrams::IngestOptions::default()).unwrap();
    transaction.put_file(b"new", engrams::Attributes::default(), &mut &noise(2, 200_000)[..]).unwrap();
    for arguments in READING {
        bed.ok(arguments);
    }
    assert!(bed.ok(&["cat", "t/file"]).stdout == content);
    for arguments in
        [&["ingest", "t"][..], &["rm", "t"], &["gc"], &["tag", "x"], &["forget", "--version", "1"]]
    {
        let answer = bed.run(arguments);
        assert!(answer.line(1).contains("in use by another process"), "{answer:?}");
    }
    transaction.commit("").unwrap();
    // Only in the log, and its writer is still there.
    assert_eq!(bed.json(&["log"])["versions"][0]["version"], 3);
    assert!(bed.ok(&["cat", "new"]).stdout == noise(2, 200_000));
    bed.ok(&["extract", "t", "-o", "out"]);
    assert!(fs::read(bed.path("out/t/file")).unwrap() == content);
}

/// The store as the medium has it this instant: what is left of it when the process is killed.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, name) = (entry.as_ref().unwrap().path(), entry.as_ref().unwrap().file_name());
        if entry.is_dir() {
            copy(&entry, &to.join(name));
        } else {
            fs::copy(&entry, to.join(name)).unwrap();
        }
    }
}

#[test]
fn looking_changes_no_file_also_after_a_killed_process() {
    let bed = Bed::new();
    let content = stored(&bed);
    let store = bed.path("store");
    let crashed = bed.path("crashed");
    {
        let writer = EngramStore::open(&store).unwrap();
        writer.tag("in the log alone", 1).unwrap();
        copy(&store, &crashed);
    }
    for store in [store, crashed] {
        let before = snapshot(&store);
        for arguments in READING {
            let mut command = bed.command(arguments);
            let answer = crate::bed::Answer::of(command.env("ENGRAMS_STORE", &store));
            assert_eq!((answer.status, &*answer.stderr), (0, ""), "{answer:?}");
            match arguments {
                ["cat", ..] => assert!(answer.stdout == content),
                ["tag"] => assert!(answer.text().contains("in the log alone"), "{answer:?}"),
                _ => {}
            }
        }
        assert_eq!(snapshot(&store), before);
    }
}

#[test]
fn a_directory_that_may_not_be_written_can_be_read() {
    let bed = Bed::new();
    let content = stored(&bed);
    for (path, seen) in snapshot(&bed.path("store")) {
        let path = bed.path("store").join(String::from_utf8(path).unwrap());
        let mode = if seen.is_directory() { 0o555 } else { 0o444 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    for arguments in READING {
        let Some(answer) = as_a_user(&bed, arguments) else { return };
        assert_eq!((answer.status, &*answer.stderr), (0, ""), "{answer:?}");
        if let ["cat", ..] = arguments {
            assert!(answer.stdout == content);
        }
    }
    let answer = as_a_user(&bed, &["rm", "t"]).unwrap();
    assert_eq!(answer.status, 1, "{answer:?}");
}

#[test]
fn a_backup_is_a_store_also_when_it_was_taken_beside_a_writer() {
    let bed = Bed::new();
    let content = stored(&bed);
    bed.ok(&["backup", "linked"]);
    {
        let writer = EngramStore::open(bed.path("store")).unwrap();
        writer.tag("in the log alone", 2).unwrap();
        assert_eq!(bed.json(&["backup", "copied"])["version"], 2);
    }
    // What happens to the store does not touch them.
    bed.ok(&["rm", "t"]);
    bed.ok(&["forget", "--version", "1"]);
    bed.ok(&["gc"]);
    for copy in ["linked", "copied"] {
        bed.ok(&["-s", copy, "verify", "--deep"]);
        assert!(bed.ok(&["-s", copy, "cat", "t/file"]).stdout == content);
        assert_eq!(bed.ok(&["-s", copy, "tag"]).text().contains("in the log alone"), copy == "copied");
        // And is written like any other.
        bed.ok(&["-s", copy, "ingest", "t"]);
    }
    assert!(bed.run(&["backup", "linked"]).line(2).contains("is not empty"));
    assert!(bed.run(&["-s", "none", "backup", "other"]).line(1).contains("there is no store"));
    assert!(!bed.path("other").exists());
}
