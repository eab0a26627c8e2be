//! Runs of equal numbers in an ascending list, found at once where the numbers are dense, as chunk ids are.

use std::ops::Range;

/// Where the numbers of an ascending list begin. Memory: 4 bytes for each number up to the last.
#[derive(Default)]
pub(super) struct Runs {
    /// For each number where its run begins, and the end; empty when the numbers are too far apart.
    starts: Vec<u32>,
}

/// Numbers up to so many times the list's length are dense: whatever a store says, memory follows its size.
const MOST_APART: usize = 64;
/// Short lists may have any numbers up to here.
const FEW: usize = 1 << 16;

impl Runs {
    /// Of a list with fewer than 2^32 items, which ascend.
    pub(super) fn new<T>(list: &[T], number: impl Fn(&T) -> u32) -> Self {
        let most = list.last().map_or(0, |last| number(last) as usize);
        if most > list.len().saturating_mul(MOST_APART).max(FEW) {
            return Self::default();
        }
        Self { starts: starts(most + 1, list.iter().map(|item| number(item) as usize)) }
    }

    /// Where the run of `wanted` lies in the list.
    pub(super) fn find<T>(&self, list: &[T], number: impl Fn(&T) -> u32, wanted: u32) -> Range<usize> {
        if self.starts.is_empty() {
            return list.partition_point(|item| number(item) < wanted)
                ..list.partition_point(|item| number(item) <= wanted);
        }
        let at = wanted as usize;
        match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(&from), Some(&to)) => from as usize..to as usize,
            _ => 0..0,
        }
    }
}

/// For each number below `count` where the run of its equals among these would begin in their order, and the end.
pub(super) fn starts(count: usize, numbers: impl Iterator<Item = usize>) -> Vec<u32> {
    let mut starts = vec![0; count + 1];
    numbers.for_each(|number| starts[number + 1] += 1);
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found_in_dense_lists_and_in_sparse_ones_without_their_memory() {
        for list in [vec![], vec![0, 0, 3, 3, 3, 9], vec![1, 1, 70_000, u32::MAX, u32::MAX]] {
            let runs = Runs::new(&list, |&number| number);
            assert!(runs.starts.len() <= FEW + 2);
            for wanted in [0, 1, 2, 3, 9, 10, 70_000, u32::MAX] {
                let found = &list[runs.find(&list, |&number| number, wanted)];
                let expected: Vec<u32> = list.iter().copied().filter(|&number| number == wanted).collect();
                assert_eq!(found, expected, "{wanted}");
            }
        }
    }
}
