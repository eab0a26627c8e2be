//! Editing in place: the new version is what editing the bytes by hand gives, and costs only the chunks touched.

use engrams::{EngramStore, ErrorKind, IngestOptions, Transaction, TransactionResult};
use proptest::prelude::*;

use super::common::{
    assert_sound, cases, edit, fixed, ingest, noise, read, root, small_store, sum, text, try_read,
};

/// Runs one transaction with one edit of `path`.
fn edited(
    store: &EngramStore,
    path: &str,
    steps: impl FnOnce(&mut engrams::FileEdit<'_>) -> engrams::Result<()>,
) -> engrams::Result<TransactionResult> {
    let mut transaction = Transaction::begin(store, &IngestOptions::default()).unwrap();
    let mut edit = transaction.edit(path.as_bytes())?;
    steps(&mut edit)?;
    edit.finish()?;
    transaction.commit("edit")
}

#[test]
fn each_kind_of_edit_costs_only_the_chunks_it_touches() {
    type Steps = fn(&mut engrams::FileEdit<'_>) -> engrams::Result<()>;
    let content = noise(2_000_000, 1);
    type ByHand = fn(&mut Vec<u8>);
    let kinds: [(&str, Steps, ByHand); 6] = [
        (
            "overwrite",
            |e| e.overwrite(700_000, &b"new bytes"[..]).map(drop),
            |v| {
                v[700_000..700_009].copy_from_slice(b"new bytes");
            },
        ),
        ("append", |e| e.append(&b"more"[..]).map(drop), |v| v.extend_from_slice(b"more")),
        ("truncate", |e| e.truncate(1_234_567).map(drop), |v| v.truncate(1_234_567)),
        (
            "insert",
            |e| e.insert(1_000_000, &b"wedge"[..]).map(drop),
            |v| {
                v.splice(1_000_000..1_000_000, *b"wedge");
            },
        ),
        ("remove", |e| e.remove(10, 30_000).map(drop), |v| drop(v.drain(10..30_000))),
        (
            "replace",
            |e| e.replace(5_000, 5_002, &b"longer"[..]).map(drop),
            |v| {
                v.splice(5_000..5_002, *b"longer");
            },
        ),
    ];
    for (kind, steps, by_hand) in kinds {
        let (store, _) = small_store(4096);
        ingest(&store, "file", &content);
        let result = edited(&store, "file", steps).unwrap();
        let mut expected = content.clone();
        by_hand(&mut expected);
        assert_eq!(read(&store, "file", 2), expected, "{kind}");
        assert_eq!(read(&store, "file", 1), content, "{kind}");
        // Of some 490. Cut points agree again once both sides cut at the same place, a few chunks after the edit.
        let novel = result.progress.recalled + result.progress.verbatim;
        assert!((1..=10).contains(&novel), "{kind} stored {novel} chunks");
        assert_eq!(root(&store), sum([expected.as_slice()]), "{kind}");
        assert_sound(&store);
    }
}

#[test]
fn edits_go_forward_and_stay_within_the_file() {
    let (store, _) = small_store(4096);
    ingest(&store, "file", &[7; 100]);
    let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    let mut edit = transaction.edit(b"file").unwrap();
    edit.overwrite(50, &[1; 10][..]).unwrap();
    for (start, end, says) in
        [(40, 41, "reached byte 60"), (70, 101, "the file has 100 bytes"), (90, 80, "ends before it")]
    {
        let error = edit.remove(start, end).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(says), "{error}");
    }
    // What was refused did nothing, and the edit goes on. Past the end an overwrite makes the file longer.
    edit.overwrite(95, &[2; 10][..]).unwrap();
    edit.finish().unwrap();
    transaction.commit("").unwrap();
    let expected = [[7; 50].as_slice(), &[1; 10], &[7; 35], &[2; 10]].concat();
    assert_eq!(read(&store, "file", 2), expected);
}

#[test]
fn an_edit_that_fails_or_is_dropped_leaves_the_path_as_it_was() {
    struct Failing;
    impl std::io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("torn cable"))
        }
    }
    let (store, _) = small_store(4096);
    let content = text(100_000, 3);
    ingest(&store, "file", &content);
    let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    let mut edit = transaction.edit(b"file").unwrap();
    let error = edit.insert(60_000, Failing).map(drop).unwrap_err();
    assert!(error.to_string().contains("`file`") && error.to_string().contains("torn cable"), "{error}");
    assert_eq!(edit.append(&b"x"[..]).map(drop).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(edit.finish().unwrap_err().kind(), ErrorKind::Invalid);
    transaction.edit(b"file").unwrap().append(&b"never finished"[..]).unwrap();
    transaction.put_file(b"other", fixed(), &mut &b"goes on"[..]).unwrap();
    transaction.commit("").unwrap();
    assert_eq!(read(&store, "file", 2), content);
    assert_eq!(read(&store, "other", 2), b"goes on");
    assert_eq!(root(&store), sum([content.as_slice(), b"goes on"]));
    let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    assert_eq!(transaction.edit(b"nowhere").map(drop).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn renaming_and_copying_cost_no_data() {
    let (store, _) = small_store(4096);
    let (a, b) = (noise(300_000, 5), text(90_000, 6));
    let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    transaction.put_directory(b"dir", fixed()).unwrap();
    transaction.put_file(b"dir/a", fixed(), &mut a.as_slice()).unwrap();
    transaction.put_file(b"dir/b", fixed(), &mut b.as_slice()).unwrap();
    transaction.put_symlink(b"dir/l", b"a", fixed()).unwrap();
    transaction.commit("").unwrap();
    let chunks = store.stats().unwrap().chunks;

    let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    assert_eq!(transaction.rename(b"dir", b"moved").unwrap(), 4);
    assert_eq!(transaction.commit("").unwrap().progress.chunks, 0);
    assert_eq!(try_read(&store, b"dir/a", Some(2)).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    assert_eq!(read(&store, "moved/a", 2), a);
    assert_eq!(root(&store), sum([a.as_slice(), &b]));

    let mut transaction = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    assert_eq!(transaction.copy(b"moved/b", b"moved/c").unwrap(), 1);
    for (from, to) in [(&b"moved"[..], &b"moved/below"[..]), (b"moved/a", b"moved"), (b"moved", b"moved")] {
        assert_eq!(transaction.copy(from, to).unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert_eq!(transaction.rename(b"gone", b"x").unwrap_err().kind(), ErrorKind::NotFound);
    transaction.commit("").unwrap();
    assert_eq!(read(&store, "moved/c", 3), b);
    assert_eq!(root(&store), sum([a.as_slice(), &b, &b]));
    assert_eq!(store.stats().unwrap().chunks, chunks);
    assert_sound(&store);
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn any_pass_of_edits_gives_what_editing_by_hand_gives(
        len in 0..60_000usize,
        cuts in prop::collection::vec((0..1_000_000u32, 0..6_000usize, 0..6_000usize), 0..6),
        seed in any::<u64>(),
    ) {
        let (store, _) = small_store(1024);
        let mut content = text(len, seed);
        if len > 0 {
            edit(&mut content, 3, seed);
        }
        ingest(&store, "file", &content);
        let mut places: Vec<(usize, usize, usize)> =
            cuts.iter().map(|&(at, old, new)| (at as usize % (content.len() + 1), old, new)).collect();
        places.sort_unstable();
        let (mut expected, mut done, mut steps) = (Vec::new(), 0, Vec::new());
        for (start, old, new) in places {
            let start = start.max(done);
            let end = (start + old).min(content.len());
            let bytes = noise(new, seed ^ start as u64);
            expected.extend_from_slice(&content[done..start]);
            expected.extend_from_slice(&bytes);
            steps.push((start as u64, end as u64, bytes));
            done = end;
        }
        expected.extend_from_slice(&content[done..]);
        edited(&store, "file", |edit| {
            steps.iter().try_for_each(|(start, end, bytes)| edit.replace(*start, *end, bytes.as_slice()).map(drop))
        }).unwrap();
        prop_assert_eq!(read(&store, "file", 2), expected.clone());
        prop_assert_eq!(root(&store), sum([expected.as_slice()]));
    }
}
