//! Correction: the exact difference between a chunk and what was recalled for it, or the chunk itself.

use engrams_core::{Correction, CorrectionPolicy};
use engrams_store::{Coding, Encoder, Result, Splice};

/// A chunk as it will be stored.
pub(crate) struct Coded {
    pub(crate) coding: Coding,
    pub(crate) payload: Vec<u8>,
    /// Bases in prefix order.
    pub(crate) correction: Correction<u64>,
}

impl Coded {
    fn verbatim((coding, payload): (Coding, Vec<u8>)) -> Self {
        Self { coding, payload, correction: Correction::Verbatim }
    }
}

/// A chunk to correct.
pub(crate) struct Task<'a> {
    pub(crate) plain: &'a [u8],
    /// What to try; empty: only the chunk alone.
    pub(crate) trials: Vec<Trial>,
}

/// Bases with what is coded against them.
pub(crate) struct Trial {
    /// In prefix order.
    bases: Vec<u64>,
    /// The deepest base's.
    depth: u8,
    /// The bases are of the chunk's own run: they were not recalled, and only what they save is asked.
    is_run: bool,
    ways: Vec<Way>,
}

/// How a chunk is coded against bases.
enum Way {
    Splice(Splice),
    /// With all their bytes as prefix: these, and behind them, from there on, the chunk's own.
    Prefix(Vec<u8>, usize),
}

impl Trial {
    /// A trial of `bases`: id, depth, bytes. The best one last, since zstd codes near offsets shorter. `tries_both` where
    /// one way would do.
    pub(crate) fn new(plain: &[u8], bases: &[(u64, u8, &[u8])], is_run: bool, tries_both: bool) -> Self {
        let bytes: Vec<&[u8]> = bases.iter().map(|base| base.2).collect();
        // What a run has in common are words.
        let splice = if is_run { None } else { Splice::find(plain, &bytes) };
        let prefix = (splice.is_none() || tries_both).then(|| {
            let joined = [&bytes[..], &[plain]].concat().concat();
            let at = joined.len() - plain.len();
            Way::Prefix(joined, at)
        });
        Self {
            bases: bases.iter().map(|base| base.0).collect(),
            depth: bases.iter().map(|base| base.1).max().unwrap_or(0),
            is_run,
            ways: splice.map(Way::Splice).into_iter().chain(prefix).collect(),
        }
    }
}

impl Way {
    fn code<'p>(&'p self, encoder: &mut Encoder<'p>) -> Result<(Coding, Vec<u8>)> {
        Ok(match self {
            Self::Splice(splice) => (Coding::Splice, encoder.splice(splice)?),
            Self::Prefix(joined, at) => (Coding::Zstd, encoder.correction_behind(joined, *at)?),
        })
    }

    /// Bytes that are looked at.
    fn reach(&self) -> usize {
        match self {
            Self::Splice(splice) => splice.reach(),
            Self::Prefix(joined, _) => joined.len(),
        }
    }
}

/// A correction this much smaller than its chunk is kept without trying the chunk alone: text alone shrinks to a
/// fifth or so, so the trial would lose, and it costs as much time as the correction.
const CLEARLY_SMALL: usize = 12;
/// Bytes of a base in a head, about.
const BASE_BYTES: usize = 3;

impl Task<'_> {
    /// Bytes that the longest of the trials looks at.
    pub(crate) fn reach(&self) -> usize {
        let ways = self.trials.iter().flat_map(|trial| &trial.ways);
        ways.map(|way| way.reach()).max().unwrap_or(self.plain.len())
    }
}

/// Codes a task.
pub(crate) fn code<'p>(
    encoder: &mut Encoder<'p>,
    task: &'p Task<'_>,
    policy: &CorrectionPolicy,
) -> Result<Coded> {
    let mut best: Option<(Coding, Vec<u8>, &Trial)> = None;
    for trial in &task.trials {
        for way in &trial.ways {
            let (coding, correction) = way.code(encoder)?;
            // Of equals the earlier one; a base more must pay for its place in the head.
            let cost = |correction: &[u8], trial: &Trial| correction.len() + BASE_BYTES * trial.bases.len();
            if best.as_ref().is_none_or(|(_, least, of)| cost(&correction, trial) < cost(least, of)) {
                best = Some((coding, correction, trial));
            }
        }
    }
    let Some((coding, payload, trial)) = best else {
        return encoder.verbatim(task.plain).map(Coded::verbatim);
    };
    let clear = if trial.is_run { task.plain.len() / 2 } else { task.plain.len() / CLEARLY_SMALL };
    let usual = policy.root_gain >= CorrectionPolicy::default().root_gain;
    if !usual || payload.len() > clear {
        let alone = encoder.verbatim(task.plain)?;
        // Runs are short and made of roots: what counts is the gain alone.
        let depth = if trial.is_run { 0 } else { trial.depth };
        if !policy.accepts(payload.len(), alone.1.len(), depth.into()) {
            return Ok(Coded::verbatim(alone));
        }
    }
    Ok(Coded { coding, payload, correction: Correction::Delta { bases: trial.bases.clone() } })
}
