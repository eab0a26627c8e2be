//! `cat` gives exactly the bytes asked for.

use std::fs;
use std::io::Read;
use std::process::Stdio;

use crate::bed::{Bed, noise};

#[test]
fn every_range_is_exact() {
    let bed = Bed::new();
    let content = noise(3, 700_001);
    bed.write("t/file", &content);
    bed.ok(&["ingest", "t"]);
    assert_eq!(bed.ok(&["cat", "t/file"]).stdout, content);
    for (offset, length) in
        [(0, 1), (1, 65_536), (65_535, 2), (123_456, 300_000), (700_000, 1), (700_001, 1), (0, 0)]
    {
        let (o, l) = (offset.to_string(), length.to_string());
        let answer = bed.ok(&["cat", "t/file", "--offset", &o, "--length", &l]);
        let end = content.len().min(offset + length);
        assert!(answer.stdout == content[offset..end], "{offset} {length}");
    }
    let tail = bed.ok(&["cat", "t/file", "--offset", "699990"]);
    assert_eq!(tail.stdout, &content[699_990..]);
    assert!(bed.run(&["cat", "t/file", "--offset", "700002"]).line(2).contains("700001 bytes"));
}

#[test]
fn old_versions_stay_readable() {
    let bed = Bed::new();
    let contents: Vec<_> = (0..3).map(|n| [noise(n, 40_000), noise(9, 100_000)].concat()).collect();
    for content in &contents {
        bed.write("t/file", content);
        bed.ok(&["ingest", "t"]);
    }
    for (n, content) in contents.iter().enumerate() {
        let version = (n + 1).to_string();
        assert!(bed.ok(&["cat", "t/file", "--version", &version]).stdout == *content);
    }
    let answer = bed.run(&["cat", "t/file", "--version", "4"]);
    assert!(answer.line(1).contains("version 4"), "{answer:?}");
}

#[test]
fn standard_input_and_a_file_are_the_same_to_it() {
    let bed = Bed::new();
    let content = noise(4, 300_000);
    let answer = bed.feed(&["ingest", "-", "--as", "some/stream", "-m", "from a pipe", "--json"], &content);
    assert_eq!((answer.status, &*answer.stderr), (0, ""));
    assert_eq!(answer.json()["content_hash"], blake3::hash(&content).to_hex().as_str());
    assert!(bed.ok(&["cat", "some/stream"]).stdout == content);
    assert_eq!(bed.json(&["log"])["versions"][0]["message"], "from a pipe");
    bed.ok(&["extract", "-o", "out"]);
    assert!(fs::read(bed.path("out/some/stream")).unwrap() == content);
    assert_eq!(bed.feed(&["ingest", "-", "--as", "empty"], b"").status, 0);
    assert_eq!(bed.ok(&["cat", "empty"]).stdout, b"");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let bed = Bed::new();
    bed.write("t/file", noise(5, 4 << 20));
    bed.ok(&["ingest", "t"]);
    let mut child =
        bed.command(&["cat", "t/file"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut few = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut few).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn what_is_no_file_is_refused_by_its_name() {
    let bed = Bed::new();
    bed.write("t/d/file", "x");
    std::os::unix::fs::symlink("d/file", bed.path("t/link")).unwrap();
    bed.ok(&["ingest", "t"]);
    assert!(bed.run(&["cat", "t/d"]).line(1).contains("`t/d` is a directory"));
    assert!(bed.run(&["cat", "t/link"]).line(1).contains("a symbolic link to `d/file`"));
    assert!(bed.run(&["cat", "t/x"]).line(1).contains("there is no `t/x`"));
}
