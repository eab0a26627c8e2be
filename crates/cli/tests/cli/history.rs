//! `log`, `rm` and looking back.

use std::fs;

use engrams::store::Space;
use serde_json::json;

use crate::bed::Bed;

/// The numbers of the versions that `log` lists.
fn log(bed: &Bed, path: &[&str]) -> Vec<u64> {
    let listed = bed.json(&[&["log"], path].concat());
    listed["versions"].as_array().unwrap().iter().map(|v| v["version"].as_u64().unwrap()).collect()
}

#[test]
fn log_lists_the_versions_in_which_a_path_came_changed_or_went() {
    let bed = Bed::new();
    bed.write("t/a", "1");
    bed.write("t/d/b", "1");
    bed.ok(&["ingest", "t", "-m", "one"]);
    bed.write("t/a", "2");
    bed.ok(&["ingest", "t", "-m", "two"]);
    fs::remove_file(bed.path("t/a")).unwrap();
    bed.ok(&["ingest", "t", "-m", "three"]);
    bed.write("t/d/b", "4");
    bed.ok(&["ingest", "t", "-m", "four"]);
    bed.write("t/a", "2");
    bed.ok(&["ingest", "t", "-m", "five"]);
    assert_eq!(log(&bed, &[]), [5, 4, 3, 2, 1]);
    assert_eq!(log(&bed, &["t/a"]), [5, 3, 2, 1]);
    assert_eq!(log(&bed, &["t/d"]), [4, 1]);
    assert_eq!(log(&bed, &["t/d/"]), [4, 1]);
    assert!(bed.run(&["log", "t/x"]).line(1).contains("no version ever had `t/x`"));
    let text = bed.ok(&["log"]);
    assert!(text.text().lines().nth(1).unwrap().ends_with("five"), "{text:?}");
}

#[test]
fn what_is_removed_stays_in_the_versions_before() {
    let bed = Bed::new();
    bed.write("t/a", "a");
    bed.write("t/d/b", "b");
    bed.write("t/d-c", "c");
    bed.ok(&["ingest", "t"]);
    let removed = bed.json(&["rm", "t/d", "-m", "away with it"]);
    assert_eq!(removed, json!({ "version": 2, "path": "t/d", "removed": 2 }));
    assert_eq!(log(&bed, &["t/d"]), [2, 1]);
    assert_eq!(bed.json(&["log"])["versions"][0]["message"], "away with it");
    assert!(bed.run(&["cat", "t/d/b"]).line(1).contains("there is no `t/d/b` in the newest version"));
    assert_eq!(bed.ok(&["cat", "t/d/b", "--version", "1"]).stdout, b"b");
    assert_eq!(bed.ok(&["cat", "t/d-c"]).stdout, b"c");
    assert!(bed.run(&["rm", "t/d"]).line(1).contains("there is no `t/d`"));
    assert_eq!(log(&bed, &[]), [2, 1], "a removal of nothing makes no version");
    // And created again.
    bed.ok(&["ingest", "t"]);
    assert_eq!(log(&bed, &["t/d"]), [3, 2, 1]);
    assert_eq!(bed.ok(&["cat", "t/d/b"]).stdout, b"b");
}

#[test]
fn a_time_means_the_version_that_was_newest_then() {
    let bed = Bed::new();
    bed.write("t/a", "1");
    bed.ok(&["ingest", "t"]);
    bed.write("t/a", "2");
    bed.ok(&["ingest", "t"]);
    let log = bed.json(&["log"]);
    let first = log["versions"][1]["time"].as_str().unwrap();
    assert_eq!(bed.ok(&["cat", "t/a", "--at", first]).stdout, b"1");
    assert_eq!(bed.ok(&["cat", "t/a", "--at", "9999-01-01"]).stdout, b"2");
    let answer = bed.run(&["ls", "--at", "1999-12-31"]);
    assert!(answer.line(1).contains("no version yet at 1999-12-31T23:59:59"), "{answer:?}");
    assert_eq!(bed.run(&["ls", "--at", "yesterday"]).status, 2);
    assert_eq!(bed.run(&["ls", "--at", "1999-12-31", "--version", "1"]).status, 2);
}

/// Found: one damaged record made `log`, `--at` and `tag` fail.
#[test]
fn one_damaged_record_hides_no_other_version_and_no_other_tag() {
    let bed = Bed::new();
    for version in 1..=4 {
        bed.write("t/a", version.to_string());
        bed.ok(&["ingest", "t"]);
    }
    bed.ok(&["tag", "old", "1"]);
    bed.ok(&["tag", "new", "4"]);
    let times = bed.json(&["log"]);
    let time = |version: usize| times["versions"][4 - version]["time"].as_str().unwrap();
    let flipped = |value: &[u8]| [&[value[0] ^ 1], &value[1..]].concat();
    bed.rewrite(Space::Version, |key, value| (key[7] == 2).then(|| flipped(value)));

    let log = bed.run(&["log", "--json"]);
    assert!(log.line(3).contains("version 2"), "{log:?}");
    let listed: Vec<_> =
        log.json()["versions"].as_array().unwrap().iter().map(|v| v["version"].as_u64().unwrap()).collect();
    assert_eq!((listed, &log.json()["damaged"]), (vec![4, 3, 1], &json!([2])));
    assert_eq!(bed.run(&["log", "t/a"]).status, 3);
    for version in [1, 3, 4] {
        let at = version.to_string();
        assert_eq!(bed.ok(&["cat", "t/a", "--version", &at]).text(), at);
    }
    assert_eq!(bed.ok(&["cat", "t/a", "--at", time(3)]).text(), "3");
    assert_eq!(bed.ok(&["cat", "t/a", "--at", "9999-01-01"]).text(), "4");
    // That may have been the newest then.
    for unknown in [time(1), time(2)] {
        let refused = bed.run(&["cat", "t/a", "--at", unknown]);
        assert!(refused.line(1).contains("can't be told: version 2"), "{refused:?}");
    }
    assert!(bed.run(&["ls", "--at", "1999-12-31"]).line(1).contains("no version yet"));
    for rule in [&["--keep-last", "1"][..], &["--version", "3"]] {
        let refused = bed.run(&[&["forget"], rule].concat());
        assert!(refused.line(1).contains("version 2"), "{refused:?}");
    }

    bed.rewrite(Space::Meta, |key, value| (key == b"tag/old").then(|| flipped(value)));
    let tags = bed.run(&["tag", "--json"]);
    assert!(tags.line(3).contains("tag/old"), "{tags:?}");
    assert_eq!(tags.json()["tags"], json!([{ "name": "new", "version": 4 }]));
    assert_eq!(bed.run(&["log", "--json"]).json()["versions"][0]["tags"], json!(["new"]));
    let verified = bed.run(&["verify"]);
    assert!(verified.stderr.contains("version 2") && verified.stderr.contains("tag/old"), "{verified:?}");
}
