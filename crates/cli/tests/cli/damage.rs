//! A damaged store gives an error that names what is damaged, never wrong bytes.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::bed::{Bed, noise};

/// The files of the database that hold records, the largest first.
fn tables(bed: &Bed) -> Vec<PathBuf> {
    let mut tables: Vec<_> = fs::read_dir(bed.path("store/database"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sst"))
        .collect();
    tables.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
    tables
}

#[test]
fn a_flipped_byte_is_an_error_and_never_wrong_bytes() {
    let bed = Bed::new();
    let content = noise(1, 300_000);
    bed.write("t/file", &content);
    bed.ok(&["ingest", "t"]);
    let table = tables(&bed).remove(0);
    let size = fs::metadata(&table).unwrap().len();
    assert!(size > content.len() as u64, "the largest table holds the content");
    let file = File::options().read(true).write(true).open(&table).unwrap();
    let mut refused = 0;
    for nth in 0..8 {
        let at = size * nth / 8 + 17;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();

        let answer = bed.run(&["cat", "t/file"]);
        assert!(content.starts_with(&answer.stdout), "wrong bytes after a flip at {at}");
        if answer.status == 0 {
            assert_eq!(answer.stdout.len(), content.len(), "{at}");
        } else {
            answer.line(1);
            refused += 1;
            let verified = bed.run(&["verify", "--deep", "--json"]);
            assert_eq!(verified.status, 1, "what `cat` finds, `verify` finds: {verified:?}");
            let extracted = bed.run(&["extract", "-o", &format!("out{nth}")]);
            assert_ne!(extracted.status, 0, "{extracted:?}");
            assert!(!bed.path(&format!("out{nth}/t/file")).exists(), "damaged files do not appear");
        }
        file.write_all_at(&byte, at).unwrap();
    }
    assert!(refused >= 6, "most flips hit the content: {refused}");
    bed.ok(&["verify", "--deep"]);
    assert!(bed.ok(&["cat", "t/file"]).stdout == content);
}
