//! What was confirmed so far, and the report that is made of it.

use std::collections::BTreeMap;

use engrams_store::StoredName;

use super::align::Aligned;
use super::{LEAST_FEATURES, LEAST_SHARE, Match, MatchRange, Scope};

/// Contents remembered from block to block.
const MOST_CONTENTS: usize = 1024;
/// Contents that are compared with the next block whatever their rank in it.
const LEADING: usize = 16;
/// Ranges kept of one content.
const MOST_RANGES: usize = 16 << 10;

/// Confirmed bytes by content.
pub(super) struct Board {
    with_ranges: bool,
    rows: BTreeMap<u32, Row>,
}

#[derive(Default)]
struct Row {
    features: u64,
    /// Bytes to which features led: chance runs of equal bytes are no reason to report a file.
    by_features: u64,
    bytes: u64,
    ranges: Vec<MatchRange>,
    has_all: bool,
}

impl Board {
    pub(super) fn new(with_ranges: bool) -> Self {
        Self { with_ranges, rows: BTreeMap::new() }
    }

    /// Adds what a content shares with the block at `offset`.
    pub(super) fn add(&mut self, content: u32, features: u64, offset: u64, aligned: &Aligned) {
        if aligned.ranges.is_empty() {
            return;
        }
        let row = self.rows.entry(content).or_insert(Row { has_all: true, ..Row::default() });
        row.features += features;
        row.by_features += aligned.by_features;
        for range in &aligned.ranges {
            row.bytes += range.bytes;
            if !self.with_ranges {
                continue;
            }
            let query = offset + range.query;
            let goes_on =
                |last: &MatchRange| last.query + last.bytes == query && last.file + last.bytes == range.file;
            if let Some(last) = row.ranges.last_mut().filter(|last| goes_on(last)) {
                last.bytes += range.bytes;
            } else if row.ranges.len() < MOST_RANGES {
                row.ranges.push(MatchRange { query, ..*range });
            } else {
                row.has_all = false;
            }
        }
    }

    fn order(&self) -> Vec<u32> {
        let mut all: Vec<(u64, u32)> = self.rows.iter().map(|(&content, row)| (row.bytes, content)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.into_iter().map(|(_, content)| content).collect()
    }

    /// The contents with most bytes so far.
    pub(super) fn leading(&self) -> Vec<u32> {
        let mut all = self.order();
        all.truncate(LEADING);
        all
    }

    /// Forgets those with least bytes.
    pub(super) fn prune(&mut self) {
        if self.rows.len() > MOST_CONTENTS {
            for content in self.order().split_off(MOST_CONTENTS / 2) {
                self.rows.remove(&content);
            }
        }
    }

    /// The best `k`, for a query of `bytes` with this hash.
    pub(super) fn finish(
        mut self,
        scope: &Scope<'_>,
        hash: &[u8; 32],
        bytes: u64,
        k: usize,
        least_score: f64,
    ) -> Vec<Match> {
        let exact = scope.view.content_with(hash).filter(|&content| scope.has(content));
        if let Some(content) = exact {
            let whole = MatchRange { query: 0, file: 0, bytes };
            let ranges = if self.with_ranges { vec![whole] } else { Vec::new() };
            self.rows.insert(
                content,
                Row { features: u64::MAX, by_features: bytes, bytes, ranges, has_all: true },
            );
        }
        let mut matches: Vec<(u32, Match)> = Vec::new();
        for (content, row) in self.rows {
            let is_exact = exact == Some(content);
            let enough =
                row.features >= LEAST_FEATURES && row.by_features.saturating_mul(LEAST_SHARE) >= bytes;
            let Some(stored) = scope.view.content(content).filter(|_| enough || is_exact) else { continue };
            let size = stored.file.size;
            let common = row.bytes.min(size);
            let containment = row.bytes as f64 / bytes.max(1) as f64;
            let Some((name, also)) = names(scope.names(content)).filter(|_| containment >= least_score)
            else {
                continue;
            };
            let found = Match {
                name,
                also,
                hash: stored.file.hash,
                size,
                is_exact,
                bytes: row.bytes,
                containment,
                resemblance: common as f64 / (bytes + size - common).max(1) as f64,
                ranges: row.ranges,
                has_all_ranges: row.has_all,
            };
            matches.push((content, found));
        }
        matches.sort_by(|(a_content, a), (b_content, b)| {
            let alike = b.resemblance.total_cmp(&a.resemblance);
            (b.is_exact, b.bytes).cmp(&(a.is_exact, a.bytes)).then(alike).then(b_content.cmp(a_content))
        });
        matches.truncate(k);
        matches.into_iter().map(|(_, found)| found).collect()
    }
}

/// The name with the newest version, and the others.
fn names(mut names: Vec<StoredName>) -> Option<(StoredName, Vec<StoredName>)> {
    let newest = names.iter().filter_map(|name| name.versions.last().copied()).max()?;
    let at = names.iter().position(|name| name.versions.last() == Some(&newest))?;
    let first = names.remove(at);
    Some((first, names))
}
