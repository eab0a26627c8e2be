//! What the feature flags promise: no C++ without `rocksdb`, no standard library in the leaf crates.

use std::fs;

use crate::process::{self, Outcome};
use crate::workspace::Workspace;

/// The package whose presence means that C++ is built.
const CPP: &str = "librocksdb-sys";
/// A target without a standard library, checked when it is installed.
const BARE_TARGET: &str = "thumbv7em-none-eabi";

/// Checks the resolved packages first (cheap), then that it compiles (dev profile, no RocksDB).
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    for package in ["engrams-store", "engrams", "engrams-cli"] {
        if !builds_cpp(workspace, package, &[])? {
            return Err(format!(
                "{package} with default features does not build {CPP}: this check sees nothing"
            ));
        }
        if builds_cpp(workspace, package, &["--no-default-features"])? {
            return Err(format!("{package} builds {CPP} although its default features are off"));
        }
        println!("   {package} --no-default-features: no C++");
        let mut clippy = workspace.cargo("clippy");
        clippy.args(["--package", package, "--no-default-features", "--lib", "--", "-D", "warnings"]);
        process::run(&mut clippy)?;
    }
    for package in ["kernels", "core"] {
        let root = workspace.root().join("crates").join(package).join("src/lib.rs");
        let text = fs::read_to_string(&root).map_err(|error| format!("{}: {error}", root.display()))?;
        if !says_no_std(&text) {
            return Err(format!("crates/{package}/src/lib.rs does not say #![no_std]"));
        }
    }
    let mut check = workspace.cargo("check");
    check.args(["--package", "engrams-kernels", "--package", "engrams-core", "--lib"]);
    if bare_target_installed() {
        check.args(["--target", BARE_TARGET]);
    } else {
        println!(
            "   checked for this machine only: {BARE_TARGET} is not installed (rustup target add {BARE_TARGET})"
        );
    }
    process::run(&mut check)
}

fn builds_cpp(workspace: &Workspace, package: &str, flags: &[&str]) -> Outcome<bool> {
    let mut tree = workspace.cargo("tree");
    tree.args(["--package", package, "--edges", "normal,build", "--prefix", "none", "--format", "{p}"]);
    let packages = process::read(tree.args(flags))?;
    Ok(packages.lines().any(|line| line.split(' ').next() == Some(CPP)))
}

fn bare_target_installed() -> bool {
    let mut rustc = std::process::Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let directory = process::read(rustc.args(["--print", "target-libdir", "--target", BARE_TARGET]));
    directory.is_ok_and(|dir| std::path::Path::new(dir.trim()).is_dir())
}

/// `#![no_std]`, or the same outside tests.
fn says_no_std(text: &str) -> bool {
    text.lines()
        .map(str::trim)
        .any(|line| line.starts_with("#![no_std]") || line.starts_with("#![cfg_attr(not(test), no_std)]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_std_is_an_attribute_and_not_a_remark() {
        assert!(says_no_std("//! Words.\n#![no_std]\n"));
        assert!(says_no_std("//! Words.\n#![cfg_attr(not(test), no_std)]\n"));
        assert!(!says_no_std("//! This crate is #![no_std].\n"));
    }
}
