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

/// Lines that are wrong, what is said to be, and which help is named.
const WRONG: [(&[&str], &str, &str); 35] = [
    (&[], "no command is given", "`engrams help`"),
    (&["--json"], "no command is given", "`engrams help`"),
    (&["frobnicate"], "'frobnicate'", "`engrams help`"),
    (&["ingets", "t"], "perhaps `ingest` is meant", "`engrams help`"),
    (&["--frob", "log"], "unexpected argument '--frob'", "`engrams help`"),
    (&["help", "frobnicate"], "'frobnicate'", "`engrams help`"),
    (&["-s"], "'--store <DIR>'", "`engrams help`"),
    (&["log", "--json=yes"], "'yes'", "`engrams help log`"),
    (&["ingest"], "<PATH>", "`engrams help ingest`"),
    (&["-s", "log", "ingest", "--foo", "t"], "unexpected argument '--foo'", "`engrams help ingest`"),
    (&["ingest", "t", "--foo", "--json"], "unexpected argument '--foo'", "`engrams help ingest`"),
    (&["ingest", "t", "-x"], "unexpected argument '-x'", "`engrams help ingest`"),
    (&["ingest", "t", "--fo\n\nrce"], "'--fo\\n\\nrce'", "`engrams help ingest`"),
    (&["ingest", "t", "--as"], "a value is required for '--as <NAME>'", "`engrams help ingest`"),
    (&["ingest", "t", "--chunk-size", "0"], "--chunk-size", "`engrams help ingest`"),
    (&["ingest", "t", "--chunk-size", "1000"], "power of two", "`engrams help ingest`"),
    (&["ingest", "t", "--chunk-size", "64T"], "'64T'", "`engrams help ingest`"),
    (&["ingest", "t", "--chunk-size", "1G"], "'1G'", "`engrams help ingest`"),
    (&["ingest", "t", "--level", "23"], "'23' for '--level <N>'", "`engrams help ingest`"),
    (&["ingest", "t", "--level", "3\n\n4"], "'3\\n\\n4' for '--level <N>'", "`engrams help ingest`"),
    (
        &["ingest", "t", "--compression", "brotli"],
        "possible values: none, lz4, zstd",
        "`engrams help ingest`",
    ),
    (&["ingest", "t", "--memory", "0"], "'0' for '--memory <MIB>'", "`engrams help ingest`"),
    (&["cat"], "not provided", "`engrams help cat`"),
    (&["cat", "a", "--version", "new"], "'new' for '--version <N>'", "`engrams help cat`"),
    (&["ls", "--at", "soon"], "'soon' for '--at <TIME>'", "`engrams help ls`"),
    (&["ls", "--at", "2024-01-01", "--version", "1"], "cannot be used with", "`engrams help ls`"),
    (&["extract"], "--output <DIR>", "`engrams help extract`"),
    (&["extract", "-o", "a", "-o", "b"], "cannot be used multiple times", "`engrams help extract`"),
    (&["extract", "-o", "a", "--forc"], "perhaps `--force` is meant", "`engrams help extract`"),
    (&["tag", "--remove"], "not provided", "`engrams help tag`"),
    (&["tag", "a", "1", "2"], "unexpected argument '2'", "`engrams help tag`"),
    (&["find", "t/a", "-k", "0"], "'0' for '-k <N>'", "`engrams help find`"),
    (&["forget", "--keep-last", "many"], "'many'", "`engrams help forget`"),
    (&["similarity", "a"], "not provided", "`engrams help similarity`"),
    (&["gc", "now"], "unexpected argument 'now'", "`engrams help gc`"),
];

/// Found: clap's own messages take several lines.
#[test]
fn a_line_that_makes_no_sense_is_answered_by_one_line() {
    let bed = Bed::new();
    bed.write("t/a", "a");
    for (arguments, what, help) in WRONG {
        let answer = bed.run(arguments);
        let line = answer.line(2);
        assert!(line.contains(what) && line.contains(help), "{arguments:?}: {line}");
        assert!(answer.stdout.is_empty(), "{answer:?}");
    }
    use std::os::unix::ffi::OsStrExt;
    let odd = [std::ffi::OsStr::from_bytes(b"ls"), std::ffi::OsStr::from_bytes(b"--vers\xff")];
    assert!(bed.run(&odd).line(2).contains("`engrams help ls`"));
    assert!(!bed.path("store").exists(), "nothing is made for nonsense");
}

#[test]
fn nonsense_is_wrong_usage() {
    let bed = Bed::new();
    bed.write("t/a", "a");
    let wrong: [&[&str]; 5] = [
        &["ingest", "t", "--level", "3", "--compression", "lz4"],
        &["ingest", "t", "--exclude", "a["],
        &["ingest", "-"],
        &["ingest", "-", "t", "--as", "x"],
        &["ingest", "t", "t", "--as", "x"],
    ];
    for arguments in wrong {
        bed.run(arguments).line(2);
    }
    let twice = bed.run(&["ingest", "t", "./t"]);
    assert!(twice.line(2).contains("two paths would both be called `t`"), "{twice:?}");
    assert!(!bed.path("store").exists(), "nothing is made for nonsense");
}

#[test]
fn help_and_version_are_no_errors() {
    let bed = Bed::new();
    let verbs = ["ingest", "repair"];
    let help = verbs.map(|verb| (bed.ok(&[verb, "--help"]), bed.ok(&["help", verb])));
    for (long, verb) in help {
        assert_eq!(long.stdout, verb.stdout);
        assert!(long.text().lines().count() > 10);
    }
    assert!(bed.ok(&["help"]).text().contains("\n  ingest "));
    let version = bed.ok(&["--version"]);
    assert_eq!(version.text(), format!("engrams {}\n", env!("CARGO_PKG_VERSION")));
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
