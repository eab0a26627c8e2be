//! Near-duplicates in a version, and where its bytes go.

use std::collections::{BTreeMap, HashMap};

use engrams_core::Sample;
use engrams_store::tree::Piece;
use engrams_store::{EngramStore, Entry, Result, Version};

use super::files::Files;

/// Two files are near-duplicates from this Jaccard similarity on.
pub const NEAR_DUPLICATE: f64 = 0.5;
/// Smallest features by which files are put side by side: two files of similarity J miss each other with probability
/// `(1 - J)^16` at most, 1 in 65,000 at 0.5.
const KEYS: usize = 16;
/// Files that share one feature and are compared with each other; beyond these, each is compared with the last of them.
const MOST_ALIKE: usize = 32;
/// A file with fewer features resembles anything by chance.
const FEWEST_FEATURES: usize = 4;

/// The files of a version, and which of them are nearly the same.
#[derive(Debug, Clone, Default)]
pub struct Clusters {
    /// Every file, by path.
    pub files: Vec<ClusteredFile>,
    /// Groups of two files or more, the largest in bytes first.
    pub clusters: Vec<Cluster>,
}

/// A file and what it costs.
#[derive(Debug, Clone)]
pub struct ClusteredFile {
    /// Its path.
    pub path: Vec<u8>,
    /// Its length, in bytes.
    pub size: u64,
    /// Bytes of payload of the chunks it lies in. A chunk that several files of the version use is divided among them; what
    /// chunks are corrections of is not counted unless the version itself uses it.
    pub stored: f64,
    /// The place of its group in [`Clusters::clusters`].
    pub cluster: Option<usize>,
}

/// Files of which each is nearly the same as another one of the group.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Places in [`Clusters::files`], ascending.
    pub files: Vec<usize>,
    /// Their lengths together, in bytes.
    pub size: u64,
    /// What they cost together, as in [`ClusteredFile::stored`].
    pub stored: f64,
    /// Distinct contents among them: 1 if all are identical.
    pub contents: usize,
}

/// Groups of near-duplicate files at and below `path` in a version, and what each file costs.
///
/// Files are joined by single linkage: each has with some other one of its group a Jaccard similarity of
/// [`NEAR_DUPLICATE`] or more, or the same content. Every file is decoded; memory grows with the number of files and
/// chunks.
///
/// # Errors
/// `NotFound` when the version was forgotten; `Corrupt` when a tree or chunk head can't be read. A file whose content is damaged is in
/// no group, unless it is identical to another.
pub fn clusters(store: &EngramStore, version: &Version, path: &[u8]) -> Result<Clusters> {
    let tree = store.tree_of(Some(version));
    let mut entries: Vec<Entry> = Vec::new();
    for entry in tree.entries(path) {
        let entry = entry?;
        if entry.file().is_some() {
            entries.push(entry);
        }
    }
    let mut groups = Groups((0..entries.len()).collect());
    let mut by_hash: HashMap<[u8; 32], usize> = HashMap::new();
    let mut samples: Vec<(usize, Sample)> = Vec::new();
    let mut files = Files::new(store);
    for (at, entry) in entries.iter().enumerate() {
        let Some(file) = entry.file().filter(|file| file.size > 0) else { continue };
        if let Some(same) = by_hash.insert(file.hash, at) {
            groups.join(same, at);
            continue;
        }
        if let Some(sample) = files.sample(entry)?.filter(|sample| sample.len() >= FEWEST_FEATURES) {
            samples.push((at, sample));
        }
    }
    let mut having: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (number, (at, sample)) in samples.iter().enumerate() {
        for (key, _) in sample.entries().iter().take(KEYS) {
            let alike = having.entry(*key).or_default();
            for (other, other_sample) in alike.iter().map(|number| &samples[*number]) {
                if groups.of(*other) != groups.of(*at)
                    && sample.similarity(other_sample).jaccard.value >= NEAR_DUPLICATE
                {
                    groups.join(*other, *at);
                }
            }
            if alike.len() == MOST_ALIKE {
                alike.pop();
            }
            alike.push(number);
        }
    }
    let stored = costs(store, &entries)?;
    Ok(listed(entries, &stored, &mut groups))
}

/// Sets of files; each begins alone.
struct Groups(Vec<usize>);

impl Groups {
    /// The first of the group.
    fn of(&mut self, at: usize) -> usize {
        let mut first = at;
        while self.0[first] != first {
            self.0[first] = self.0[self.0[first]];
            first = self.0[first];
        }
        first
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.of(a), self.of(b));
        self.0[a.max(b)] = a.min(b);
    }
}

/// What each file costs: its share of the payloads of its chunks.
fn costs(store: &EngramStore, entries: &[Entry]) -> Result<Vec<f64>> {
    let mut used: HashMap<u64, u64> = HashMap::new();
    for entry in entries {
        each_piece(store, entry, &mut |piece| {
            *used.entry(piece.chunk).or_default() += u64::from(piece.len);
            Ok(())
        })?;
    }
    let mut per_byte: HashMap<u64, f64> = HashMap::with_capacity(used.len());
    for (chunk, bytes) in used {
        per_byte.insert(chunk, f64::from(store.chunk_head(chunk)?.coded_len) / bytes as f64);
    }
    let mut costs = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut cost = 0.0;
        each_piece(store, entry, &mut |piece| {
            cost += per_byte.get(&piece.chunk).copied().unwrap_or(0.0) * f64::from(piece.len);
            Ok(())
        })?;
        costs.push(cost);
    }
    Ok(costs)
}

fn each_piece(store: &EngramStore, entry: &Entry, visit: &mut dyn FnMut(Piece) -> Result<()>) -> Result<()> {
    let Some(file) = entry.file() else { return Ok(()) };
    let mut pieces = store.pieces(file);
    let mut offset = 0;
    while let Some((start, piece)) = pieces.at(offset)? {
        offset = start + u64::from(piece.len);
        visit(piece)?;
    }
    Ok(())
}

fn listed(entries: Vec<Entry>, stored: &[f64], groups: &mut Groups) -> Clusters {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for at in 0..entries.len() {
        members.entry(groups.of(at)).or_default().push(at);
    }
    let size = |at: usize| entries[at].file().map_or(0, |file| file.size);
    let mut clusters: Vec<Cluster> = members
        .into_values()
        .filter(|files| files.len() > 1)
        .map(|files| {
            let mut hashes: Vec<_> = files.iter().filter_map(|at| Some(entries[*at].file()?.hash)).collect();
            hashes.sort_unstable();
            hashes.dedup();
            Cluster {
                size: files.iter().map(|at| size(*at)).sum(),
                stored: files.iter().map(|at| stored[*at]).sum(),
                contents: hashes.len(),
                files,
            }
        })
        .collect();
    clusters.sort_by_key(|cluster| (std::cmp::Reverse(cluster.size), cluster.files[0]));
    let mut files: Vec<ClusteredFile> = Vec::with_capacity(entries.len());
    for (at, entry) in entries.into_iter().enumerate() {
        let size = entry.file().map_or(0, |file| file.size);
        files.push(ClusteredFile { path: entry.path, size, stored: stored[at], cluster: None });
    }
    for (number, cluster) in clusters.iter().enumerate() {
        for at in &cluster.files {
            files[*at].cluster = Some(number);
        }
    }
    Clusters { files, clusters }
}
