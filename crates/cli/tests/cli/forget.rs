//! `tag`, `forget`, `gc` and `damage`: what goes, what stays, and what the disk gets back.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use engrams::store::Space;
use serde_json::{Value, json};

use crate::bed::{Answer, BINARY, Bed, fields, noise};

/// Words that compress, in an order of their own for each seed.
fn text(seed: u64, len: usize) -> Vec<u8> {
    let words = noise(seed, len / 4);
    words.iter().flat_map(|byte| format!("w{:02x} ", byte % 64).into_bytes()).take(len).collect()
}

/// Versions of a tree in which one file is new each time, and one stays.
fn history(versions: impl IntoIterator<Item = u64>) -> Bed {
    let bed = Bed::new();
    bed.write("t/same", text(0, 100_000));
    for version in versions {
        bed.write("t/new", noise(version, 300_000));
        bed.ok(&["ingest", "t", "-m", &format!("number {version}")]);
    }
    bed
}

fn numbers(bed: &Bed) -> Vec<u64> {
    let log = bed.json(&["log"]);
    log["versions"].as_array().unwrap().iter().map(|line| line["version"].as_u64().unwrap()).collect()
}

#[test]
fn forgotten_versions_are_gone_and_the_disk_gets_their_space_back() {
    let bed = history(1..=5);
    let plan = bed.json(&["forget", "--keep-last", "2", "--dry-run"]);
    assert_eq!((&plan["forgotten"], &plan["dry_run"]), (&json!([1, 2, 3]), &json!(true)));
    assert!(plan["would_free"]["bytes"].as_u64().unwrap() > 900_000, "{plan}");
    assert_eq!(numbers(&bed), [5, 4, 3, 2, 1]);

    let forgotten = bed.json(&["forget", "--keep-last", "2"]);
    assert_eq!(fields(&forgotten), ["dry_run", "forgotten", "kept", "kept_by_tag"]);
    assert_eq!((&forgotten["forgotten"], &forgotten["kept"]), (&json!([1, 2, 3]), &json!([4, 5])));
    assert_eq!(numbers(&bed), [5, 4]);
    assert_eq!(bed.json(&["log"])["forgotten"], json!([[1, 3]]));
    assert!(bed.ok(&["log"]).text().ends_with("      1  to 3 forgotten\n"));
    for verb in [&["ls", "--version", "2"][..], &["cat", "t/new", "--version", "2"]] {
        assert!(bed.run(verb).line(1).contains("version 2 was forgotten"), "{verb:?}");
    }
    assert!(bed.run(&["extract", "-o", "x", "--version", "2"]).line(1).contains("version 2 was forgotten"));

    let collected = bed.json(&["gc"]);
    assert_eq!(
        fields(&collected),
        [
            "bytes_after",
            "bytes_before",
            "bytes_left",
            "chunks",
            "pages",
            "rebased",
            "recall_entries",
            "record_bytes",
            "search_entries",
            "seen_entries",
            "versions",
        ]
    );
    assert_eq!((&collected["versions"], &collected["bytes_left"]), (&json!(3), &json!(0)));
    let bytes = |name: &str| collected[name].as_u64().unwrap();
    assert!(bytes("bytes_before") - bytes("bytes_after") > 880_000, "{collected}");
    let on_disk = bed.json(&["stats"]);
    let fresh = history(4..=5).json(&["stats"])["stored_bytes"].as_f64().unwrap();
    assert!(on_disk["stored_bytes"].as_f64().unwrap() < 1.15 * fresh, "{on_disk} {fresh}");
    assert_eq!(on_disk["versions"], 2);
    assert_eq!(bed.json(&["verify", "--deep"])["errors"], json!([]));
    assert_eq!(bed.ok(&["cat", "t/new", "--version", "4"]).stdout, noise(4, 300_000));
    assert_eq!(bed.ok(&["cat", "t/same"]).stdout, text(0, 100_000));

    // Unchanged files are still not read again, and nothing is left to free.
    let again = bed.json(&["ingest", "t"]);
    assert_eq!((&again["version"], &again["bytes"]), (&json!(6), &json!(0)));
    assert_eq!(bed.json(&["gc"])["chunks"], 0);
    assert_eq!(bed.json(&["gc", "--dry-run"])["chunks"], 0);
}

/// A version's record with another time. A record is varints: the parent's number, seconds (zigzag), nanoseconds; more;
/// and four bytes of BLAKE3 of its place and itself.
fn dated(key: &[u8], record: &[u8], seconds: u64) -> Vec<u8> {
    let body = &record[..record.len() - 4];
    let ends: Vec<usize> = (0..body.len()).filter(|&at| body[at] & 0x80 == 0).map(|at| at + 1).collect();
    let mut new = body[..ends[0]].to_vec();
    let mut left = seconds << 1;
    while left >= 0x80 {
        new.push(left as u8 | 0x80);
        left >>= 7;
    }
    new.extend([left as u8, 0]);
    new.extend_from_slice(&body[ends[2]..]);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[Space::Version as u8, key.len() as u8]).update(key).update(&new);
    new.extend_from_slice(&hasher.finalize().as_bytes()[..4]);
    new
}

#[test]
fn days_weeks_and_months_keep_the_newest_version_of_each_and_rules_add_up() {
    let bed = Bed::new();
    // Days since 1970, and hours. March 2nd and 9th are Mondays.
    let times = [
        ("2026-01-05", 20_458, 12),
        ("2026-01-20", 20_473, 12),
        ("2026-02-10", 20_494, 12),
        ("2026-02-27", 20_511, 12),
        ("2026-03-02", 20_514, 8),
        ("2026-03-02", 20_514, 23),
        ("2026-03-03", 20_515, 12),
        ("2026-03-08", 20_520, 23),
        ("2026-03-09", 20_521, 0),
    ];
    for version in 1..=times.len() {
        bed.write("t/a", version.to_string());
        bed.ok(&["ingest", "t"]);
    }
    bed.rewrite(Space::Version, |key, record| {
        let (_, day, hour) = times[usize::from(key[7]) - 1];
        Some(dated(key, record, day * 86_400 + hour * 3_600))
    });
    let log = bed.json(&["log"]);
    for (line, (day, ..)) in log["versions"].as_array().unwrap().iter().rev().zip(times) {
        assert!(line["time"].as_str().unwrap().starts_with(day), "{line}");
    }
    let kept = |rules: &str| {
        let rules: Vec<&str> = rules.split(' ').collect();
        bed.json(&[&["forget", "--dry-run"], &rules[..]].concat())["kept"].clone()
    };
    for (rules, expected) in [
        ("--keep-daily 1", json!([9])),
        ("--keep-daily 4", json!([6, 7, 8, 9])),
        ("--keep-weekly 2", json!([8, 9])),
        ("--keep-weekly 3", json!([4, 8, 9])),
        ("--keep-monthly 2", json!([4, 9])),
        ("--keep-monthly 99", json!([2, 4, 9])),
        ("--keep-last 2 --keep-weekly 3", json!([4, 8, 9])),
        ("--keep-daily 3 --keep-monthly 3", json!([2, 4, 7, 8, 9])),
        ("--keep-monthly 3 --version 4", json!([2, 9])),
    ] {
        assert_eq!(kept(rules), expected, "{rules}");
    }
    for rule in ["--keep-daily", "--keep-weekly", "--keep-monthly"] {
        assert_eq!(bed.run(&["forget", rule, "0"]).status, 2);
    }
    assert_eq!(numbers(&bed).len(), times.len());
    let rules = ["forget", "--keep-daily", "2", "--keep-weekly", "3", "--keep-monthly", "3"];
    assert_eq!(bed.json(&rules)["forgotten"], json!([1, 3, 5, 6, 7]));
    assert_eq!(numbers(&bed), [9, 8, 4, 2]);
    bed.ok(&["gc"]);
    bed.ok(&["verify", "--deep"]);
    assert_eq!(bed.ok(&["cat", "t/a", "--at", "2026-03-07"]).text(), "4");
}

#[test]
fn tags_keep_versions_until_they_are_removed() {
    let bed = history(1..=3);
    assert_eq!(bed.ok(&["tag"]).text(), "no tag\n");
    assert_eq!(bed.json(&["tag", "first", "1"])["tags"], json!([{ "name": "first", "version": 1 }]));
    bed.ok(&["tag", "now"]);
    let log = bed.json(&["log"]);
    let tags: Vec<&Value> = log["versions"].as_array().unwrap().iter().map(|line| &line["tags"]).collect();
    assert_eq!(tags, [&json!(["now"]), &json!([]), &json!(["first"])]);
    assert!(bed.ok(&["log"]).text().contains("[first] number 1"));
    let refused = bed.run(&["forget", "--version", "1"]);
    assert!(refused.line(2).contains("version 1 is tagged"), "{refused:?}");
    assert!(bed.run(&["forget", "--version", "3"]).line(2).contains("version 3 is the newest"));
    assert_eq!(bed.json(&["forget", "--keep-last", "1"])["kept_by_tag"], json!([1]));
    assert_eq!(numbers(&bed), [3, 1]);
    bed.ok(&["tag", "--remove", "first"]);
    assert!(bed.run(&["tag", "--remove", "first"]).line(1).contains("no tag `first`"));
    assert_eq!(bed.json(&["forget", "--version", "1"])["forgotten"], json!([1]));
    assert!(bed.run(&["tag", "late", "1"]).line(1).contains("version 1 was forgotten"));
    assert_eq!(bed.run(&["tag", "12"]).status, 2);
    assert_eq!(bed.run(&["forget"]).status, 2);
    assert_eq!(bed.run(&["forget", "--keep-last", "0"]).status, 2);
}

#[test]
fn log_of_a_path_shows_what_a_forgotten_version_changed_in_the_next_that_is_kept() {
    let bed = Bed::new();
    for (version, content) in ["1", "2", "2", "4"].iter().enumerate() {
        bed.write("t/a", content);
        bed.write("t/b", version.to_string());
        bed.ok(&["ingest", "t"]);
    }
    bed.ok(&["forget", "--version", "2"]);
    let log = bed.json(&["log", "t/a"]);
    let listed: Vec<&Value> =
        log["versions"].as_array().unwrap().iter().map(|line| &line["version"]).collect();
    assert_eq!(listed, [4, 3, 1]);
}

#[test]
fn damage_names_the_files_that_a_chunk_is_needed_for() {
    let bed = history(1..=2);
    let mut files = 0;
    for chunk in 1..30_u64 {
        let answer = bed.run(&["damage", "--chunk", &chunk.to_string(), "--json"]);
        if answer.status == 1 {
            assert!(answer.line(1).contains(&format!("no chunk {chunk} is stored")), "{answer:?}");
            continue;
        }
        let report = answer.json();
        assert_eq!(fields(&report), ["chunks", "files"]);
        for file in report["files"].as_array().unwrap() {
            files += 1;
            assert_eq!(fields(file), ["path", "version", "versions"]);
            let versions = if file["path"] == "t/same" { json!([1, 2]) } else { json!([file["version"]]) };
            assert_eq!(file["versions"], versions);
        }
    }
    assert!(files > 8);
    assert!(bed.ok(&["damage", "--chunk", "1"]).text().ends_with("need it\n"));
}

/// The real history that `cargo xtask demo` fetches; without it there is nothing to measure, which is said.
#[test]
#[ignore = "ingests 250 MB, three times"]
fn the_fetched_history_takes_as_much_as_a_fresh_store_of_what_is_kept() {
    let target = || Path::new(BINARY).ancestors().nth(2).unwrap().join("corpora");
    let corpora = std::env::var_os("ENGRAMS_CORPORA").map_or_else(target, PathBuf::from);
    let Ok(found) = fs::read_dir(corpora.join("typescript")) else {
        println!("there is no typescript in {}: `cargo xtask demo` fetches it", corpora.display());
        return;
    };
    let mut releases: Vec<PathBuf> =
        found.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    releases.sort();
    let store_of = |releases: &[PathBuf]| {
        let bed = Bed::new();
        for release in releases {
            let answer = bed.run(&[OsStr::new("ingest"), release.as_os_str(), "--as".as_ref(), "t".as_ref()]);
            assert_eq!(answer.status, 0, "{answer:?}");
        }
        bed
    };
    let bed = store_of(&releases);
    for kept in [6, 2] {
        bed.ok(&["forget", "--keep-last", &kept.to_string()]);
        let collected = bed.json(&["gc"]);
        let fresh = store_of(&releases[releases.len() - kept..]);
        let bytes = |bed: &Bed| bed.json(&["stats"])["stored_bytes"].as_u64().unwrap();
        let (after, fresh) = (bytes(&bed), bytes(&fresh));
        let share = after as f64 / fresh as f64;
        println!("{kept} of {}: {after} bytes, fresh {fresh}: {share:.3}; {collected}", releases.len());
        assert!(share < 1.15, "{share:.3}");
        assert_eq!(bed.json(&["verify", "--deep"])["ok"], true);
        for (at, release) in releases.iter().enumerate().skip(releases.len() - kept) {
            let (out, number) = (format!("out{kept}-{at}"), (at + 1).to_string());
            bed.ok(&["extract", "t", "-o", &out, "--version", &number]);
            let same = Command::new("diff").arg("-r").arg(bed.path(&out).join("t")).arg(release).status();
            assert!(same.unwrap().success(), "version {number}");
        }
    }
}

/// A small file system of its own, for root alone.
struct Disk(PathBuf);

impl Disk {
    fn mount(place: PathBuf) -> Option<Self> {
        fs::create_dir(&place).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16m", "engrams-test"]).arg(&place);
        mount.output().is_ok_and(|done| done.status.success()).then_some(Self(place))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// Runs `gc` where the table that it must write has no room: on a full disk for whoever may mount one, else below a limit
/// on the length of files.
fn gc_without_room(bed: &Bed) -> Answer {
    let mut gc = Command::new("bash");
    let Some(disk) = Disk::mount(bed.path("disk")) else {
        gc.args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$0\" gc", BINARY]);
        return Answer::of(gc.env("ENGRAMS_STORE", bed.path("store")));
    };
    let script =
        "set -e; cp -a \"$2\" \"$1/store\"; dd if=/dev/zero of=\"$1/ballast\" bs=64k status=none || true
        truncate -s -200K \"$1/ballast\"; ENGRAMS_STORE=\"$1/store\" \"$0\" gc && status=0 || status=$?
        rm -r \"$2\"; cp -a \"$1/store\" \"$2\"; exit $status";
    gc.args(["-c", script, BINARY]).args([&disk.0, &bed.path("store")]).stdin(Stdio::null());
    let mut answer = Answer::of(&mut gc);
    // What `dd` says when it has filled the disk.
    answer.stderr = answer.stderr.lines().filter(|line| !line.starts_with("dd: ")).collect();
    answer
}

/// Found: the database does not say that it had no room to write what is left of a table, and neither did `gc`.
#[test]
fn space_that_can_not_be_given_back_is_told_in_one_line_and_the_next_gc_does() {
    let bed = history(1..=5);
    bed.ok(&["forget", "--keep-last", "2"]);
    let stored = || bed.json(&["stats"])["stored_bytes"].as_u64().unwrap();
    let before = stored();
    let answer = gc_without_room(&bed);
    let line = answer.line(1);
    assert!(line.contains("takes its space until"), "{answer:?}");
    assert!(line.contains("No space left") || line.contains("File too large"), "{answer:?}");
    assert!(stored() + 500_000 > before);
    assert_eq!(bed.json(&["verify", "--deep"])["errors"], json!([]));
    let again = bed.json(&["gc"]);
    assert_eq!((&again["chunks"], &again["bytes_left"]), (&json!(0), &json!(0)));
    assert!(
        again["bytes_after"].as_u64().unwrap() + 700_000 < before,
        "files that are gone are gone: {again}"
    );
    assert!(stored() + 800_000 < before, "{again}");
}
