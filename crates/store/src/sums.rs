//! Sums of directories: for each large directory of a version the sample of everything below it.
//!
//! A version's list names a page for each directory that has 4 MiB of files or more; directories that did not change
//! share their page with the version before. What is smaller is counted from its files when it is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use engrams_core::{Sample, Sketch};

use crate::format::{MAX_ID, Reader, put_bytes, put_signed, put_varint};
use crate::store::Inner;
use crate::trace::{FileTally, Traces};
use crate::tree::{Entry, MAX_PATH_BYTES, Tree};
use crate::versions::forgotten_version;
use crate::{EngramStore, Error, Result, Version, unless_corrupt};

/// Files below a directory, in bytes, from which on its sample is kept: then 6 KB are 0.15 % of it at most, and what
/// is not kept is counted in some 20 ms.
const LARGE: u64 = 4 << 20;
/// Directories in a list: bounds the page, and the memory of a draft.
const MOST_DIRECTORIES: usize = 4096;
/// Features kept of all changes of a draft: 16 MiB.
const MOST_FEATURES: usize = 1 << 20;
/// A sample of fewer features, of a directory that has more, is counted anew.
const FEW: usize = 256;

/// The page of each large directory's sample; the root is the empty path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sums(BTreeMap<Vec<u8>, u64>);

impl Sums {
    pub(crate) fn pages(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.0.iter().map(|(directory, page)| (directory.as_slice(), *page))
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.0.len() as u64);
        let mut before = 0_u64;
        for (directory, page) in &self.0 {
            put_bytes(&mut out, directory);
            put_signed(&mut out, page.wrapping_sub(before) as i64);
            before = *page;
        }
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes, "list of sums");
        let mut sums = BTreeMap::new();
        let mut page = 0_u64;
        for _ in 0..reader.varint_up_to(MOST_DIRECTORIES as u64)? {
            let directory = reader.length_prefixed(MAX_PATH_BYTES as u64)?.to_vec();
            page = page.wrapping_add(reader.signed()? as u64);
            if page == 0 || page >= MAX_ID {
                return Err(reader.error("a page id is out of range"));
            }
            if sums.last_key_value().is_some_and(|(last, _)| *last >= directory) {
                return Err(reader.error("its directories do not ascend"));
            }
            sums.insert(directory, page);
        }
        reader.finish()?;
        Ok(Self(sums))
    }
}

/// What a draft changes in the samples of directories.
pub(crate) struct SumChanges {
    samples: BTreeMap<Vec<u8>, Sample>,
    features: usize,
    /// Directories deeper than this are not followed: there are too many.
    deepest: usize,
}

impl Default for SumChanges {
    fn default() -> Self {
        Self { samples: BTreeMap::new(), features: 0, deepest: usize::MAX }
    }
}

impl SumChanges {
    /// The file at `path` changed by this, or by nothing that has features.
    pub(crate) fn add(&mut self, path: &[u8], change: Option<&Sample>) {
        for directory in directories_above(path).take(self.deepest.saturating_add(1)) {
            if !self.samples.contains_key(directory) {
                self.samples.insert(directory.to_vec(), Sample::new());
            }
            if let (Some(change), Some(sum)) = (change, self.samples.get_mut(directory)) {
                self.features -= sum.len();
                sum.merge(change);
                self.features += sum.len();
            }
        }
        while self.samples.len() > MOST_DIRECTORIES || self.features > MOST_FEATURES {
            let deepest = self.samples.keys().map(|directory| depth(directory)).max().unwrap_or(0);
            self.deepest = deepest.saturating_sub(1);
            self.samples.retain(|directory, _| depth(directory) <= self.deepest);
            self.features = self.samples.values().map(Sample::len).sum();
            if deepest == 0 {
                break;
            }
        }
    }

    /// The change of a directory; `None` when it is not known.
    pub(crate) fn of(&self, directory: &[u8]) -> Option<Sample> {
        (depth(directory) <= self.deepest).then(|| self.samples.get(directory).cloned().unwrap_or_default())
    }
}

/// The directories that a path lies in, the root first.
fn directories_above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    std::iter::once(0).chain(ends).map(|end| &path[..end])
}

/// Names in a path; 0 for the root.
fn depth(directory: &[u8]) -> usize {
    if directory.is_empty() { 0 } else { 1 + directory.iter().filter(|byte| **byte == b'/').count() }
}

/// There are 4 MiB of files or more.
fn is_large(tree: &Tree, directory: &[u8]) -> Result<bool> {
    let mut bytes = 0_u64;
    for entry in tree.entries(directory) {
        bytes = bytes.saturating_add(entry?.file().map_or(0, |file| file.size));
        if bytes >= LARGE {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Inner {
    pub(crate) fn sums(&self, page: u64) -> Result<Sums> {
        if page == 0 { Ok(Sums::default()) } else { Sums::decode(&self.pages.get(page)?) }
    }

    pub(crate) fn sum(&self, page: u64) -> Result<Sample> {
        let sample = Sample::from_bytes(&self.pages.get(page)?);
        sample.map_err(|error| {
            Error::corrupt(format!("page {page}: the sample of a directory")).with_source(error)
        })
    }

    /// Stages the list of a tree that came of `old` by `changes`; 0 when there is nothing large in it. Damage in what
    /// is only derived leaves directories out. The root's may have been `counted` anew.
    pub(crate) fn put_sums(
        self: &Arc<Self>,
        old: (u64, &Tree),
        new: &Tree,
        changes: &SumChanges,
        counted: Option<Sample>,
    ) -> Result<u64> {
        let (list, old) = old;
        if old.root().page == new.root().page {
            return Ok(list);
        }
        let before = unless_corrupt(self.sums(list))?.unwrap_or_default();
        let mut sums = before.clone();
        sums.0.retain(|directory, _| depth(directory) <= changes.deepest);
        let mut put: Vec<(Vec<u8>, u64)> = Vec::new();
        // Children first: what has only one child is that child's sum.
        for (directory, change) in changes.samples.iter().rev() {
            let kept = sums.0.remove(directory);
            if !is_large(new, directory)? {
                continue;
            }
            let known = match (kept, &counted) {
                (_, Some(counted)) if directory.is_empty() => Some(counted.clone()),
                (Some(page), _) => unless_corrupt(self.sum(page))?,
                (None, _) if is_large(old, directory)? => None,
                (None, _) => unless_corrupt(self.count_sample(old, directory))?,
            };
            let Some(mut sample) = known else { continue };
            if counted.is_none() || !directory.is_empty() {
                sample.merge(change);
            }
            if sample.len() < FEW && !sample.is_complete() {
                let Some(counted) = unless_corrupt(self.count_sample(new, directory))? else { continue };
                sample = counted;
            }
            let bytes = sample.to_bytes();
            let same = put.iter().find(|(there, _)| *there == bytes).map(|(_, page)| *page);
            let page = match (same, kept) {
                (Some(page), _) => page,
                (None, Some(page)) if *self.pages.get(page)? == *bytes => page,
                (None, kept) => self.pages.put(&bytes, kept.or(put.last().map(|(_, page)| *page)))?,
            };
            put.push((bytes, page));
            // Only neighbours are alike.
            if put.len() > 16 {
                put.remove(0);
            }
            sums.0.insert(directory.clone(), page);
        }
        while sums.0.len() > MOST_DIRECTORIES {
            let deepest = sums.0.keys().map(|directory| depth(directory)).max().unwrap_or(0);
            sums.0.retain(|directory, _| depth(directory) < deepest);
        }
        match (sums.0.is_empty(), sums == before) {
            (true, _) => Ok(0),
            (_, true) => Ok(list),
            _ => self.pages.put(&sums.encode(), (list != 0).then_some(list)),
        }
    }

    pub(crate) fn count_sample(self: &Arc<Self>, tree: &Tree, directory: &[u8]) -> Result<Sample> {
        Ok(self.count(tree, directory)?.sample().clone())
    }

    /// The sketch of everything at and below `path`, counted from the files.
    pub(crate) fn count(self: &Arc<Self>, tree: &Tree, path: &[u8]) -> Result<Sketch> {
        let (mut sketch, mut traces) = (Sketch::new(), Traces::default());
        for entry in tree.entries(path) {
            if let Some(change) = self.count_file(&entry?, &mut traces)? {
                sketch.merge(&change);
            }
        }
        Ok(sketch)
    }

    fn count_file(self: &Arc<Self>, entry: &Entry, traces: &mut Traces) -> Result<Option<Sketch>> {
        let Some(file) = entry.file() else { return Ok(None) };
        let mut tally = FileTally::new(Arc::clone(self), None);
        let change = tally.push_all(traces, file).and_then(|()| tally.finish(traces));
        change.map_err(|e| e.within(format_args!("`{}`", entry.path.escape_ascii())))
    }
}

impl EngramStore {
    /// The sketch of a file, a directory or, when `path` is empty, of everything in a version. That of the whole
    /// version is kept; others are counted from their files, which are decoded for it. Those of an encrypted store, whose
    /// features are found by a secret gear table, compare with each other alone.
    ///
    /// # Errors
    /// `NotFound` when there is nothing at `path` or the version was forgotten; `Corrupt` when a chunk is damaged.
    pub fn sketch(&self, version: &Version, path: &[u8]) -> Result<Sketch> {
        let Some(_pin) = self.0.pins.version(version) else { return Err(forgotten_version(version.number)) };
        let tree = self.tree_of(Some(version));
        if path.is_empty() {
            let parts = Sketch::from_parts(self.0.engram(version)?, self.sample(version, path)?);
            return parts.map_err(|error| Error::corrupt("the root engram").with_source(error));
        }
        check_there(&tree, path, version)?;
        self.0.count(&tree, path)
    }

    /// The counted sample of a file, a directory or, when `path` is empty, of everything in a version: kept, for directories
    /// of 4 MiB and more, or counted from the files.
    ///
    /// # Errors
    /// As [`sketch`](Self::sketch).
    pub fn sample(&self, version: &Version, path: &[u8]) -> Result<Sample> {
        let Some(_pin) = self.0.pins.version(version) else { return Err(forgotten_version(version.number)) };
        if let Some(sample) = self.kept_sample(version, path)? {
            return Ok(sample);
        }
        let tree = self.tree_of(Some(version));
        if !path.is_empty() {
            check_there(&tree, path, version)?;
        }
        self.0.count_sample(&tree, path)
    }

    /// The sample of a directory, when it is kept and can be read.
    ///
    /// # Errors
    /// `NotFound` when the version was forgotten; `Io` or `Unavailable`.
    pub fn kept_sample(&self, version: &Version, directory: &[u8]) -> Result<Option<Sample>> {
        let Some(_pin) = self.0.pins.version(version) else { return Err(forgotten_version(version.number)) };
        let sums = unless_corrupt(self.0.sums(version.sums))?.unwrap_or_default();
        let Some(page) = sums.0.get(directory) else { return Ok(None) };
        unless_corrupt(self.0.sum(*page))
    }

    /// The sample of one file's content, decoded for it.
    ///
    /// # Errors
    /// `Corrupt` when a chunk is damaged.
    pub fn file_sample(&self, entry: &Entry, traces: &mut Traces) -> Result<Sample> {
        Ok(self.0.count_file(entry, traces)?.map(|sketch| sketch.sample().clone()).unwrap_or_default())
    }
}

fn check_there(tree: &Tree, path: &[u8], version: &Version) -> Result<()> {
    match tree.entries(path).next().transpose()? {
        Some(_) => Ok(()),
        None => {
            let path = path.escape_ascii();
            Err(Error::not_found(format!("there is no `{path}` in version {}", version.number)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_back_and_forged_ones_are_refused() {
        let sums = Sums([(b"".to_vec(), 9), (b"a".to_vec(), 9), (b"a/b".to_vec(), 4)].into());
        assert_eq!(Sums::decode(&sums.encode()).unwrap(), sums);
        for (bytes, why) in [
            (&[2, 1, b'b', 2, 1, b'a', 2][..], "do not ascend"),
            (&[1, 1, b'b', 0], "out of range"),
            (&[1, 1, b'b', 2, 7], "left over"),
            (&[0xff, 0xff, 0x7f], "out of range"),
        ] {
            assert!(Sums::decode(bytes).unwrap_err().to_string().contains(why), "{why}");
        }
    }

    #[test]
    fn a_path_lies_in_all_directories_above_it() {
        let above = |path| directories_above(path).collect::<Vec<_>>();
        assert_eq!(above(b"a/b/c"), [&b""[..], b"a", b"a/b"]);
        assert_eq!(above(b"a"), [b""]);
        assert_eq!((depth(b""), depth(b"a"), depth(b"a/b")), (0, 1, 2));
    }

    #[test]
    fn too_many_directories_are_followed_less_deeply() {
        let mut changes = SumChanges::default();
        let mut sample = Sample::new();
        sample.add_features(&[1 << 40]);
        for at in 0..5000 {
            changes.add(format!("top/{at}/file").as_bytes(), Some(&sample));
        }
        assert_eq!(changes.of(b"top/1"), None);
        assert_eq!(changes.of(b"top").map(|sum| sum.entries()[0].1), Some(5000));
        assert_eq!(changes.of(b""), changes.of(b"top"));
    }
}
