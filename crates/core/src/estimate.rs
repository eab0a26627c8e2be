//! What a sample says of a share: a value, its standard error and an interval.

use crate::float::sqrt;

/// An estimate of a share, 0.0 to 1.0.
///
/// With `x` of `n` sampled features in common, sampled as a share `f` of all, `value = x / n`. The interval is
/// Wilson's (Wilson 1927), `(p + z^2/2m -+ z sqrt(p (1 - p)/m + z^2/4m^2)) / (1 + z^2/m)` with `m = n / (1 - f)`: the
/// correction for a sample that is no small part of the whole. It has no width when all is known, and it is
/// right near 0 and 1, where `value -+ 2 errors` is not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The estimate; 0.5 when nothing was sampled that could tell.
    pub value: f64,
    /// Its standard error: `sqrt(c (1 - c) (1 - f)/(n + z^2))` with `c = (x + z^2/2)/(n + z^2)` (Agresti and Coull 1998),
    /// which is `sqrt(p (1 - p)/m)` unless few features are on one side; never 0 unless all is known.
    pub standard_error: f64,
    /// The lower end of the 95 % interval.
    pub low: f64,
    /// The upper end of the 95 % interval.
    pub high: f64,
    /// How many sampled features it rests on.
    pub samples: u64,
}

/// How much of one content is in another, as sets of distinct features.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// What is in both, of what is in either: resemblance (Broder 1997).
    pub jaccard: Estimate,
    /// What is in both, of what is in this one.
    pub containment: Estimate,
    /// What is in both, of what is in the other one.
    pub containment_of_other: Estimate,
}

/// Standard errors on either side of an interval that holds 95 %.
const Z_95: f64 = 1.959_963_984_540_054;

impl Estimate {
    /// The estimate of a share of which `hits` of `samples` have what is asked for, sampled as a share `sampled` of all
    /// (above 0.0, up to 1.0).
    ///
    /// When there was nothing to sample and all is known, the share is that of nothing in something: 1.0, as nothing is
    /// missing.
    #[must_use]
    pub fn of_share(hits: u64, samples: u64, sampled: f64) -> Self {
        if sampled >= 1.0 {
            let value = if samples == 0 { 1.0 } else { hits as f64 / samples as f64 };
            return Self { value, standard_error: 0.0, low: value, high: value, samples };
        }
        if samples == 0 {
            return Self { value: 0.5, standard_error: 0.5, low: 0.0, high: 1.0, samples };
        }
        let value = hits as f64 / samples as f64;
        let effective = samples as f64 / (1.0 - sampled);
        let (low, high) = wilson(value, effective, Z_95);
        Self { value, standard_error: standard_error(hits, samples, sampled), low, high, samples }
    }

    /// It is known exactly.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.standard_error == 0.0
    }

    /// Nothing that was sampled tells.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.samples == 0 && self.standard_error > 0.0
    }
}

/// The standard error of Agresti and Coull's interval, with the correction for a finite whole: two hits and two misses
/// are added, or so. Wilson's own width is too small a measure where hits, or misses, can be counted on one hand: errors
/// are skewed there.
fn standard_error(hits: u64, samples: u64, sampled: f64) -> f64 {
    let trials = samples as f64 + Z_95 * Z_95;
    let centre = (hits as f64 + Z_95 * Z_95 / 2.0) / trials;
    sqrt(centre * (1.0 - centre) / trials * (1.0 - sampled))
}

/// Wilson's interval, `z` standard errors of a true share wide on either side, for `p` of `m` trials.
fn wilson(p: f64, m: f64, z: f64) -> (f64, f64) {
    let centre = p + z * z / (2.0 * m);
    let half = z * sqrt(p * (1.0 - p) / m + z * z / (4.0 * m * m));
    let scale = 1.0 + z * z / m;
    (((centre - half) / scale).clamp(0.0, p), ((centre + half) / scale).clamp(p, 1.0))
}

#[cfg(test)]
mod tests {
    use super::Estimate;

    #[test]
    fn intervals_are_wilsons() {
        // Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
        for (hits, samples, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let estimate = Estimate::of_share(hits, samples, 1e-12);
            assert!((estimate.low - low).abs() < 5e-5, "{estimate:?}");
            assert!((estimate.high - high).abs() < 5e-5, "{estimate:?}");
        }
    }

    #[test]
    fn what_is_wholly_known_has_no_error_and_what_is_not_known_says_so() {
        let exact = Estimate::of_share(1, 4, 1.0);
        assert!(exact.is_exact() && exact.low == 0.25 && exact.high == 0.25);
        assert!(Estimate::of_share(0, 0, 1.0).is_exact());
        let unknown = Estimate::of_share(0, 0, 0.5);
        assert!(unknown.is_unknown() && unknown.low == 0.0 && unknown.high == 1.0);
        assert!(Estimate::of_share(0, 1024, 0.01).standard_error > 0.0);
    }
}
