//! All figures of the comparison, as they are kept between runs: a run replaces what it measured and leaves the rest.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::circumstances::Circumstances;
use super::kernels::Kernels;
use super::measure::Usage;
use super::samples::Samples;
use crate::process::Outcome;

/// What was measured so far.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Results {
    /// A history of versions, by every tool.
    pub(crate) history: Option<Taken<Histories>>,
    /// A small history, by a tool that is too slow for the other.
    pub(crate) small: Option<Taken<Histories>>,
    /// A large file that nothing can compress.
    pub(crate) incompressible: Option<Taken<Incompressible>>,
    /// Random reads over all versions of a history.
    pub(crate) reads: Option<Taken<Reads>>,
    /// Peak memory against the length of a stream.
    pub(crate) memory: Option<Taken<Vec<Memory>>>,
    /// Speed while a store grows.
    pub(crate) growth: Option<Taken<Growth>>,
    /// Parts alone.
    pub(crate) kernels: Option<Taken<Kernels>>,
}

/// Figures, and how they were taken.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Taken<T> {
    pub(crate) circumstances: Circumstances,
    pub(crate) figures: T,
}

/// One history, and what each tool made of it.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Histories {
    pub(crate) name: String,
    pub(crate) versions: usize,
    pub(crate) bytes: u64,
    pub(crate) newest_bytes: u64,
    pub(crate) rounds: usize,
    pub(crate) tools: Vec<Row>,
}

/// One tool's figures; after a failure those of the rounds before it.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) tool: String,
    pub(crate) version: String,
    pub(crate) typed: String,
    pub(crate) note: String,
    pub(crate) failed: Option<String>,
    pub(crate) ingest: Usages,
    pub(crate) extract: Usages,
    pub(crate) disk_bytes: Samples,
}

/// What one command took in each round.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Usages {
    pub(crate) seconds: Samples,
    pub(crate) cpu_seconds: Samples,
    pub(crate) peak_bytes: Samples,
}

impl Usages {
    pub(crate) fn push(&mut self, usage: Usage) {
        self.seconds.push(usage.seconds);
        self.cpu_seconds.push(usage.cpu_seconds);
        self.peak_bytes.push(usage.peak_bytes);
    }
}

/// A file of random bytes: copied, ingested, ingested again.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Incompressible {
    pub(crate) bytes: u64,
    pub(crate) rounds: usize,
    pub(crate) copy: Usages,
    pub(crate) first: Usages,
    pub(crate) again: Usages,
    pub(crate) disk_bytes: Samples,
}

/// Reads of 64 KiB from anywhere.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reads {
    pub(crate) reads: usize,
    pub(crate) rounds: usize,
    pub(crate) p50_milliseconds: Samples,
    pub(crate) p99_milliseconds: Samples,
}

/// A stream of random bytes in and out again.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) bytes: u64,
    /// Why this length was left out.
    pub(crate) skipped: Option<String>,
    pub(crate) ingest: Usages,
    pub(crate) extract: Usages,
}

/// New data added to a store again and again.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Growth {
    /// Bytes added each time.
    pub(crate) step_bytes: u64,
    /// What each step took, in order.
    pub(crate) steps: Usages,
    pub(crate) disk_bytes: u64,
}

impl Results {
    /// Reads what earlier runs left; nothing is nothing yet.
    pub(crate) fn load(path: &Path) -> Outcome<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| {
            format!("{} holds no results ({error}); remove it and measure anew", path.display())
        })
    }

    pub(crate) fn save(&self, path: &Path) -> Outcome {
        let mut text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        text.push('\n');
        fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Scratch;

    #[test]
    fn results_come_back_and_what_was_not_measured_stays_away() {
        let scratch = Scratch::new("results").unwrap();
        let path = scratch.path().join("results.json");
        assert_eq!(Results::load(&path), Ok(Results::default()));
        let mut row = Row { tool: "engrams".to_owned(), ..Row::default() };
        row.ingest.push(Usage { seconds: 1.5, cpu_seconds: 2.0, peak_bytes: 3.0 });
        let figures = Histories { tools: vec![row], ..Histories::default() };
        let taken = Taken { circumstances: Circumstances::default(), figures };
        let results = Results { history: Some(taken), ..Results::default() };
        results.save(&path).unwrap();
        assert_eq!(Results::load(&path), Ok(results));
        fs::write(&path, "{").unwrap();
        assert!(Results::load(&path).unwrap_err().contains("remove it"));
    }
}
