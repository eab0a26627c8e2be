//! Estimates are as good as their documentation says.

use engrams_core::{Dimension, Engram, encode};
use engrams_kernels::mix64;

/// Two sets of `n` features of which `shared` are in both; different for each `trial`.
fn overlapping(trial: u64, n: u64, shared: u64) -> (Vec<u64>, Vec<u64>) {
    let feature = |i: u64| mix64(mix64(trial).wrapping_add(i));
    ((0..n).map(feature).collect(), (n - shared..2 * n - shared).map(feature).collect())
}

#[test]
fn similarity_of_bundles_follows_the_arcsine_of_the_shared_fraction() {
    for shared in [0, 40, 100, 160, 190] {
        let trials = 100;
        let mut sum = 0.0;
        for trial in 0..trials {
            let (a, b) = overlapping(trial, 200, shared);
            sum += encode(&a, Dimension::RECALL).similarity(&encode(&b, Dimension::RECALL));
        }
        let mean = sum / trials as f64;
        let expected = 2.0 / std::f64::consts::PI * (shared as f64 / 200.0).asin();
        // Ties of an even count, one bit in 18, add noise but no bias worth mentioning.
        assert!((mean - expected).abs() < 0.03, "{shared} of 200: {mean} where {expected} is due");
    }
}

#[test]
fn cosine_is_unbiased_within_its_standard_error() {
    let dimension = Dimension::new(1024).unwrap();
    for shared in [0, 60, 150, 270] {
        let (rho, trials) = (shared as f64 / 300.0, 200);
        let errors: Vec<f64> = (0..trials)
            .map(|trial| {
                let (a, b) = overlapping(trial, 300, shared);
                let (mut x, mut y) = (Engram::new(dimension), Engram::new(dimension));
                x.add_features(&a);
                y.add_features(&b);
                (x.cosine(&y) - rho) / x.standard_error(rho)
            })
            .collect();
        let mean = errors.iter().sum::<f64>() / trials as f64;
        let deviation = (errors.iter().map(|e| e * e).sum::<f64>() / trials as f64).sqrt();
        assert!(mean.abs() < 0.3, "{shared} of 300: off by {mean} standard errors on average");
        assert!((0.8..1.2).contains(&deviation), "{shared} of 300: errors are {deviation} as large");
    }
}

#[test]
fn standard_error_at_known_points() {
    let engram = Engram::new(Dimension::ENGRAM);
    assert_eq!(engram.standard_error(0.0), 1.0 / 64.0);
    assert_eq!(engram.standard_error(1.0), 0.0);
}
