//! Real version histories, fetched by package name with the ecosystem's own client and kept for the next time.

use std::cmp::Ordering;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::prerequisites;
use crate::process::{self, Outcome};
use crate::tree::Scratch;
use crate::workspace::{self, Workspace};

const TYPESCRIPT: [&str; 8] = ["5.0.4", "5.1.6", "5.2.2", "5.3.3", "5.4.5", "5.5.4", "5.6.3", "5.7.3"];
const TOKIO_MINORS: std::ops::RangeInclusive<u32> = 20..=38;

/// Versions of one tree, oldest first.
pub(crate) struct History {
    /// What the tree is called in the store.
    pub(crate) name: String,
    /// A name and a directory for each version.
    pub(crate) versions: Vec<(String, PathBuf)>,
}

/// Eight releases of typescript, 251 MB: consecutive, large, and alike without being the same.
///
/// Falls back to tokio's releases when npm can't be had; without the right to install npm it stops and says how.
pub(crate) fn typescript(workspace: &Workspace) -> Outcome<History> {
    let home = home(workspace, "typescript")?;
    let complete = TYPESCRIPT.iter().all(|version| home.join(version).is_dir());
    if !complete && prerequisites::on_path("npm").is_none() {
        match prerequisites::install(&["npm"]) {
            Ok(()) => {}
            Err(how) if !prerequisites::may_install() => {
                return Err(format!("{how}; or run: cargo xtask demo --tokio"));
            }
            Err(why) => {
                eprintln!("npm is not to be had ({why}); taking tokio's releases instead");
                return tokio(workspace);
            }
        }
    }
    for version in TYPESCRIPT {
        let fetched = fetch(&home, version, |work| {
            let pack = format!("typescript@{version}");
            process::read(Command::new("npm").args(["pack", &pack, "--silent"]).current_dir(work))?;
            let archive = only_child(work)?;
            unpack(&archive, work)?;
            Ok(work.join("package"))
        });
        if let Err(why) = fetched {
            eprintln!("typescript {version} is not to be had ({why}); taking tokio's releases instead");
            return tokio(workspace);
        }
    }
    Ok(history("typescript", &home, TYPESCRIPT.map(str::to_owned).into()))
}

/// Nineteen releases of tokio, 67 MB in 8,855 small files; needs cargo only.
pub(crate) fn tokio(workspace: &Workspace) -> Outcome<History> {
    let home = home(workspace, "tokio")?;
    let versions: Vec<String> = TOKIO_MINORS.map(|minor| format!("1.{minor}.0")).collect();
    for version in &versions {
        fetch(&home, version, |work| {
            unpack(&crate_archive("tokio", version)?, work)?;
            Ok(work.join(format!("tokio-{version}")))
        })?;
    }
    Ok(history("tokio", &home, versions))
}

/// A directory of the user's: its children as versions if all are directories, else the whole of it, twice.
pub(crate) fn local(path: &str) -> Outcome<History> {
    let unreadable = |error: io::Error| format!("{path}: {error}");
    let root = fs::canonicalize(path).map_err(unreadable)?;
    let mut children = Vec::new();
    for entry in fs::read_dir(&root).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let is_dir = entry.file_type().map_err(unreadable)?.is_dir();
        children.push((entry.file_name().to_string_lossy().into_owned(), entry.path(), is_dir));
    }
    if children.is_empty() {
        return Err(format!("{path} is empty: there is nothing to ingest"));
    }
    let name = root.file_name().map_or_else(|| "tree".to_owned(), |name| name.to_string_lossy().into_owned());
    if children.iter().all(|(_, _, is_dir)| *is_dir) {
        children.sort_by(|a, b| by_name(&a.0, &b.0));
        let versions = children.into_iter().map(|(version, path, _)| (version, path)).collect();
        return Ok(History { name, versions });
    }
    let versions = vec![("first".to_owned(), root.clone()), ("again".to_owned(), root)];
    Ok(History { name, versions })
}

fn home(workspace: &Workspace, name: &str) -> Outcome<PathBuf> {
    let corpora =
        env::var_os("ENGRAMS_CORPORA").map_or_else(|| workspace.target().join("corpora"), PathBuf::from);
    let home = std::path::absolute(corpora).map_err(|error| error.to_string())?.join(name);
    fs::create_dir_all(&home).map_err(|error| format!("{}: {error}", home.display()))?;
    Ok(home)
}

fn history(name: &str, home: &Path, versions: Vec<String>) -> History {
    let versions = versions.into_iter().map(|version| (version.clone(), home.join(version))).collect();
    History { name: name.to_owned(), versions }
}

/// Puts one version in place, whole or not at all; one that is already there is kept.
fn fetch(home: &Path, version: &str, unpacked: impl FnOnce(&Path) -> Outcome<PathBuf>) -> Outcome {
    let place = home.join(version);
    if place.is_dir() {
        return Ok(());
    }
    println!("   fetching {}", place.display());
    let work = Scratch::within(home, "fetch").map_err(|error| format!("{}: {error}", home.display()))?;
    let ready = unpacked(work.path())?;
    fs::rename(&ready, &place).map_err(|error| format!("{}: {error}", place.display()))
}

fn unpack(archive: &Path, into: &Path) -> Outcome {
    process::read(Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(into)).map(drop)
}

fn only_child(dir: &Path) -> Outcome<PathBuf> {
    let first = fs::read_dir(dir).ok().and_then(|mut entries| entries.next()?.ok());
    first.map(|entry| entry.path()).ok_or_else(|| "npm pack left no archive".to_owned())
}

/// A published crate out of cargo's cache, where `cargo info` puts it.
fn crate_archive(name: &str, version: &str) -> Outcome<PathBuf> {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
        .ok_or("cargo has no home: set CARGO_HOME")?;
    let cache = cargo_home.join("registry").join("cache");
    let file = format!("{name}-{version}.crate");
    let cached = || {
        let registries = fs::read_dir(&cache).ok()?;
        registries.flatten().map(|entry| entry.path().join(&file)).find(|path| path.is_file())
    };
    if let Some(found) = cached() {
        return Ok(found);
    }
    // Away from this workspace, whose lock file would choose the version.
    let away = env::temp_dir();
    let asked =
        process::read(workspace::bare_cargo().args(["info", &format!("{name}@{version}")]).current_dir(away));
    match cached() {
        Some(found) => Ok(found),
        None => Err(format!("{name} {version} is not to be had: {}", asked.err().unwrap_or_default())),
    }
}

/// The order of names as people mean it: `1.9` before `1.10`.
fn by_name(a: &str, b: &str) -> Ordering {
    let key = |name: &str| {
        let mut parts: Vec<(u64, String)> = Vec::new();
        let mut rest = name;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (number, tail) = rest.split_at(digits);
            let words = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            // Words sort after numbers; a number too long for u64 is the greatest.
            let number = if number.is_empty() { u64::MAX } else { number.parse().unwrap_or(u64::MAX) };
            parts.push((number, tail[..words].to_owned()));
            rest = &tail[words..];
        }
        parts
    };
    key(a).cmp(&key(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_people_order_them() {
        let mut names = ["1.10.0", "1.9.0", "1.9", "v2", "v10", "a"];
        names.sort_by(|a, b| by_name(a, b));
        assert_eq!(names, ["1.9", "1.9.0", "1.10.0", "a", "v2", "v10"]);
    }

    #[test]
    fn a_directory_of_directories_is_a_history_and_any_other_is_one_tree_twice() {
        let scratch = Scratch::new("local").unwrap();
        for version in ["2", "10", "1"] {
            fs::create_dir(scratch.path().join(version)).unwrap();
        }
        let path = scratch.path().to_str().unwrap();
        let names = |history: History| history.versions.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(local(path).unwrap()), ["1", "2", "10"]);
        fs::write(scratch.path().join("file"), b"x").unwrap();
        assert_eq!(names(local(path).unwrap()), ["first", "again"]);
        assert!(local(&format!("{path}/1")).is_err(), "an empty directory is refused");
    }

    #[test]
    fn what_is_fetched_is_there_whole_or_not_at_all() {
        let home = Scratch::new("home").unwrap();
        let failed = fetch(home.path(), "1", |work| {
            fs::create_dir(work.join("half")).unwrap();
            Err("no network".to_owned())
        });
        assert_eq!(failed, Err("no network".to_owned()));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
        fetch(home.path(), "1", |work| {
            fs::create_dir(work.join("whole")).unwrap();
            Ok(work.join("whole"))
        })
        .unwrap();
        fetch(home.path(), "1", |_| Err("must not be asked again".to_owned())).unwrap();
    }
}
