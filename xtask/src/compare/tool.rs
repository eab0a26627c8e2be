//! The tools that are compared: how each takes a history in, gives the newest version back, and what it leaves on disk.
//!
//! A tool works in a place of its own: `store` is what is counted, `home` has caches and keys, which are not.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::corpus::History;
use crate::process::{self, Outcome};

/// One row of the comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tool {
    Engrams { binary: PathBuf, level: Option<u8> },
    Restic,
    Borg,
    Zpaq { method: u8 },
    Solid,
    Embeddenator { binary: PathBuf },
}

impl Tool {
    /// What the tables call it.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Engrams { level: None, .. } => "engrams".to_owned(),
            Self::Engrams { level: Some(level), .. } => format!("engrams --level {level}"),
            Self::Restic => "restic".to_owned(),
            Self::Borg => "borg, zstd".to_owned(),
            Self::Zpaq { method } => format!("zpaq -m{method}"),
            Self::Solid => "tar | zstd -3 --long=30".to_owned(),
            Self::Embeddenator { .. } => "embeddenator-fs".to_owned(),
        }
    }

    /// What a reader must know to judge the row.
    pub(crate) fn note(&self) -> &'static str {
        match self {
            Self::Engrams { .. } => "one process for each version; creates the store with the first",
            Self::Restic => "one process for each version; encrypts always; `init` and cache not counted",
            Self::Borg => "one process for each version; without encryption; `init` and cache not counted",
            Self::Zpaq { .. } => {
                "one process for each version; `-force`, for all files have the same time; does not sync"
            }
            Self::Solid => {
                "one archive of all versions at once, read from its beginning for any file; does not sync"
            }
            Self::Embeddenator { .. } => "one process for all versions, which it knows as directories only",
        }
    }

    /// The command that takes a version in, as one would type it in the version's directory.
    pub(crate) fn typed(&self) -> String {
        match self {
            Self::Engrams { level, .. } => {
                let level = level.map_or_else(String::new, |level| format!(" --level {level}"));
                format!("engrams -s STORE ingest . --as NAME{level}")
            }
            Self::Restic => "restic -r STORE backup .".to_owned(),
            Self::Borg => "borg create -C zstd,3 STORE::VERSION .".to_owned(),
            Self::Zpaq { method } => format!("zpaq add STORE . -m{method} -force"),
            Self::Solid => "tar -I 'zstd -3 --long=30' -cf STORE VERSION...".to_owned(),
            Self::Embeddenator { .. } => "embeddenator-fs ingest -e STORE -m MANIFEST -i HISTORY".to_owned(),
        }
    }

    /// What the tool says its version is; an error when it is not there.
    pub(crate) fn version(&self) -> Outcome<String> {
        let said = match self {
            Self::Engrams { binary, .. } | Self::Embeddenator { binary } => {
                process::read(Command::new(binary).arg("--version"))?
            }
            Self::Restic => process::read(Command::new("restic").arg("version"))?,
            Self::Borg => process::read(Command::new("borg").arg("--version"))?,
            // It has no verb for that, and calls its own usage a failure.
            Self::Zpaq { .. } => process::read(Command::new("sh").args(["-c", "zpaq | head -n 1"]))?,
            Self::Solid => process::read(Command::new("zstd").arg("--version"))?,
        };
        first_number(&said).ok_or_else(|| format!("{} names no version: {said:?}", self.label()))
    }

    /// Whether what comes back must be the same in modes and times too, not in contents alone.
    pub(crate) fn keeps_attributes(&self) -> bool {
        matches!(self, Self::Engrams { .. })
    }

    /// What is done once before, and not measured.
    pub(crate) fn prepare(&self, place: &Place) -> Option<Command> {
        match self {
            Self::Restic => Some(place.restic(&["init", "--quiet"])),
            Self::Borg => {
                let mut command = place.borg();
                command.args(["init", "--encryption", "none"]).arg(place.store());
                Some(command)
            }
            _ => None,
        }
    }

    /// The commands that take every version in, oldest first.
    pub(crate) fn ingest(&self, place: &Place, history: &History) -> Outcome<Vec<Command>> {
        match self {
            Self::Solid => Ok(vec![solid(place, history)?]),
            Self::Embeddenator { binary } => {
                let mut command = place.embeddenator(binary, "ingest");
                command.arg("-i").arg(parent(history)?);
                Ok(vec![command])
            }
            _ => {
                Ok(history.versions.iter().map(|(name, dir)| self.take(place, history, name, dir)).collect())
            }
        }
    }

    fn take(&self, place: &Place, history: &History, name: &str, dir: &Path) -> Command {
        let mut command = match self {
            Self::Engrams { binary, level } => {
                let mut command = Command::new(binary);
                command.arg("-s").arg(place.store()).args(["ingest", ".", "--as", &history.name]);
                command.args(level.map(|level| format!("--level={level}")));
                command
            }
            Self::Restic => place.restic(&["backup", "--quiet", "."]),
            Self::Borg => {
                let mut archive = place.store().into_os_string();
                archive.push(format!("::{name}"));
                let mut command = place.borg();
                command.args(["create", "-C", "zstd,3"]).arg(archive).arg(".");
                command
            }
            Self::Zpaq { method } => {
                let mut command = Command::new("zpaq");
                command.arg("add").arg(place.zpaq()).args([".", &format!("-m{method}"), "-force"]);
                command
            }
            Self::Solid | Self::Embeddenator { .. } => unreachable!("they take all versions at once"),
        };
        command.current_dir(dir);
        command
    }

    /// The command that puts the newest version below `into`.
    pub(crate) fn extract(&self, place: &Place, history: &History, into: &Path) -> Outcome<Command> {
        let newest = newest(history)?;
        Ok(match self {
            Self::Engrams { binary, .. } => {
                let mut command = Command::new(binary);
                command.arg("-s").arg(place.store()).args(["extract", &history.name, "-o"]).arg(into);
                command
            }
            Self::Restic => {
                let mut command = place.restic(&["restore", "latest", "--quiet", "--target"]);
                command.arg(into);
                command
            }
            Self::Borg => {
                let mut archive = place.store().into_os_string();
                archive.push(format!("::{newest}"));
                let mut command = place.borg();
                command.arg("extract").arg(archive).current_dir(into);
                command
            }
            Self::Zpaq { .. } => {
                let mut command = Command::new("zpaq");
                command.arg("extract").arg(place.zpaq()).current_dir(into);
                command
            }
            Self::Solid => {
                let mut command = Command::new("tar");
                command.args(["-I", "zstd --long=30", "-xf"]).arg(place.store()).arg(newest);
                command.current_dir(into);
                command
            }
            Self::Embeddenator { binary } => {
                let mut command = place.embeddenator(binary, "extract");
                command.arg("-o").arg(into);
                command
            }
        })
    }

    /// Where below `into` the newest version then is.
    pub(crate) fn extracted(&self, history: &History, into: &Path) -> Outcome<PathBuf> {
        Ok(match self {
            Self::Engrams { .. } => into.join(&history.name),
            Self::Solid | Self::Embeddenator { .. } => into.join(newest(history)?),
            Self::Restic | Self::Borg | Self::Zpaq { .. } => into.to_path_buf(),
        })
    }
}

/// A tool's own directory for one round.
pub(crate) struct Place<'a>(pub(crate) &'a Path);

impl Place<'_> {
    /// Everything in it counts as stored.
    pub(crate) fn stored(&self) -> PathBuf {
        self.0.join("stored")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.stored().join("store")
    }

    /// zpaq takes no archive whose name does not end so.
    fn zpaq(&self) -> PathBuf {
        self.stored().join("store.zpaq")
    }

    fn home(&self) -> PathBuf {
        self.0.join("home")
    }

    fn restic(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("restic");
        command.arg("-r").arg(self.store()).args(arguments);
        command.env("RESTIC_PASSWORD", "comparison").env("RESTIC_CACHE_DIR", self.home());
        command
    }

    fn borg(&self) -> Command {
        let mut command = Command::new("borg");
        command.env("BORG_BASE_DIR", self.home());
        command
    }

    fn embeddenator(&self, binary: &Path, verb: &str) -> Command {
        let mut command = Command::new(binary);
        command.arg(verb).arg("-e").arg(self.store()).arg("-m").arg(self.stored().join("manifest"));
        command
    }
}

fn solid(place: &Place, history: &History) -> Outcome<Command> {
    let mut command = Command::new("tar");
    command.args(["-I", "zstd -3 --long=30", "-cf"]).arg(place.store());
    command.args(history.versions.iter().map(|(name, _)| name)).current_dir(parent(history)?);
    Ok(command)
}

fn parent(history: &History) -> Outcome<&Path> {
    let dir = history.versions.first().and_then(|(_, dir)| dir.parent());
    dir.ok_or_else(|| format!("{} has no versions", history.name))
}

fn newest(history: &History) -> Outcome<&str> {
    let newest = history.versions.last().map(|(name, _)| name.as_str());
    newest.ok_or_else(|| format!("{} has no versions", history.name))
}

/// `1.5.4` of `*** Zstandard CLI (64-bit) v1.5.4, by ...`: the first word of numbers with a dot between.
fn first_number(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    let numbers = words.map(|word| word.trim_start_matches('v').trim_end_matches('.'));
    numbers
        .filter(|word| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let version = |name: &str| (name.to_owned(), Path::new("corpora/thing").join(name));
        History { name: "thing".to_owned(), versions: vec![version("1.9"), version("1.10")] }
    }

    fn tools() -> Vec<Tool> {
        let binary = PathBuf::from("bin");
        vec![
            Tool::Engrams { binary: binary.clone(), level: None },
            Tool::Engrams { binary: binary.clone(), level: Some(9) },
            Tool::Restic,
            Tool::Borg,
            Tool::Zpaq { method: 3 },
            Tool::Solid,
            Tool::Embeddenator { binary },
        ]
    }

    fn typed(command: &Command) -> String {
        process::show(command)
    }

    #[test]
    fn tools_that_know_versions_take_them_one_after_the_other_where_they_are() {
        let (place, history) = (Place(Path::new("place")), history());
        for tool in tools() {
            let commands = tool.ingest(&place, &history).unwrap();
            let at_once = matches!(tool, Tool::Solid | Tool::Embeddenator { .. });
            assert_eq!(commands.len(), if at_once { 1 } else { 2 }, "{}", tool.label());
            if !at_once {
                assert_eq!(commands[1].get_current_dir(), Some(Path::new("corpora/thing/1.10")));
            }
        }
    }

    #[test]
    fn what_is_measured_is_what_the_page_says_was_typed() {
        let (place, history) = (Place(Path::new("place")), history());
        let take = |tool: &Tool| typed(&tool.ingest(&place, &history).unwrap()[0]);
        let tools = tools();
        assert_eq!(take(&tools[1]), "bin -s place/stored/store ingest . --as thing --level=9");
        assert_eq!(take(&tools[3]), "borg create -C zstd,3 place/stored/store::1.9 .");
        assert_eq!(take(&tools[4]), "zpaq add place/stored/store.zpaq . -m3 -force");
        assert_eq!(take(&tools[5]), "tar -I zstd -3 --long=30 -cf place/stored/store 1.9 1.10");
        for tool in &tools {
            let flags = |text: &str| {
                let words = text.replace('\'', "").replace("--level=", "--level ");
                words.split(' ').filter(|word| word.starts_with('-')).map(str::to_owned).collect::<Vec<_>>()
            };
            let mut measured = flags(&take(tool));
            // What only silences a tool says nothing about its work.
            measured.retain(|flag| flag != "--quiet");
            assert_eq!(measured, flags(&tool.typed()), "{}", tool.label());
        }
    }

    #[test]
    fn labels_tell_all_rows_apart() {
        let mut labels: Vec<String> = tools().iter().map(Tool::label).collect();
        labels.dedup();
        assert_eq!(labels.len(), tools().len());
    }

    #[test]
    fn versions_are_found_in_what_tools_say() {
        for (said, version) in [
            ("restic 0.14.0 compiled with go1.19.8 on linux/amd64", "0.14.0"),
            ("borg 1.2.4", "1.2.4"),
            ("zpaq v7.15 journaling archiver, compiled Jan  5 2021", "7.15"),
            ("*** Zstandard CLI (64-bit) v1.5.4, by Yann Collet ***", "1.5.4"),
        ] {
            assert_eq!(first_number(said).as_deref(), Some(version));
        }
        assert_eq!(first_number("no version."), None);
    }
}
