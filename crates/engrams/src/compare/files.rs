//! Samples of stored files and directories, each content decoded once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;

use engrams_core::Sample;
use engrams_store::{EngramStore, Entry, Result, Traces, Tree, Version, unless_corrupt};
use lru::LruCache;

/// Samples of contents seen lately, 16 KiB each at most.
const KEPT: NonZeroUsize = NonZeroUsize::new(2048).expect("not zero");

/// Samples files, and remembers what it sampled lately.
pub(super) struct Files<'s> {
    store: &'s EngramStore,
    traces: Traces,
    known: LruCache<[u8; 32], Option<Sample>>,
}

impl<'s> Files<'s> {
    pub(super) fn new(store: &'s EngramStore) -> Self {
        Self { store, traces: Traces::default(), known: LruCache::new(KEPT) }
    }

    /// The sample of a file's content; `None` where damage hides it, or it is no file.
    pub(super) fn sample(&mut self, entry: &Entry) -> Result<Option<Sample>> {
        let Some(file) = entry.file() else { return Ok(None) };
        if let Some(sample) = self.known.get(&file.hash) {
            return Ok(sample.clone());
        }
        let sample = unless_corrupt(self.store.file_sample(entry, &mut self.traces))?;
        self.known.put(file.hash, sample.clone());
        Ok(sample)
    }

    /// The samples of directories of a version: kept ones, and others counted from their files. Directories in which
    /// something is damaged are left out.
    pub(super) fn directories<'d>(
        &mut self,
        version: &Version,
        tree: &Tree,
        directories: &BTreeSet<&'d [u8]>,
    ) -> Result<HashMap<&'d [u8], Sample>> {
        let mut samples = HashMap::new();
        let mut small: BTreeMap<&[u8], Option<Sample>> = BTreeMap::new();
        for &directory in directories {
            match self.store.kept_sample(version, directory)? {
                Some(sample) => drop(samples.insert(directory, sample)),
                None => drop(small.insert(directory, Some(Sample::new()))),
            }
        }
        // Ancestors come first: what lies in one that is counted is counted with it.
        let mut top: Option<&[u8]> = None;
        for directory in small.keys().copied().collect::<Vec<_>>() {
            if top.is_some_and(|top| is_below(directory, top)) {
                continue;
            }
            top = Some(directory);
            for entry in tree.entries(directory) {
                let entry = entry?;
                if entry.file().is_none() {
                    continue;
                }
                let sample = self.sample(&entry)?;
                for above in
                    above(&entry.path).filter(|above| is_below(above, directory) || *above == directory)
                {
                    if let Some(sum) = small.get_mut(above) {
                        match (&sample, sum.as_mut()) {
                            (Some(sample), Some(sum)) => sum.merge(sample),
                            _ => *sum = None,
                        }
                    }
                }
            }
        }
        samples.extend(small.into_iter().filter_map(|(directory, sum)| Some((directory, sum?))));
        Ok(samples)
    }
}

/// The directories that a path lies in, the root (empty) first.
pub(super) fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    std::iter::once(0).chain(ends).map(|end| &path[..end])
}

/// `path` lies below `directory`.
pub(super) fn is_below(path: &[u8], directory: &[u8]) -> bool {
    match path.strip_prefix(directory) {
        Some(rest) if directory.is_empty() => !rest.is_empty(),
        Some(rest) => rest.first() == Some(&b'/'),
        None => false,
    }
}
