//! What a build needs beside Rust: libclang and a C++ compiler (for RocksDB), rustfmt and clippy.
//!
//! Missing system packages are installed when we may (root, apt-get); otherwise the one command to run is named.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{self, Outcome};
use crate::workspace;

/// Everything RocksDB's build needs; installs it if it can.
pub(crate) fn for_building() -> Outcome {
    let mut missing = Vec::new();
    let libclang = libclang();
    match &libclang {
        Some(path) => println!("   libclang: {}", path.display()),
        None => missing.push("libclang-dev"),
    }
    let compilers = [("CC", ["cc", "gcc", "clang"]), ("CXX", ["c++", "g++", "clang++"])];
    for (variable, names) in compilers {
        match compiler(variable, &names) {
            Some(path) => println!("   {variable}: {}", path.display()),
            None if !missing.contains(&"g++") => missing.push("g++"),
            None => {}
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)?;
    if self::libclang().is_none() {
        return Err("libclang is still not to be found; set LIBCLANG_PATH to its directory".to_owned());
    }
    Ok(())
}

/// rustfmt and clippy come with the toolchain: named, never replaced.
pub(crate) fn for_checking() -> Outcome {
    let absent: Vec<&str> = [("fmt", "rustfmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(verb, _)| !process::succeeds(workspace::bare_cargo().args([verb, "--version"])))
        .map(|(_, component)| component)
        .collect();
    if absent.is_empty() {
        return Ok(());
    }
    Err(format!("{} missing; run: rustup component add {}", absent.join(" and "), absent.join(" ")))
}

/// Installs system packages as root on Debian and its kin, else says what to run.
pub(crate) fn install(packages: &[&str]) -> Outcome {
    let list = packages.join(" ");
    if on_path("apt-get").is_none() {
        return Err(format!("missing: {list} (Debian's names); install them with your package manager"));
    }
    if !may_install() {
        return Err(format!("missing: {list}; run: sudo apt-get update && sudo apt-get install -y {list}"));
    }
    let apt_get = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    process::run(apt_get().arg("update"))?;
    process::run(apt_get().args(["install", "-y", "--no-install-recommends"]).args(packages))
}

/// The program's path, searched as the shell would.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

fn compiler(variable: &str, names: &[&str]) -> Option<PathBuf> {
    if let Some(named) = env::var_os(variable).filter(|value| !value.is_empty()) {
        return Some(PathBuf::from(named));
    }
    names.iter().find_map(|name| on_path(name))
}

/// Whether this machine's packages are ours to install: root, and Debian's tools.
pub(crate) fn may_install() -> bool {
    let is_root = || process::read(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    on_path("apt-get").is_some() && is_root()
}

/// The shared library bindgen loads, in the places where it looks.
fn libclang() -> Option<PathBuf> {
    if let Some(named) = env::var_os("LIBCLANG_PATH").map(PathBuf::from) {
        if named.is_file() {
            return Some(named);
        }
        if let Some(found) = libclang_in(&named) {
            return Some(found);
        }
    }
    let mut places = Vec::new();
    places
        .extend(children("/usr/lib", |name| name.starts_with("llvm")).into_iter().map(|dir| dir.join("lib")));
    places.extend(children("/usr/lib", |name| name.contains("-linux-gnu")));
    places.extend(
        ["/usr/lib64", "/usr/lib", "/usr/local/lib", "/opt/homebrew/opt/llvm/lib"].map(PathBuf::from),
    );
    places.push(PathBuf::from("/Library/Developer/CommandLineTools/usr/lib"));
    places.iter().find_map(|dir| libclang_in(dir))
}

fn children(dir: &str, keep: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| keep(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

fn libclang_in(dir: &Path) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path()).collect();
    found.sort();
    found.into_iter().find(|path| path.file_name().is_some_and(is_libclang) && path.exists())
}

/// `libclang.so`, `libclang-14.so.1`, `libclang.dylib`; not `libclang-cpp.so`, which is another library.
fn is_libclang(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let Some(rest) = name.strip_prefix("libclang") else { return false };
    let numbered = rest.strip_prefix('-').is_none_or(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    numbered && rest.starts_with(['.', '-']) && (rest.contains(".so") || rest.ends_with(".dylib"))
}

/// A Python in an environment below `home` that has `module`, from these packages.
pub(crate) fn python_with(home: &Path, module: &str, packages: &[&str]) -> Outcome<PathBuf> {
    let environment = home.join("python");
    let python = environment.join("bin").join("python");
    if !process::succeeds(Command::new(&python).args(["-c", &format!("import {module}")])) {
        process::run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        process::run(Command::new(&python).args(["-m", "pip", "install", "-q"]).args(packages))?;
    }
    Ok(python)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libclang_is_told_from_its_neighbours() {
        for name in ["libclang.so", "libclang-14.so", "libclang-14.0.6.so", "libclang.so.1", "libclang.dylib"]
        {
            assert!(is_libclang(OsStr::new(name)), "{name}");
        }
        for name in ["libclang-cpp.so.14", "libclangAST.a", "libclang.a", "libclang", "libclang_rt.so"] {
            assert!(!is_libclang(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn libclang_is_looked_for_in_a_directory() {
        let dir = crate::tree::Scratch::new("libclang").unwrap();
        assert_eq!(libclang_in(dir.path()), None);
        let library = dir.path().join("libclang-19.so.1");
        fs::write(&library, b"").unwrap();
        assert_eq!(libclang_in(dir.path()), Some(library));
    }
}
