//! What RocksDB does by default and must not do here: second writers, leftovers, silent loss.

use std::fs;
use std::path::Path;

use engrams_store::backend::{KeyRange, RocksBackend, RocksOptions};
use engrams_store::{Backend, Batch, Durability, ErrorKind, Space};

const READ_ONLY: RocksOptions = RocksOptions { memory_bytes: 8 << 20, read_only: true };

fn options() -> RocksOptions {
    RocksOptions { memory_bytes: 8 << 20, read_only: false }
}

fn put(backend: &dyn Backend, space: Space, key: &[u8], value: &[u8], durability: Durability) {
    let mut batch = Batch::new();
    batch.put(space, key, value);
    backend.write(batch, durability).unwrap();
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn with_ending(path: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    names(path).into_iter().filter(|name| name.ends_with(ending)).map(|name| path.join(name)).collect()
}

/// What a crash right now would leave: the files, without what only memory holds. All of one instant: a copy
/// during which the manifest changed is made again.
fn crash_copy(from: &Path, to: &Path) {
    let manifest = || {
        let current = fs::read_to_string(from.join("CURRENT")).unwrap();
        (fs::metadata(from.join(current.trim())).map(|data| data.len()).ok(), current)
    };
    loop {
        let before = manifest();
        drop(fs::remove_dir_all(to));
        fs::create_dir_all(to).unwrap();
        for name in names(from) {
            match fs::copy(from.join(&name), to.join(&name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{name}: {error}"),
                _ => {}
            }
        }
        if manifest() == before {
            return;
        }
    }
}

/// Incompressible bytes that differ from seed to seed.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}

#[test]
fn a_second_open_is_refused_until_the_first_is_gone() {
    let place = tempfile::tempdir().unwrap();
    let first = RocksBackend::create(place.path(), &options()).unwrap();
    let error = RocksBackend::open(place.path(), &options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("in use by another process"), "{error}");
    drop(first);
    RocksBackend::open(place.path(), &options()).unwrap();
}

#[test]
fn opening_what_is_not_a_store_is_not_found_and_creates_nothing() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "not a store").unwrap();
    let absent = place.path().join("absent");
    for path in [place.path(), &file, &absent] {
        for options in [options(), READ_ONLY] {
            let error = RocksBackend::open(path, &options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
        }
    }
    assert_eq!(names(place.path()), ["file"]);
}

#[test]
fn a_failing_file_system_is_told_in_its_own_words() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("CURRENT")).unwrap();
    let error = RocksBackend::open(place.path(), &options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error:?}");
    assert!(error.to_string().contains("directory") && !error.to_string().contains('\n'), "{error}");
}

#[test]
fn creating_over_a_store_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let store = RocksBackend::create(place.path(), &options()).unwrap();
    put(&store, Space::Meta, b"k", b"v", Durability::Staged);
    drop(store);
    let error = RocksBackend::create(place.path(), &options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    fs::remove_file(place.path().join("CURRENT")).unwrap();
    for opened in
        [RocksBackend::create(place.path(), &options()), RocksBackend::open(place.path(), &options())]
    {
        assert_eq!(
            opened.unwrap_err().kind(),
            ErrorKind::Corrupt,
            "tables without CURRENT are a damaged store"
        );
    }
}

#[test]
fn close_leaves_nothing_but_what_is_needed() {
    let place = tempfile::tempdir().unwrap();
    let store = RocksBackend::create(place.path(), &options()).unwrap();
    store.close().unwrap();
    drop(store);
    for round in 0..10_u8 {
        let store = RocksBackend::open(place.path(), &options()).unwrap();
        if round > 0 {
            for space in Space::ALL {
                put(&store, space, &[round], b"value", Durability::Staged);
            }
            store.flush().unwrap();
            put(&store, Space::Meta, b"head", &[round], Durability::Durable);
        }
        // Closed or merely dropped, or closed and then dropped: the same.
        if round % 2 == 0 {
            store.close().unwrap();
        }
        drop(store);
        let mut kinds: Vec<_> = names(place.path())
            .into_iter()
            .map(|name| name.trim_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned())
            .collect();
        kinds.dedup();
        kinds.retain(|kind| kind != ".sst");
        assert_eq!(kinds, ["CURRENT", "LOCK", "MANIFEST", "MANIFEST.guard"], "{:?}", names(place.path()));
        let tables = with_ending(place.path(), ".sst").len();
        // Of each of four families three that a merge would not be worth yet.
        assert!(tables <= if round == 0 { 0 } else { 12 }, "{tables} tables after round {round}");
        let bytes: u64 =
            fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
        assert!(bytes < if round == 0 { 1 << 10 } else { 24 << 10 }, "{bytes} bytes after round {round}");
    }
}

#[test]
fn unsynced_staged_writes_survive_a_crash_only_as_a_prefix() {
    let place = tempfile::tempdir().unwrap();
    let live = place.path().join("live");
    let store = RocksBackend::create(&live, &options()).unwrap();
    let spaces = [Space::Payload, Space::Head, Space::Name, Space::Page];
    let mut survivors = Vec::new();
    for written in 1..=3000_u32 {
        // One record a batch, spread unevenly over column families that fill at different speeds.
        let space = spaces[written as usize * written as usize % 7 % 4];
        let value = noise(written.into(), 100 + written as usize * 37 % 9000);
        put(&store, space, &written.to_be_bytes(), &value, Durability::Staged);
        if written % 500 == 0 {
            let copy = place.path().join(written.to_string());
            crash_copy(&live, &copy);
            let crashed = RocksBackend::open(&copy, &options()).unwrap();
            let mut found: Vec<u32> = Vec::new();
            for space in spaces {
                for item in crashed.snapshot().unwrap().scan(space, KeyRange::default()) {
                    let (key, value) = item.unwrap();
                    let key = u32::from_be_bytes(key.try_into().unwrap());
                    assert_eq!(value, noise(key.into(), 100 + key as usize * 37 % 9000));
                    found.push(key);
                }
            }
            found.sort_unstable();
            assert!(found.iter().copied().eq(1..=found.len() as u32), "a hole below {:?}", found.last());
            survivors.push(found.len());
        }
    }
    assert!(survivors.iter().any(|count| *count > 0), "nothing was ever flushed: the test proves nothing");
    assert!(*survivors.last().unwrap() < 3000, "everything was flushed: the test proves nothing");
}

#[test]
fn flushed_and_durable_writes_survive_a_crash() {
    let place = tempfile::tempdir().unwrap();
    let live = place.path().join("live");
    let store = RocksBackend::create(&live, &options()).unwrap();
    for version in 0..20_u8 {
        put(&store, Space::Payload, &[version], &noise(version.into(), 2000), Durability::Staged);
        store.flush().unwrap();
        put(&store, Space::Payload, b"lost", b"staged after the flush", Durability::Staged);
        put(&store, Space::Meta, b"head", &[version], Durability::Durable);
        let copy = place.path().join(version.to_string());
        crash_copy(&live, &copy);
        let crashed = RocksBackend::open(&copy, &options()).unwrap();
        assert_eq!(crashed.get(Space::Meta, b"head").unwrap(), Some(vec![version]));
        for earlier in 0..=version {
            let found = crashed.get(Space::Payload, &[earlier]).unwrap();
            assert_eq!(found, Some(noise(earlier.into(), 2000)));
        }
    }
}

/// Three durable writes in the log, crashed; yields the state found after `damage` to the log.
fn after_damaging_the_log(place: &Path, damage: impl FnOnce(&mut Vec<u8>)) -> Result<Option<u8>, ErrorKind> {
    let copy = place.join("copy");
    crash_copy(&place.join("live"), &copy);
    let logs = with_ending(&copy, ".log");
    let log = logs.iter().find(|log| fs::metadata(log).unwrap().len() > 0).unwrap();
    let mut bytes = fs::read(log).unwrap();
    damage(&mut bytes);
    fs::write(log, bytes).unwrap();
    let opened = RocksBackend::open(&copy, &options()).map_err(|error| error.kind())?;
    let head = opened.get(Space::Meta, b"head").map_err(|error| error.kind())?;
    Ok(head.map(|value| value[0]))
}

fn store_with_three_commits_in_its_log(place: &Path) -> (RocksBackend, Vec<usize>) {
    let store = RocksBackend::create(place.join("live"), &options()).unwrap();
    let mut ends = Vec::new();
    for version in 1..=3_u8 {
        put(&store, Space::Meta, b"head", &[version; 40], Durability::Durable);
        let length = with_ending(&place.join("live"), ".log")
            .iter()
            .map(|log| fs::metadata(log).unwrap().len() as usize)
            .sum();
        ends.push(length);
    }
    (store, ends)
}

#[test]
fn a_log_cut_off_anywhere_opens_with_the_commits_before_the_cut() {
    let place = tempfile::tempdir().unwrap();
    let (_store, ends) = store_with_three_commits_in_its_log(place.path());
    for length in 0..=ends[2] {
        let whole = ends.iter().filter(|end| **end <= length).count() as u8;
        let found = after_damaging_the_log(place.path(), |log| log.truncate(length));
        assert_eq!(found, Ok((whole > 0).then_some(whole)), "cut at {length} of {ends:?}");
    }
}

#[test]
fn a_page_lost_behind_the_commits_in_the_log_is_no_damage() {
    let place = tempfile::tempdir().unwrap();
    let (_store, _) = store_with_three_commits_in_its_log(place.path());
    // A power cut took the page with the beginning of a commit, and not the page with its end.
    let found = after_damaging_the_log(place.path(), |log| {
        log.resize(4096, 0);
        log.extend([0xff; 300]);
    });
    assert_eq!(found, Ok(Some(3)));
}

#[test]
fn a_manifest_that_was_being_written_is_no_damage() {
    let place = tempfile::tempdir().unwrap();
    let store = RocksBackend::create(place.path(), &options()).unwrap();
    put(&store, Space::Meta, b"k", b"v", Durability::Durable);
    drop(store);
    fs::write(place.path().join("MANIFEST-000999"), [0xff; 300]).unwrap();
    let store = RocksBackend::open(place.path(), &options()).unwrap();
    assert_eq!(store.get(Space::Meta, b"k").unwrap().as_deref(), Some(&b"v"[..]));
}

#[test]
fn a_flipped_bit_in_the_log_never_makes_another_value() {
    let place = tempfile::tempdir().unwrap();
    let (_store, ends) = store_with_three_commits_in_its_log(place.path());
    let mut shortened = Vec::new();
    for bit in (0..ends[2] * 8).step_by(3) {
        match after_damaging_the_log(place.path(), |log| log[bit / 8] ^= 1 << (bit % 8)) {
            Err(kind) => assert_eq!(kind, ErrorKind::Corrupt, "bit {bit}"),
            // Indistinguishable from a cut, so only whoever knows the last commit can tell.
            Ok(found) => {
                assert!(found.unwrap_or(0) <= 3, "bit {bit} made a value");
                shortened.push((bit / 8, found));
            }
        }
    }
    let lengths =
        |at: &usize| [0].iter().chain(&ends).any(|start| (4..7).contains(&(at.wrapping_sub(*start))));
    assert!(shortened.iter().all(|(at, _)| lengths(at)), "not only lengths: {shortened:?} of {ends:?}");
}

#[test]
fn a_flipped_byte_in_a_table_is_corrupt_never_another_value() {
    let place = tempfile::tempdir().unwrap();
    let sound = place.path().join("sound");
    let store = RocksBackend::create(&sound, &options()).unwrap();
    for key in 0..60_u8 {
        put(&store, Space::Payload, &[key], &noise(key.into(), 700), Durability::Staged);
        put(&store, Space::Name, &[key], &[key; 20], Durability::Staged);
        put(&store, Space::Page, &[key], &[key; 200], Durability::Staged);
    }
    drop(store);
    let (mut tried, mut detected) = (0, 0);
    for (number, table) in with_ending(&sound, ".sst").iter().enumerate() {
        let length = fs::metadata(table).unwrap().len() as usize;
        for at in (number..length).step_by(length / 60) {
            let copy = place.path().join("copy");
            crash_copy(&sound, &copy);
            let damaged = copy.join(table.file_name().unwrap());
            let mut bytes = fs::read(&damaged).unwrap();
            bytes[at] ^= 0x10;
            fs::write(&damaged, bytes).unwrap();
            tried += 1;
            detected += usize::from(every_value_is_right_or_corrupt(&copy));
        }
    }
    // The rest hit table properties that nothing reads.
    assert!(detected * 10 >= tried * 8, "{detected} of {tried} flips were noticed");
}

/// Whether anything was reported; panics if a value is wrong, or absent, or another kind of error arises.
fn every_value_is_right_or_corrupt(path: &Path) -> bool {
    let store = match RocksBackend::open(path, &options()) {
        Ok(store) => store,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
            return true;
        }
    };
    let mut noticed = false;
    for key in 0..60_u8 {
        let expected = [
            (Space::Payload, noise(key.into(), 700)),
            (Space::Name, vec![key; 20]),
            (Space::Page, vec![key; 200]),
        ];
        for (space, expected) in expected {
            match store.get(space, &[key]) {
                Ok(found) => assert_eq!(found, Some(expected)),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
                    noticed = true;
                }
            }
        }
    }
    noticed
}

#[test]
fn no_table_names_the_machine_that_wrote_it() {
    let place = tempfile::tempdir().unwrap();
    let store = RocksBackend::create(place.path(), &options()).unwrap();
    put(&store, Space::Payload, b"k", b"v", Durability::Staged);
    drop(store);
    let table = fs::read(&with_ending(place.path(), ".sst")[0]).unwrap();
    let has = |text: &[u8]| table.windows(text.len()).any(|part| part == text);
    assert!(has(b"session.identity") && !has(b"host.identity"));
}

#[test]
fn a_missing_table_is_corrupt() {
    let place = tempfile::tempdir().unwrap();
    let store = RocksBackend::create(place.path(), &options()).unwrap();
    put(&store, Space::Payload, b"k", b"v", Durability::Staged);
    drop(store);
    fs::remove_file(&with_ending(place.path(), ".sst")[0]).unwrap();
    let found =
        RocksBackend::open(place.path(), &options()).and_then(|store| store.get(Space::Payload, b"k"));
    assert_eq!(found.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_reader_beside_a_writer_keeps_its_instant_and_writes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let store = RocksBackend::create(place.path(), &options()).unwrap();
    put(&store, Space::Payload, b"k", b"old", Durability::Staged);
    store.flush().unwrap();
    put(&store, Space::Meta, b"head", b"1", Durability::Durable);
    let before = names(place.path());
    let reader = RocksBackend::open(place.path(), &READ_ONLY).unwrap();
    assert_eq!(names(place.path()), before, "a reader leaves no trace");
    put(&store, Space::Payload, b"k", b"new", Durability::Staged);
    put(&store, Space::Meta, b"head", b"2", Durability::Durable);
    drop(store);
    for _ in 0..3 {
        // Merges tables and removes those that the reader has open.
        let store = RocksBackend::open(place.path(), &options()).unwrap();
        put(&store, Space::Payload, b"k", b"newer", Durability::Staged);
    }
    assert_eq!(reader.get(Space::Meta, b"head").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(reader.get(Space::Payload, b"k").unwrap().as_deref(), Some(&b"old"[..]));
    let mut batch = Batch::new();
    batch.put(Space::Meta, *b"head", *b"3");
    assert_eq!(reader.write(batch, Durability::Durable).unwrap_err().kind(), ErrorKind::Invalid);
    reader.flush().unwrap();
    reader.close().unwrap();
    assert_eq!(reader.get(Space::Meta, b"head").unwrap_err().kind(), ErrorKind::Unavailable);
    drop(reader);
    let reader = RocksBackend::open(place.path(), &READ_ONLY).unwrap();
    assert_eq!(reader.get(Space::Payload, b"k").unwrap().as_deref(), Some(&b"newer"[..]));
}

#[test]
fn a_reader_never_sees_a_head_without_its_records() {
    let place = tempfile::tempdir().unwrap();
    let store = RocksBackend::create(place.path(), &options()).unwrap();
    put(&store, Space::Meta, b"head", &0_u32.to_be_bytes(), Durability::Durable);
    std::thread::scope(|threads| {
        let writer = threads.spawn(|| {
            for version in 1..=150_u32 {
                put(&store, Space::Page, &version.to_be_bytes(), b"page", Durability::Staged);
                store.flush().unwrap();
                put(&store, Space::Meta, b"head", &version.to_be_bytes(), Durability::Durable);
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        });
        let mut opened = 0;
        while !writer.is_finished() {
            let reader = match RocksBackend::open(place.path(), &READ_ONLY) {
                Ok(reader) => reader,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                    continue;
                }
            };
            opened += 1;
            let head = reader.get(Space::Meta, b"head").unwrap().unwrap();
            let head = u32::from_be_bytes(head.try_into().unwrap());
            for version in 1..=head {
                let page = reader.get(Space::Page, &version.to_be_bytes()).unwrap();
                assert!(page.is_some(), "version {version} of {head} has no page");
            }
        }
        assert!(opened > 0);
    });
}

/// Found: a verification ended at the first block that could not be read.
#[test]
fn a_scan_goes_on_behind_blocks_that_can_not_be_read() {
    let place = tempfile::tempdir().unwrap();
    let store = RocksBackend::create(place.path(), &options()).unwrap();
    for id in 1..=3000u64 {
        put(&store, Space::Head, &id.to_be_bytes(), &noise(id, 90), Durability::Staged);
    }
    drop(store);
    let table = with_ending(place.path(), ".sst").remove(0);
    let mut bytes = fs::read(&table).unwrap();
    for part in [1, 2] {
        let at = bytes.len() * part / 3;
        bytes[at] ^= 1;
    }
    fs::write(&table, bytes).unwrap();
    let store = RocksBackend::open(place.path(), &options()).unwrap();
    let snapshot = store.snapshot().unwrap();
    let scan = |descending| {
        let (mut found, mut damaged) = (Vec::new(), 0);
        for record in snapshot.scan(Space::Head, KeyRange { descending, ..KeyRange::default() }) {
            match record {
                Ok((key, value)) => {
                    let id = u64::from_be_bytes(key.try_into().unwrap());
                    assert_eq!(value, noise(id, 90));
                    found.push(id);
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt);
                    damaged += 1;
                }
            }
        }
        assert_eq!(damaged, 2);
        found
    };
    let found = scan(false);
    assert!(scan(true).iter().rev().eq(&found), "backwards as well");
    assert!(found.is_sorted_by(|a, b| a < b));
    assert_eq!((found.first(), found.last()), (Some(&1), Some(&3000)));
    // Exactly what can't be read by itself is passed over.
    for id in 1..=3000u64 {
        assert_eq!(snapshot.get(Space::Head, &id.to_be_bytes()).is_ok(), found.contains(&id), "{id}");
    }
}

#[test]
fn a_compaction_tells_what_an_older_instant_keeps_and_the_next_gives_it_back() {
    let place = tempfile::tempdir().unwrap();
    let store = RocksBackend::create(place.path(), &options()).unwrap();
    for id in 0..200u64 {
        put(&store, Space::Payload, &id.to_be_bytes(), &noise(id, 5000), Durability::Staged);
    }
    store.flush().unwrap();
    let snapshot = store.snapshot().unwrap();
    let mut batch = Batch::new();
    for id in 0..190u64 {
        batch.delete(Space::Payload, id.to_be_bytes());
    }
    store.write(batch, Durability::Staged).unwrap();
    let before = store.stored_bytes().unwrap();
    assert!(store.compact().unwrap() > 900_000, "the snapshot sees all of it");
    assert_eq!(snapshot.get(Space::Payload, &7u64.to_be_bytes()).unwrap(), Some(noise(7, 5000)));
    drop(snapshot);
    assert_eq!(store.compact().unwrap(), 0);
    assert!(store.stored_bytes().unwrap() + 900_000 < before);
}
