//! Correction: the exact difference between a chunk and what was recalled for it, or the chunk itself.

use std::borrow::Cow;

use engrams_core::{Correction, CorrectionPolicy};
use engrams_store::{Coding, Compression, Encoder, Result};

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
    pub(crate) trials: Vec<Trial<'a>>,
}

/// Bases with their bytes.
pub(crate) struct Trial<'a> {
    /// In prefix order.
    pub(crate) bases: Vec<u64>,
    /// The deepest base's.
    pub(crate) depth: u8,
    /// The bases are of the chunk's own run: they were not recalled, and only what they save is asked.
    pub(crate) is_run: bool,
    prefix: Cow<'a, [u8]>,
}

impl<'a> Trial<'a> {
    /// A trial of `bases`: id, depth, bytes. The best one last, since zstd codes near offsets shorter.
    pub(crate) fn new(bases: &[(u64, u8, &'a [u8])], is_run: bool) -> Self {
        let prefix = match bases {
            [(_, _, only)] => Cow::Borrowed(*only),
            _ => Cow::Owned(bases.iter().map(|base| base.2).collect::<Vec<_>>().concat()),
        };
        Self {
            bases: bases.iter().map(|base| base.0).collect(),
            depth: bases.iter().map(|base| base.1).max().unwrap_or(0),
            is_run,
            prefix,
        }
    }
}

/// A correction this much smaller than its chunk is kept without trying the chunk alone: text alone shrinks to a
/// fifth or so, so the trial would lose, and it costs as much time as the correction.
const CLEARLY_SMALL: usize = 12;
/// Bytes of a base in a head, about.
const BASE_BYTES: usize = 3;

/// Codes each task, in order.
pub(crate) fn code(
    tasks: &[Task<'_>],
    compression: Compression,
    policy: &CorrectionPolicy,
) -> Result<Vec<Coded>> {
    let mut encoder = Encoder::new(compression)?;
    tasks.iter().map(|task| one(&mut encoder, task, policy)).collect()
}

fn one<'p>(encoder: &mut Encoder<'p>, task: &'p Task<'_>, policy: &CorrectionPolicy) -> Result<Coded> {
    let mut best: Option<(Vec<u8>, &Trial<'_>)> = None;
    for trial in &task.trials {
        let correction = encoder.correction(task.plain, &trial.prefix)?;
        // Of equals the earlier one; a base more must pay for its place in the head.
        let cost = |correction: &[u8], trial: &Trial<'_>| correction.len() + BASE_BYTES * trial.bases.len();
        if best.as_ref().is_none_or(|(least, of)| cost(&correction, trial) < cost(least, of)) {
            best = Some((correction, trial));
        }
    }
    let Some((correction, trial)) = best else { return encoder.verbatim(task.plain).map(Coded::verbatim) };
    let clear = if trial.is_run { task.plain.len() / 2 } else { task.plain.len() / CLEARLY_SMALL };
    let usual = policy.root_gain >= CorrectionPolicy::default().root_gain;
    if !usual || correction.len() > clear {
        let alone = encoder.verbatim(task.plain)?;
        // Runs are short and made of roots: what counts is the gain alone.
        let depth = if trial.is_run { 0 } else { trial.depth };
        if !policy.accepts(correction.len(), alone.1.len(), depth.into()) {
            return Ok(Coded::verbatim(alone));
        }
    }
    let correction_of = Correction::Delta { bases: trial.bases.clone() };
    Ok(Coded { coding: Coding::Zstd, payload: correction, correction: correction_of })
}
