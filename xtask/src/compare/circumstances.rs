//! On what machine, when, and from which sources figures were taken: without that they say nothing.

use std::fs;
use std::process::Command;
use std::thread;

use serde::{Deserialize, Serialize};

use crate::process;
use crate::workspace::Workspace;

/// What belongs to every set of figures.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Circumstances {
    pub(crate) date: String,
    /// The commit, with `+` when the sources of the crates differ from it.
    pub(crate) commit: String,
    /// What was typed.
    pub(crate) command: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) system: String,
    /// How many processes were running or waiting on average in the minute before.
    pub(crate) load: f64,
}

impl Circumstances {
    pub(crate) fn now(workspace: &Workspace, command: &str) -> Self {
        let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            date: said(Command::new("date").args(["-u", "+%Y-%m-%d"])),
            commit: commit(workspace),
            command: command.to_owned(),
            processor: field(&file("/proc/cpuinfo"), "model name").unwrap_or_else(unknown),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: field(&file("/proc/meminfo"), "MemTotal").and_then(|text| kib(&text)).unwrap_or(0),
            system: field(&file("/etc/os-release"), "PRETTY_NAME")
                .map_or_else(unknown, |name| name.trim_matches('"').to_owned()),
            load: file("/proc/loadavg").split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0),
        }
    }

    /// One sentence for under a table.
    pub(crate) fn show(&self) -> String {
        format!(
            "`{}`, {}, commit {}, {} cores of {}, {:.0} GiB, {}; load average when it began: {:.1}.",
            self.command,
            self.date,
            self.commit,
            self.cores,
            self.processor,
            self.memory_bytes as f64 / (1_u64 << 30) as f64,
            self.system,
            self.load,
        )
    }
}

fn commit(workspace: &Workspace) -> String {
    let git = |arguments: &[&str]| {
        process::read(Command::new("git").arg("-C").arg(workspace.root()).args(arguments))
            .map(|text| text.trim().to_owned())
    };
    let Ok(commit) = git(&["rev-parse", "--short=10", "HEAD"]) else { return unknown() };
    let changed = git(&["status", "--porcelain", "--", "crates", "Cargo.toml", "Cargo.lock"]);
    if changed.is_ok_and(|changed| changed.is_empty()) { commit } else { format!("{commit}+") }
}

fn said(command: &mut Command) -> String {
    process::read(command).map_or_else(|_| unknown(), |text| text.trim().to_owned())
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// The value of the first line `name: value` or `name=value`.
fn field(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines().filter_map(|line| line.split_once([':', '=']));
    lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}

fn kib(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_of_itself_is_read() {
        let cpuinfo =
            "processor\t: 0\nmodel name\t: Some CPU @ 2: fast\nprocessor\t: 1\nmodel name\t: other\n";
        assert_eq!(field(cpuinfo, "model name").as_deref(), Some("Some CPU @ 2: fast"));
        assert_eq!(
            field("PRETTY_NAME=\"Some Linux 1\"\n", "PRETTY_NAME").as_deref(),
            Some("\"Some Linux 1\"")
        );
        assert_eq!(field("MemTotal: 1024 kB\n", "MemFree"), None);
        assert_eq!(kib("1024 kB"), Some(1 << 20));
    }

    #[test]
    fn one_sentence_has_everything() {
        let circumstances = Circumstances {
            date: "2026-01-02".to_owned(),
            commit: "abc".to_owned(),
            command: "cargo xtask compare".to_owned(),
            processor: "a processor".to_owned(),
            cores: 2,
            memory_bytes: 24 << 30,
            system: "a system".to_owned(),
            load: 0.25,
        };
        let expected = "`cargo xtask compare`, 2026-01-02, commit abc, 2 cores of a processor, 24 GiB, a system; \
                        load average when it began: 0.2.";
        assert_eq!(circumstances.show(), expected);
    }
}
