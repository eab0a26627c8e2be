//! Fear: damage that takes more than it hit, and a repair that needs an expert. On RocksDB, with the command.

use std::fs;
use std::path::{Path, PathBuf};

use engrams::{EngramStore, ErrorKind, RepairOptions};

use crate::bed::{Bed, noise};

/// Three versions of a few files, the first of them large.
fn bed() -> Bed {
    let bed = Bed::new();
    for version in 1..=3 {
        bed.write("t/large", noise(1, 400_000));
        bed.write("t/changing", noise(10 + version, 90_000));
        bed.write("t/small", format!("version {version}"));
        bed.ok(&["ingest", "t"]);
    }
    bed
}

fn files(bed: &Bed) -> Vec<PathBuf> {
    let entries = fs::read_dir(bed.path("store/database")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
    files
}

fn largest_table(bed: &Bed) -> PathBuf {
    files(bed).into_iter().find(|path| path.extension().is_some_and(|end| end == "sst")).unwrap()
}

fn manifest(bed: &Bed) -> PathBuf {
    let name = fs::read_to_string(bed.path("store/database/CURRENT")).unwrap();
    bed.path("store/database").join(name.trim_end())
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, bytes: usize) {
    let all = fs::read(path).unwrap();
    fs::write(path, &all[..all.len() - bytes]).unwrap();
}

fn assert_all_back(bed: &Bed) {
    bed.ok(&["verify", "--deep"]);
    for version in 1..=3 {
        let at = version.to_string();
        assert!(bed.ok(&["cat", "t/large", "--version", &at]).stdout == noise(1, 400_000));
        assert!(bed.ok(&["cat", "t/changing", "--version", &at]).stdout == noise(10 + version, 90_000));
        assert_eq!(bed.ok(&["cat", "t/small", "--version", &at]).text(), format!("version {version}"));
    }
}

/// Found: RocksDB opened a database whose manifest had lost its end, and removed the tables it did not know.
#[test]
fn a_manifest_that_lost_its_end_is_refused_before_anything_is_lost_and_repaired() {
    for bytes in [1, 40, 400] {
        let bed = bed();
        cut(&manifest(&bed), bytes);
        let before = files(&bed);
        assert!(bed.run(&["log"]).line(1).contains("MANIFEST"), "{bytes}");
        assert!(bed.run(&["verify"]).line(1).contains("engrams repair"), "{bytes}");
        assert_eq!(files(&bed), before, "nothing was removed");
        let answer = bed.run(&["repair"]);
        assert_eq!(answer.status, 0, "{answer:?}");
        assert_all_back(&bed);
        assert!(bed.path("store/damaged-1").is_dir());
    }
}

#[test]
fn a_missing_current_and_a_flipped_manifest_are_repaired_without_loss() {
    for fault in 0..3 {
        let bed = bed();
        match fault {
            0 => fs::remove_file(bed.path("store/database/CURRENT")).unwrap(),
            1 => flip(&manifest(&bed), 30),
            _ => {
                let mark = fs::read_to_string(bed.path("store/COMMIT")).unwrap();
                fs::write(bed.path("store/COMMIT"), mark.replace("commit 3 ", "commit 2 ")).unwrap();
            }
        }
        assert_eq!(bed.run(&["log"]).status, 1, "{fault}");
        let answer = bed.run(&["repair"]);
        assert_eq!(answer.status, 0, "{fault}: {answer:?}");
        assert_all_back(&bed);
    }
}

/// Found: whoever opened it was told that it is no store.
#[test]
fn a_repair_that_was_killed_before_the_new_database_had_its_place_is_finished_by_the_next() {
    let bed = bed();
    fs::rename(bed.path("store/database"), bed.path("store/repair.ready")).unwrap();
    for verb in [&["log"][..], &["ingest", "t"], &["verify"]] {
        let answer = bed.run(verb);
        assert!(answer.line(1).contains("was interrupted"), "{answer:?}");
        assert!(answer.line(1).contains("engrams repair"), "{answer:?}");
    }
    bed.ok(&["repair"]);
    assert_all_back(&bed);
}

#[test]
fn a_commit_mark_that_is_gone_is_named_and_made_again_by_who_writes_or_repairs() {
    let bed = bed();
    let mark = bed.path("store/COMMIT");
    for mended_by in [&["repair"][..], &["ingest", "t"]] {
        fs::remove_file(&mark).unwrap();
        bed.ok(&["log"]);
        let verified = bed.run(&["verify"]);
        assert!(verified.status == 1 && verified.stderr.contains("COMMIT is missing"), "{verified:?}");
        bed.write("t/small", "version 3");
        assert_eq!(bed.run(mended_by).status, 0);
        assert!(mark.is_file());
        assert_all_back(&bed);
        assert!(!bed.path("store/damaged-1").exists(), "the database is sound");
    }
}

#[test]
fn damage_to_a_small_file_beside_the_records_is_named_hinders_nothing_and_is_repaired() {
    let bed = Bed::new();
    bed.ok(&["keygen", "k"]);
    bed.write("t/file", noise(1, 50_000));
    let with_key = |arguments: &[&str]| bed.run(&[arguments, &["--key-file", "k"]].concat());
    let done = |arguments: &[&str]| assert_eq!(with_key(arguments).status, 0, "{arguments:?}");
    done(&["ingest", "t", "--encrypt"]);
    for name in ["database/MANIFEST.guard", "LOCKED-KEY"] {
        let path = bed.path("store").join(name);
        let length = fs::metadata(&path).unwrap().len() as usize;
        for fault in [0, 1, length / 2, length - 1] {
            match fault {
                0 => cut(&path, length / 3),
                at => flip(&path, at),
            }
            let verified = with_key(&["verify"]);
            assert_eq!(verified.status, 1, "{name} {fault}: {verified:?}");
            assert!(verified.stderr.contains(name.trim_start_matches("database/")), "{verified:?}");
            assert!(with_key(&["cat", "t/file"]).stdout == noise(1, 50_000));
            done(&["repair"]);
            done(&["verify", "--deep"]);
        }
        // Whoever writes makes it anew, too.
        flip(&path, 3);
        done(&["tag", &format!("tag{length}"), "1"]);
        done(&["verify"]);
    }
}

#[test]
fn what_a_damaged_table_took_is_named_and_comes_back_from_the_files() {
    let bed = bed();
    let table = largest_table(&bed);
    flip(&table, fs::metadata(&table).unwrap().len() as usize / 3);
    let verified = bed.run(&["verify"]);
    assert_eq!(verified.status, 1);
    assert!(verified.stderr.lines().count() > 2, "it reads on: {verified:?}");

    let dry = bed.run(&["repair", "--dry-run", "--json"]);
    assert_eq!(dry.status, 3, "{dry:?}");
    assert!(!bed.path("store/damaged-1").exists());
    let lost = dry.json()["lost_files"].as_array().unwrap().len();
    assert!(lost > 0);

    let answer = bed.run(&["repair", "--json"]);
    assert_eq!((answer.status, answer.json()["lost_files"].as_array().unwrap().len()), (3, lost));
    let listed = bed.ok(&["ls", "t"]);
    assert_eq!(listed.text().lines().count(), 4, "what is lost stays listed: {listed:?}");
    let mut refused = 0;
    for path in ["t/large", "t/changing", "t/small"] {
        let cat = bed.run(&["cat", path]);
        if cat.status != 0 {
            assert!(cat.line(1).contains("chunk"), "{cat:?}");
            refused += 1;
        }
    }
    assert!((1..3).contains(&refused), "{refused}");

    // The newest files are there; older ones, which the user kept elsewhere, too.
    for version in 1..=2 {
        bed.write(&format!("old{version}/changing"), noise(10 + version, 90_000));
        bed.write(&format!("old{version}/small"), format!("version {version}"));
    }
    let answer = bed.run(&["repair", "--from", "t", "--from", "old1", "--from", "old2"]);
    assert_eq!(answer.status, 0, "{answer:?}");
    assert_all_back(&bed);
}

/// Found: `verify` found nothing where the next ingest and every collection failed; `log` listed nothing where one version
/// was damaged; `extract` left out all that was listed behind what was damaged.
#[test]
fn a_damaged_block_costs_what_is_in_it_alone() {
    const FILES: u64 = 1500;
    let bed = Bed::new();
    // So many that their entries, and what was seen of them, fill several blocks.
    for file in 0..FILES {
        bed.write(&format!("t/{file:04}"), noise(file, 40));
    }
    for version in 0..3 {
        bed.write("t/0000", noise(version, 50));
        // Too long for two of them in one block.
        let message: String = noise(version, 9000).iter().map(|byte| char::from(b'!' + byte % 90)).collect();
        bed.ok(&["ingest", "t", "-m", &format!("x{message}")]);
    }
    let holds_paths = |path: &PathBuf| {
        path.extension().is_some_and(|end| end == "sst")
            && fs::read(path).unwrap().windows(11).any(|part| part == b"namedefault")
    };
    let table = files(&bed).into_iter().find(holds_paths).unwrap();
    let (good, store) = (fs::read(&table).unwrap(), bed.path("store"));
    let (mut versions, mut lists, mut seen) = (0, 0, 0);
    for at in (0..good.len()).step_by(good.len() / 25) {
        let copied =
            std::process::Command::new("cp").arg("-a").arg(&store).arg(bed.path("sound")).status().unwrap();
        assert!(copied.success());
        flip(&table, at);
        let (log, verified) = (bed.run(&["log", "--json"]), bed.run(&["verify"]));
        if log.status == 3 {
            let report = log.json();
            let damaged = report["damaged"].as_array().unwrap();
            assert_eq!(report["versions"].as_array().unwrap().len() + damaged.len(), 3);
            assert!(damaged.iter().all(|number| log.stderr.contains(&format!("version {number}:"))));
            assert!(bed.ok(&["cat", "t/0007"]).stdout == noise(7, 40));
            versions += 1;
        } else if log.status == 0 {
            let listed = bed.run(&["ls", "--json"]);
            let is_file = |entry: &&serde_json::Value| entry["kind"] == "file";
            let count = listed.json()["entries"].as_array().unwrap().iter().filter(is_file).count();
            if count < FILES as usize {
                let extracted = bed.run(&["extract", "-o", "out", "--json"]);
                assert_eq!((extracted.status, &extracted.json()["files"]), (3, &count.into()));
                lists += usize::from(count > 0);
            }
            let lines = verified.stderr.lines();
            let hit =
                lines.filter(|line| line.contains("records: ")).all(|line| line.contains("Seen records: "));
            // Twice, for the database waits a second where it can't merge.
            if count == FILES as usize && hit && seen < 2 {
                assert_eq!(bed.run(&["ingest", "t"]).status, 0, "{at}: {verified:?}");
                let collected = bed.run(&["gc"]);
                assert!(
                    collected.status == 0 || collected.line(1).contains("until a repair"),
                    "{collected:?}"
                );
                seen += usize::from(verified.status == 1);
            }
        }
        drop(fs::remove_dir_all(bed.path("out")));
        fs::remove_dir_all(&store).unwrap();
        fs::rename(bed.path("sound"), &store).unwrap();
    }
    assert!(versions > 0 && lists > 0 && seen > 0, "{versions} {lists} {seen}");
}

#[test]
fn a_lost_table_comes_back_from_a_copy_of_the_store() {
    let bed = bed();
    for table in files(&bed).into_iter().filter(|path| path.extension().is_some_and(|end| end == "sst")) {
        let copy = bed.path("copy");
        let copied = std::process::Command::new("cp").arg("-a").arg(bed.path("store")).arg(&copy).status();
        assert!(copied.unwrap().success());
        cut(&table, 100);
        let answer = bed.run(&["repair", "--from-store", copy.to_str().unwrap()]);
        let report = format!("{} {answer:?}", table.display());
        if answer.status == 0 {
            assert_all_back(&bed);
        } else {
            // With the table of versions all of them go, and are named.
            assert!(answer.text().contains("lost: version 1"), "{report}");
        }
        fs::remove_dir_all(bed.path("store")).unwrap();
        fs::rename(&copy, bed.path("store")).unwrap();
    }
}

/// All files of the store, with what is in them.
fn contents(bed: &Bed) -> Vec<(PathBuf, Vec<u8>)> {
    let mut pending = vec![bed.path("store")];
    let mut found = Vec::new();
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                found.push((path.clone(), fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// Found: the repair was done and said nothing of it, or was undone at its end.
#[test]
fn a_source_that_was_mistyped_is_refused_before_anything_is_changed() {
    let bed = bed();
    fs::create_dir_all(bed.path("empty")).unwrap();
    std::os::unix::fs::symlink(bed.path("store"), bed.path("link")).unwrap();
    bed.ok(&["backup", "copy"]);
    flip(&manifest(&bed), 30);
    let before = contents(&bed);
    let wrong = [
        ("--from", "missing", "No such file"),
        ("--from", "t/large", "it is a file"),
        ("--from", "copy", "--from-store"),
        ("--from", "store", "the store that is repaired"),
        ("--from", "link/database", "the store that is repaired"),
        ("--from-store", "missing", "No such file"),
        ("--from-store", "t/large", "it is a file"),
        ("--from-store", "t", "it is no store"),
        ("--from-store", "empty", "it is no store"),
        ("--from-store", "link", "the store that is repaired"),
    ];
    for (option, path, why) in wrong {
        let answer = bed.run(&["repair", "--from", "t", option, path]);
        let line = answer.line(2);
        assert!(line.starts_with(&format!("engrams: {option} {path}: ")), "{line}");
        assert!(line.contains(why) && line.contains("nothing was changed"), "{line}");
        assert!(contents(&bed) == before, "{option} {path}");
    }
    let answer = bed.run(&["repair", "--from", "t", "--from", "empty", "--from-store", "copy"]);
    assert_eq!(answer.status, 0, "{answer:?}");
    assert_all_back(&bed);
}

#[test]
fn what_repairs_left_behind_is_said_and_what_to_do_with_it() {
    let bed = bed();
    for (number, damaged) in [1_usize, 2].iter().zip(["damaged-1", "damaged-2"]) {
        flip(&manifest(&bed), 30);
        let aside = bed.path("store").join(damaged);
        let answer = bed.run(&["repair"]);
        let said =
            format!("the damaged files are in {}: remove this directory when all is well", aside.display());
        assert!(answer.status == 0 && answer.text().contains(&said), "{answer:?}");
        let earlier = answer.text().lines().filter(|line| line.contains("is left of an earlier repair"));
        assert_eq!(earlier.count(), number - 1, "{answer:?}");
        assert!(aside.is_dir());
    }
    let report = bed.json(&["repair"]);
    let left = report["left_behind"].as_array().unwrap();
    assert!(left.len() == 2 && report["kept_aside"].is_null(), "{report}");
    for directory in left {
        assert!(directory["frees"].as_u64().unwrap() > 0, "{report}");
        fs::remove_dir_all(directory["path"].as_str().unwrap()).unwrap();
    }
    assert_all_back(&bed);
    assert!(!bed.ok(&["repair"]).text().contains("earlier repair"));
}

#[test]
fn a_store_that_is_in_use_or_not_there_is_not_repaired() {
    let bed = bed();
    assert!(bed.ok(&["repair"]).text().contains("nothing is damaged"));
    assert!(!bed.path("store/damaged-1").exists());
    let absent = bed.run(&["-s", "absent", "repair"]);
    assert!(absent.line(1).contains("no store"), "{absent:?}");
    assert!(!bed.path("absent").exists());
    let store = EngramStore::open(bed.path("store")).unwrap();
    assert!(bed.run(&["repair"]).line(1).contains("in use"));
    drop(store);
}

/// Found: the lock is the whole process's. A repair took it beside the store that the process had open, and let it go with
/// its own, so that others could open what was being replaced.
#[test]
fn a_store_that_this_very_process_writes_to_is_not_repaired_and_one_under_repair_not_opened() {
    let bed = bed();
    let path = bed.path("store");
    let options = RepairOptions::default();
    let store = EngramStore::open(&path).unwrap();
    for path in [path.clone(), bed.path("t/../store")] {
        let error = EngramStore::repair(path, &options, &mut |_| Ok(()), &mut |_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    assert!(bed.run(&["tag", "other", "1"]).line(1).contains("in use"), "the store is still locked");
    store.tag("mine", 1).unwrap();
    drop(store);
    // So that the repair asks, in the middle of it, for what is lost.
    let table = largest_table(&bed);
    flip(&table, fs::metadata(&table).unwrap().len() as usize / 3);
    let mut opened = None;
    let on_lost = &mut |_: &EngramStore| {
        opened = EngramStore::open(&path).err().map(|error| error.kind());
        Ok(())
    };
    EngramStore::repair(&path, &options, on_lost, &mut |_| {}).unwrap();
    assert_eq!(opened, Some(ErrorKind::Unavailable));
    assert_eq!(EngramStore::open(&path).unwrap().tags().unwrap().len(), 1);
}
