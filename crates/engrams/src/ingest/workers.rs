//! The threads of an ingest's parallel stages: a pool, made when there is enough to do.

use std::sync::OnceLock;

use engrams_store::{Error, ErrorKind, Result};
use rayon::prelude::*;

pub(crate) struct Workers {
    threads: usize,
    pool: OnceLock<rayon::ThreadPool>,
}

impl Workers {
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads, pool: OnceLock::new() }
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Maps in parallel, when there is enough to do.
    pub(crate) fn map<T: Sync, U: Send>(
        &self,
        items: &[T],
        work: impl Fn(&T) -> Result<U> + Send + Sync,
    ) -> Result<Vec<U>> {
        if items.len() < 2 || self.threads == 1 {
            return items.iter().map(work).collect();
        }
        self.pool()?.install(|| items.par_iter().map(work).collect())
    }

    /// Does both, at the same time where there is more than one thread.
    pub(crate) fn both<T: Send>(
        &self,
        one: impl FnOnce() + Send,
        other: impl FnOnce() -> T + Send,
    ) -> Result<T> {
        if self.threads == 1 {
            one();
            return Ok(other());
        }
        Ok(self.pool()?.join(one, other).1)
    }

    fn pool(&self) -> Result<&rayon::ThreadPool> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build();
        let pool = pool.map_err(|e| Error::new(ErrorKind::Io, "threads can't be started").with_source(e))?;
        Ok(self.pool.get_or_init(|| pool))
    }
}
