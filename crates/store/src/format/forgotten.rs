//! The record of forgotten versions: which numbers there are no records for any more, on purpose.

use super::wire::{MAX_ID, Reader, put_varint, seal, unseal};
use crate::{Result, Space};

/// Version numbers that were forgotten, as runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Forgotten {
    /// First and last number of each run, ascending, never touching.
    runs: Vec<(u64, u64)>,
    /// How many of them no collection has run for yet.
    pub(crate) uncollected: u64,
}

impl Forgotten {
    /// Its key in [`Space::Meta`].
    pub(crate) const KEY: &'static [u8] = b"forgotten";

    pub(crate) fn contains(&self, number: u64) -> bool {
        self.run_end(number).is_some()
    }

    /// The last number of the run that has `number`.
    pub(crate) fn run_end(&self, number: u64) -> Option<u64> {
        let at = self.runs.partition_point(|&(_, last)| last < number);
        self.runs.get(at).filter(|&&(first, _)| first <= number).map(|&(_, last)| last)
    }

    /// First and last number of each run, ascending.
    pub(crate) fn runs(&self) -> &[(u64, u64)] {
        &self.runs
    }

    /// Adds a number that no collection has run for.
    pub(crate) fn insert(&mut self, number: u64) {
        let at = self.runs.partition_point(|&(_, last)| last < number);
        if self.runs.get(at).is_some_and(|&(first, _)| first <= number) {
            return;
        }
        self.uncollected += 1;
        self.runs.insert(at, (number, number));
        if self.runs.get(at + 1).is_some_and(|&(first, _)| first == number + 1) {
            self.runs[at].1 = self.runs.remove(at + 1).1;
        }
        if at > 0 && self.runs[at - 1].1 + 1 == number {
            self.runs[at - 1].1 = self.runs.remove(at).1;
        }
    }

    /// How many numbers there are in it.
    pub(crate) fn count(&self) -> u64 {
        self.runs.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// The highest number in it; 0 if there is none.
    pub(crate) fn last(&self) -> u64 {
        self.runs.last().map_or(0, |&(_, last)| last)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.uncollected);
        let mut before = 0;
        for &(first, last) in &self.runs {
            put_varint(&mut out, first - before);
            put_varint(&mut out, last - first);
            before = last + 1;
        }
        seal(Space::Meta, Self::KEY, out)
    }

    pub(crate) fn decode(record: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(unseal(Space::Meta, Self::KEY, record)?, "record of forgotten versions");
        let uncollected = reader.varint()?;
        let mut runs: Vec<(u64, u64)> = Vec::new();
        let mut before = 0;
        while !reader.is_empty() {
            let (gap, more) = (reader.varint_up_to(MAX_ID)?, reader.varint_up_to(MAX_ID)?);
            let (first, last) = (before + gap, before + gap + more);
            // Runs neither begin at version 0 nor touch: there is one way to write each set.
            if gap == 0 || last >= MAX_ID {
                return Err(reader.error("its runs are out of range"));
            }
            runs.push((first, last));
            before = last + 1;
        }
        Ok(Self { runs, uncollected })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn forgotten_numbers_are_a_set_that_comes_back(numbers in proptest::collection::vec(1u64..60, 0..80)) {
            let (mut forgotten, mut model) = (Forgotten::default(), BTreeSet::new());
            for number in numbers {
                forgotten.insert(number);
                model.insert(number);
            }
            prop_assert!((0..70).all(|number| forgotten.contains(number) == model.contains(&number)));
            prop_assert_eq!(forgotten.uncollected, model.len() as u64);
            prop_assert!(forgotten.runs().windows(2).all(|w| w[0].1 + 1 < w[1].0));
            let record = forgotten.encode();
            prop_assert_eq!(Forgotten::decode(&record).unwrap(), forgotten);
            for at in 0..record.len() {
                let mut bad = record.clone();
                bad[at] ^= 4;
                prop_assert!(Forgotten::decode(&bad).is_err());
            }
        }
    }
}
