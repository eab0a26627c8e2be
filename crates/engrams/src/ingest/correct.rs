//! Correction: the exact difference between a chunk and what was recalled for it, or the chunk itself.

use engrams_core::{Correction, CorrectionPolicy};
use engrams_store::{Coding, Compression, Encoder, Error, Plain, Result};

use super::recall::Candidate;

/// A chunk as it will be stored.
pub(crate) struct Coded {
    pub(crate) coding: Coding,
    pub(crate) payload: Vec<u8>,
    /// Bases in prefix order.
    pub(crate) correction: Correction<u64>,
    pub(crate) depth: u8,
}

impl Coded {
    fn verbatim((coding, payload): (Coding, Vec<u8>)) -> Self {
        Self { coding, payload, correction: Correction::Verbatim, depth: 0 }
    }
}

/// A chunk to correct, with the recalled bytes it is corrected against.
pub(crate) struct Task<'a> {
    pub(crate) plain: &'a [u8],
    pub(crate) bases: Vec<Candidate>,
    pub(crate) prefix: Prefix,
}

/// Recalled bytes: one chunk's as they are, or several joined, the nearest last (zstd codes near offsets shorter).
pub(crate) enum Prefix {
    None,
    One(Plain),
    Joined(Vec<u8>),
}

impl Prefix {
    /// Joins the bytes of bases that are ranked nearest first.
    pub(crate) fn of(mut recalled: Vec<Plain>) -> Self {
        recalled.reverse();
        match recalled.len() {
            0 => Self::None,
            1 => recalled.pop().map_or(Self::None, Self::One),
            _ => {
                let bytes: Vec<&[u8]> = recalled.iter().map(|plain| &**plain).collect();
                Self::Joined(bytes.concat())
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::One(plain) => plain,
            Self::Joined(joined) => joined,
        }
    }
}

/// A correction this much smaller than its chunk is kept without trying the chunk alone: text alone shrinks to a
/// fifth or so, so the trial would lose, and it costs as much time as the correction.
const CLEARLY_SMALL: usize = 12;

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
    let deepest = task.bases.iter().map(|base| base.head.depth).max();
    let Some(deepest) = deepest else {
        return encoder.verbatim(task.plain).map(Coded::verbatim);
    };
    let depth = deepest.checked_add(1).ok_or_else(|| Error::corrupt("a chain of corrections is too long"))?;
    let correction = encoder.correction(task.plain, task.prefix.bytes())?;
    let usual = policy.root_gain >= CorrectionPolicy::default().root_gain;
    if !usual || correction.len() > task.plain.len() / CLEARLY_SMALL {
        let alone = encoder.verbatim(task.plain)?;
        if !policy.accepts(correction.len(), alone.1.len(), deepest.into()) {
            return Ok(Coded::verbatim(alone));
        }
    }
    let bases = task.bases.iter().rev().map(|base| base.id).collect();
    Ok(Coded { coding: Coding::Zstd, payload: correction, correction: Correction::Delta { bases }, depth })
}
