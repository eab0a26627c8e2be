//! What every [`Backend`] must pass: call [`check`] from a test of yours, and [`check_durable`] too if what you
//! keep outlives the process.
//!
//! Each check runs on an empty backend of its own and panics with the promise that was broken. What only a crash
//! can show (staged writes lost as a suffix, torn logs) is beyond what a process can ask of itself; prove it
//! with your own fault injection.
//!
//! ```
//! use engrams_store::backend::MemoryBackend;
//!
//! engrams_store::conformance::check(|| Box::new(MemoryBackend::new()));
//! ```

use std::fmt::Debug;

use crate::backend::{KeyRange, KeyValue, Snapshot};
use crate::{Backend, Batch, Durability, ErrorKind, Result, Space};

/// Checks every promise of the contract but survival.
///
/// # Panics
/// When `backend` breaks one.
pub fn check(mut backend: impl FnMut() -> Box<dyn Backend>) {
    let checks: [fn(&dyn Backend); 15] = [
        what_was_written_is_read,
        spaces_are_apart,
        values_of_every_size_return,
        the_last_change_of_a_batch_wins,
        many_keys_are_read_in_the_order_asked,
        scans_are_ordered_by_unsigned_bytes,
        scans_keep_to_their_bounds,
        scans_keep_to_their_space,
        snapshots_show_one_instant,
        snapshots_let_writers_pass,
        preconditions_guard_the_whole_batch,
        batches_are_seen_whole,
        concurrent_preconditions_lose_no_update,
        flushing_changes_nothing_to_be_read,
        a_closed_backend_refuses_everything,
    ];
    for check in checks {
        let fresh = backend();
        check(&*fresh);
        must(fresh.close(), "closing succeeds, also twice");
    }
}

/// Checks what must survive closing and opening again.
///
/// `place` yields an empty place each time; what it yields opens the backend that is kept there, as often as it
/// is called, one at a time.
///
/// # Panics
/// When the backend breaks a promise.
pub fn check_durable<Open>(mut place: impl FnMut() -> Open)
where
    Open: FnMut() -> Box<dyn Backend>,
{
    closing_keeps_everything(place());
    flushed_and_durable_writes_outlive_a_drop(place());
    deletions_outlive_closing(place());
}

/// Keys at every edge: empty, lowest and highest bytes, prefixes of each other, long.
#[must_use]
pub fn edge_keys() -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = [
        &b""[..],
        b"\0",
        b"\0\0",
        b"\0\x01",
        b"\0\xff",
        b"\x01",
        b"a",
        b"a\0",
        b"a\xff",
        b"ab",
        b"b",
        b"c",
        b"h",
        b"m",
        b"n",
        b"p",
        b"r",
        b"s",
        b"v",
        b"\x7f",
        b"\x80",
        b"\xfe",
        b"\xff",
        b"\xff\0",
        b"\xff\xff",
    ]
    .map(<[u8]>::to_vec)
    .into();
    keys.push(vec![b'k'; 5000]);
    keys.push([vec![b'k'; 5000], vec![0]].concat());
    keys.push(vec![0xff; 300]);
    keys.sort();
    keys
}

fn must<T>(result: Result<T>, promise: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("broken promise: {promise}, but: {error:?}"),
    }
}

fn refused<T>(result: Result<T>, kind: ErrorKind, promise: &str) {
    match result {
        Ok(_) => panic!("broken promise: {promise}, but it succeeded"),
        Err(error) => assert_eq!(error.kind(), kind, "broken promise: {promise}, but: {error:?}"),
    }
}

#[track_caller]
fn same<T: PartialEq + Debug>(found: T, expected: T, promise: &str) {
    assert!(found == expected, "broken promise: {promise}\n found {found:.300?}\n expected {expected:.300?}");
}

fn put(backend: &dyn Backend, space: Space, key: &[u8], value: &[u8]) {
    let mut batch = Batch::new();
    batch.put(space, key, value);
    must(backend.write(batch, Durability::Staged), "a batch without preconditions is written");
}

fn get(backend: &dyn Backend, space: Space, key: &[u8]) -> Option<Vec<u8>> {
    must(backend.get(space, key), "any key can be asked for")
}

fn scan(snapshot: &dyn Snapshot, space: Space, range: KeyRange<'_>) -> Vec<KeyValue> {
    must(snapshot.scan(space, range).collect(), "a scan reads to its end")
}

fn snapshot(backend: &dyn Backend) -> Box<dyn Snapshot + '_> {
    must(backend.snapshot(), "an open backend gives snapshots")
}

fn what_was_written_is_read(backend: &dyn Backend) {
    for durability in [Durability::Staged, Durability::Durable, Durability::Settled] {
        for space in Space::ALL {
            let mut batch = Batch::new();
            batch.put(space, *b"there", *b"value").delete(space, *b"never there");
            must(backend.write(batch, durability), "deleting what is absent is fine");
            same(get(backend, space, b"there"), Some(b"value".to_vec()), "a write is read back at once");
            same(get(backend, space, b"never there"), None, "what was never written is absent");
            same(get(backend, space, b"ther"), None, "a prefix of a key is another key");
            same(get(backend, space, b"there\0"), None, "a longer key is another key");
            put(backend, space, b"there", b"second");
            same(get(backend, space, b"there"), Some(b"second".to_vec()), "the later write is read");
            let mut batch = Batch::new();
            batch.delete(space, *b"there");
            must(backend.write(batch, durability), "a batch may only delete");
            same(get(backend, space, b"there"), None, "a deleted key is absent");
        }
    }
    must(backend.write(Batch::new(), Durability::Durable), "an empty batch is fine");
}

fn spaces_are_apart(backend: &dyn Backend) {
    for key in edge_keys() {
        for space in Space::ALL {
            put(backend, space, &key, &[space as u8]);
        }
    }
    for key in edge_keys() {
        for space in Space::ALL {
            same(get(backend, space, &key), Some(vec![space as u8]), "one key in two spaces is two records");
        }
    }
}

fn values_of_every_size_return(backend: &dyn Backend) {
    let sizes = [0, 1, 255, 256, 4095, 4096, 65_535, 65_536, 1 << 20];
    for space in Space::ALL {
        for size in sizes {
            let value: Vec<u8> = (0..size).map(|i: usize| ((i * i) >> 7) as u8).collect();
            put(backend, space, &size.to_be_bytes(), &value);
            same(
                get(backend, space, &size.to_be_bytes()),
                Some(value),
                "values up to 1 MiB return unchanged",
            );
        }
        let lengths: Vec<usize> = scan(&*snapshot(backend), space, KeyRange::default())
            .iter()
            .map(|(_, value)| value.len())
            .collect();
        same(lengths, sizes.to_vec(), "a scan yields values of every size, empty ones too");
    }
}

fn the_last_change_of_a_batch_wins(backend: &dyn Backend) {
    let mut batch = Batch::new();
    batch.put(Space::Meta, *b"a", *b"1").put(Space::Meta, *b"a", *b"2");
    batch.put(Space::Meta, *b"b", *b"1").delete(Space::Meta, *b"b");
    batch.delete(Space::Meta, *b"c").put(Space::Meta, *b"c", *b"1");
    must(backend.write(batch, Durability::Staged), "a batch may change a key twice");
    let found = [*b"a", *b"b", *b"c"].map(|key| get(backend, Space::Meta, &key));
    same(found, [Some(b"2".to_vec()), None, Some(b"1".to_vec())], "the last change in a batch wins");
}

fn many_keys_are_read_in_the_order_asked(backend: &dyn Backend) {
    for space in [Space::Meta, Space::Head, Space::Name] {
        for key in 0..100_u8 {
            put(backend, space, &[key], &[key, key]);
        }
        let asked: [&[u8]; 6] = [&[9], &[200], &[3], &[9], &[], &[99]];
        let found = must(backend.multi_get(space, &asked), "keys can be absent and repeated");
        let expected = [Some(vec![9, 9]), None, Some(vec![3, 3]), Some(vec![9, 9]), None, Some(vec![99, 99])];
        same(found, expected.to_vec(), "`multi_get` answers each key at its place");
        same(must(backend.multi_get(space, &[]), "no keys is fine"), Vec::new(), "no keys, no values");
    }
}

fn fill_with_edges(backend: &dyn Backend) -> Vec<Vec<u8>> {
    let keys = edge_keys();
    for space in Space::ALL {
        for key in keys.iter().rev() {
            put(backend, space, key, key);
        }
    }
    keys
}

fn scans_are_ordered_by_unsigned_bytes(backend: &dyn Backend) {
    let mut keys = fill_with_edges(backend);
    for space in Space::ALL {
        let instant = snapshot(backend);
        for descending in [false, true] {
            let range = KeyRange { descending, ..KeyRange::default() };
            let found: Vec<Vec<u8>> = scan(&*instant, space, range).into_iter().map(|(key, _)| key).collect();
            same(found, keys.clone(), "a scan yields every key, ordered by unsigned bytes");
            keys.reverse();
        }
    }
}

fn scans_keep_to_their_bounds(backend: &dyn Backend) {
    let keys = fill_with_edges(backend);
    let mut bounds = keys.clone();
    bounds.extend([b"\0\0\0".to_vec(), b"aa".to_vec(), b"\x81".to_vec(), vec![0xff; 301]]);
    for space in [Space::Meta, Space::Seen, Space::Payload, Space::Name, Space::Recall] {
        let instant = snapshot(backend);
        for from in &bounds {
            for to in bounds.iter().map(Some).chain([None]) {
                let mut expected: Vec<_> =
                    keys.iter().filter(|key| *key >= from && to.is_none_or(|to| *key < to)).collect();
                for descending in [false, true] {
                    let range = KeyRange { from, to: to.map(Vec::as_slice), descending };
                    let found = scan(&*instant, space, range);
                    let found: Vec<_> = found.iter().map(|(key, _)| key).collect();
                    same(found, expected.clone(), "a scan starts at `from` and ends before `to`");
                    expected.reverse();
                }
            }
        }
    }
}

fn scans_keep_to_their_space(backend: &dyn Backend) {
    for space in Space::ALL {
        for other in Space::ALL.into_iter().filter(|other| *other != space) {
            put(backend, other, b"", b"");
            put(backend, other, &[0xff; 9], b"");
        }
        for key in [&b""[..], &[0xff; 9]] {
            let mut batch = Batch::new();
            batch.delete(space, key);
            must(backend.write(batch, Durability::Staged), "a deletion is written");
        }
        for descending in [false, true] {
            let range = KeyRange { descending, ..KeyRange::default() };
            same(scan(&*snapshot(backend), space, range), Vec::new(), "a scan of an empty space is empty");
        }
    }
}

fn snapshots_show_one_instant(backend: &dyn Backend) {
    for key in 0..10_u8 {
        put(backend, Space::Page, &[key], b"old");
    }
    let before = snapshot(backend);
    let mut half_read = before.scan(Space::Page, KeyRange::default());
    let first = half_read.next();
    let mut batch = Batch::new();
    batch.delete(Space::Page, [0]).delete(Space::Page, [5]).put(Space::Page, [6], *b"new");
    batch.put(Space::Page, [3, 3], *b"new").put(Space::Page, [99], *b"new");
    must(backend.write(batch, Durability::Staged), "an open snapshot does not block writes");
    must(backend.flush(), "an open snapshot does not block flushes");
    let expected: Vec<KeyValue> = (0..10_u8).map(|key| (vec![key], b"old".to_vec())).collect();
    let seen: Result<Vec<KeyValue>> = first.into_iter().chain(half_read).collect();
    same(must(seen, "a scan reads on"), expected.clone(), "a scan under way sees no later write");
    same(
        scan(&*before, Space::Page, KeyRange::default()),
        expected.clone(),
        "a scan sees the snapshot's instant",
    );
    let found = [0_u8, 5, 6, 99].map(|key| must(before.get(Space::Page, &[key]), "a snapshot is read"));
    let old = Some(b"old".to_vec());
    same(found, [old.clone(), old.clone(), old, None], "`get` on a snapshot sees its instant");
    let after = snapshot(backend);
    same(must(after.get(Space::Page, &[5]), "read"), None, "a new snapshot sees every write before it");
    same(
        must(after.get(Space::Page, &[6]), "read"),
        Some(b"new".to_vec()),
        "a new snapshot sees every write before it",
    );
    drop(after);
    same(scan(&*before, Space::Page, KeyRange::default()), expected, "dropping one snapshot leaves others");
}

fn snapshots_let_writers_pass(backend: &dyn Backend) {
    put(backend, Space::Head, b"k", b"0");
    let held: Vec<_> = (0..20_u8)
        .map(|i| {
            let instant = snapshot(backend);
            put(backend, Space::Head, b"k", &[i]);
            instant
        })
        .collect();
    for (i, instant) in held.iter().enumerate().rev() {
        let expected = if i == 0 { b"0".to_vec() } else { vec![i as u8 - 1] };
        same(
            must(instant.get(Space::Head, b"k"), "a snapshot is read"),
            Some(expected),
            "many snapshots each show their own instant",
        );
    }
}

fn preconditions_guard_the_whole_batch(backend: &dyn Backend) {
    put(backend, Space::Meta, b"head", b"7");
    put(backend, Space::Meta, b"empty", b"");
    let held: [(&[u8], Option<&[u8]>); 3] = [(b"head", Some(b"7")), (b"empty", Some(b"")), (b"none", None)];
    let broken: [(&[u8], Option<&[u8]>); 5] = [
        (b"head", Some(b"8")),
        (b"head", None),
        (b"empty", None),
        (b"none", Some(b"")),
        (b"head", Some(b"77")),
    ];
    for (key, value) in broken {
        let mut batch = Batch::new();
        for (key, value) in held {
            batch.expect(Space::Meta, key, value.map(<[u8]>::to_vec));
        }
        batch.expect(Space::Meta, key, value.map(<[u8]>::to_vec));
        batch.put(Space::Meta, *b"head", *b"9").put(Space::Payload, *b"x", *b"y");
        let promise = "a batch whose precondition does not hold is refused as `Conflict`";
        refused(backend.write(batch, Durability::Durable), ErrorKind::Conflict, promise);
        same(get(backend, Space::Meta, b"head"), Some(b"7".to_vec()), "a refused batch changes nothing");
        same(get(backend, Space::Payload, b"x"), None, "a refused batch changes nothing, in no space");
    }
    let mut batch = Batch::new();
    for (key, value) in held {
        batch.expect(Space::Meta, key, value.map(<[u8]>::to_vec));
    }
    // What a batch itself writes is not what its preconditions are about.
    batch.put(Space::Meta, *b"head", *b"8").put(Space::Meta, *b"none", *b"");
    must(backend.write(batch, Durability::Durable), "a batch whose preconditions hold is applied");
    same(get(backend, Space::Meta, b"head"), Some(b"8".to_vec()), "a guarded batch is applied");
}

fn batches_are_seen_whole(backend: &dyn Backend) {
    let spaces = [Space::Meta, Space::Payload, Space::Name];
    std::thread::scope(|threads| {
        let writer = threads.spawn(|| {
            for round in 0..300_u16 {
                let mut batch = Batch::new();
                for space in spaces {
                    batch.put(space, *b"round", round.to_be_bytes());
                }
                must(backend.write(batch, Durability::Staged), "a batch is written");
            }
        });
        while !writer.is_finished() {
            let instant = snapshot(backend);
            let seen = spaces.map(|space| must(instant.get(space, b"round"), "a snapshot is read"));
            assert!(
                seen.iter().all(|value| *value == seen[0]),
                "broken promise: a batch is seen whole or not at all, but a snapshot shows {seen:?}"
            );
        }
    });
}

fn concurrent_preconditions_lose_no_update(backend: &dyn Backend) {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 50;
    let count = |value: Option<&Vec<u8>>| value.map_or(0, |bytes| bytes.iter().map(|b| u64::from(*b)).sum());
    std::thread::scope(|threads| {
        for thread in 0..THREADS {
            threads.spawn(move || {
                for _ in 0..ROUNDS {
                    loop {
                        let found = get(backend, Space::Meta, b"counter");
                        let mut next = found.clone().unwrap_or_default();
                        next.push(1);
                        let mut batch = Batch::new();
                        batch.expect(Space::Meta, *b"counter", found).put(Space::Meta, *b"counter", next);
                        match backend.write(batch, Durability::Staged) {
                            Ok(()) => break,
                            Err(error) => same(error.kind(), ErrorKind::Conflict, "only `Conflict` refuses"),
                        }
                        // Writers without preconditions are in nobody's way.
                        put(backend, Space::Seen, &thread.to_be_bytes(), b"was here");
                    }
                }
            });
        }
    });
    let total: u64 = count(get(backend, Space::Meta, b"counter").as_ref());
    same(total, THREADS * ROUNDS, "checking and applying is one step: no increment is lost");
}

fn flushing_changes_nothing_to_be_read(backend: &dyn Backend) {
    let keys = fill_with_edges(backend);
    let before: Vec<_> = Space::ALL.map(|space| scan(&*snapshot(backend), space, KeyRange::default())).into();
    must(backend.flush(), "a flush succeeds");
    must(backend.flush(), "a flush with nothing to do succeeds");
    must(backend.compact(), "a compaction succeeds");
    for (space, before) in Space::ALL.into_iter().zip(before) {
        same(scan(&*snapshot(backend), space, KeyRange::default()), before, "a flush changes no content");
        for key in &keys {
            same(get(backend, space, key), Some(key.clone()), "a flushed record is read");
        }
    }
    must(backend.stored_bytes(), "an open backend tells its size");
}

fn a_closed_backend_refuses_everything(backend: &dyn Backend) {
    put(backend, Space::Meta, b"key", b"value");
    let open = snapshot(backend);
    must(backend.close(), "closing succeeds");
    must(backend.close(), "closing twice is fine");
    let kind = ErrorKind::Unavailable;
    refused(backend.get(Space::Meta, b"key"), kind, "a closed backend refuses `get`");
    refused(backend.multi_get(Space::Meta, &[b"key"]), kind, "a closed backend refuses `multi_get`");
    refused(backend.snapshot().map(drop), kind, "a closed backend refuses `snapshot`");
    refused(open.get(Space::Meta, b"key"), kind, "a snapshot of a closed backend refuses `get`");
    let scanned: Result<Vec<KeyValue>> = open.scan(Space::Meta, KeyRange::default()).collect();
    refused(scanned, kind, "a snapshot of a closed backend refuses `scan`");
    let mut batch = Batch::new();
    batch.put(Space::Meta, *b"key", *b"later");
    refused(backend.write(batch, Durability::Durable), kind, "a closed backend refuses `write`");
    refused(backend.flush(), kind, "a closed backend refuses `flush`");
    refused(backend.compact(), kind, "a closed backend refuses `compact`");
    refused(backend.stored_bytes(), kind, "a closed backend refuses `stored_bytes`");
}

fn closing_keeps_everything(mut open: impl FnMut() -> Box<dyn Backend>) {
    let backend = open();
    let keys = fill_with_edges(&*backend);
    must(backend.close(), "closing succeeds");
    drop(backend);
    for _ in 0..2 {
        let backend = open();
        for space in Space::ALL {
            let found: Vec<Vec<u8>> = scan(&*snapshot(&*backend), space, KeyRange::default())
                .into_iter()
                .map(|(key, _)| key)
                .collect();
            same(found, keys.clone(), "what was staged before closing is there after opening again");
        }
        must(backend.close(), "closing succeeds");
    }
}

fn flushed_and_durable_writes_outlive_a_drop(mut open: impl FnMut() -> Box<dyn Backend>) {
    let backend = open();
    put(&*backend, Space::Payload, b"staged", b"then flushed");
    must(backend.flush(), "a flush succeeds");
    let mut batch = Batch::new();
    batch.put(Space::Meta, *b"head", *b"1");
    must(backend.write(batch, Durability::Durable), "a durable write succeeds");
    put(&*backend, Space::Payload, b"staged later", b"then settled");
    let mut batch = Batch::new();
    batch.expect(Space::Meta, *b"tag", None).put(Space::Meta, *b"tag", *b"1");
    must(backend.write(batch, Durability::Settled), "a settled write succeeds");
    drop(backend);
    let backend = open();
    let found = get(&*backend, Space::Payload, b"staged");
    same(found, Some(b"then flushed".to_vec()), "what was flushed is there after opening again");
    let found = get(&*backend, Space::Payload, b"staged later");
    same(found, Some(b"then settled".to_vec()), "what was staged before a settled write is there with it");
    same(get(&*backend, Space::Meta, b"head"), Some(b"1".to_vec()), "a durable write is there after opening");
    same(get(&*backend, Space::Meta, b"tag"), Some(b"1".to_vec()), "a settled write is there after opening");
}

fn deletions_outlive_closing(mut open: impl FnMut() -> Box<dyn Backend>) {
    let backend = open();
    let keys = fill_with_edges(&*backend);
    must(backend.close(), "closing succeeds");
    drop(backend);
    let backend = open();
    for space in Space::ALL {
        let mut batch = Batch::new();
        for key in &keys {
            batch.delete(space, key.as_slice());
        }
        must(backend.write(batch, Durability::Staged), "deletions are written");
    }
    must(backend.compact(), "a compaction after deletions succeeds");
    must(backend.close(), "closing succeeds");
    drop(backend);
    let backend = open();
    for space in Space::ALL {
        let found = scan(&*snapshot(&*backend), space, KeyRange::default());
        same(found, Vec::new(), "what was deleted before closing stays deleted");
    }
}
