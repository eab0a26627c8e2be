//! Tests of the leaf crates on processors this machine is not: 64-bit Arm under QEMU, AVX-512 under Miri.
//!
//! Emulation is slow, so properties are tried on fewer cases and statistics of many features are left to the
//! tests on the machine itself; frozen vectors, widths and oracles run in full.

use std::env;
use std::path::Path;
use std::process::Command;

use crate::prerequisites::{install, may_install, on_path};
use crate::process::{self, Outcome};
use crate::tally::Tally;
use crate::workspace::Workspace;

/// Cases of a property on an emulated processor.
const CASES: &str = "4";

const ARM: &str = "aarch64-unknown-linux-gnu";
const ARM_LINKER: &str = "aarch64-linux-gnu-gcc";
const ARM_EMULATOR: &str = "qemu-aarch64-static";
/// Debian's compiler, whose standard library for other processors is a package too.
const SYSTEM_RUSTC: &str = "/usr/bin/rustc";
/// Debian's names of all that.
const ARM_PACKAGES: [&str; 5] = [
    "rustc-web",
    "libstd-rust-web-dev:arm64",
    "gcc-aarch64-linux-gnu",
    "libc6-dev-arm64-cross",
    "qemu-user-static",
];

/// Every set the AVX-512 tiers ask for, as belonging to the target: an interpreter detects nothing.
const AVX_512: &str = "-Ctarget-feature=+avx2,+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512vpopcntdq";

/// The tests of both leaf crates on emulated 64-bit Arm: the NEON tier, and the portable one beside it.
pub(crate) fn arm(workspace: &Workspace, tally: &Tally) -> Outcome {
    if cfg!(target_arch = "aarch64") {
        println!("   this machine is one: the other steps have run these tests");
        return Ok(());
    }
    let compiler = arm_compiler()?;
    for (package, skipped) in [("engrams-kernels", "quality"), ("engrams-core", "statistics")] {
        let mut tests = workspace.cargo("test");
        tests.args(["--target", ARM, "--package", package, "--test", "it", "--", "--skip", skipped]);
        tests.env("RUSTC", &compiler).env("CARGO_TARGET_DIR", workspace.target().join("emulated"));
        tests.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", ARM_LINKER);
        tests.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", ARM_EMULATOR);
        // Programs linked to the C library at run time hang in it under some versions of QEMU.
        tests.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static");
        tests.env_remove("RUSTFLAGS").env("PROPTEST_CASES", CASES);
        tally.run(&mut tests)?;
    }
    Ok(())
}

/// A compiler that can build for Arm, with linker and emulator; what is missing is installed or named.
fn arm_compiler() -> Outcome<String> {
    let named = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let found = || [named.as_str(), SYSTEM_RUSTC].into_iter().find(|rustc| builds_for_arm(rustc));
    let complete = |compiler: Option<&str>| {
        compiler.is_some() && on_path(ARM_LINKER).is_some() && on_path(ARM_EMULATOR).is_some()
    };
    if !complete(found()) {
        if may_install() {
            process::run(Command::new("dpkg").args(["--add-architecture", "arm64"]))?;
        } else {
            println!("   before the command below: sudo dpkg --add-architecture arm64");
        }
        install(&ARM_PACKAGES)?;
    }
    found().map(str::to_owned).ok_or_else(|| format!("no compiler for {ARM}; run: rustup target add {ARM}"))
}

fn builds_for_arm(rustc: &str) -> bool {
    let libraries = process::read(Command::new(rustc).args(["--print", "target-libdir", "--target", ARM]));
    libraries.is_ok_and(|dir| Path::new(dir.trim()).is_dir())
}

/// `cargo miri`, which is installed if it can be; where it can't, that is said: it comes with nightly toolchains only.
pub(crate) fn miri(workspace: &Workspace) -> Option<Command> {
    let there = || process::succeeds(workspace.nightly().args(["miri", "--version"]));
    if !there() {
        let mut rustup = Command::new("rustup");
        // Its outcome shows in the next question.
        let _ = process::run(rustup.args(["component", "add", "--toolchain", "nightly", "miri", "rust-src"]));
    }
    if !there() {
        println!(
            "   not run: Miri is missing (rustup toolchain install nightly --component miri --component rust-src)"
        );
        return None;
    }
    let mut command = workspace.nightly();
    command.arg("miri").env("CARGO_TARGET_DIR", workspace.target().join("miri"));
    Some(command)
}

/// The kernels' widths and frozen vectors on both AVX-512 tiers, interpreted by Miri, which also watches every
/// load and store.
pub(crate) fn avx_512(workspace: &Workspace, tally: &Tally) -> Outcome {
    if !cfg!(target_arch = "x86_64") {
        println!("   only x86-64 has these tiers");
        return Ok(());
    }
    let Some(mut tests) = miri(workspace) else { return Ok(()) };
    tests.args(["test", "--package", "engrams-kernels", "--test", "it", "--", "vectors", "widths"]);
    tests.env("RUSTFLAGS", AVX_512).env("PROPTEST_CASES", CASES);
    tally.run(&mut tests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_that_is_not_there_builds_for_nothing() {
        assert!(!builds_for_arm("no-such-compiler"));
    }
}
