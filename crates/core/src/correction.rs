//! What turns recalled bytes into the real ones, and which corrections are worth having.

use alloc::vec::Vec;

use crate::CorrectionPolicyError;

/// How a chunk's bytes are represented. Data only: coding and storage are a higher crate's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Correction<Id> {
    /// The chunk itself, compressed: nothing was recalled, or it did not help.
    Verbatim,
    /// The difference from recalled chunks.
    Delta {
        /// The recalled chunks, best first; at least one.
        bases: Vec<Id>,
    },
}

impl<Id> Correction<Id> {
    /// The chunks that must be read first.
    #[must_use]
    pub fn bases(&self) -> &[Id] {
        match self {
            Self::Verbatim => &[],
            Self::Delta { bases } => bases,
        }
    }
}

/// Bounds on what reading a chunk may touch, and how much a correction must save.
///
/// A *weak* correction, one that saves little, is accepted only against a base that itself needs none:
/// otherwise weak corrections use up the depth that strong ones need. Measured on the npm history of
/// typescript: without this rule a depth of 8 costs a third of the compression ratio, with it almost
/// nothing. Plain data; [`validate`](Self::validate) before use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CorrectionPolicy {
    /// The longest chain of bases under a chunk. Default 12, at least 1.
    pub max_depth: u32,
    /// The most bases of one chunk. Default 4, at least 1.
    pub max_bases: usize,
    /// The most distinct other chunks that reading one may need. Default 24, at least 1.
    pub max_closure: usize,
    /// Against a base of depth 0, a delta must be shorter than this part of verbatim. Default 0.95, in
    /// (0, 1].
    pub root_gain: f64,
    /// Against a deeper base, likewise. Default 0.6, in (0, 1].
    pub deep_gain: f64,
}

impl CorrectionPolicy {
    /// The policy itself, if its values work.
    ///
    /// # Errors
    ///
    /// [`CorrectionPolicyError`] names the first gain outside (0, 1] or count of zero.
    pub fn validate(self) -> Result<Self, CorrectionPolicyError> {
        for (name, value) in [("root gain", self.root_gain), ("deep gain", self.deep_gain)] {
            // Written so that NaN is refused too.
            if !(value > 0.0 && value <= 1.0) {
                return Err(CorrectionPolicyError::Gain { name, value });
            }
        }
        for (name, is_zero) in [
            ("maximum depth", self.max_depth == 0),
            ("maximum bases", self.max_bases == 0),
            ("maximum closure", self.max_closure == 0),
        ] {
            if is_zero {
                return Err(CorrectionPolicyError::Zero { name });
            }
        }
        Ok(self)
    }

    /// Whether to keep a delta of `delta_len` bytes where verbatim takes `verbatim_len`, when the deepest
    /// of its bases has depth `base_depth` (0: verbatim itself).
    #[must_use]
    pub fn accepts(&self, delta_len: usize, verbatim_len: usize, base_depth: u32) -> bool {
        let gain = if base_depth == 0 { self.root_gain } else { self.deep_gain };
        base_depth < self.max_depth && (delta_len as f64) < gain * verbatim_len as f64
    }
}

impl Default for CorrectionPolicy {
    fn default() -> Self {
        Self { max_depth: 12, max_bases: 4, max_closure: 24, root_gain: 0.95, deep_gain: 0.6 }
    }
}

#[cfg(test)]
mod tests {
    use super::CorrectionPolicy;
    use crate::CorrectionPolicyError;

    #[test]
    fn weak_corrections_are_kept_only_against_verbatim_bases() {
        let policy = CorrectionPolicy::default();
        assert!(policy.accepts(94, 100, 0));
        assert!(!policy.accepts(95, 100, 0));
        assert!(!policy.accepts(94, 100, 1));
        assert!(policy.accepts(59, 100, 11));
        assert!(!policy.accepts(60, 100, 11));
        assert!(!policy.accepts(1, 100, 12));
        assert!(!policy.accepts(0, 0, 0));
    }

    #[test]
    fn validation_names_the_offending_value() {
        let default = CorrectionPolicy::default();
        assert_eq!(default.validate(), Ok(default));
        for value in [0.0, -0.5, 1.01, f64::INFINITY] {
            let policy = CorrectionPolicy { deep_gain: value, ..default };
            assert_eq!(policy.validate(), Err(CorrectionPolicyError::Gain { name: "deep gain", value }));
        }
        assert!(CorrectionPolicy { root_gain: f64::NAN, ..default }.validate().is_err());
        let policy = CorrectionPolicy { max_bases: 0, ..default };
        assert_eq!(policy.validate(), Err(CorrectionPolicyError::Zero { name: "maximum bases" }));
    }
}
