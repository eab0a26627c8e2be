//! How a tree's content drifted over its versions, and where it jumped.

use engrams_core::{Estimate, Sample, Similarity};
use engrams_store::tree::Timestamp;
use engrams_store::{EngramStore, Entry, Result, Version};

use super::files::is_below;

/// The drift of one path.
#[derive(Debug, Clone, Default)]
pub struct Drift {
    /// One step for each version in which the path is there, oldest first. The first has nothing before it.
    pub steps: Vec<DriftStep>,
}

/// A version of a path beside the one before it.
#[derive(Debug, Clone)]
pub struct DriftStep {
    /// The version.
    pub version: u64,
    /// When it was committed.
    pub time: Timestamp,
    /// Against the version before it that has the path: `containment` is how much of that is still there,
    /// `containment_of_other` how much of this one was there before.
    pub from_before: Option<Similarity>,
    /// Against the oldest version with the path.
    pub from_first: Option<Similarity>,
    /// Far more was lost than is usual for this path: see [`drift`].
    pub is_jump: bool,
}

/// Steps before this one that say what is usual.
const USUAL: usize = 8;
/// A loss of less is never a jump, nor is one of less than so many times the usual.
const SMALLEST_JUMP: f64 = 0.3;
const TIMES_USUAL: f64 = 2.0;
/// With fewer steps before it, there is nothing usual: then a jump loses more than this.
const FEWEST_STEPS: usize = 3;
const JUMP_AT_FIRST: f64 = 0.6;

/// The drift of `path` (of everything when it is empty) over the kept versions that have it, at most the `last` so many.
///
/// A step is a *jump* when the share of the version before that is lost is certainly (the whole 95 % interval) above
/// 30 % and above twice the median loss of the eight steps before it; above 60 % where there are fewer than three. A tree
/// whose files were encrypted, or replaced by something else, loses nearly all of its features at once; a release that
/// rewrites a part loses that part. The rule knows nothing of why: a branch that was merged or a generator that was updated
/// can jump too.
///
/// A version costs a page to read where the directory has 4 MiB or more, and is decoded where it is smaller or `path` is a
/// file; what did not change since the version before costs nothing.
///
/// # Errors
/// `Corrupt` when a tree or a needed chunk is damaged.
pub fn drift(store: &EngramStore, path: &[u8], last: Option<usize>) -> Result<Drift> {
    let mut versions = store.versions()?;
    versions.truncate(last.unwrap_or(usize::MAX));
    let mut drift = Drift::default();
    let mut first: Option<Sample> = None;
    let mut before: Option<(Version, Sample)> = None;
    let mut losses: Vec<f64> = Vec::new();
    for version in versions.into_iter().rev() {
        let tree = store.tree_of(Some(&version));
        if tree.entries(path).next().transpose()?.is_none() {
            continue;
        }
        let sample = match &before {
            Some((old, sample)) if !changed(store, old, &version, path)? => sample.clone(),
            _ => store.sample(&version, path)?,
        };
        let from_before = before.as_ref().map(|(_, old)| old.similarity(&sample));
        let is_jump = from_before.is_some_and(|found| is_jump(&losses, &found.containment));
        // What jumped is not usual; what did not change says nothing.
        if let Some(found) = from_before.filter(|found| !is_jump && found.jaccard.value < 1.0) {
            losses.push(1.0 - found.containment.value);
        }
        drift.steps.push(DriftStep {
            version: version.number,
            time: version.time,
            from_before,
            from_first: first.as_ref().map(|first| first.similarity(&sample)),
            is_jump,
        });
        first.get_or_insert_with(|| sample.clone());
        before = Some((version, sample));
    }
    Ok(drift)
}

fn changed(store: &EngramStore, old: &Version, new: &Version, path: &[u8]) -> Result<bool> {
    let mut changed = false;
    store.tree_of(Some(old)).each_difference(&store.tree_of(Some(new)), &mut |old, new| {
        let is_here = |entry: &Entry| entry.path == path || is_below(&entry.path, path);
        changed |= old.or(new).is_some_and(is_here) && old.map(hash) != new.map(hash);
        Ok(())
    })?;
    Ok(changed)
}

fn hash(entry: &Entry) -> Option<[u8; 32]> {
    entry.file().map(|file| file.hash)
}

fn is_jump(losses: &[f64], kept: &Estimate) -> bool {
    let lost = 1.0 - kept.high;
    let mut usual = losses[losses.len().saturating_sub(USUAL)..].to_vec();
    if usual.len() < FEWEST_STEPS {
        return lost > JUMP_AT_FIRST;
    }
    usual.sort_by(f64::total_cmp);
    lost > SMALLEST_JUMP.max(TIMES_USUAL * usual[usual.len() / 2])
}
