//! The fear: a key that is missing, wrong or of the wrong kind is met with anything but one clear line.

use std::fs;
use std::path::Path;

use crate::bed::{Answer, Bed, noise};

fn with_key(bed: &Bed, key: &str, arguments: &[&str]) -> Answer {
    let arguments: Vec<&str> = ["--key-file", key].iter().chain(arguments).copied().collect();
    bed.run(&arguments)
}

fn with_passphrase(bed: &Bed, passphrase: &str, arguments: &[&str]) -> Answer {
    Answer::of(bed.command(arguments).env("ENGRAMS_PASSPHRASE", passphrase))
}

fn done(answer: Answer) -> Answer {
    assert_eq!((answer.status, &*answer.stderr), (0, ""), "{answer:?}");
    answer
}

/// Whether any file below `directory` has these bytes, or this name.
fn shows(directory: &Path, needle: &[u8]) -> bool {
    fs::read_dir(directory).unwrap().any(|entry| {
        let entry = entry.unwrap();
        let found = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        found(entry.file_name().as_encoded_bytes())
            || if entry.file_type().unwrap().is_dir() {
                shows(&entry.path(), needle)
            } else {
                found(&fs::read(entry.path()).unwrap())
            }
    })
}

#[test]
fn a_store_encrypted_by_a_key_file_does_all_that_others_do_and_shows_nothing() {
    let bed = Bed::new();
    done(bed.run(&["keygen", "k"]));
    let content = [noise(1, 40_000), b"a very private sentence".to_vec(), noise(2, 40_000)].concat();
    bed.write("t/private-name", &content);
    done(with_key(&bed, "k", &["ingest", "t", "--encrypt", "-m", "private-message"]));
    bed.write("t/other", noise(3, 100));
    done(with_key(&bed, "k", &["ingest", "t"]));
    done(with_key(&bed, "k", &["tag", "private-tag", "1"]));
    assert!(done(with_key(&bed, "k", &["log"])).text().contains("private-message"));
    assert!(done(with_key(&bed, "k", &["tag"])).text().contains("private-tag"));
    assert!(done(with_key(&bed, "k", &["ls", "t"])).text().contains("private-name"));
    assert!(done(with_key(&bed, "k", &["cat", "t/private-name"])).stdout == content);
    done(with_key(&bed, "k", &["rm", "t/other"]));
    done(with_key(&bed, "k", &["forget", "--version", "2"]));
    done(with_key(&bed, "k", &["gc"]));
    done(with_key(&bed, "k", &["verify", "--deep"]));
    done(with_key(&bed, "k", &["stats"]));
    done(with_key(&bed, "k", &["backup", "copy"]));
    done(with_key(&bed, "k", &["-s", "copy", "verify", "--deep"]));
    assert!(!shows(&bed.path("copy"), b"private"));
    done(with_key(&bed, "k", &["extract", "t", "-o", "out"]));
    assert!(fs::read(bed.path("out/t/private-name")).unwrap() == content);
    for needle in ["a very private sentence", "private-"] {
        assert!(!shows(&bed.path("store"), needle.as_bytes()), "{needle}");
    }
    // The same in a plain store can be found: it is looked for in the right places.
    done(Answer::of(bed.command(&["ingest", "t", "-m", "private-message"]).env("ENGRAMS_STORE", "plain")));
    for needle in ["a very private sentence", "private-message"] {
        assert!(shows(&bed.path("plain"), needle.as_bytes()), "{needle}");
    }
}

#[test]
fn a_missing_or_wrong_key_is_one_clear_line() {
    let bed = Bed::new();
    for key in ["k", "other"] {
        done(bed.run(&["keygen", key]));
    }
    bed.write("t/a", "a");
    done(with_key(&bed, "k", &["ingest", "t", "--encrypt"]));
    for verb in
        [&["log"][..], &["ls"], &["cat", "t/a"], &["ingest", "t"], &["ingest", "t", "--encrypt"], &["verify"]]
    {
        let answer = bed.run(verb);
        let line = answer.line(1);
        assert!(line.contains("is encrypted, and no key was given; give --key-file"), "{line}");
        let answer = with_key(&bed, "other", verb);
        assert!(answer.line(1).contains("the key is not the one of this store; --key-file"), "{answer:?}");
        let answer = with_passphrase(&bed, "x", verb);
        assert!(answer.line(1).contains("locked with a key file, not with a passphrase"), "{answer:?}");
    }
    let answer = Answer::of(bed.command(&["log"]).env("ENGRAMS_KEY_FILE", "k"));
    assert_eq!(answer.status, 0, "{answer:?}");
    let both = Answer::of(bed.command(&["--key-file", "k", "log"]).env("ENGRAMS_PASSPHRASE", "x"));
    assert!(both.line(2).contains("two keys"), "{both:?}");
}

#[test]
fn a_key_for_a_store_that_is_not_encrypted_is_one_clear_line() {
    let bed = Bed::new();
    done(bed.run(&["keygen", "k"]));
    bed.write("t/a", "a");
    done(bed.run(&["ingest", "t"]));
    for verb in
        [&["log"][..], &["ingest", "t"], &["ingest", "t", "--encrypt"], &["rekey", "--new-key-file", "k"]]
    {
        let answer = with_key(&bed, "k", verb);
        assert!(answer.line(1).contains("not encrypted, and a key was given"), "{answer:?}");
    }
    assert!(bed.run(&["ingest", "t", "--encrypt"]).line(1).contains("the store is not encrypted; "));
    assert!(bed.run(&["rekey", "--new-key-file", "k"]).line(1).contains("the store is not encrypted; "));
}

#[test]
fn what_is_no_key_makes_no_store() {
    let bed = Bed::new();
    bed.write("t/a", "a");
    bed.write("words", "correct horse battery staple\n");
    bed.write("long", "0".repeat(1000));
    for key in ["words", "long", "missing", "t"] {
        let answer = with_key(&bed, key, &["ingest", "t", "--encrypt"]);
        assert!(answer.line(1).contains("engrams keygen FILE"), "{answer:?}");
        assert!(!answer.stderr.contains("horse"), "{answer:?}");
    }
    assert!(
        bed.run(&["ingest", "t", "--encrypt"]).line(1).contains("--encrypt needs a key; give --key-file")
    );
    assert!(with_passphrase(&bed, "", &["ingest", "t"]).line(2).contains("can't be empty"));
    assert!(!bed.path("store").exists());
    bed.write("k", "");
    assert!(bed.run(&["keygen", "k"]).line(1).contains("name a file that is not there yet"));
}

#[test]
fn a_changed_key_is_the_only_one() {
    let bed = Bed::new();
    done(bed.run(&["keygen", "k"]));
    bed.write("t/a", "a");
    done(with_passphrase(&bed, "first", &["ingest", "t", "--encrypt"]));
    assert!(with_passphrase(&bed, "firsT", &["log"]).line(1).contains("the passphrase is not the one"));
    done(with_passphrase(&bed, "first", &["rekey", "--new-key-file", "k"]));
    assert!(with_passphrase(&bed, "first", &["log"]).line(1).contains("locked with a key file"));
    let arguments = ["--key-file", "k", "rekey"];
    done(Answer::of(bed.command(&arguments).env("ENGRAMS_NEW_PASSPHRASE", "second")));
    assert!(with_key(&bed, "k", &["log"]).line(1).contains("locked with a passphrase"));
    assert_eq!(done(with_passphrase(&bed, "second", &["cat", "t/a"])).stdout, b"a");
    assert!(with_passphrase(&bed, "second", &["rekey"]).line(2).contains("there is no new key"));
}

/// Found: a damaged block with the key record cost all of an encrypted store.
#[test]
fn any_damaged_table_of_an_encrypted_store_can_be_repaired_with_its_key() {
    let bed = Bed::new();
    for key in ["k", "other"] {
        done(bed.run(&["keygen", key]));
    }
    bed.write("t/a", noise(1, 50_000));
    done(with_key(&bed, "other", &["ingest", "t", "--encrypt"]));
    done(with_key(&bed, "other", &["rekey", "--new-key-file", "k"]));
    let tables = |store: &str| -> Vec<_> {
        let entries = fs::read_dir(bed.path(store).join("database")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|end| end == "sst")).collect()
    };
    let damage = |table: &Path| {
        let mut bytes = fs::read(table).unwrap();
        bytes[10] ^= 1;
        // Tables of a backup are links.
        fs::remove_file(table).unwrap();
        fs::write(table, bytes).unwrap();
    };
    let mut took_the_key = 0;
    for at in 0..tables("store").len() {
        let copy = format!("copy{at}");
        done(with_key(&bed, "k", &["backup", &copy]));
        let table = tables(&copy)[at].clone();
        damage(&table);
        let line = bed.run(&["-s", &copy, "repair"]);
        assert!(line.line(1).contains("is encrypted, and no key was given"), "{line:?}");
        assert!(
            with_key(&bed, "other", &["-s", &copy, "repair"]).line(1).contains("not the one of this store")
        );
        let repaired = with_key(&bed, "k", &["-s", &copy, "repair"]);
        assert!(matches!(repaired.status, 0 | 3), "{repaired:?}");
        took_the_key += u32::from(repaired.stderr.contains("the key record was damaged"));
        done(with_key(&bed, "k", &["-s", &copy, "repair", "--from", "t"]));
        if !with_key(&bed, "k", &["-s", &copy, "ls"]).stdout.is_empty() {
            assert!(done(with_key(&bed, "k", &["-s", &copy, "cat", "t/a"])).stdout == noise(1, 50_000));
        }
        done(with_key(&bed, "k", &["-s", &copy, "verify", "--deep"]));
    }
    assert_eq!(took_the_key, 1);
}
