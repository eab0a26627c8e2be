//! The threads of an ingest's parallel stages: a pool, made when there is enough to do.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

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

    /// Maps in parallel, when there is enough to do.
    pub(crate) fn map<'i, T: Sync, U: Send>(
        &self,
        items: &'i [T],
        work: impl Fn(&'i T) -> Result<U> + Send + Sync,
    ) -> Result<Vec<U>> {
        if items.len() < 2 || self.threads == 1 {
            return items.iter().map(work).collect();
        }
        self.pool()?.install(|| items.par_iter().map(work).collect())
    }

    /// Maps in parallel, the items begun in their order, each thread with a state of its own, made for the first it takes.
    pub(crate) fn map_with<T: Sync, S, U: Send>(
        &self,
        items: &[T],
        state: impl Fn() -> Result<S> + Sync,
        work: impl Fn(&mut S, &T) -> Result<U> + Sync,
    ) -> Result<Vec<U>> {
        let next = AtomicUsize::new(0);
        let take = || {
            let (mut own, mut done) = (None, Vec::new());
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(at) else { return Ok(done) };
                let own = match &mut own {
                    Some(own) => own,
                    none => none.insert(state()?),
                };
                done.push((at, work(own, item)?));
            }
        };
        let threads = self.threads.min(items.len());
        let mut done = if threads < 2 {
            take()?
        } else {
            let takers = (0..threads).into_par_iter().with_max_len(1);
            self.pool()?
                .install(|| takers.map(|_| take()).collect::<Result<Vec<_>>>())?
                .into_iter()
                .flatten()
                .collect()
        };
        done.sort_unstable_by_key(|(at, _)| *at);
        Ok(done.into_iter().map(|(_, result)| result).collect())
    }

    /// Orders items such that threads which [take](Self::map_with) them in turn are far apart: neighbours have bases
    /// in common, and whoever needs one that another thread is decoding waits for it.
    pub(crate) fn spread<T: Copy>(&self, items: &mut [T]) {
        let (from, apart) = (items.to_vec(), items.len().div_ceil(self.threads).max(1));
        let places = (0..apart).flat_map(|first| (first..from.len()).step_by(apart));
        items.iter_mut().zip(places).for_each(|(item, place)| *item = from[place]);
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
