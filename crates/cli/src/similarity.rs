//! `engrams similarity`: how much two contents, or two engrams, have in common.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::failure::Failure;
use crate::likeness::{JsonSimilarity, in_full, load};
use crate::{Ending, session};

#[derive(Debug, Args)]
#[command(after_help = "\
Shares are of distinct features, windows of 32 bytes sampled by their content: about one for every 160 bytes.
The cosine is of all features with their counts, so what is repeated often (licences, headers) dominates it.

Examples:
  engrams similarity old.engram new.engram     of what `engrams engram -o` wrote
  engrams similarity data theirs.engram        a directory here, and what somebody else has
  ssh host cat dump.sql | engrams similarity - dump.sql --json")]
pub(crate) struct Similarity {
    /// A file, directory, engram file or `-` (standard input)
    first: PathBuf,
    /// Another one
    second: PathBuf,
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    similarity: JsonSimilarity,
    cosine: f64,
    cosine_standard_error: f64,
}

pub(crate) fn run(json: bool, verb: &Similarity) -> Result<Ending, Failure> {
    if verb.first == verb.second && verb.first.as_os_str() == "-" {
        return Err(Failure::usage("standard input is named twice", "name a file for one of them"));
    }
    let (first, second) = (load(&verb.first)?, load(&verb.second)?);
    let found = first.similarity(&second);
    let cosine = first.engram().cosine(second.engram());
    let error = first.engram().standard_error(cosine);
    let report = Report { similarity: JsonSimilarity::from(&found), cosine, cosine_standard_error: error };
    session::report(json, &report, || {
        format!(
            "resemblance (Jaccard)  {}\nfirst is in second     {}\nsecond is in first     {}\ncosine                 {cosine:.4}  +- {error:.4}\n",
            in_full(&found.jaccard),
            in_full(&found.containment),
            in_full(&found.containment_of_other),
        )
    })?;
    Ok(Ending::Complete)
}
