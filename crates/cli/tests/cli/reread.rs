//! Unchanged files are not read again, and changed ones always are.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::bed::{Answer, Bed};

/// `(N unchanged and not read)` in the report for people.
fn unchanged(answer: &Answer) -> u64 {
    let text = answer.text();
    let Some(end) = text.find(" unchanged and not read)") else { return 0 };
    let start = text[..end].rfind('(').unwrap() + 1;
    text[start..end].replace(',', "").parse().unwrap()
}

#[test]
fn a_second_ingest_reads_only_what_changed() {
    let bed = Bed::new();
    for n in 0..20 {
        bed.write(&format!("t/{n}"), format!("file {n}"));
    }
    assert_eq!(unchanged(&bed.ok(&["ingest", "t"])), 0);
    let again = bed.json(&["ingest", "t"]);
    assert_eq!((&again["version"], &again["chunks"], &again["bytes"]), (&2.into(), &0.into(), &0.into()));
    bed.write("t/7", "changed");
    bed.write("t/new", "new");
    assert_eq!(unchanged(&bed.ok(&["ingest", "t"])), 19);
    let forced = bed.ok(&["ingest", "t", "--force-read"]);
    assert_eq!(unchanged(&forced), 0);
    assert_eq!(bed.ok(&["cat", "t/7"]).stdout, b"changed");
    assert_eq!(bed.ok(&["cat", "t/8"]).stdout, b"file 8");
}

#[test]
fn a_huge_file_costs_nothing_the_second_time() {
    let bed = Bed::new();
    fs::create_dir(bed.path("t")).unwrap();
    File::create(bed.path("t/huge")).unwrap().set_len(512 << 20).unwrap();
    let began = Instant::now();
    bed.ok(&["ingest", "t"]);
    let first = began.elapsed();
    let began = Instant::now();
    let again = bed.json(&["ingest", "t"]);
    let second = began.elapsed();
    assert_eq!(again["bytes"], 0);
    assert!(second < first / 2 + Duration::from_millis(200), "first {first:?}, second {second:?}");
}

#[test]
fn a_change_that_leaves_size_and_mtime_alone_is_found() {
    let bed = Bed::new();
    let path = bed.write("t/a", "before");
    let mtime = fs::metadata(&path).unwrap().modified().unwrap();
    bed.ok(&["ingest", "t"]);
    fs::write(&path, "after!").unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(mtime).unwrap();
    bed.ok(&["ingest", "t"]);
    assert_eq!(bed.ok(&["cat", "t/a"]).stdout, b"after!");
}

#[test]
fn a_change_right_after_an_ingest_is_found() {
    let bed = Bed::new();
    for n in 0_u8..20 {
        bed.write("t/a", [n; 6]);
        bed.ok(&["ingest", "t"]);
        assert_eq!(bed.ok(&["cat", "t/a"]).stdout, [n; 6]);
    }
}

#[test]
fn a_change_of_mode_alone_is_stored() {
    let bed = Bed::new();
    let path = bed.write("t/a", "a");
    bed.ok(&["ingest", "t"]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    bed.ok(&["ingest", "t"]);
    assert_eq!(bed.json(&["ls", "t/a"])["entries"][0]["mode"], 0o640);
    assert_eq!(bed.json(&["log", "t/a"])["versions"].as_array().unwrap().len(), 2);
}

#[test]
fn one_file_alone_is_not_read_again_either() {
    let bed = Bed::new();
    bed.write("a", "content");
    let first = bed.json(&["ingest", "a"]);
    let second = bed.json(&["ingest", "a"]);
    assert_eq!(second["bytes"], 0);
    assert_eq!(first["content_hash"], second["content_hash"]);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_named() {
    let bed = Bed::new();
    bed.write("t/quiet", "quiet");
    // Large enough that reading takes longer than the pauses of the writer.
    File::create(bed.path("t/busy")).unwrap().set_len(256 << 20).unwrap();
    let mut child = bed
        .command(&["ingest", "t"])
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut busy = File::options().append(true).open(bed.path("t/busy")).unwrap();
    let began = Instant::now();
    let status = loop {
        busy.write_all(b"more").unwrap();
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(began.elapsed() < Duration::from_secs(300), "it waits for ever");
        std::thread::sleep(Duration::from_millis(2));
    };
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
    assert_eq!(status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("t/busy: changed while it was read"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert_eq!(bed.ok(&["cat", "t/quiet"]).stdout, b"quiet");
    // What was read last is stored, and read again next time.
    let next = bed.json(&["ingest", "t"]);
    assert!(next["bytes"].as_u64().unwrap() > 256 << 20, "{next}");
}
