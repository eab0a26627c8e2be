//! Stores in directories. Without RocksDB, as fuzz targets are built, there are none.

use std::path::Path;

use engrams::{EngramStore, Error, OpenOptions, RepairOptions, RepairProgress, RepairReport};

/// Opens the store, or makes it.
#[cfg(feature = "rocksdb")]
pub(crate) fn open(path: &Path, options: &OpenOptions, create: bool) -> Result<EngramStore, Error> {
    EngramStore::open_with(path, options, create)
}

/// Repairs the store.
#[cfg(feature = "rocksdb")]
pub(crate) fn repair(
    path: &Path,
    options: &RepairOptions,
    on_lost: &mut dyn FnMut(&EngramStore) -> Result<(), Error>,
    on_progress: &mut dyn FnMut(RepairProgress),
) -> Result<RepairReport, Error> {
    EngramStore::repair(path, options, on_lost, on_progress)
}

#[cfg(not(feature = "rocksdb"))]
pub(crate) fn open(path: &Path, _: &OpenOptions, _: bool) -> Result<EngramStore, Error> {
    Err(without_database(path))
}

#[cfg(not(feature = "rocksdb"))]
pub(crate) fn repair(
    path: &Path,
    _: &RepairOptions,
    _: &mut dyn FnMut(&EngramStore) -> Result<(), Error>,
    _: &mut dyn FnMut(RepairProgress),
) -> Result<RepairReport, Error> {
    Err(without_database(path))
}

#[cfg(not(feature = "rocksdb"))]
fn without_database(path: &Path) -> Error {
    let what = format!("this build has no RocksDB, which keeps the store at {}", path.display());
    Error::new(engrams::ErrorKind::Unsupported, what)
}
