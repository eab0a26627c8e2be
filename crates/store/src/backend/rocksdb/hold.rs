//! Which databases this process writes to.
//!
//! The lock in a database's directory keeps other processes out, and this one not: it belongs to the whole process, and goes
//! as soon as any handle of its file is closed. RocksDB knows what it has open itself; who takes that lock without it must
//! not even open the file before he has asked here.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::failure::in_use;
use crate::{Error, Result};

static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The database in one directory is nobody else's in this process, until this is dropped.
#[derive(Debug)]
pub(crate) struct Hold(PathBuf);

impl Hold {
    /// Takes the database in `directory`, which exists.
    ///
    /// # Errors
    /// `Unavailable` when somebody in this process has it, `Io`.
    pub(crate) fn take(directory: &Path) -> Result<Self> {
        let path = fs::canonicalize(directory)
            .map_err(|error| Error::io(format_args!("can't find {}", directory.display()), error))?;
        if held().insert(path.clone()) { Ok(Self(path)) } else { Err(in_use(directory)) }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        held().remove(&self.0);
    }
}

fn held() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}
