//! Fear: a collection that stops half-way, or that somebody meets half-way.

use std::sync::{Arc, Mutex};

use engrams::store::backend::{Fault, FaultyBackend, MemoryBackend, Snapshot};
use engrams::store::{Backend, Batch, Durability, Error, Space};
use engrams::{CollectOptions, ErrorKind, IngestOptions, Result, Transaction};

use crate::collect::{collect, keep_last, stored};
use crate::common::{
    Records, assert_sound, backend_of, edit, fixed, ingest, noise, open, read, records, small_store, text,
    try_read,
};

/// Six versions of text that drifts, of which one is kept: a collection has to do everything it ever does.
fn before_collection() -> (Records, Vec<u8>) {
    let (store, backend) = small_store(1024);
    let mut bytes = text(60_000, 1);
    for version in 1..=6 {
        let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
        tx.put_file(b"f", fixed(), &mut &bytes[..]).unwrap();
        tx.put_file(format!("g{version}").as_bytes(), fixed(), &mut &noise(5_000, version)[..]).unwrap();
        tx.remember(format!("g{version}").as_bytes(), b"stat").unwrap();
        if version > 1 {
            tx.clear(format!("g{}", version - 1).as_bytes()).unwrap();
        }
        tx.commit("").unwrap();
        if version < 6 {
            edit(&mut bytes, 60, version);
        }
    }
    keep_last(&store, 1);
    drop(store);
    (records(&backend, &Space::ALL), bytes)
}

/// A medium with these records that fails.
fn faulty(records: &Records, fault: Fault) -> Arc<FaultyBackend<MemoryBackend>> {
    let faulty = FaultyBackend::new(MemoryBackend::new(), fault);
    let mut batch = Batch::new();
    for ((space, key), value) in records {
        batch.put(*space, key.clone(), value.clone());
    }
    faulty.inner().write(batch, Durability::Durable).unwrap();
    Arc::new(faulty)
}

#[test]
fn a_collection_that_is_interrupted_at_any_step_is_finished_by_the_next() {
    let (before, bytes) = before_collection();
    let faulty = |fault| faulty(&before, fault);
    let whole = faulty(Fault::default());
    let store = open(Arc::<FaultyBackend<MemoryBackend>>::clone(&whole), 1024).unwrap();
    let report = collect(&store);
    assert!(report.rebased > 50 && report.chunks > 50 && report.seen_entries > 0, "{report:?}");
    assert_sound(&store);
    let (writes, size) = (whole.writes(), stored(whole.inner()));
    assert!(writes > 40, "{writes}");
    for (at, fatal) in (0..writes).flat_map(|at| [(at, false), (at, true)]) {
        let backend = faulty(Fault { write: Some(at), fatal, ..Fault::default() });
        let store = open(Arc::<FaultyBackend<MemoryBackend>>::clone(&backend), 1024).unwrap();
        let error = store.collect(&CollectOptions::default(), &mut |_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "write {at}");
        if !fatal {
            // The same process goes on: what was condemned may be used again, and is there.
            assert!(read(&store, "f", 6) == bytes, "write {at}");
            ingest(&store, "again", &noise(5_000, 3));
            assert_sound(&store);
        }
        drop(store);
        let left = backend_of(&records(backend.inner(), &Space::ALL));
        let store = open(Arc::<MemoryBackend>::clone(&left), 1024).unwrap();
        assert!(read(&store, "f", 6) == bytes, "write {at}");
        assert_sound(&store);
        collect(&store);
        assert!(read(&store, "f", 6) == bytes, "write {at}");
        assert_sound(&store);
        if fatal {
            let share = stored(&left) as f64 / size as f64;
            assert!(share < 1.1, "interrupted at write {at}: {} against {size}", stored(&left));
        }
    }
}

#[test]
fn what_an_interrupted_sweep_leaves_can_be_used_again() {
    // More chunks than one batch removes, in chains that reach from one batch into the others.
    let (store, backend) = small_store(256);
    let mut contents = vec![text(60_000, 1)];
    for version in 1..6 {
        let mut next = contents[0].clone();
        edit(&mut next, 100, version);
        contents.push(next);
    }
    contents.iter().for_each(|bytes| drop(ingest(&store, "f", bytes)));
    ingest(&store, "f", b"nothing of all that");
    keep_last(&store, 1);
    drop(store);
    let before = records(&backend, &Space::ALL);
    for at in 0.. {
        let faulty = faulty(&before, Fault { write: Some(at), ..Fault::default() });
        let store = open(Arc::<FaultyBackend<MemoryBackend>>::clone(&faulty), 256).unwrap();
        if store.collect(&CollectOptions::default(), &mut |_| {}).is_ok() {
            assert!(at > 5, "{at}");
            break;
        }
        drop(store);
        let store = open(backend_of(&records(faulty.inner(), &Space::ALL)), 256).unwrap();
        for (version, bytes) in (8..).zip(&contents) {
            assert_eq!(ingest(&store, "f", bytes).version, version);
            assert!(read(&store, "f", version) == *bytes, "write {at}, version {version}");
        }
        assert_sound(&store);
    }
}

type Interruption = Box<dyn FnOnce() + Send>;

/// A backend that does something just before it answers one of its readers, and gives space back as it is told.
struct Interrupted {
    inner: Arc<MemoryBackend>,
    space: Space,
    /// Answers until then, and what is done.
    interruption: Mutex<Option<(usize, Interruption)>>,
    /// The bytes that a compaction leaves, or how it fails.
    compaction: Mutex<Result<u64, ErrorKind>>,
}

impl Interrupted {
    fn new(inner: Arc<MemoryBackend>, space: Space, interruption: Option<(usize, Interruption)>) -> Self {
        Self { inner, space, interruption: Mutex::new(interruption), compaction: Mutex::new(Ok(0)) }
    }
}

impl Backend for Interrupted {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut interruption = self.interruption.lock().unwrap();
        if space == self.space {
            match &mut *interruption {
                Some((0, _)) => (interruption.take().unwrap().1)(),
                Some((left, _)) => *left -= 1,
                None => {}
            }
        }
        drop(interruption);
        self.inner.get(space, key)
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        self.inner.snapshot()
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<()> {
        self.inner.write(batch, durability)
    }

    fn flush(&self) -> Result<()> {
        self.inner.flush()
    }

    fn compact(&self) -> Result<u64> {
        self.compaction.lock().unwrap().map_err(|kind| Error::new(kind, "no room"))
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }

    fn stored_bytes(&self) -> Result<u64> {
        self.inner.stored_bytes()
    }
}

#[test]
fn a_reader_that_a_whole_collection_overtakes_between_two_records_reads_exactly() {
    let (before, bytes) = before_collection();
    let mut overtaken = 0;
    for space in [Space::Page, Space::Head, Space::Payload] {
        for at in (0..).step_by(3) {
            let inner = backend_of(&before);
            let collector = open(Arc::<MemoryBackend>::clone(&inner), 1024).unwrap();
            let interruption = Box::new(move || assert!(collect(&collector).rebased > 30));
            let backend = Arc::new(Interrupted::new(inner, space, Some((at, interruption as Interruption))));
            // A store of its own, so that what one has decoded the other has not.
            let reader = open(Arc::<Interrupted>::clone(&backend), 1024).unwrap();
            assert!(try_read(&reader, b"f", Some(6)).unwrap() == bytes, "{space:?} {at}");
            if backend.interruption.lock().unwrap().is_some() {
                break;
            }
            overtaken += 1;
        }
    }
    assert!(overtaken > 20, "{overtaken}");
}

/// Found: a merge that had no room to begin with was passed over, and the report named no bytes.
#[test]
fn space_that_could_not_be_given_back_is_told_and_nothing_else_is_lost() {
    let (before, bytes) = before_collection();
    for (outcome, said) in [
        (Ok(1234), None),
        (Err(ErrorKind::Io), Some("takes its space until a collection that succeeds: no room")),
        (Err(ErrorKind::Corrupt), Some("takes its space until a repair: no room")),
    ] {
        let medium = Arc::new(Interrupted::new(backend_of(&before), Space::Page, None));
        *medium.compaction.lock().unwrap() = outcome;
        let store = open(Arc::<Interrupted>::clone(&medium), 1024).unwrap();
        match (store.collect(&CollectOptions::default(), &mut |_| {}), said) {
            (Ok(report), None) => assert!(report.bytes_left == 1234 && report.chunks > 50, "{report:?}"),
            (Err(error), Some(said)) => {
                assert_eq!(error.kind(), outcome.unwrap_err());
                assert!(error.to_string().ends_with(said), "{error}");
            }
            (report, _) => panic!("{outcome:?}: {report:?}"),
        }
        assert!(read(&store, "f", 6) == bytes);
        assert_sound(&store);
        *medium.compaction.lock().unwrap() = Ok(0);
        let again = collect(&store);
        assert_eq!((again.chunks, again.bytes_left), (0, 0), "all was removed before");
    }
}
