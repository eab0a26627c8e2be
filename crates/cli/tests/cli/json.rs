//! Every report as one JSON object, with exactly the fields that are promised.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde_json::{Value, json};

use crate::bed::{Bed, fields, noise};

const INGEST: [&str; 10] = [
    "bytes",
    "chunks",
    "correction_bytes",
    "correction_savings",
    "files",
    "recalled",
    "reused",
    "seconds",
    "verbatim",
    "version",
];

#[test]
fn ingest_reports_what_it_did() {
    let bed = Bed::new();
    bed.write("t/a", noise(1, 200_000));
    bed.write("t/b", "small");
    let report = bed.json(&["ingest", "t"]);
    assert_eq!(fields(&report), INGEST);
    assert_eq!(
        (&report["version"], &report["files"], &report["bytes"]),
        (&json!(1), &json!(2), &json!(200_005))
    );
    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!(count("chunks"), count("reused") + count("recalled") + count("verbatim"));
    assert!(report["seconds"].is_f64());

    let report = bed.json(&["ingest", "t/a"]);
    let mut with_hash = [&INGEST[..], &["content_hash"]].concat();
    with_hash.sort_unstable();
    assert_eq!(fields(&report), with_hash);
    assert_eq!(report["content_hash"], blake3::hash(&noise(1, 200_000)).to_hex().as_str());
}

#[test]
fn ls_hashes_are_those_of_b3sum() {
    let bed = Bed::new();
    bed.write("t/a", noise(1, 100_000));
    bed.write("t/empty", "");
    std::os::unix::fs::symlink("a", bed.path("t/link")).unwrap();
    bed.ok(&["ingest", "t"]);
    let listed = bed.json(&["ls"]);
    assert_eq!(fields(&listed), ["entries"]);
    let [directory, a, empty, link] = &listed["entries"].as_array().unwrap()[..] else { panic!("{listed}") };
    for entry in [directory, a, empty] {
        assert_eq!(fields(entry), ["hash", "kind", "mode", "mtime", "path", "size", "version"]);
    }
    assert_eq!(
        (&directory["path"], &directory["kind"], &directory["hash"]),
        (&json!("t"), &json!("directory"), &Value::Null)
    );
    assert_eq!(a["hash"], blake3::hash(&noise(1, 100_000)).to_hex().as_str());
    assert_eq!(empty["hash"], blake3::hash(b"").to_hex().as_str());
    assert_eq!((&a["kind"], &a["size"], &a["version"]), (&json!("file"), &json!(100_000), &json!(1)));
    assert_eq!((&link["kind"], &link["target"], &link["size"]), (&json!("symlink"), &json!("a"), &json!(1)));
    let time = a["mtime"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.contains('T'), "{time}");

    assert_eq!(bed.json(&["ls", "t/a"])["entries"].as_array().unwrap().len(), 1);
    assert!(bed.run(&["ls", "t/x"]).line(1).contains("there is no `t/x`"));
}

#[test]
fn log_stats_verify_rm_and_extract_report() {
    let bed = Bed::new();
    bed.write("t/a", "a");
    bed.ok(&["ingest", "t", "-m", "first"]);
    bed.ok(&["ingest", "t"]);
    let log = bed.json(&["log"]);
    let [second, first] = &log["versions"].as_array().unwrap()[..] else { panic!("{log}") };
    assert_eq!(fields(first), ["bytes", "files", "message", "parent", "tags", "time", "version"]);
    assert_eq!(
        (&first["parent"], &first["message"], &first["files"]),
        (&Value::Null, &json!("first"), &json!(1))
    );
    assert_eq!((&second["parent"], &second["message"], &second["bytes"]), (&json!(1), &json!(""), &json!(1)));

    assert_eq!(
        fields(&bed.json(&["stats"])),
        [
            "chunks",
            "files",
            "ingested_bytes",
            "logical_bytes",
            "max_chain",
            "mean_chain",
            "recalled_chunks",
            "search_bytes",
            "stored_bytes",
            "unique_bytes",
            "verbatim_chunks",
            "versions",
        ]
    );
    for arguments in [&["verify"][..], &["verify", "--deep"]] {
        let verified = bed.json(arguments);
        assert_eq!(fields(&verified), ["chunks", "errors", "files", "ok", "versions"]);
        assert_eq!(
            (&verified["ok"], &verified["errors"], &verified["versions"]),
            (&json!(true), &json!([]), &json!(2))
        );
    }
    let extracted = bed.json(&["extract", "-o", "out"]);
    assert_eq!(
        (&extracted["version"], &extracted["files"], &extracted["failed"]),
        (&json!(2), &json!(1), &json!(0))
    );
    assert_eq!(fields(&bed.json(&["rm", "t"])), ["path", "removed", "version"]);
}

#[test]
fn paths_that_are_not_text_are_lossless() {
    let bed = Bed::new();
    fs::create_dir(bed.path("t")).unwrap();
    fs::write(bed.path("t").join(OsStr::from_bytes(b"a\xff\\b")), "").unwrap();
    fs::write(bed.path("t/a\\xff"), "").unwrap();
    bed.ok(&["ingest", "t"]);
    let listed = bed.json(&["ls"]);
    let entries = listed["entries"].as_array().unwrap();
    assert_eq!((&entries[1]["path"], entries[1].get("path_bytes")), (&json!("t/a\\xff"), None));
    assert_eq!(entries[2]["path"], "t/a\\xff\\b");
    assert_eq!(entries[2]["path_bytes"], "742f61ff5c62");
    let text = bed.ok(&["ls"]);
    let names: Vec<_> = text.text().lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(names, ["t", "t/a\\\\xff", "t/a\\xff\\\\b"]);
    // And such a path can be asked for.
    let path = OsStr::from_bytes(b"t/a\xff\\b");
    assert_eq!(bed.ok(&[OsStr::new("cat"), path]).stdout, b"");
}

#[test]
fn text_reports_are_for_people() {
    let bed = Bed::new();
    bed.write("t/a", noise(1, 1_234_567));
    let report = bed.ok(&["ingest", "t"]);
    assert!(report.text().starts_with("version 1: 1 file, 1 directory\nread 1.23 MB in "), "{report:?}");
    let stats = bed.ok(&["stats"]);
    assert!(stats.text().contains("bytes in the newest"), "{stats:?}");
    let verified = bed.ok(&["verify"]);
    assert!(verified.text().contains("all intact"), "{verified:?}");
    let extracted = bed.ok(&["extract", "-o", "out"]);
    assert!(
        extracted.text().starts_with("version 1: 1 file, 1 directory restored to out\n"),
        "{extracted:?}"
    );
}
