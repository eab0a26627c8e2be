//! What can't be stored is named, the rest is stored, and the exit status says so.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, Mode, mkfifoat};

use crate::bed::{Answer, BINARY, Bed, is_root};

#[test]
fn sockets_and_pipes_are_skipped_and_named() {
    let bed = Bed::new();
    bed.write("t/file", "stored");
    mkfifoat(CWD, bed.path("t/pipe"), Mode::from(0o644)).unwrap();
    let _listening = UnixListener::bind(bed.path("t/socket")).unwrap();
    let answer = bed.run(&["ingest", "t", "--json"]);
    assert_eq!(answer.status, 3, "{answer:?}");
    assert_eq!(answer.json()["version"], 1);
    let lines: Vec<_> = answer.stderr.lines().collect();
    assert_eq!(lines, ["engrams: t/pipe: skipped, a named pipe", "engrams: t/socket: skipped, a socket"]);
    assert_eq!(bed.json(&["ls"])["entries"].as_array().unwrap().len(), 2);
    // Left out on purpose, they are no news.
    bed.ok(&["ingest", "t", "--exclude", "pipe", "--exclude", "socket"]);
}

#[test]
fn devices_are_skipped_and_named() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    fs::create_dir(bed.path("t")).unwrap();
    let made = rustix::fs::mknodat(
        CWD,
        bed.path("t/null"),
        rustix::fs::FileType::CharacterDevice,
        Mode::from(0o666),
        rustix::fs::makedev(1, 3),
    );
    if made.is_err() {
        return;
    }
    let answer = bed.run(&["ingest", "t"]);
    assert_eq!(answer.line(3), "engrams: t/null: skipped, a device");
}

/// Runs the command as a user for whom permissions count; `None` when root runs the tests and can't become one.
pub(crate) fn as_a_user(bed: &Bed, arguments: &[&str]) -> Option<Answer> {
    if !is_root() {
        return Some(bed.run(arguments));
    }
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65_534;
    fs::set_permissions(bed.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    // The binary may lie where that user can't reach it.
    let copy = bed.path("engrams-copy");
    if !copy.exists() {
        fs::copy(BINARY, &copy).unwrap();
    }
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = bed.command_of(&copy, arguments);
    command.uid(NOBODY).gid(NOBODY);
    let outcome = loop {
        match command.output() {
            // A child of another test that forked meanwhile has the copy open for an instant.
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            outcome => break outcome,
        }
    };
    match outcome {
        Ok(output) => Some(Answer::from(output)),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_becomes_unreadable_keeps_its_last_version() {
    let bed = Bed::new();
    bed.write("t/file", "readable once");
    bed.write("t/d/inner/file", "readable once");
    bed.write("t/other", "1");
    let at = |path: &str, mode| {
        fs::set_permissions(bed.path(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    at("t/d/inner/file", 0o644);
    let Some(first) = as_a_user(&bed, &["ingest", "t"]) else { return };
    assert_eq!(first.status, 0, "{first:?}");
    at("t/file", 0o000);
    at("t/d", 0o000);
    bed.write("t/other", "2");
    let second = as_a_user(&bed, &["ingest", "t", "--json"]).unwrap();
    assert_eq!(second.status, 3, "{second:?}");
    let lines: Vec<_> = second.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{second:?}");
    for (line, path) in lines.iter().zip(["t/d", "t/file"]) {
        assert!(line.starts_with(&format!("engrams: {path}: could not be read: ")), "{second:?}");
        assert!(line.ends_with("(kept as it was in the version before)"), "{second:?}");
    }
    let cat = |path| as_a_user(&bed, &["cat", path]).unwrap().stdout;
    assert_eq!(cat("t/file"), b"readable once");
    assert_eq!(cat("t/d/inner/file"), b"readable once");
    assert_eq!(cat("t/other"), b"2");
}

#[test]
fn what_never_was_readable_is_named_and_absent() {
    let bed = Bed::new();
    let path = bed.write("t/secret", "secret");
    bed.write("t/open", "open");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let Some(answer) = as_a_user(&bed, &["ingest", "t"]) else { return };
    assert!(answer.line(3).starts_with("engrams: t/secret: could not be read: "), "{answer:?}");
    assert!(!answer.stderr.contains("kept"), "{answer:?}");
    let listed = as_a_user(&bed, &["ls"]).unwrap();
    assert!(listed.text().contains("t/open") && !listed.text().contains("secret"), "{listed:?}");
}

#[test]
fn a_user_restores_what_is_not_his_as_his_own_without_set_id_bits() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    let path = bed.write("t/program", "runs as root");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4755)).unwrap();
    let Some(first) = as_a_user(&bed, &["ingest", "t"]) else { return };
    assert_eq!(first.status, 0, "{first:?}");
    let answer = as_a_user(&bed, &["extract", "-o", "out"]).unwrap();
    assert_eq!((answer.status, &*answer.stderr), (0, ""), "{answer:?}");
    let restored = fs::metadata(bed.path("out/t/program")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&restored), 65_534);
    assert_eq!(restored.permissions().mode() & 0o7777, 0o755);
}

/// Found: nothing was restored into a directory whose mode could not be changed.
#[test]
fn a_directory_that_takes_no_attributes_costs_no_file() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    bed.write("t/a/file", "one");
    bed.write("t/b/file", "two");
    for path in ["t", "t/a"] {
        fs::set_permissions(bed.path(path), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let Some(first) = as_a_user(&bed, &["ingest", "t"]) else { return };
    assert_eq!(first.status, 0, "{first:?}");
    // Of another user, who lets all others write.
    fs::create_dir_all(bed.path("out/t/a")).unwrap();
    for (path, mode) in [("out", 0o777), ("out/t", 0o777), ("out/t/a", 0o077)] {
        fs::set_permissions(bed.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let answer = as_a_user(&bed, &["extract", "-o", "out", "--force"]).unwrap();
    assert_eq!(answer.status, 3, "{answer:?}");
    let lines: Vec<_> = answer.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{answer:?}");
    for (line, path) in lines.iter().zip(["t/a", "t"]) {
        let said = format!("engrams: {path}: restored, but not all of its attributes: mode 755: ");
        assert!(line.starts_with(&said) && line.contains("time of last change: "), "{answer:?}");
    }
    assert_eq!(fs::read(bed.path("out/t/a/file")).unwrap(), b"one");
    assert_eq!(fs::read(bed.path("out/t/b/file")).unwrap(), b"two");
}

#[test]
fn a_path_that_is_not_there_stores_nothing() {
    let bed = Bed::new();
    bed.write("t/a", "a");
    for arguments in [&["ingest", "missing"][..], &["ingest", "t", "missing"]] {
        let answer = bed.run(arguments);
        assert!(answer.line(1).contains("missing"), "{answer:?}");
        assert!(!bed.path("store").exists(), "no store is made for nothing");
    }
    mkfifoat(CWD, bed.path("pipe"), Mode::from(0o644)).unwrap();
    assert!(bed.run(&["ingest", "pipe"]).line(1).contains("neither a directory nor a file"));
}
