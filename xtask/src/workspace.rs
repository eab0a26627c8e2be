//! Where the workspace and its target directory are, and a `cargo` that works in both.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{self, Outcome};

/// The workspace this binary belongs to, and the directory its builds go to.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

/// xtask's own: where it runs before where it was compiled, since one target directory may serve several clones.
pub(crate) fn manifest_directory() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into()).into()
}

impl Workspace {
    /// Finds the root beside xtask's manifest, and chooses the target directory: `CARGO_TARGET_DIR`, else
    /// `~/.cache/engrams-target` if there is one (many clones, one RocksDB build), else what cargo says.
    pub(crate) fn find() -> Outcome<Self> {
        let root = manifest_directory().parent().ok_or("xtask has no parent directory")?.to_path_buf();
        let asked = env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty());
        let cached =
            env::home_dir().map(|home| home.join(".cache").join("engrams-target")).filter(|dir| dir.is_dir());
        let target = match (asked, cached) {
            (Some(dir), _) => std::path::absolute(dir).map_err(|error| error.to_string())?,
            (None, Some(dir)) => dir,
            (None, None) => target_of(&root)?,
        };
        Ok(Self { root, target })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// `cargo VERB` at the root, into the chosen target directory, without the variables `cargo run` left here.
    pub(crate) fn cargo(&self, verb: &str) -> Command {
        let mut command = bare_cargo();
        command.arg(verb).current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// `cargo` of the nightly toolchain at the root, by rustup's proxy: the one running this is of a toolchain already
    /// chosen, and flags of others would be in its way.
    pub(crate) fn nightly(&self) -> Command {
        let mut command = Command::new("cargo");
        command.env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTFLAGS");
        command.current_dir(&self.root).arg("+nightly");
        without_package(&mut command);
        command
    }
}

/// A `cargo` that does not inherit what `cargo run` told xtask about xtask itself.
pub(crate) fn bare_cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    without_package(&mut command);
    command
}

/// Takes from a command what `cargo run` told xtask about xtask itself.
fn without_package(command: &mut Command) -> &mut Command {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

fn target_of(root: &Path) -> Outcome<PathBuf> {
    let mut command = bare_cargo();
    command.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root);
    let metadata: serde_json::Value =
        serde_json::from_str(&process::read(&mut command)?).map_err(|error| error.to_string())?;
    let target = metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?;
    Ok(PathBuf::from(target))
}
