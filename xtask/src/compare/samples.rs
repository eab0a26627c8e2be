//! Repeated measurements of one quantity, one for each round, and what is said of them: median and range.

use serde::{Deserialize, Serialize};

/// One figure for each round, in the order of the rounds.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// The middle figure, the mean of the two middle ones if their number is even, nothing without figures.
    pub(crate) fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let upper = *sorted.get(sorted.len() / 2)?;
        if sorted.len() % 2 == 1 {
            return Some(upper);
        }
        Some(f64::midpoint(sorted[sorted.len() / 2 - 1], upper))
    }

    /// The median of the rounds' quotients: what slows both down in one round does not count.
    pub(crate) fn ratio_to(&self, other: &Self) -> Option<f64> {
        let quotients = self.0.iter().zip(&other.0).map(|(ours, theirs)| ours / theirs);
        Self(quotients.filter(|quotient| quotient.is_finite()).collect()).median()
    }

    /// Every figure replaced by `of` it.
    pub(crate) fn map(&self, of: impl Fn(f64) -> f64) -> Self {
        self.0.iter().map(|&figure| of(figure)).collect()
    }

    /// The figures from the `from`-th on, at most `count` of them.
    pub(crate) fn part(&self, from: usize, count: usize) -> Self {
        self.0.iter().skip(from).take(count).copied().collect()
    }

    pub(crate) fn figures(&self) -> &[f64] {
        &self.0
    }

    /// `median (least to most)`, or the median alone where all figures are written alike.
    pub(crate) fn show(&self, decimals: usize) -> String {
        let Some(median) = self.median() else { return "-".to_owned() };
        let written = |figure: f64| format!("{figure:.decimals$}");
        let least = written(self.0.iter().copied().fold(f64::INFINITY, f64::min));
        let most = written(self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        if least == most { least } else { format!("{} ({least} to {most})", written(median)) }
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(figures: I) -> Self {
        Self(figures.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(figures: &[f64]) -> Samples {
        figures.iter().copied().collect()
    }

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert_eq!(samples(&[]).median(), None);
        assert_eq!(samples(&[3.0]).median(), Some(3.0));
        assert_eq!(samples(&[9.0, 1.0, 2.0]).median(), Some(2.0));
        assert_eq!(samples(&[4.0, 1.0, 2.0, 100.0]).median(), Some(3.0));
    }

    #[test]
    fn a_ratio_pairs_the_rounds() {
        // The second round was ten times slower for both.
        let (ours, theirs) = (samples(&[1.0, 10.0, 1.2]), samples(&[5.0, 50.0, 6.0]));
        assert_eq!(ours.ratio_to(&theirs), Some(0.2));
        assert_eq!(ours.ratio_to(&Samples::default()), None);
        assert_eq!(ours.ratio_to(&samples(&[0.0])), None, "nothing is infinitely faster");
    }

    #[test]
    fn the_range_is_shown_where_there_is_one() {
        assert_eq!(samples(&[1.0, 4.0, 2.0]).show(1), "2.0 (1.0 to 4.0)");
        assert_eq!(samples(&[1.01, 1.02]).show(1), "1.0");
        assert_eq!(Samples::default().show(1), "-");
    }

    #[test]
    fn parts_are_as_long_as_there_are_figures() {
        let all = samples(&[1.0, 2.0, 3.0]);
        assert_eq!(all.part(1, 5), samples(&[2.0, 3.0]));
        assert_eq!(all.map(|figure| figure * 2.0), samples(&[2.0, 4.0, 6.0]));
        assert_eq!(all.figures(), [1.0, 2.0, 3.0]);
    }
}
