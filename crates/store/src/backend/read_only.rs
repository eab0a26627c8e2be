//! A backend of which nothing can be changed: what a store that is opened for reading alone stands on.

use std::path::Path;
use std::sync::Arc;

use super::{Backend, Batch, Durability, Snapshot};
use crate::{Error, Result, Space};

/// The same records as the backend inside, and no writes.
pub(crate) struct ReadOnly(pub(crate) Arc<dyn Backend>);

/// Why something can't be changed.
pub(crate) fn read_only() -> Error {
    Error::invalid("the store was opened for reading only: open it for writing")
}

impl Backend for ReadOnly {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.0.get(space, key)
    }

    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        self.0.multi_get(space, keys)
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        self.0.snapshot()
    }

    fn write(&self, _: Batch, _: Durability) -> Result<()> {
        Err(read_only())
    }

    fn flush(&self) -> Result<()> {
        Err(read_only())
    }

    fn compact(&self) -> Result<u64> {
        Err(read_only())
    }

    fn copy_to(&self, directory: &Path) -> Result<()> {
        self.0.copy_to(directory)
    }

    fn damage(&self) -> Result<Vec<String>> {
        self.0.damage()
    }

    fn close(&self) -> Result<()> {
        self.0.close()
    }

    fn stored_bytes(&self) -> Result<u64> {
        self.0.stored_bytes()
    }
}
