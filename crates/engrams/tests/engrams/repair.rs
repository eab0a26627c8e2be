//! Fear: a repair that loses what could be saved, hides what it lost, or gives wrong bytes. Every kind of damage to every
//! kind of record; a second store that still has the bytes brings all of it back.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use engrams::store::backend::MemoryBackend;
use engrams::store::{Backend, Batch, Durability, Space};
use engrams::{EngramStore, IngestOptions, RepairOptions, RepairReport, Transaction, VerifyOptions};

use crate::common::{
    Records, assert_sound, backend_of, edit, fixed, ingest, noise, open, records, small_store, text, try_read,
};

/// Version and path to content.
type Files = BTreeMap<(u64, &'static str), Vec<u8>>;

struct Sample {
    records: Records,
    files: Files,
}

/// Four versions: corrections, chunks that files share, a list in pages, more paths than a leaf has.
static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let (store, backend) = small_store(256);
    let mut files = Files::new();
    let mut long = text(12_000, 1);
    let many: Vec<&'static str> = (0..90).map(|at| &*format!("many/{at:03}").leak()).collect();
    for version in 1..=4 {
        let mut now: Vec<(&'static str, Vec<u8>)> = vec![
            ("long", long.clone()),
            ("noise", noise(900, 7)),
            ("small/a", text(40, version)),
            ("small/b", text(50, 5)),
            ("small/empty", Vec::new()),
        ];
        now.extend(many.iter().map(|path| (*path, text(30, path.len() as u64 + version / 2))));
        now.sort();
        let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
        for (path, bytes) in now {
            tx.put_file(path.as_bytes(), fixed(), &mut &bytes[..]).unwrap();
            files.insert((version, path), bytes);
        }
        tx.commit("a message").unwrap();
        edit(&mut long, 3, version);
    }
    store.tag("kept", 2).unwrap();
    assert_sound(&store);
    Sample { records: records(&backend, &Space::ALL), files }
});

fn options(sources: &[EngramStore]) -> RepairOptions {
    let open = engrams::OpenOptions {
        superblock: *small_store(256).0.superblock(),
        ..engrams::OpenOptions::default()
    };
    RepairOptions { sources: sources.to_vec(), open, ..RepairOptions::default() }
}

fn repair(backend: &Arc<MemoryBackend>, sources: &[EngramStore]) -> RepairReport {
    let backend = Arc::<MemoryBackend>::clone(backend);
    EngramStore::repair_backend(backend, &options(sources), &mut |_| Ok(()), &mut |_| {}).unwrap()
}

fn verified(backend: &Arc<MemoryBackend>) -> Vec<String> {
    let store = open(Arc::<MemoryBackend>::clone(backend), 256).unwrap();
    let shallow = store.verify(VerifyOptions { deep: false }, &mut |_| {}).unwrap().errors;
    let deep = store.verify(VerifyOptions { deep: true }, &mut |_| {}).unwrap().errors;
    assert_eq!(shallow.is_empty(), deep.is_empty(), "{shallow:?}\n{deep:?}");
    deep
}

/// The files that can't be read; wrong bytes are the end.
fn unreadable(store: &EngramStore, what: &str) -> Vec<(u64, &'static str)> {
    let mut refused = Vec::new();
    for ((version, path), bytes) in &SAMPLE.files {
        match try_read(store, path.as_bytes(), Some(*version)) {
            Ok(found) => assert!(found == *bytes, "{what}: wrong bytes of `{path}` in version {version}"),
            Err(_) => refused.push((*version, *path)),
        }
    }
    refused
}

/// What a repair of this damage must hold, whatever was damaged.
fn check(backend: &Arc<MemoryBackend>, what: &str) -> RepairReport {
    let before = match open(Arc::<MemoryBackend>::clone(backend), 256) {
        Ok(store) => Some(unreadable(&store, what)),
        Err(_) => None,
    };
    let damaged = records(backend, &Space::ALL);
    let report = repair(backend, &[]);
    let store = open(Arc::<MemoryBackend>::clone(backend), 256).unwrap();
    let refused = unreadable(&store, what);
    if let Some(before) = before {
        let more: Vec<_> = refused.iter().filter(|file| !before.contains(file)).collect();
        assert!(more.is_empty(), "{what}: the repair lost {more:?}: {report:?}");
    }
    // Whatever is lost is named.
    for (version, path) in &refused {
        let stays =
            report.lost_files.iter().any(|f| f.path == path.as_bytes() && f.versions.contains(version));
        let gone = report.lost_versions.contains(version)
            || report.dropped.iter().any(|line| line.contains(&format!("version {version}")));
        assert!(stays || gone, "{what}: `{path}` of version {version} is lost silently: {report:?}");
    }
    let mut tags_apart = report.clone();
    tags_apart.dropped.retain(|line| !line.contains("tag"));
    assert_eq!(refused.is_empty(), tags_apart.is_whole(), "{what}: {refused:?} {report:?}");
    // Verification names what is lost, and nothing else.
    let errors = verified(backend);
    if report.lost_chunks == 0 {
        assert_eq!(errors, Vec::<String>::new(), "{what}");
    } else {
        for line in &errors {
            let is_file = report
                .lost_files
                .iter()
                .any(|f| line.contains(&format!("`{}` of version", f.path.escape_ascii())));
            assert!(line.starts_with("chunk ") || is_file, "{what}: {line}");
        }
    }
    // Again, it finds nothing new to do.
    let again = repair(backend, &[]);
    assert_eq!(again.damage, Vec::<String>::new(), "{what}");
    assert_eq!((again.mended_chunks, again.rebuilt, again.lost_chunks), (0, 0, report.lost_chunks), "{what}");
    // Work goes on: new versions, and collections.
    let store = open(Arc::<MemoryBackend>::clone(backend), 256).unwrap();
    for lost in &report.lost_versions {
        let refusal = store.version(*lost).unwrap_err().to_string();
        assert_eq!(refusal, format!("version {lost} was forgotten"), "{what}");
    }
    let new = ingest(&store, "new", &text(3000, 77));
    // The number of a newest version that is lost is not given again.
    assert_eq!(new.version, 5, "{what}: {report:?}");
    assert_eq!(try_read(&store, b"new", None).unwrap(), text(3000, 77));
    store.collect(&engrams::CollectOptions::default(), &mut |_| {}).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(unreadable(&store, what), refused, "{what}");
    // A copy of the store has it all.
    let (damaged, sound) = (backend_of(&damaged), backend_of(&SAMPLE.records));
    let healed = repair(&damaged, &[open(sound, 256).unwrap()]);
    let newest_lost = healed.lost_versions == [4];
    assert!(
        healed.is_whole() || newest_lost || healed.dropped.iter().all(|l| l.contains("tag")),
        "{what}: {healed:?}"
    );
    assert_eq!(verified(&damaged), Vec::<String>::new(), "{what}");
    if !newest_lost {
        assert_eq!(unreadable(&open(damaged, 256).unwrap(), what), [], "{what}");
    }
    report
}

fn put(space: Space, key: &[u8], value: Option<&[u8]>) -> Batch {
    let mut batch = Batch::new();
    match value {
        Some(value) => drop(batch.put(space, key, value)),
        None => drop(batch.delete(space, key)),
    }
    batch
}

/// Damages, and removes, every `step`th record of `space`.
fn each(space: Space, step: usize, mut judge: impl FnMut(&str, &RepairReport)) {
    for ((space, key), value) in SAMPLE.records.iter().filter(|((s, _), _)| *s == space).step_by(step) {
        let mut bad = value.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 0x10;
        for damage in [Some(&bad[..]), None] {
            let backend = backend_of(&SAMPLE.records);
            backend.write(put(*space, key, damage), Durability::Durable).unwrap();
            let fate = if damage.is_some() { "damaged" } else { "gone" };
            let what = format!("{space:?} {} {fate}", key.escape_ascii());
            judge(&what, &check(&backend, &what));
        }
    }
}

#[test]
fn a_sound_store_is_left_as_it_is() {
    let backend = backend_of(&SAMPLE.records);
    let report = repair(&backend, &[]);
    assert!(report.was_sound() && report.is_whole(), "{report:?}");
    assert!(records(&backend, &Space::ALL) == SAMPLE.records);
}

#[test]
fn a_damaged_head_record_superblock_or_tag_is_set_right_and_the_store_opens() {
    each(Space::Meta, 1, |what, report| assert!(report.lost_files.is_empty(), "{what}: {report:?}"));
}

#[test]
fn a_damaged_version_record_costs_that_version_alone_and_is_named() {
    each(Space::Version, 1, |what, report| assert_eq!(report.lost_versions.len(), 1, "{what}: {report:?}"));
}

#[test]
fn damaged_payloads_cost_the_files_that_need_them_and_no_others() {
    each(Space::Payload, 9, |_, _| {});
}

#[test]
fn damaged_heads_cost_the_files_that_need_them_and_no_others() {
    let mut mended = 0;
    each(Space::Head, 9, |_, report| mended += u64::from(report.mended_chunks > 0));
    assert!(mended > 0, "a chunk that is no correction needs no head");
}

#[test]
fn a_damaged_page_costs_what_it_listed_and_is_named() {
    each(Space::Page, 2, |_, _| {});
}

#[test]
fn damaged_indexes_cost_nothing() {
    for space in [Space::Name, Space::Recall, Space::Seen] {
        each(space, 11, |what, report| assert!(report.is_whole(), "{what}: {report:?}"));
    }
}

#[test]
fn a_dry_run_says_the_same_and_changes_nothing() {
    let backend = backend_of(&SAMPLE.records);
    let key = 1u64.to_be_bytes();
    backend.write(put(Space::Payload, &key, None), Durability::Durable).unwrap();
    let before = records(&backend, &Space::ALL);
    let dry = RepairOptions { dry_run: true, ..options(&[]) };
    let shared = Arc::<MemoryBackend>::clone(&backend);
    let said = EngramStore::repair_backend(shared, &dry, &mut |_| Ok(()), &mut |_| {}).unwrap();
    assert!(records(&backend, &Space::ALL) == before);
    assert_eq!(said, repair(&backend, &[]));
    assert!(!said.is_whole());
}

/// Found: a chunk whose payload was damaged was referred to again by whoever stored the same bytes.
#[test]
fn bytes_that_are_stored_again_after_a_repair_mend_all_versions_that_need_them() {
    let backend = backend_of(&SAMPLE.records);
    for ((space, key), _) in SAMPLE.records.iter().filter(|((s, _), _)| *s == Space::Payload) {
        backend.write(put(*space, key, Some(b"nonsense")), Durability::Durable).unwrap();
    }
    let report = repair(&backend, &[]);
    assert!(report.lost_chunks > 0 && report.lost_files.len() > 4, "{report:?}");
    let store = open(Arc::<MemoryBackend>::clone(&backend), 256).unwrap();
    assert!(!unreadable(&store, "all payloads").is_empty());
    for version in 1..=4 {
        let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
        for ((_, path), bytes) in SAMPLE.files.iter().filter(|((v, _), _)| *v == version) {
            tx.put_file(path.as_bytes(), fixed(), &mut &bytes[..]).unwrap();
        }
        tx.commit("again").unwrap();
    }
    assert_eq!(unreadable(&store, "stored again"), []);
    drop(store);
    // What an ingest can't know is set right by the next repair.
    let report = repair(&backend, &[]);
    assert!(report.is_whole(), "{report:?}");
    assert_eq!(verified(&backend), Vec::<String>::new());
}

/// Found by damaging tables: a correction that could be read again, since its base was mended, was in no index.
#[test]
fn what_can_be_read_again_because_its_base_came_back_is_in_the_indexes_again() {
    let mut unsearchable = SAMPLE.records.clone();
    unsearchable.retain(|(space, _), _| *space != Space::Search);
    let mut leaned_on = 0;
    for ((space, key), payload) in unsearchable.iter().filter(|((s, _), _)| *s == Space::Payload) {
        let backend = backend_of(&unsearchable);
        backend.write(put(*space, key, None), Durability::Durable).unwrap();
        if repair(&backend, &[]).lost_chunks < 2 {
            continue;
        }
        leaned_on += 1;
        backend.write(put(*space, key, Some(payload)), Durability::Durable).unwrap();
        let report = repair(&backend, &[]);
        assert!(report.is_whole(), "{report:?}");
        assert_eq!(verified(&backend), Vec::<String>::new());
    }
    assert!(leaned_on > 0, "every chunk stands alone");
}
