//! Each fuzz target for a minute: what it once found, what it is to begin with, and what it makes of that.

use std::fs;

use crate::process::{self, Outcome};
use crate::workspace::Workspace;

/// Seconds for each target.
const SECONDS: u32 = 60;

/// The targets, and what libFuzzer is to know of each: see `fuzz/README.md`.
const TARGETS: [(&str, &[&str]); 9] = [
    ("scanner", &[]),
    ("engram_bytes", &[]),
    ("item_memory_bytes", &[]),
    ("corrections", &["-malloc_limit_mb=80"]),
    ("records", &STORES),
    ("round_trip", &STORES),
    ("store_model", &STORES),
    ("arguments", &[]),
    ("sealed", &["-len_control=0", "-max_len=400", "-malloc_limit_mb=80"]),
];
const STORES: [&str; 2] = ["-len_control=0", "-max_len=400"];

/// Runs every target. Without cargo-fuzz the step says so and passes: it comes with nightly toolchains only.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let fuzz = || {
        let mut command = workspace.nightly();
        command.arg("fuzz");
        command
    };
    if !process::succeeds(fuzz().arg("--version")) {
        println!(
            "   not run: no cargo-fuzz for a nightly toolchain; `cargo install cargo-fuzz --locked` gets it"
        );
        return Ok(());
    }
    let built = workspace.target().join("fuzz");
    for (target, options) in TARGETS {
        let home = workspace.root().join("fuzz");
        let corpus = home.join("corpus").join(target);
        fs::create_dir_all(&corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
        // The first directory is the one that grows.
        let known = ["seeds", "regressions"].map(|kind| home.join(kind).join(target));
        let mut run = fuzz();
        run.arg("run").arg("--target-dir").arg(&built).arg(target).arg(&corpus);
        run.args(known.iter().filter(|directory| directory.is_dir()));
        run.arg("--").arg(format!("-max_total_time={SECONDS}")).args(["-rss_limit_mb=3000", "-verbosity=0"]);
        let dictionary = home.join("dictionaries").join(format!("{target}.dict"));
        if dictionary.is_file() {
            run.arg(format!("-dict={}", dictionary.display()));
        }
        process::run(run.args(options))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_run_and_every_seed_and_dictionary_belongs_to_one() {
        let home = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz");
        let names = |kind: &str| {
            let entries = fs::read_dir(format!("{home}/{kind}")).unwrap();
            entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        };
        let is_run = |name: &String| TARGETS.iter().any(|(target, _)| target == name);
        assert_eq!(names("fuzz_targets").filter(is_run).count(), TARGETS.len());
        for kind in ["fuzz_targets", "seeds", "regressions", "dictionaries"] {
            assert_eq!(names(kind).find(|name| !is_run(name)), None, "{kind}");
        }
    }
}
