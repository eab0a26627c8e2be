//! `cargo xtask faults`: the long campaign of faults against the real binary, a file per kind of fault.
//!
//! Each kind breaks something, looks at the store as its user would, and counts. A broken promise is a violation: the
//! store as it was found, the script and the seed are kept. Everything else is removed.

mod call;
mod disk;
mod full;
mod interrupted;
mod kill;
mod media;
mod model;
mod power;
mod random;
mod record;
mod session;
mod subject;
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use self::model::Trouble;
use self::session::Verbs;
use self::subject::Subject;
use crate::demo;
use crate::process::{self, Outcome};
use crate::table::{Table, count};
use crate::tree::Scratch;
use crate::workspace::Workspace;

type Kind = fn(&mut Campaign) -> Outcome;

/// The kinds, in the order in which they run, and what each does.
const KINDS: [(&str, Kind); 4] =
    [("kill", kill::run), ("power", power::run), ("full", full::run), ("media", media::run)];

/// A campaign stops a kind after so many violations: the first ones say enough.
const MOST_VIOLATIONS: usize = 5;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    quick: bool,
    only: Option<String>,
    seed: u64,
}

/// What the kinds share.
struct Campaign {
    subject: Subject,
    verbs: Verbs,
    quick: bool,
    seed: u64,
    scratch: Scratch,
    /// For encrypted stores, if the binary makes such.
    key_file: Option<PathBuf>,
    evidence: PathBuf,
    kind: &'static str,
    counts: Vec<(&'static str, String, u64)>,
    violations: Vec<String>,
}

/// Runs the kinds that are asked for, and prints the counts; fails when a promise was broken.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let options = options(arguments)?;
    let binary = demo::binary(workspace)?;
    // In memory where there is such a place: what the disk would lose is decided here, not by the disk.
    let scratch = Scratch::within(Path::new("/dev/shm"), "faults").or_else(|_| Scratch::new("faults"));
    let scratch = scratch.map_err(|error| format!("no temporary directory: {error}"))?;
    let subject = Subject::new(binary, scratch.path().join("caught"))?;
    let verbs =
        Verbs { forget: subject.knows("forget")?, gc: subject.knows("gc")?, tag: subject.knows("tag")? };
    let key_file = scratch.path().join("key");
    let key_file = subject.make_key(&key_file)?.then_some(key_file);
    let mut campaign = Campaign {
        subject,
        verbs,
        quick: options.quick,
        seed: options.seed,
        scratch,
        key_file,
        evidence: workspace.target().join("faults"),
        kind: "",
        counts: Vec::new(),
        violations: Vec::new(),
    };
    let encrypts = campaign.key_file.is_some();
    let Verbs { forget, gc, tag } = verbs;
    println!("seed {}, forget: {forget}, gc: {gc}, tags: {tag}, encryption: {encrypts}", options.seed);
    for (kind, work) in KINDS {
        if options.only.as_ref().is_some_and(|only| only != kind) {
            continue;
        }
        println!("== {kind}");
        let started = Instant::now();
        campaign.kind = kind;
        work(&mut campaign).map_err(|why| format!("{kind}: the campaign can't go on: {why}"))?;
        println!("   {kind}: {:.0} s", started.elapsed().as_secs_f64());
    }
    campaign.report()
}

fn options(arguments: &[String]) -> Outcome<Options> {
    let mut options = Options { quick: false, only: None, seed: 1 };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--quick" => options.quick = true,
            "--only" => {
                let kind = rest.next().filter(|kind| KINDS.iter().any(|(known, _)| known == kind));
                let known: Vec<&str> = KINDS.iter().map(|(known, _)| *known).collect();
                options.only = Some(kind.ok_or(format!("--only takes one of {}", known.join(", ")))?.clone());
            }
            "--seed" => {
                let seed = rest.next().and_then(|seed| seed.parse().ok());
                options.seed = seed.ok_or("--seed takes a number")?;
            }
            other => return Err(format!("faults knows --quick, --only KIND and --seed N, not {other}")),
        }
    }
    Ok(options)
}

impl Campaign {
    /// The full number of trials, or with `--quick` the small one.
    fn trials(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// The key of store `number` of a kind: each fourth one is encrypted.
    fn key_of(&self, number: usize) -> Option<PathBuf> {
        self.key_file.clone().filter(|_| number % 4 == 1)
    }

    /// The binary for store `number` of a kind.
    fn subject_for(&self, number: usize) -> Subject {
        self.subject.with_key(self.key_of(number))
    }

    /// A new directory for one part of the campaign.
    fn place(&self) -> Outcome<Scratch> {
        Scratch::within(self.scratch.path(), self.kind).map_err(|error| format!("no directory: {error}"))
    }

    /// A line for whoever waits.
    fn progress(&self, done: usize, all: usize) {
        if done > 0 {
            println!("   {} of {}", count(done as u64), count(all as u64));
        }
    }

    fn count(&mut self, what: &str, number: u64) {
        match self.counts.iter_mut().find(|(kind, name, _)| *kind == self.kind && name == what) {
            Some((_, _, so_far)) => *so_far += number,
            None => self.counts.push((self.kind, what.to_owned(), number)),
        }
    }

    /// A kind goes on until it has found enough.
    fn has_enough(&self) -> bool {
        let of_kind = self.violations.iter().filter(|line| line.starts_with(self.kind)).count();
        of_kind >= MOST_VIOLATIONS
    }

    /// Takes note of a broken promise, and keeps the store as the fault left it with the script that led there.
    fn broken(&mut self, why: &str, store: &Path, script: &[String]) -> Outcome {
        let keep = || {
            fs::create_dir_all(&self.evidence)?;
            let mut kept = Scratch::within(&self.evidence, self.kind)?;
            kept.keep();
            let header = format!("{why}\nkind {}, seed {}\n\n", self.kind, self.seed);
            fs::write(kept.path().join("script.txt"), header + &script.join("\n") + "\n")?;
            Ok(kept.path().to_owned())
        };
        let kept = keep().map_err(|error: std::io::Error| format!("the evidence can't be kept: {error}"))?;
        copy(store, &kept.join("store"))?;
        if let Some(key_file) = &self.key_file {
            copy(key_file, &kept.join("key"))?;
        }
        println!("   VIOLATION: {why}\n   kept in {}", kept.display());
        self.violations.push(format!("{}: {why}", self.kind));
        Ok(())
    }

    /// As [`broken`](Self::broken), if the trouble is a broken promise.
    fn judge<T>(
        &mut self,
        outcome: Result<T, Trouble>,
        store: &Path,
        script: &[String],
    ) -> Outcome<Option<T>> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(Trouble::Broken(why)) => self.broken(&why, store, script).map(|()| None),
            Err(Trouble::Stuck(why)) => Err(why),
        }
    }

    fn report(&self) -> Outcome {
        let mut table = Table::new(&["<fault", "<what", ">count"]);
        for (kind, what, number) in &self.counts {
            table.row([(*kind).to_owned(), what.clone(), count(*number)]);
        }
        table.rule();
        table.row(["all".to_owned(), "broken promises".to_owned(), count(self.violations.len() as u64)]);
        print!("\n{table}");
        match self.violations.len() {
            0 => Ok(()),
            _ => Err(format!(
                "{} promises were broken:\n  {}",
                self.violations.len(),
                self.violations.join("\n  ")
            )),
        }
    }
}

/// Copies a directory with everything in it; nothing where there is none.
fn copy(from: &Path, to: &Path) -> Outcome {
    if from.exists() {
        process::read(Command::new("cp").arg("-a").args([from, to])).map(drop)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Outcome<Options> {
        options(&arguments.iter().map(|&argument| argument.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn options_come_in_any_order_and_mistakes_are_named() {
        let expected = Options { quick: true, only: Some("power".to_owned()), seed: 7 };
        assert_eq!(parsed(&["--seed", "7", "--only", "power", "--quick"]), Ok(expected));
        assert!(parsed(&["--only", "water"]).unwrap_err().contains("kill, power"));
        assert!(parsed(&["--fast"]).unwrap_err().contains("--fast"));
    }
}
