//! What changed between two versions: files, and the directories that they are in, each with its similarity.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use engrams_core::{Sample, Similarity};
use engrams_store::{EngramStore, Entry, Result, Version};

use super::files::{Files, above, is_below};

/// Two files of different names are one renamed file from this Jaccard similarity on.
pub const RENAMED: f64 = 0.5;
/// Files that went, and files that came, that are looked through for renamed ones: bounds memory and time. Identical
/// ones are found whatever their number.
const MOST_COMPARED: usize = 4096;
/// A file with fewer features resembles anything by chance; that is below half a kilobyte or so.
const FEWEST_FEATURES: usize = 4;

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is only in the later version.
    Added,
    /// It is only in the earlier version.
    Removed,
    /// It is there under a name it did not have before: identical, or alike.
    Renamed,
    /// Its content changed.
    Changed,
    /// Only its attributes changed, or the target of a symbolic link.
    Attributes,
}

/// A file, symbolic link or directory that differs.
#[derive(Debug, Clone)]
pub struct PathChange {
    /// What happened.
    pub change: Change,
    /// Its entry in the earlier version; for a renamed file under its old path.
    pub before: Option<Entry>,
    /// Its entry in the later version.
    pub after: Option<Entry>,
    /// How alike the contents are; for files that changed or were renamed, unless damage hides it. `containment` is how much of
    /// the earlier is still there, `containment_of_other` how much of the later was there before.
    pub similarity: Option<Similarity>,
}

/// A directory in which something differs.
#[derive(Debug, Clone)]
pub struct DirectoryChange {
    /// Its path; empty for the root.
    pub path: Vec<u8>,
    /// How alike the sums of its files are, as in [`PathChange::similarity`]; `None` when it is in one of the versions
    /// only, or damage hides it.
    pub similarity: Option<Similarity>,
}

/// What changed between two versions.
#[derive(Debug, Clone, Default)]
pub struct Difference {
    /// What differs, by path (of a renamed file: the new one).
    pub paths: Vec<PathChange>,
    /// The directories above what differs, by path.
    pub directories: Vec<DirectoryChange>,
}

impl PathChange {
    /// Its path: the later one.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.after.as_ref().or(self.before.as_ref()).map_or(&[], |entry| &entry.path)
    }
}

/// What changed at and below `path` (everything when it is empty) from version `before` to version `after`.
///
/// Tree pages that both versions share are not read, and only files that differ are decoded, so it takes as long as there are
/// changes; memory grows with their number. A file that went and one that came are one renamed file when they are
/// identical, or when their Jaccard similarity is [`RENAMED`] at least; of several, the most alike.
///
/// # Errors
/// `NotFound` when a version was forgotten; `Corrupt` when a tree can't be read. Damaged contents leave similarities out.
///
/// ```
/// use engrams::{Change, EngramStore, StreamingIngester, difference};
/// let store = EngramStore::in_memory();
/// for text in ["one line", "another line"] {
///     let mut ingester = StreamingIngester::builder(&store).with_path("a").build()?;
///     ingester.ingest_bytes(text.as_bytes())?;
///     ingester.finalize()?;
/// }
/// let found = difference(&store, &store.version(1)?, &store.version(2)?, b"")?;
/// assert_eq!(found.paths[0].change, Change::Changed);
/// # Ok::<(), engrams::Error>(())
/// ```
pub fn difference(store: &EngramStore, before: &Version, after: &Version, path: &[u8]) -> Result<Difference> {
    let (old_tree, new_tree) = (store.tree_of(Some(before)), store.tree_of(Some(after)));
    let (mut removed, mut added, mut paths) = (Vec::new(), Vec::new(), Vec::new());
    old_tree.each_difference(&new_tree, &mut |old, new| {
        let Some(entry) = old.or(new) else { return Ok(()) };
        if (entry.path != path && !is_below(&entry.path, path))
            || old.zip(new).is_some_and(|(a, b)| a.same_as(b))
        {
            return Ok(());
        }
        match (old, new) {
            (Some(old), Some(new))
                if std::mem::discriminant(&old.node) == std::mem::discriminant(&new.node) =>
            {
                paths.push(PathChange {
                    change: if content_changed(old, new) { Change::Changed } else { Change::Attributes },
                    before: Some(old.clone()),
                    after: Some(new.clone()),
                    similarity: None,
                });
            }
            _ => {
                removed.extend(old.cloned());
                added.extend(new.cloned());
            }
        }
        Ok(())
    })?;
    let mut files = Files::new(store);
    for change in &mut paths {
        if change.change == Change::Changed
            && let (Some(old), Some(new)) = (&change.before, &change.after)
            && let (Some(old), Some(new)) = (files.sample(old)?, files.sample(new)?)
        {
            change.similarity = Some(old.similarity(&new));
        }
    }
    pair(&mut files, removed, added, &mut paths)?;
    paths.sort_by(|a, b| a.path().cmp(b.path()));
    let directories = directories(&mut files, (before, after), (&old_tree, &new_tree), path, &paths)?;
    Ok(Difference { paths, directories })
}

fn content_changed(old: &Entry, new: &Entry) -> bool {
    old.file().map(|file| file.hash) != new.file().map(|file| file.hash)
}

/// Pairs what went with what came; the rest was removed, or added.
fn pair(
    files: &mut Files<'_>,
    removed: Vec<Entry>,
    added: Vec<Entry>,
    paths: &mut Vec<PathChange>,
) -> Result<()> {
    let mut removed: Vec<Option<Entry>> = removed.into_iter().map(Some).collect();
    let mut added: Vec<Option<Entry>> = added.into_iter().map(Some).collect();
    let mut by_hash: HashMap<[u8; 32], Vec<usize>> = HashMap::new();
    for (at, entry) in removed.iter().enumerate().rev() {
        if let Some(file) = entry.as_ref().and_then(Entry::file).filter(|file| file.size > 0) {
            by_hash.entry(file.hash).or_default().push(at);
        }
    }
    let mut renamed = |from: Option<Entry>, to: Option<Entry>, similarity| {
        paths.push(PathChange { change: Change::Renamed, before: from, after: to, similarity });
    };
    for slot in &mut added {
        let Some(file) = slot.as_ref().and_then(Entry::file) else { continue };
        let Some(same) = by_hash.get_mut(&file.hash) else { continue };
        // Of several with this content, one of the same name.
        let name = |entry: &Entry| entry.path.rsplit(|byte| *byte == b'/').next().map(<[u8]>::to_vec);
        let named = same.iter().rposition(|at| removed[*at].as_ref().map(name) == slot.as_ref().map(name));
        if let Some(at) = named.map(|at| same.remove(at)).or_else(|| same.pop()) {
            // All of nothing is in nothing: the similarity of what is identical.
            let nothing = Sample::new();
            renamed(removed[at].take(), slot.take(), Some(nothing.similarity(&nothing)));
        }
    }
    for (from, to, similarity) in alike(files, &removed, &added)? {
        if removed[from].is_some() && added[to].is_some() {
            renamed(removed[from].take(), added[to].take(), Some(similarity));
        }
    }
    for entry in removed.into_iter().flatten() {
        let before = Some(entry);
        paths.push(PathChange { change: Change::Removed, before, after: None, similarity: None });
    }
    for entry in added.into_iter().flatten() {
        let after = Some(entry);
        paths.push(PathChange { change: Change::Added, before: None, after, similarity: None });
    }
    Ok(())
}

/// Pairs that are alike, the most alike first.
fn alike(
    files: &mut Files<'_>,
    removed: &[Option<Entry>],
    added: &[Option<Entry>],
) -> Result<Vec<(usize, usize, Similarity)>> {
    let mut gone = samples(files, removed)?;
    let came = samples(files, added)?;
    gone.truncate(MOST_COMPARED);
    let mut found = Vec::new();
    let mut having: HashMap<u64, Vec<usize>> = HashMap::new();
    for (number, (_, sample)) in gone.iter().enumerate() {
        // The smallest features of two samples are in both bounds if any are.
        for (key, _) in sample.entries().iter().take(64) {
            having.entry(*key).or_default().push(number);
        }
    }
    for (to, sample) in came.iter().take(MOST_COMPARED) {
        let mut shared: BTreeMap<usize, u32> = BTreeMap::new();
        for (key, _) in sample.entries() {
            for number in having.get(key).into_iter().flatten() {
                *shared.entry(*number).or_default() += 1;
            }
        }
        let mut nearest: Vec<(u32, usize)> =
            shared.into_iter().map(|(number, count)| (count, number)).collect();
        nearest.sort_by_key(|(count, number)| (std::cmp::Reverse(*count), *number));
        for (_, number) in nearest.into_iter().take(8) {
            let (from, gone) = &gone[number];
            let similarity = gone.similarity(sample);
            if similarity.jaccard.value >= RENAMED {
                found.push((*from, *to, similarity));
            }
        }
    }
    found.sort_by(|(from, to, a), (other_from, other_to, b)| {
        b.jaccard.value.total_cmp(&a.jaccard.value).then((from, to).cmp(&(other_from, other_to)))
    });
    Ok(found)
}

/// The samples of files with features enough to be recognised, by their place.
fn samples(files: &mut Files<'_>, entries: &[Option<Entry>]) -> Result<Vec<(usize, Sample)>> {
    let mut samples = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        if samples.len() == MOST_COMPARED {
            break;
        }
        if let Some(entry) = entry
            && let Some(sample) = files.sample(entry)?
            && sample.len() >= FEWEST_FEATURES
        {
            samples.push((at, sample));
        }
    }
    Ok(samples)
}

fn directories(
    files: &mut Files<'_>,
    (before, after): (&Version, &Version),
    (old, new): (&engrams_store::Tree, &engrams_store::Tree),
    path: &[u8],
    paths: &[PathChange],
) -> Result<Vec<DirectoryChange>> {
    let entries = paths.iter().flat_map(|change| [&change.before, &change.after]).flatten();
    let touched: BTreeSet<&[u8]> = entries
        .flat_map(|entry| above(&entry.path))
        .filter(|directory| *directory == path || is_below(directory, path))
        .collect();
    let mut both = BTreeSet::new();
    let mut only_one = HashSet::new();
    for &directory in &touched {
        let has = |tree: &engrams_store::Tree| match directory {
            b"" => Ok(!tree.is_empty()),
            _ => tree.entries(directory).next().transpose().map(|entry| entry.is_some()),
        };
        if has(old)? && has(new)? {
            both.insert(directory)
        } else {
            only_one.insert(directory)
        };
    }
    let old = files.directories(before, old, &both)?;
    let new = files.directories(after, new, &both)?;
    let change = |directory: &[u8]| DirectoryChange {
        path: directory.to_vec(),
        similarity: old.get(directory).zip(new.get(directory)).map(|(old, new)| old.similarity(new)),
    };
    Ok(touched.into_iter().map(change).collect())
}
