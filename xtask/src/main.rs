//! `cargo xtask VERB`: set-up, checks and demonstration of the workspace, one file per verb.
//!
//! A verb may assume cargo and the standard library, nothing else; what more it needs it looks for first and
//! installs or names. It never edits a source file; `compare`, `engrams` and `resemblance` write their pages in
//! `docs`.
#![forbid(unsafe_code)]

mod bench;
mod compare;
mod corpus;
mod demo;
mod emulated;
mod estimates;
mod faults;
mod features;
mod fuzz;
mod licence;
mod links;
mod plot;
mod prerequisites;
mod process;
mod resemblance;
mod sanitized;
mod source;
mod table;
mod tally;
mod test;
mod tidy;
mod tree;
mod workspace;

use std::process::ExitCode;

use workspace::Workspace;

const USAGE: &str = "\
usage: cargo xtask VERB

  test [--long]    everything that must pass, in order; stops at the first failure
                   --long: ignored tests too, many more cases of every property, and AVX-512 under Miri
  ci               what CI runs: the same as `test`
  tidy             the project's taste: sizes, unsafe, documentation, links, licences; every finding at once
  demo [PATH] [--tokio] [--keep]
                   ingest a real version history, extract every version again and compare
                   PATH: a directory whose children are versions, or one tree (ingested twice);
                   without it: eight releases of typescript (npm), or of tokio with --tokio (cargo)
                   --keep: leave the store where it is
  bench [FILTER] [--test]
                   the criterion suites, and a table of their medians; FILTER: only benchmarks whose name has it
                   --test: run each once, without measuring
  compare [--quick | --long] [--rounds N] [--only PART] [--render]
                   this project beside restic, borg, zpaq and zstd, in docs/performance.md
                   --quick: one round, smaller streams; --long: memory and growth too (half an hour, 40 GB of disk)
                   --rounds: how often each is measured (default: 3, with --quick 1)
                   --only: one of history, small, reads, incompressible, memory, growth; may be given again
                   --render: write the page from what was measured before
  engrams          how often estimates of engrams lie within their errors on real trees, in docs/resemblance.md
  resemblance [--quick]
                   how well `find` finds real files that were changed, cut or joined, beside ssdeep and TLSH, in
                   docs/resemblance.md; --quick: a tenth of the queries, and the page stays as it is
  faults [--quick] [--only KIND] [--seed N]
                   break the real binary and its disk, thousands of times, and count: kill, power, full, media
                   --quick: a few of each, in under a minute

environment
  CARGO_TARGET_DIR   as for cargo; when unset, ~/.cache/engrams-target is used if it exists
  ENGRAMS_CORPORA    where fetched histories are kept (default: `corpora` in the target directory)
  ENGRAMS_BIN        for demo, compare and faults: this binary instead of building one
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((verb, rest)) = arguments.split_first() else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let outcome = match verb.as_str() {
        "help" | "-h" | "--help" => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        "test" | "ci" => Workspace::find().and_then(|workspace| test::run(&workspace, rest)),
        "tidy" => Workspace::find().and_then(|workspace| tidy::run(&workspace)),
        "bench" => Workspace::find().and_then(|workspace| bench::run(&workspace, rest)),
        "compare" => Workspace::find().and_then(|workspace| compare::run(&workspace, rest)),
        "demo" => Workspace::find().and_then(|workspace| demo::run(&workspace, rest)),
        "engrams" => Workspace::find().and_then(|workspace| estimates::run(&workspace)),
        "resemblance" => Workspace::find().and_then(|workspace| resemblance::run(&workspace, rest)),
        "faults" => Workspace::find().and_then(|workspace| faults::run(&workspace, rest)),
        other => {
            eprintln!("error: no verb {other:?}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
