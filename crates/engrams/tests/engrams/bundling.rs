//! Fear: a root engram that depends on how and in which order things came, or is not the sum of what is there.

use std::collections::BTreeMap;

use engrams::{Attributes, EngramStore, ErrorKind, IngestOptions, Node, StreamingIngester, Transaction};
use proptest::prelude::*;

use crate::common::{
    Random, assert_sound, cases, edit, engram_of, fixed, ingest, noise, root, small_store, sum, text,
    try_read,
};

fn files() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> =
        (0..30_u64).map(|i| (format!("d/{i}"), text((i * i * 31) as usize % 3000, i))).collect();
    files.push(("big".to_owned(), [text(120_000, 1), noise(30_000, 2)].concat()));
    files.push(("empty".to_owned(), Vec::new()));
    files.push(("short".to_owned(), noise(31, 5)));
    files.push(("zeros".to_owned(), vec![0; 40_000]));
    files
}

fn put(store: &EngramStore, options: &IngestOptions, files: &[&(String, Vec<u8>)]) {
    let mut tx = Transaction::begin(store, options).unwrap();
    for (path, bytes) in files {
        tx.put_file(path.as_bytes(), fixed(), &mut &bytes[..]).unwrap();
    }
    tx.commit("").unwrap();
}

#[test]
fn bundling_in_any_order_gives_the_same_root() {
    let files = files();
    let expected = sum(files.iter().map(|(_, bytes)| &bytes[..]));
    let mut random = Random(3);
    for round in 0..12 {
        let mut order: Vec<_> = files.iter().collect();
        for at in (1..order.len()).rev() {
            order.swap(at, random.below(at + 1));
        }
        let (store, _) = small_store([256, 1024, 8192, 65_536][round % 4]);
        let options = IngestOptions {
            chunking: (round % 3 == 2).then(|| engrams::Chunking::fixed(64 + 900 * round).unwrap()),
            threads: 1 + round % 2,
            ..IngestOptions::default()
        };
        // In one transaction, or in several of any length.
        let per_commit = [order.len(), 1, 7, 3][round / 2 % 4];
        order.chunks(per_commit).for_each(|part| put(&store, &options, part));
        assert!(root(&store) == expected, "round {round}");
    }
}

#[test]
fn a_stream_and_a_file_in_a_transaction_have_the_same_engram() {
    let bytes = text(90_000, 6);
    let expected = engram_of(&bytes);
    for average in [256, 2048, 65_536] {
        let (store, _) = small_store(average);
        ingest(&store, "f", &bytes);
        assert!(root(&store) == expected);
        let (store, _) = small_store(average);
        put(&store, &IngestOptions::default(), &[&("f".to_owned(), bytes.clone())]);
        assert!(root(&store) == expected);
    }
}

#[test]
fn removing_everything_gives_the_zero_engram() {
    let (store, _) = small_store(1024);
    let files = files();
    put(&store, &IngestOptions::default(), &files.iter().collect::<Vec<_>>());
    assert!(!root(&store).is_zero());
    let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    assert_eq!(tx.remove(b"").unwrap(), files.len() as u64);
    tx.commit("nothing left").unwrap();
    let head = store.head().unwrap().unwrap();
    assert_eq!((head.entries, head.files, head.bytes), (0, 0, 0));
    assert!(root(&store).is_zero());
    // One by one too.
    put(&store, &IngestOptions::default(), &files.iter().collect::<Vec<_>>());
    for (path, _) in &files {
        let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
        assert_eq!(tx.remove(path.as_bytes()).unwrap(), 1);
        tx.commit("").unwrap();
    }
    assert!(root(&store).is_zero());
    assert_sound(&store);
}

#[test]
fn an_overwrite_of_a_long_list_subtracts_exactly_what_was_there() {
    let (store, _) = small_store(256);
    let mut bytes = text(400_000, 2);
    for round in 0..6 {
        ingest(&store, "f", &bytes);
        assert!(root(&store) == engram_of(&bytes), "round {round}");
        match round {
            0 => edit(&mut bytes, 30, 1),
            1 => bytes.truncate(150_000),
            2 => bytes = [text(50_000, 9), bytes].concat(),
            3 => bytes.rotate_left(70_001),
            _ => bytes = noise(200, round),
        }
    }
    assert_sound(&store);
}

/// What a script does in one transaction.
#[derive(Debug, Clone)]
enum Step {
    Put(usize, usize, u32),
    Torn(usize, usize),
    Directory(usize, u32),
    Symlink(usize),
    Clear(usize),
    Keep(usize),
    Sync,
}

const PATHS: [&str; 8] = ["a", "b", "d", "d/x", "d/y", "d/y/z", "dd", ""];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..7_usize, 0..7_usize, 0..2_u32).prop_map(|(path, content, mode)| Step::Put(path, content, mode)),
        1 => (0..7_usize, 0..7_usize).prop_map(|(path, content)| Step::Torn(path, content)),
        2 => (0..7_usize, 0..2_u32).prop_map(|(path, mode)| Step::Directory(path, mode)),
        1 => (0..7_usize).prop_map(Step::Symlink),
        3 => (0..8_usize).prop_map(Step::Clear),
        3 => (0..7_usize).prop_map(Step::Keep),
        1 => Just(Step::Sync),
    ]
}

#[derive(Debug, Clone, PartialEq)]
enum Thing {
    File(usize),
    Directory,
    Symlink,
}

/// The version that changed it last, its mode, what it is.
type Model = BTreeMap<&'static str, (u64, u32, Thing)>;

fn below(path: &str, parent: &str) -> bool {
    parent.is_empty()
        || path.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The path may hold such a thing: nothing but directories above, and nothing below a leaf.
fn fits(model: &Model, path: &str, thing: &Thing) -> bool {
    let above = PATHS.iter().filter(|p| !p.is_empty() && **p != path && below(path, p));
    above.into_iter().all(|p| model.get(p).is_none_or(|(_, _, thing)| *thing == Thing::Directory))
        && (*thing == Thing::Directory || !model.keys().any(|p| *p != path && below(p, path)))
}

struct Torn<'a>(&'a [u8]);

impl std::io::Read for Torn<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.0.is_empty() {
            return Err(std::io::Error::other("torn"));
        }
        self.0.read(out)
    }
}

fn contents() -> Vec<Vec<u8>> {
    let base = text(9000, 1);
    let mut edited = base.clone();
    edit(&mut edited, 4, 9);
    vec![Vec::new(), noise(20, 1), text(200, 2), text(255, 3), base, edited, noise(3000, 4)]
}

/// Does the steps on both; `false` when the transaction refused one, as the model says it should.
fn run(
    tx: &mut Transaction,
    steps: &[Step],
    contents: &[Vec<u8>],
    base: &Model,
    now: &mut Model,
    number: u64,
) -> bool {
    for step in steps {
        let put = match step {
            Step::Put(path, content, mode) => {
                let attributes = Attributes { mode: *mode, ..fixed() };
                // Whether it is refused shows at the next sync.
                tx.put_file(PATHS[*path].as_bytes(), attributes, &mut &contents[*content][..]).unwrap();
                Some((PATHS[*path], (number, *mode, Thing::File(*content))))
            }
            Step::Directory(path, mode) => {
                tx.put_directory(PATHS[*path].as_bytes(), Attributes { mode: *mode, ..fixed() }).unwrap();
                Some((PATHS[*path], (number, *mode, Thing::Directory)))
            }
            Step::Symlink(path) => {
                tx.put_symlink(PATHS[*path].as_bytes(), b"to", Attributes { mode: 0, ..fixed() }).unwrap();
                Some((PATHS[*path], (number, 0, Thing::Symlink)))
            }
            Step::Keep(path) => {
                let kept = tx.keep(PATHS[*path].as_bytes()).unwrap();
                assert_eq!(kept, base.contains_key(PATHS[*path]));
                base.get(PATHS[*path]).map(|old| (PATHS[*path], old.clone()))
            }
            Step::Clear(path) => {
                tx.clear(PATHS[*path].as_bytes()).unwrap();
                now.retain(|p, _| !below(p, PATHS[*path]));
                None
            }
            Step::Torn(path, content) => {
                // Long enough to flow, such a file begins: its place is checked then.
                let flows = contents[*content].len() >= 256;
                let error = tx
                    .put_file(PATHS[*path].as_bytes(), fixed(), &mut Torn(&contents[*content]))
                    .unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Io);
                if flows && !fits(now, PATHS[*path], &Thing::File(0)) {
                    assert_eq!(tx.sync().unwrap_err().kind(), ErrorKind::Invalid);
                    return false;
                }
                None
            }
            Step::Sync => {
                tx.sync().unwrap();
                None
            }
        };
        let Some((path, mut new)) = put else { continue };
        if !fits(now, path, &new.2) {
            assert_eq!(tx.sync().unwrap_err().kind(), ErrorKind::Invalid);
            return false;
        }
        if let Some(old) = base.get(path).filter(|old| (old.1, &old.2) == (new.1, &new.2)) {
            new.0 = old.0;
        }
        now.insert(path, new);
    }
    true
}

fn check(store: &EngramStore, model: &Model, contents: &[Vec<u8>], engrams: &[engrams::Engram]) {
    let head = store.head().unwrap().unwrap();
    let mut expected = sum([]);
    let mut files = 0;
    let mut bytes = 0;
    let mut entries = store.tree(None).unwrap().entries(b"");
    for (path, (version, mode, thing)) in model {
        let entry = entries.next().unwrap().unwrap();
        assert_eq!(
            (&entry.path[..], entry.version, entry.attributes.mode),
            (path.as_bytes(), *version, *mode)
        );
        match (thing, &entry.node) {
            (Thing::Directory, Node::Directory) => {}
            (Thing::Symlink, Node::Symlink(target)) => assert_eq!(target, b"to"),
            (Thing::File(content), Node::File(file)) => {
                assert_eq!(file.size, contents[*content].len() as u64);
                assert!(try_read(store, path.as_bytes(), None).unwrap() == contents[*content]);
                expected.merge(&engrams[*content]);
                files += 1;
                bytes += file.size;
            }
            _ => panic!("`{path}` is {:?} and should be {thing:?}", entry.node),
        }
    }
    assert!(entries.next().is_none());
    assert_eq!((head.entries, head.files, head.bytes), (model.len() as u64, files, bytes));
    assert!(store.engram(&head).unwrap() == expected, "the root is not the sum of {model:?}");
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn whatever_a_history_does_it_matches_a_map_and_its_root_is_the_sum(
        history in proptest::collection::vec((proptest::collection::vec(step(), 0..9), proptest::bool::weighted(0.9)), 1..7),
    ) {
        let contents = contents();
        let engrams: Vec<_> = contents.iter().map(|bytes| engram_of(bytes)).collect();
        let (store, _) = small_store(1024);
        let mut model = Model::new();
        for (steps, commits) in history {
            let number = store.head().unwrap().map_or(0, |head| head.number) + 1;
            let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
            let mut now = model.clone();
            let whole = run(&mut tx, &steps, &contents, &model, &mut now, number);
            if !whole {
                prop_assert_eq!(tx.commit("").unwrap_err().kind(), ErrorKind::Invalid);
            } else if commits {
                prop_assert_eq!(tx.commit("").unwrap().version, number);
                model = now;
            } else {
                drop(tx);
            }
            if store.head().unwrap().is_some() {
                check(&store, &model, &contents, &engrams);
            }
        }
        if store.head().unwrap().is_some() {
            assert_sound(&store);
        }
    }
}

#[test]
fn put_twice_and_put_then_cleared_count_once_and_not_at_all() {
    let (store, _) = small_store(1024);
    let (first, second) = (text(9000, 1), text(9000, 2));
    let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    tx.put_file(b"twice", fixed(), &mut &first[..]).unwrap();
    tx.put_file(b"twice", fixed(), &mut &second[..]).unwrap();
    tx.put_file(b"gone", fixed(), &mut &first[..]).unwrap();
    tx.clear(b"gone").unwrap();
    tx.commit("").unwrap();
    assert!(root(&store) == engram_of(&second));
    let mut again =
        StreamingIngester::builder(&store).with_path("twice").with_attributes(fixed()).build().unwrap();
    again.ingest_bytes(&second).unwrap();
    again.finalize().unwrap();
    assert!(root(&store) == engram_of(&second));
    assert_eq!(store.tree(None).unwrap().get(b"twice").unwrap().unwrap().version, 1);
    assert_sound(&store);
}
