//! Tests under instruments that need a nightly toolchain: the algebra under Miri, the store and the facade under
//! AddressSanitizer, what many threads share under ThreadSanitizer.
//!
//! Each builds for some minutes in a directory of its own, and so runs with `--long` alone. Where the toolchain is missing
//! the step says so and passes.

use std::env::consts;

use crate::emulated;
use crate::process::{self, Outcome};
use crate::tally::Tally;
use crate::workspace::Workspace;

/// Cases of a property under a sanitizer, where each takes several times as long.
const CASES: &str = "16";

/// Cases of a property under Miri, where each takes some hundred times as long; the tests raise it to their least.
const CASES_IN_MIRI: &str = "1";

/// What of the algebra Miri gets through in minutes: what reads hostile bytes, and numbers at their limits; without
/// the widest engram and one of thousands of features.
const ALGEBRA: [&str; 10] = [
    "correction::",
    "estimate::",
    "tests::tails_are",
    "tests::masks_are",
    "engram_bytes::",
    "memory_bytes::",
    "--skip",
    "nothing_takes_only_a_header",
    "--skip",
    "a_megabyte_of_features",
];

/// What threads share: commits, collections, chunks decoded ahead, closing, results that do not depend on their number.
const THREADS: [&str; 5] = ["together::", "collect::", "ahead::", "closing::", "determinism::"];

/// Tests of `engrams-core` under Miri.
pub(crate) fn algebra(workspace: &Workspace, tally: &Tally) -> Outcome {
    let Some(mut tests) = emulated::miri(workspace) else { return Ok(()) };
    tests.args(["test", "--package", "engrams-core", "--lib", "--test", "it", "--"]).args(ALGEBRA);
    // Properties ask for the directory they run in.
    tests.env("MIRIFLAGS", "-Zmiri-disable-isolation").env("PROPTEST_CASES", CASES_IN_MIRI);
    tally.run(&mut tests)
}

/// Tests of store and facade, in memory, under AddressSanitizer.
pub(crate) fn addresses(workspace: &Workspace, tally: &Tally) -> Outcome {
    run(
        workspace,
        tally,
        "address",
        &["--package", "engrams-store", "--package", "engrams", "--lib", "--tests"],
    )
}

/// Tests of what threads share, in memory, under ThreadSanitizer. It must see the standard library's own
/// synchronisation, which is therefore built with it.
pub(crate) fn threads(workspace: &Workspace, tally: &Tally) -> Outcome {
    let facade = ["-Zbuild-std", "--package", "engrams", "--test", "engrams", "--"];
    run(workspace, tally, "thread", &[&facade[..], &THREADS].concat())
}

fn run(workspace: &Workspace, tally: &Tally, sanitizer: &str, arguments: &[&str]) -> Outcome {
    if !(cfg!(target_os = "linux") && (cfg!(target_arch = "x86_64") || cfg!(target_arch = "aarch64"))) {
        println!("   not run: only Linux on x86-64 and 64-bit Arm has the sanitizers");
        return Ok(());
    }
    if !process::succeeds(workspace.nightly().arg("--version")) {
        println!("   not run: no nightly toolchain (rustup toolchain install nightly --component rust-src)");
        return Ok(());
    }
    // Named, so that build scripts are not instrumented.
    let target = format!("{}-unknown-linux-gnu", consts::ARCH);
    let mut tests = workspace.nightly();
    tests.args(["test", "--no-default-features", "--target", &target]).args(arguments);
    tests.env("CARGO_TARGET_DIR", workspace.target().join(format!("sanitized-{sanitizer}")));
    tests.env("RUSTFLAGS", format!("-Zsanitizer={sanitizer}")).env("PROPTEST_CASES", CASES);
    tally.run(&mut tests)
}
