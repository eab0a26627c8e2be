//! A backend that fails on purpose, to prove that what stands on it keeps its promises when it does.
//!
//! It counts writes and flushes and fails the ones it was told to. A run without faults says how many there
//! are ([`FaultyBackend::writes`], [`FaultyBackend::flushes`]); a test then fails each of them in turn.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Backend, Batch, Durability, Snapshot};
use crate::{Error, ErrorKind, Result, Space};

/// Which calls fail, counted from 0, and what happens after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fault {
    /// The write that fails with `Io` and applies nothing.
    pub write: Option<u64>,
    /// The flush that fails with `Io` and makes nothing durable. That of a [settled](Durability::Settled) write counts: nothing
    /// of the write was applied then, or all of it when this is the last thing heard of the medium.
    pub flush: Option<u64>,
    /// Whether the first failure is the last thing heard of the medium: every later call is `Unavailable`.
    pub fatal: bool,
}

/// A backend over another one that fails as its [`Fault`] says.
#[derive(Debug)]
pub struct FaultyBackend<B> {
    inner: B,
    fault: Fault,
    writes: AtomicU64,
    flushes: AtomicU64,
    dead: AtomicBool,
}

impl<B: Backend> FaultyBackend<B> {
    /// `inner`, failing as `fault` says.
    pub fn new(inner: B, fault: Fault) -> Self {
        Self { inner, fault, writes: AtomicU64::new(0), flushes: AtomicU64::new(0), dead: false.into() }
    }

    /// Writes asked for so far, failed ones included.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    /// Flushes asked for so far, failed ones included.
    pub fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::SeqCst)
    }

    /// The backend underneath.
    pub fn inner(&self) -> &B {
        &self.inner
    }

    /// The backend underneath, as a crash at this point would leave it.
    pub fn into_inner(self) -> B {
        self.inner
    }

    fn alive(&self) -> Result<()> {
        if self.dead.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "the faulty medium is gone"));
        }
        Ok(())
    }

    /// Counts one call of its kind, and fails it if it is the one.
    fn count(&self, calls: &AtomicU64, failing: Option<u64>, name: &str) -> Result<()> {
        self.alive()?;
        let call = calls.fetch_add(1, Ordering::SeqCst);
        if failing != Some(call) {
            return Ok(());
        }
        self.dead.store(self.fault.fatal, Ordering::SeqCst);
        Err(Error::new(ErrorKind::Io, format!("injected fault in {name} {call}")))
    }
}

impl<B: Backend> Backend for FaultyBackend<B> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.alive()?;
        self.inner.get(space, key)
    }

    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        self.alive()?;
        self.inner.multi_get(space, keys)
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        self.alive()?;
        self.inner.snapshot()
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<()> {
        self.count(&self.writes, self.fault.write, "write")?;
        if durability != Durability::Settled {
            return self.inner.write(batch, durability);
        }
        let flushed = self.count(&self.flushes, self.fault.flush, "flush");
        if flushed.is_ok() || self.fault.fatal {
            self.inner.write(batch, durability)?;
        }
        flushed
    }

    fn flush(&self) -> Result<()> {
        self.count(&self.flushes, self.fault.flush, "flush")?;
        self.inner.flush()
    }

    fn compact(&self) -> Result<u64> {
        self.alive()?;
        self.inner.compact()
    }

    fn copy_to(&self, directory: &Path) -> Result<()> {
        self.alive()?;
        self.inner.copy_to(directory)
    }

    fn damage(&self) -> Result<Vec<String>> {
        self.alive()?;
        self.inner.damage()
    }

    fn close(&self) -> Result<()> {
        // A dead medium can't be told to close; what is underneath stays as the crash left it.
        if self.dead.load(Ordering::SeqCst) { Ok(()) } else { self.inner.close() }
    }

    fn stored_bytes(&self) -> Result<u64> {
        self.alive()?;
        self.inner.stored_bytes()
    }
}
