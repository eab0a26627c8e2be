//! Wrong usage is exit status 2, failure 1, and one line says what and what to do.

use std::io::Write;
use std::process::Stdio;

use crate::bed::{Answer, Bed, noise};

#[test]
fn a_missing_store_is_one_clear_line() {
    let bed = Bed::new();
    for verb in
        [&["log"][..], &["ls"], &["cat", "x"], &["extract", "-o", "o"], &["rm", "x"], &["verify"], &["stats"]]
    {
        let answer = bed.run(verb);
        let line = answer.line(1);
        assert!(
            line.contains("there is no store at") && line.contains("ingest PATH` makes one"),
            "{answer:?}"
        );
    }
    assert!(!bed.path("store").exists(), "looking makes no store");
}

#[test]
fn a_store_must_be_named() {
    let bed = Bed::new();
    let answer = Answer::of(bed.command(&["log"]).env_remove("ENGRAMS_STORE"));
    assert!(answer.line(2).contains("-s DIR"), "{answer:?}");
}

#[test]
fn nonsense_is_wrong_usage() {
    let bed = Bed::new();
    bed.write("t/a", "a");
    let wrong: [&[&str]; 16] = [
        &[],
        &["frobnicate"],
        &["ingest"],
        &["ingest", "t", "--chunk-size", "0"],
        &["ingest", "t", "--chunk-size", "1000"],
        &["ingest", "t", "--chunk-size", "64T"],
        &["ingest", "t", "--chunk-size", "1G"],
        &["ingest", "t", "--level", "23"],
        &["ingest", "t", "--level", "3", "--compression", "lz4"],
        &["ingest", "t", "--compression", "brotli"],
        &["ingest", "t", "--memory", "0"],
        &["ingest", "t", "--exclude", "a["],
        &["ingest", "-"],
        &["ingest", "-", "t", "--as", "x"],
        &["ingest", "t", "t", "--as", "x"],
        &["extract"],
    ];
    for arguments in wrong {
        let answer = bed.run(arguments);
        assert_eq!(answer.status, 2, "{arguments:?}: {answer:?}");
        assert!(!answer.stderr.is_empty(), "{arguments:?}");
    }
    let size = bed.run(&["ingest", "t", "--chunk-size", "1000"]);
    assert!(size.stderr.contains("power of two"), "{size:?}");
    let twice = bed.run(&["ingest", "t", "./t"]);
    assert!(twice.line(2).contains("two paths would both be called `t`"), "{twice:?}");
    assert!(!bed.path("store").exists(), "nothing is made for nonsense");
}

#[test]
fn every_way_to_keep_bytes_gives_them_back() {
    let bed = Bed::new();
    let content = "the same line again and again\n".repeat(10_000);
    bed.write("t/a", &content);
    for (n, options) in [
        &["--compression", "none"][..],
        &["--compression", "lz4"],
        &["--compression", "zstd"],
        &["--level", "1"],
        &["--level", "19", "--threads", "2"],
        &["--chunk-size", "4K", "--memory", "16"],
    ]
    .iter()
    .enumerate()
    {
        let store = format!("store {n}");
        let ingest = [&["-s", &store, "ingest", "t"][..], options].concat();
        bed.ok(&ingest);
        assert_eq!(bed.ok(&["-s", &store, "cat", "t/a"]).stdout, content.as_bytes(), "{options:?}");
    }
}

#[test]
fn help_has_examples_for_every_verb() {
    let bed = Bed::new();
    let help = bed.ok(&["--help"]);
    assert!(help.text().contains("engrams ingest ~/data"));
    for verb in ["ingest", "log", "ls", "cat", "extract", "rm", "verify", "stats"] {
        assert!(help.text().contains(&format!("\n  {verb} ")), "{verb}");
        assert!(bed.ok(&[verb, "--help"]).text().contains("Usage: engrams"));
    }
}

#[test]
fn the_store_option_may_stand_anywhere() {
    let bed = Bed::new();
    bed.write("t/a", "a");
    bed.ok(&["-s", "elsewhere", "ingest", "t"]);
    bed.ok(&["ingest", "t", "--store", "elsewhere"]);
    assert_eq!(bed.json(&["log", "-s", "elsewhere"])["versions"].as_array().unwrap().len(), 2);
}

#[test]
fn a_store_in_use_is_one_clear_line() {
    let bed = Bed::new();
    bed.write("t/a", "a");
    bed.ok(&["ingest", "t"]);
    let mut holder = bed.command(&["ingest", "-", "--as", "stream"]);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut input = holder.stdin.take().unwrap();
    // More than a pipe holds: once it is taken, the store is open.
    input.write_all(&noise(1, 1 << 20)).unwrap();
    let answer = bed.run(&["ingest", "t"]);
    assert!(answer.line(1).contains("in use by another process"), "{answer:?}");
    drop(input);
    assert!(holder.wait().unwrap().success());
    assert!(bed.ok(&["cat", "stream"]).stdout == noise(1, 1 << 20));
}

#[test]
fn a_directory_of_someone_else_is_no_store() {
    let bed = Bed::new();
    bed.write("t/a", "a");
    bed.write("mine/letter", "dear");
    let answer = bed.run(&["-s", "mine", "ingest", "t"]);
    assert!(answer.line(2).contains("mine is not a store"), "{answer:?}");
    assert_eq!(std::fs::read_dir(bed.path("mine")).unwrap().count(), 1);
}
