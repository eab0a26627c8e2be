//! Fear: a collection that takes what somebody needs, or leaves what nobody does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engrams::store::backend::MemoryBackend;
use engrams::store::{Backend, Space};
use engrams::{
    CollectOptions, CollectStep, Collected, EngramStore, ErrorKind, Forget, IngestOptions, Retention,
    Transaction,
};

use crate::common::{
    assert_sound, backend_of, edit, fixed, ingest, noise, open, read, records, small_store, text, try_read,
};
use crate::forget::forget;
use crate::history::{ingest_history, releases};

pub(crate) fn collect(store: &EngramStore) -> Collected {
    store.collect(&CollectOptions::default(), &mut |_| {}).unwrap()
}

pub(crate) fn keep_last(store: &EngramStore, count: u64) {
    let keep = Retention { last: Some(count), ..Retention::default() };
    store.forget(&Forget { keep, ..Forget::default() }).unwrap();
}

pub(crate) fn stored(backend: &MemoryBackend) -> u64 {
    backend.stored_bytes().unwrap()
}

#[test]
fn what_only_forgotten_versions_had_is_freed_to_the_last_record() {
    let (store, backend) = small_store(1024);
    ingest(&store, "keep", &text(30_000, 1));
    // Half of it is shared with what is kept, half is of its own.
    ingest(&store, "go", &[text(30_000, 1), noise(30_000, 2)].concat());
    let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    tx.remove(b"go").unwrap();
    tx.commit("").unwrap();
    forget(&store, &[1, 2]);
    let report = collect(&store);
    assert_eq!(report.versions, 2);
    assert!(report.chunks >= 20 && report.pages >= 2 && report.recall_entries > 0, "{report:?}");
    assert_eq!(report.bytes_after, stored(&backend));
    assert!(report.bytes_before - report.bytes_after > 30_000, "{report:?}");
    assert_sound(&store);
    assert!(read(&store, "keep", 3) == text(30_000, 1));
    let fresh = small_store(1024);
    ingest(&fresh.0, "keep", &text(30_000, 1));
    // A record of forgotten versions more, and the padding of greater ids.
    assert!(stored(&backend) < stored(&fresh.1) + 200, "{} {}", stored(&backend), stored(&fresh.1));
    let again = collect(&store);
    assert_eq!((again.versions, again.chunks, again.pages), (0, 0, 0));
    assert_eq!(again.bytes_after, again.bytes_before);
}

#[test]
fn leftovers_of_an_ingest_that_never_committed_are_freed() {
    let (store, backend) = small_store(1024);
    ingest(&store, "f", &text(20_000, 1));
    let before = stored(&backend);
    let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    tx.put_file(b"g", fixed(), &mut &noise(100_000, 1)[..]).unwrap();
    tx.sync().unwrap();
    assert_eq!(collect(&store).chunks, 0, "an ingest is under way");
    drop(tx);
    assert!(stored(&backend) > before + 100_000);
    collect(&store);
    // Recall records that were several are one now.
    assert!((before - 100..=before).contains(&stored(&backend)), "{} after {before}", stored(&backend));
    assert_sound(&store);
    assert_eq!(ingest(&store, "g", &noise(100_000, 1)).version, 2);
    assert_sound(&store);
}

/// The race of such systems: an ingest finds a chunk, a collection removes it, the ingest refers to it.
#[test]
fn an_ingest_stopped_between_lookup_and_commit_loses_nothing() {
    let (store, backend) = small_store(1024);
    let (old, new) = (text(60_000, 1), text(60_000, 2));
    ingest(&store, "f", &old);
    ingest(&store, "f", &new);
    // Finds the chunks of version 1 and stops; others of its chunks are corrected against them.
    let mut like = old.clone();
    edit(&mut like, 10, 3);
    let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    tx.put_file(b"again", fixed(), &mut &old[..]).unwrap();
    tx.put_file(b"like", fixed(), &mut &like[..]).unwrap();
    tx.sync().unwrap();
    assert!(tx.progress().reused > 30, "{:?}", tx.progress());
    ingest(&store, "f", b"nothing of all that");
    keep_last(&store, 1);
    let report = collect(&store);
    assert_eq!(report.versions, 2);
    assert!(report.chunks < 50, "{report:?}");
    assert_eq!(tx.commit("").unwrap().version, 4);
    let store = open(backend_of(&records(&backend, &Space::ALL)), 1024).unwrap();
    for (path, bytes) in [("again", &old), ("like", &like), ("f", &b"nothing of all that".to_vec())] {
        assert!(read(&store, path, 4) == *bytes, "{path}");
    }
    assert_sound(&store);
}

/// The same race from the other side: what is condemned is not found.
#[test]
fn an_ingest_during_a_collection_stores_again_what_is_condemned() {
    for step in [CollectStep::Marking, CollectStep::Rebasing, CollectStep::Sweeping] {
        let (store, backend) = small_store(1024);
        let old = text(60_000, 1);
        ingest(&store, "f", &old);
        let (mut next, mut last) = (old.clone(), old.clone());
        edit(&mut next, 40, 5);
        edit(&mut last, 60, 6);
        ingest(&store, "f", &next);
        ingest(&store, "g", &last);
        forget(&store, &[1]);
        let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
        tx.remove(b"g").unwrap();
        tx.commit("").unwrap();
        forget(&store, &[2, 3]);
        let mut ingested = None;
        let options = CollectOptions { rebase_above: 0.0, ..CollectOptions::default() };
        store
            .collect(&options, &mut |progress| {
                if progress.step == step && ingested.is_none() {
                    ingested = Some(ingest(&store, "old", &old).version);
                    let mut like = old.clone();
                    edit(&mut like, 10, 7);
                    ingest(&store, "like", &like);
                }
            })
            .unwrap();
        assert_eq!(ingested, Some(5), "{step:?}");
        let store = open(backend_of(&records(&backend, &Space::ALL)), 1024).unwrap();
        assert!(read(&store, "old", 5) == old && read(&store, "f", 6) == next, "{step:?}");
        assert_sound(&store);
        collect(&store);
        assert!(read(&store, "old", 6) == old && read(&store, "f", 4) == next, "{step:?}");
        assert_sound(&store);
    }
}

/// Found by ten threads: a page on which a younger one leans was taken for one whose files are marked.
#[test]
fn what_a_version_committed_meanwhile_needs_stays_although_the_next_leans_on_its_pages() {
    let (store, _) = small_store(1024);
    let (old, new) = (noise(5_000, 1), noise(5_000, 2));
    let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    // Enough beside it that a page is worth a correction.
    for number in 0..60 {
        tx.put_file(format!("beside/{number}").as_bytes(), fixed(), &mut &text(100, number)[..]).unwrap();
    }
    tx.put_file(b"f", fixed(), &mut &old[..]).unwrap();
    tx.commit("").unwrap();
    ingest(&store, "f", &new);
    forget(&store, &[1]);
    let mut versions = Vec::new();
    store
        .collect(&CollectOptions::default(), &mut |progress| {
            if progress.step == CollectStep::Marking && versions.is_empty() {
                versions.push(ingest(&store, "f", &old).version);
                versions.push(ingest(&store, "f", &noise(5_000, 3)).version);
            }
        })
        .unwrap();
    assert_eq!(versions, [3, 4]);
    assert!(read(&store, "f", 3) == old && read(&store, "f", 2) == new);
    assert_sound(&store);
}

/// Found by ten threads: the chunk after one that stays was taken as a base while it was about to be removed.
#[test]
fn what_is_condemned_beside_a_chunk_that_stays_is_no_base() {
    let (store, backend) = small_store(4096);
    let old = text(120_000, 1);
    ingest(&store, "f", &old);
    let mut new = old.clone();
    for at in (0..old.len() - 8000).step_by(8000) {
        new[at..at + 4000].copy_from_slice(&noise(4000, at as u64));
    }
    ingest(&store, "f", &new);
    forget(&store, &[1]);
    // Some cut points are gone here: chunks that reach across what stays and what goes.
    let across = |at: usize| {
        let mut bytes = old[at - 6000..at + 6000].to_vec();
        bytes[5960..6040].copy_from_slice(&noise(80, at as u64));
        bytes
    };
    let places = || (6000..114_000).step_by(100);
    let mut ingested = false;
    let options = CollectOptions { rebase_above: 1.0, ..CollectOptions::default() };
    store
        .collect(&options, &mut |progress| {
            if progress.step == CollectStep::Sweeping && !ingested {
                ingested = true;
                let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
                for at in places() {
                    tx.put_file(format!("{at}").as_bytes(), fixed(), &mut &across(at)[..]).unwrap();
                }
                tx.commit("").unwrap();
            }
        })
        .unwrap();
    assert!(ingested);
    let store = open(backend_of(&records(&backend, &Space::ALL)), 1024).unwrap();
    for at in places() {
        assert!(read(&store, &at.to_string(), 3) == across(at), "{at}");
    }
    assert_sound(&store);
}

#[test]
fn a_reader_reads_exactly_while_everything_around_it_is_coded_anew() {
    let (store, _) = small_store(1024);
    let mut bytes = text(200_000, 1);
    for version in 1..=6 {
        ingest(&store, "f", &bytes);
        if version < 6 {
            edit(&mut bytes, 150, version);
        }
    }
    keep_last(&store, 1);
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                threads.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        assert!(try_read(&store, b"f", None).unwrap() == bytes);
                    }
                })
            })
            .collect();
        let report = store.collect(&CollectOptions::default(), &mut |_| {});
        done.store(true, Ordering::SeqCst);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        assert!(report.unwrap().rebased > 50);
    });
    assert_sound(&store);
}

#[test]
fn the_real_history_takes_as_much_as_a_fresh_store_of_what_is_kept() {
    let releases = releases();
    for kept in [1, 2, 3] {
        for average in [4096, 65_536] {
            let (store, backend) = small_store(average);
            ingest_history(&store, &releases);
            let before = stored(&backend);
            keep_last(&store, kept as u64);
            let report = collect(&store);
            let (fresh, fresh_backend) = small_store(average);
            ingest_history(&fresh, &releases[releases.len() - kept..]);
            let (after, fresh) = (stored(&backend), stored(&fresh_backend));
            let share = after as f64 / fresh as f64;
            println!(
                "{kept} of 5, chunks of {average}: {before} to {after}, fresh {fresh}: {share:.3}; {report:?}"
            );
            assert!(share < 1.15, "{share:.3}");
            assert_sound(&store);
            for (at, files) in releases.iter().enumerate().skip(releases.len() - kept) {
                for (path, bytes) in files {
                    let path = format!("semver/{path}");
                    assert!(
                        try_read(&store, path.as_bytes(), Some(at as u64 + 1)).unwrap() == *bytes,
                        "{path}"
                    );
                }
            }
        }
    }
}

#[test]
fn after_a_collection_later_versions_cost_as_little_as_in_a_fresh_store() {
    let releases = releases();
    let (store, backend) = small_store(65_536);
    ingest_history(&store, &releases[..4]);
    keep_last(&store, 1);
    collect(&store);
    let (fresh, fresh_backend) = small_store(65_536);
    ingest_history(&fresh, &releases[3..4]);
    let (before, fresh_before) = (stored(&backend), stored(&fresh_backend));
    ingest_history(&store, &releases[4..]);
    ingest_history(&fresh, &releases[4..]);
    let (cost, fresh_cost) = (stored(&backend) - before, stored(&fresh_backend) - fresh_before);
    assert!(cost as f64 <= fresh_cost as f64 * 1.15, "{cost} against {fresh_cost}");
}

#[test]
fn what_the_file_system_said_of_files_that_are_gone_is_forgotten() {
    let (store, backend) = small_store(1024);
    let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    for path in ["d/a", "d/b"] {
        tx.put_file(path.as_bytes(), fixed(), &mut path.as_bytes()).unwrap();
        tx.remember(path.as_bytes(), b"stat").unwrap();
    }
    tx.commit("").unwrap();
    let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    tx.remove(b"d/b").unwrap();
    tx.commit("").unwrap();
    assert_eq!(backend.contents(Space::Seen).unwrap().len(), 2);
    assert_eq!(collect(&store).seen_entries, 1);
    let tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    assert!(tx.unchanged(b"d/a", b"stat").unwrap());
}

#[test]
fn damage_that_hides_what_is_needed_stops_a_collection_before_it_removes_anything() {
    let (store, backend) = small_store(1024);
    for version in 1..=3 {
        ingest(&store, "f", &text(50_000, version));
    }
    forget(&store, &[1]);
    drop(store);
    let good = records(&backend, &Space::ALL);
    let mut refused = 0;
    for space in [Space::Page, Space::Head] {
        for key in good.keys().filter(|(found, _)| *found == space).cloned().collect::<Vec<_>>() {
            let mut damaged = good.clone();
            damaged.get_mut(&key).unwrap()[1] ^= 0x40;
            let damaged = backend_of(&damaged);
            let store = open(Arc::<MemoryBackend>::clone(&damaged), 1024).unwrap();
            let before = records(&damaged, &Space::ALL);
            match store.collect(&CollectOptions::default(), &mut |_| {}) {
                Ok(_) => {
                    assert!(read(&store, "f", 2) == text(50_000, 2));
                    assert!(read(&store, "f", 3) == text(50_000, 3));
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt);
                    assert_eq!(records(&damaged, &Space::ALL), before);
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 30, "{refused}");
}

/// Found: a damaged list of directories' sums stopped every collection.
#[test]
fn damage_to_what_can_be_computed_anew_stops_no_collection() {
    let good = crate::fixtures::plain();
    let readable = |store: &EngramStore| {
        let paths = ["docs/caf\u{e9}", "large/0", "long", "noise"];
        [1, 3, 4].into_iter().all(|version| {
            store.tree(Some(version)).unwrap().entries(b"").all(|entry| entry.is_ok())
                && paths.iter().all(|path| try_read(store, path.as_bytes(), Some(version)).is_ok())
        })
    };
    let mut derived = 0;
    for place in good.keys().filter(|(space, _)| *space == Space::Page) {
        let mut damaged = good.clone();
        damaged.get_mut(place).unwrap()[1] ^= 0x40;
        let store = open(backend_of(&damaged), 1024).unwrap();
        if readable(&store) {
            let collected = store.collect(&CollectOptions::default(), &mut |_| {});
            assert!(collected.is_ok() && readable(&store), "{place:?}: {collected:?}");
            derived += 1;
        }
    }
    // An engram for each kept version, the lists and the samples of sums.
    assert!(derived >= 6, "{derived}");
}

#[test]
fn the_files_that_a_chunk_is_needed_for_are_those_that_its_loss_makes_unreadable() {
    let (store, backend) = small_store(1024);
    let mut bytes = text(12_000, 1);
    for version in 1..=4 {
        let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
        tx.put_file(b"f", fixed(), &mut &bytes[..]).unwrap();
        tx.put_file(b"g", fixed(), &mut &text(9_000, 7 + version / 3)[..]).unwrap();
        tx.commit("").unwrap();
        edit(&mut bytes, 5, version);
    }
    forget(&store, &[2]);
    let all = records(&backend, &Space::ALL);
    let ids: Vec<u64> = all
        .keys()
        .filter(|(space, _)| *space == Space::Head)
        .map(|(_, key)| u64::from_be_bytes(key.as_slice().try_into().unwrap()))
        .collect();
    let mut indirect = 0;
    for id in ids {
        let told = store.dependents(&[id]).unwrap();
        indirect += told.chunks - 1;
        let mut told: Vec<_> = told
            .files
            .into_iter()
            .flat_map(|file| file.versions.into_iter().map(move |version| (version, file.path.clone())))
            .collect();
        told.sort();
        let mut damaged = all.clone();
        damaged.remove(&(Space::Payload, id.to_be_bytes().to_vec()));
        let damaged = open(backend_of(&damaged), 1024).unwrap();
        let mut lost = Vec::new();
        for version in [1, 3, 4] {
            for path in [b"f", b"g"] {
                if try_read(&damaged, path, Some(version)).is_err() {
                    lost.push((version, path.to_vec()));
                }
            }
        }
        assert_eq!(told, lost, "chunk {id}");
    }
    assert!(indirect > 5);
    assert_eq!(store.dependents(&[99_999]).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn what_is_coded_anew_never_leans_on_more_corrections_than_before() {
    let mut recoded = 0;
    for seed in 0..6 {
        let (store, _) = small_store(1024);
        let mut bytes = text(30_000, seed);
        for round in 0..10 {
            edit(&mut bytes, 25, 100 * seed + round);
            ingest(&store, "f", &bytes);
        }
        let depths = || -> Vec<Option<u8>> {
            (1..2000).map(|id| store.find_chunk_head(id).unwrap().map(|head| head.depth)).collect()
        };
        let before = depths();
        assert!(before.iter().flatten().any(|depth| *depth > 2), "there are chains: {before:?}");
        // Every other version goes, and with it bases in the middle of chains.
        forget(&store, &[1, 2, 4, 6, 7, 9]);
        let options = CollectOptions { rebase_above: 0.0, ..CollectOptions::default() };
        recoded += store.collect(&options, &mut |_| {}).unwrap().rebased;
        for (id, (before, after)) in (1..).zip(before.into_iter().zip(depths())) {
            assert!(after <= before, "chunk {id} of seed {seed}: {before:?} became {after:?}");
        }
        assert_sound(&store);
    }
    assert!(recoded > 20, "{recoded} chunks coded anew show little");
}
