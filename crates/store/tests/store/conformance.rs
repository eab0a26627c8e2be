//! Every backend passes the public suite.

use engrams_store::backend::MemoryBackend;
use engrams_store::conformance::check;

#[test]
fn memory_keeps_the_contract() {
    check(|| Box::new(MemoryBackend::new()));
}

#[test]
fn a_faulty_backend_without_faults_keeps_the_contract() {
    use engrams_store::backend::{Fault, FaultyBackend};
    check(|| Box::new(FaultyBackend::new(MemoryBackend::new(), Fault::default())));
}

#[cfg(feature = "rocksdb")]
mod rocksdb {
    use engrams_store::Backend;
    use engrams_store::backend::{RocksBackend, RocksOptions};
    use engrams_store::conformance::{check, check_durable};

    #[test]
    fn rocksdb_keeps_the_contract() {
        let place = tempfile::tempdir().unwrap();
        let mut next = 0;
        check(|| {
            next += 1;
            let path = place.path().join(next.to_string());
            Box::new(RocksBackend::create(path, &RocksOptions::default()).unwrap())
        });
    }

    #[test]
    fn rocksdb_keeps_what_it_promised_to_keep() {
        let place = tempfile::tempdir().unwrap();
        let mut next = 0;
        check_durable(|| {
            next += 1;
            let path = place.path().join(next.to_string());
            move || {
                let options = RocksOptions::default();
                let opened = if path.exists() {
                    RocksBackend::open(&path, &options)
                } else {
                    RocksBackend::create(&path, &options)
                };
                Box::new(opened.unwrap()) as Box<dyn Backend>
            }
        });
    }
}
