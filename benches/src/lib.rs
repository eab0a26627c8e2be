//! The benchmarks are in `benches/`: run them with `cargo bench -p engrams-benches`. Here is what programs beside them share.
#![forbid(unsafe_code)]

/// The middle one of `figures`, or the one above the middle; 0 of none.
#[must_use]
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
