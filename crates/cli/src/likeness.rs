//! Similarities and engrams for people and for programs; how arguments name an engram.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use engrams::{Estimate, Similarity, Sketch, read_sketch, sketch_path, sketch_reader};
use serde::Serialize;

use crate::failure::Failure;

/// An estimated share in JSON: `value` is null when nothing that was sampled tells.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct JsonEstimate {
    value: Option<f64>,
    standard_error: f64,
    low: f64,
    high: f64,
    samples: u64,
}

/// A similarity in JSON; which is the first and which the second is the verb's to say.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct JsonSimilarity {
    jaccard: JsonEstimate,
    first_in_second: JsonEstimate,
    second_in_first: JsonEstimate,
}

impl From<&Estimate> for JsonEstimate {
    fn from(estimate: &Estimate) -> Self {
        let Estimate { value, standard_error, low, high, samples } = *estimate;
        Self { value: (!estimate.is_unknown()).then_some(value), standard_error, low, high, samples }
    }
}

impl From<&Similarity> for JsonSimilarity {
    fn from(similarity: &Similarity) -> Self {
        Self {
            jaccard: (&similarity.jaccard).into(),
            first_in_second: (&similarity.containment).into(),
            second_in_first: (&similarity.containment_of_other).into(),
        }
    }
}

/// A share for tables: `87.3 %`.
pub(crate) fn percent(estimate: &Estimate) -> String {
    if estimate.is_unknown() { "?".to_owned() } else { format!("{:.1} %", 100.0 * estimate.value) }
}

/// A share with its error and interval.
pub(crate) fn in_full(estimate: &Estimate) -> String {
    if estimate.is_unknown() {
        return "unknown: too small a part of the other to be in its sample".to_owned();
    }
    if estimate.is_exact() {
        return format!("{:6.2} %  exactly", 100.0 * estimate.value);
    }
    let [value, error, low, high] =
        [estimate.value, estimate.standard_error, estimate.low, estimate.high].map(|share| 100.0 * share);
    format!("{value:6.2} %  +- {error:.2}, 95 % within {low:.2} to {high:.2}")
}

/// The engram of a file or directory, of standard input (`-`), or, if it is one, the engram in a file.
pub(crate) fn load(path: &Path) -> Result<Sketch, Failure> {
    if path == Path::new("-") {
        return read(&mut io::stdin().lock(), path);
    }
    if path.is_file() {
        let advice = "name a file, a directory or `-`";
        let mut file =
            File::open(path).map_err(|error| Failure::new(format!("{}: {error}", path.display()), advice))?;
        return read(&mut file, path);
    }
    Ok(sketch_path(path)?)
}

fn read(reader: &mut dyn Read, path: &Path) -> Result<Sketch, Failure> {
    let failed = |error: io::Error| {
        let advice = "write it anew with `engrams engram`, or name another file";
        Failure::new(format!("{}: {error}", path.display()), advice)
    };
    let mut start = Vec::new();
    reader.take(7).read_to_end(&mut start).map_err(failed)?;
    let is_engram = start == b"engram\n";
    let mut whole = Cursor::new(start).chain(reader);
    if is_engram {
        read_sketch(&mut whole).map_err(failed)
    } else {
        sketch_reader(&mut whole).map_err(failed)
    }
}
