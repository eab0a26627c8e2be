//! `engrams damage`: what is lost with a chunk.

use clap::Args;
use engrams::DependentFile;
use serde::Serialize;

use crate::failure::Failure;
use crate::path_text::{JsonPath, readable};
use crate::session::{Output, Session};
use crate::{Ending, figures};

#[derive(Debug, Args)]
#[command(after_help = "\
`engrams verify` names damaged chunks; this tells which files of which versions can't be read without them, \
because they lie in them or because other chunks are corrections of them.

Examples:
  engrams damage --chunk 117
  engrams damage --chunk 117 --chunk 118 --json | jq -r '.files[].path'

In JSON, `version` is the one that last changed the file, `versions` are all that have it.")]
pub(crate) struct Damage {
    /// The chunk's id; may be repeated
    #[arg(long = "chunk", value_name = "ID", required = true)]
    chunks: Vec<u64>,
}

#[derive(Serialize)]
struct Report {
    chunks: u64,
    files: Vec<LostFile>,
}

/// A file that can't be read, in JSON.
#[derive(Serialize)]
pub(crate) struct LostFile {
    #[serde(flatten)]
    path: JsonPath,
    version: u64,
    versions: Vec<u64>,
}

impl From<DependentFile> for LostFile {
    fn from(file: DependentFile) -> Self {
        Self { path: JsonPath::new(&file.path), version: file.version, versions: file.versions }
    }
}

pub(crate) fn run(session: &Session, verb: &Damage) -> Result<Ending, Failure> {
    let found = session.open_for_reading()?.dependents(&verb.chunks)?;
    let (chunks, count) = (found.chunks, found.files.len() as u64);
    if session.json {
        let report = Report { chunks, files: found.files.into_iter().map(LostFile::from).collect() };
        session.report(&report, String::new)?;
        return Ok(Ending::Complete);
    }
    let mut output = Output::new();
    for file in &found.files {
        let versions: Vec<String> = file.versions.iter().map(u64::to_string).collect();
        output.text(&format!("{}  in version {}\n", readable(&file.path), versions.join(", ")))?;
    }
    output.text(&format!(
        "{} and {} need it\n",
        figures::counted(chunks, "chunk", "chunks"),
        figures::counted(count, "file version", "file versions")
    ))?;
    output.finish()?;
    Ok(Ending::Complete)
}
