//! `cargo xtask test`: everything that must pass before a change is merged, in order, to the first failure.
//!
//! Whatever pulls RocksDB in runs in the release profile over the whole workspace: one profile and one feature
//! resolution, hence one C++ build, shared with `cargo xtask demo`.

use std::env;
use std::process::Command;

use crate::process::{self, Outcome, Steps};
use crate::tally::Tally;
use crate::workspace::{self, Workspace};
use crate::{bench, emulated, features, fuzz, prerequisites, sanitized, tidy};

/// How many cases a property is tried on with `--long` (proptest's default is 256).
const LONG_CASES: &str = "5000";

/// What cases are made from without `--long`: a run that fails, fails again, on any machine. `--long` tries others each time.
const SEED: &str = "20260101";

/// Runs the steps; `--long` adds ignored tests, many more cases of each property, Miri, the sanitizers and the fuzz targets.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let long = match arguments {
        [] => false,
        [flag] if flag == "--long" => true,
        other => return Err(format!("test takes --long or nothing, not {:?}", other.join(" "))),
    };
    println!("builds go to {}", workspace.target().display());
    let (mut steps, tally) = (Steps::new(), Tally::default());
    let outcome = all(workspace, long, &mut steps, &tally);
    if outcome.is_ok() {
        steps.finish();
    }
    println!("{}", tally.counts());
    outcome
}

fn all(workspace: &Workspace, long: bool, steps: &mut Steps, tally: &Tally) -> Outcome {
    steps.step("prerequisites", || {
        prerequisites::for_checking()?;
        prerequisites::for_building()
    })?;
    steps.step("format", || process::run(workspace.cargo("fmt").args(["--all", "--check"])))?;
    steps.step("lints", || {
        let mut clippy = workspace.cargo("clippy");
        process::run(clippy.args(["--release", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    })?;
    steps.step("tests with debug assertions", || tally.run(&mut checked_tests(workspace, long)))?;
    steps.step("tests of the portable tier", || tally.run(&mut portable_tests(workspace, long)))?;
    steps.step("tests on emulated 64-bit Arm", || emulated::arm(workspace, tally))?;
    if long {
        steps.step("tests of AVX-512 under Miri", || emulated::avx_512(workspace, tally))?;
        steps.step("tests of the algebra under Miri", || sanitized::algebra(workspace, tally))?;
        steps.step("tests under AddressSanitizer", || sanitized::addresses(workspace, tally))?;
        steps.step("tests under ThreadSanitizer", || sanitized::threads(workspace, tally))?;
    }
    steps.step("tests", || tally.run(&mut all_tests(workspace, long)))?;
    if long {
        steps.step("fuzz targets, a minute each", || fuzz::run(workspace))?;
    }
    steps.step("benchmarks, once each", || process::run(&mut bench::smoke(workspace)))?;
    steps.step("documentation tests", || {
        tally.run(workspace.cargo("test").args(["--release", "--doc", "--workspace"]))
    })?;
    steps.step("documentation", || {
        // Libraries only: the binary `engrams` would overwrite the pages of the library `engrams`.
        let mut doc = workspace.cargo("doc");
        doc.args(["--release", "--no-deps", "--workspace", "--lib"]).env("RUSTDOCFLAGS", "-D warnings");
        process::run(&mut doc)
    })?;
    steps.step("features", || features::check(workspace))?;
    steps.step("tidy", || tidy::run(workspace))
}

/// Everything that needs no C++, in the dev profile: debug assertions and overflow checks.
fn checked_tests(workspace: &Workspace, long: bool) -> Command {
    dev_tests(workspace, long, &["engrams-kernels", "engrams-core", "engrams-store", "engrams"])
}

fn dev_tests(workspace: &Workspace, long: bool, packages: &[&str]) -> Command {
    let mut tests = workspace.cargo("test");
    tests.arg("--no-default-features").args(packages.iter().flat_map(|package| ["--package", package]));
    lengthen(&mut tests, long, &["--", "--include-ignored"]);
    tests
}

/// The two leaf crates on the portable tier; in a directory of its own, for other flags would rebuild everything.
fn portable_tests(workspace: &Workspace, long: bool) -> Command {
    let mut tests = dev_tests(workspace, long, &["engrams-kernels", "engrams-core"]);
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    tests.env("RUSTFLAGS", format!("{flags} --cfg engrams_force_portable").trim_start());
    tests.env("CARGO_TARGET_DIR", workspace.target().join("portable"));
    tests
}

fn all_tests(workspace: &Workspace, long: bool) -> Command {
    if process::succeeds(workspace::bare_cargo().args(["nextest", "--version"])) {
        let mut tests = workspace.cargo("nextest");
        tests.args(["run", "--release", "--workspace"]);
        lengthen(&mut tests, long, &["--run-ignored", "all"]);
        return tests;
    }
    let mut tests = workspace.cargo("test");
    // Not the documentation tests, which are the next step.
    tests.args(["--release", "--workspace", "--lib", "--bins", "--tests", "--examples"]);
    lengthen(&mut tests, long, &["--", "--include-ignored"]);
    tests
}

fn lengthen(tests: &mut Command, long: bool, ignored: &[&str]) {
    if long {
        tests.env("PROPTEST_CASES", LONG_CASES).args(ignored);
    } else {
        tests.env("PROPTEST_RNG_SEED", SEED);
    }
}
