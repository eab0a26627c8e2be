//! `cargo xtask demo`: the main job on a real history, with its figures, and the proof that nothing was lost.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::corpus::{self, History};
use crate::prerequisites;
use crate::process::{self, Outcome};
use crate::table::{Table, count, megabytes, quotient};
use crate::tree::{self, Scratch};
use crate::workspace::Workspace;

/// How many differences of one version are printed.
const SHOWN: usize = 10;

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    path: Option<String>,
    tokio: bool,
    keep: bool,
}

/// Ingests a history version by version, extracts every version and compares it with its original.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let options = options(arguments)?;
    let history = match &options.path {
        Some(path) => corpus::local(path)?,
        None if options.tokio => corpus::tokio(workspace)?,
        None => corpus::typescript(workspace)?,
    };
    let engrams = binary(workspace)?;
    let mut scratch = Scratch::new("demo").map_err(|error| format!("no temporary directory: {error}"))?;
    let store = Store { engrams, path: scratch.path().join("demo.engrams") };
    let outcome = show(&store, &history, scratch.path());
    let place = store.path.display().to_string();
    if options.keep || outcome.is_err() {
        scratch.keep();
        println!("\nthe store is left at {place}");
    } else {
        drop(scratch);
        println!("\nthe store was at {place} and is removed (--keep leaves it)");
    }
    outcome
}

fn options(arguments: &[String]) -> Outcome<Options> {
    let mut options = Options::default();
    for argument in arguments {
        match argument.as_str() {
            "--tokio" => options.tokio = true,
            "--keep" => options.keep = true,
            flag if flag.starts_with('-') => {
                return Err(format!("demo knows --tokio and --keep, not {flag}"));
            }
            path if options.path.is_none() => options.path = Some(path.to_owned()),
            more => return Err(format!("demo takes one PATH, and {more} is a second one")),
        }
    }
    if options.tokio && options.path.is_some() {
        return Err("demo takes a PATH or --tokio, not both".to_owned());
    }
    Ok(options)
}

/// The binary to show, to compare, or to break: built here as the tests build it, so that RocksDB is compiled once for all.
pub(crate) fn binary(workspace: &Workspace) -> Outcome<PathBuf> {
    if let Some(given) = env::var_os("ENGRAMS_BIN") {
        return std::path::absolute(given).map_err(|error| error.to_string());
    }
    println!("== build (into {})", workspace.target().display());
    prerequisites::for_building()?;
    // The whole workspace chooses the features of shared dependencies, only one binary of it is built.
    process::run(workspace.cargo("build").args(["--release", "--workspace", "--bin", "engrams"]))?;
    Ok(workspace.target().join("release").join("engrams"))
}

fn show(store: &Store, history: &History, scratch: &Path) -> Outcome {
    println!(
        "\n== {} versions of {}, one after the other, into a new store",
        history.versions.len(),
        history.name
    );
    let ingested = ingest(store, history)?;
    println!("\n== what the store says of itself");
    statistics(store)?;
    println!("\n== every version extracted, and compared with its original");
    let different = extract(store, history, &ingested, scratch)?;
    println!("\n== engrams verify --deep");
    process::run(&mut store.command(&["verify", "--deep"]))?;
    println!("\n== engrams log");
    process::run(&mut store.command(&["log"]))?;
    match different {
        0 => {
            println!("\nall {} versions came back as they went in", history.versions.len());
            Ok(())
        }
        1 => Err("one difference between what went in and what came out".to_owned()),
        many => Err(format!("{many} differences between what went in and what came out")),
    }
}

/// Ingests every version and prints its line at once; returns the versions' numbers in the store.
fn ingest(store: &Store, history: &History) -> Outcome<Vec<u64>> {
    let mut table = Table::new(&[
        "<version",
        ">files",
        ">MB in",
        ">MB on disk",
        ">ratio",
        ">MB/s",
        ">reused",
        ">recalled",
        ">verbatim",
    ]);
    let (mut numbers, mut total, mut seconds, mut on_disk) = (Vec::new(), Ingested::default(), 0.0, 0);
    for (name, path) in &history.versions {
        let started = Instant::now();
        let message = format!("{} {name}", history.name);
        let path = path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))?;
        let report = store.report(&["ingest", path, "--as", &history.name, "-m", &message, "--json"])?;
        let took = started.elapsed().as_secs_f64();
        let one = Ingested::read(&report)?;
        on_disk = store.size()?;
        total.add(&one);
        seconds += took;
        numbers.push(number(&report, "version")?);
        table.row(one.cells(name, on_disk, total.bytes, took));
        println!("   {name}: {} MB in {took:.1} s", megabytes(one.bytes));
    }
    table.rule();
    table.row(total.cells("total", on_disk, total.bytes, seconds));
    print!("\n{table}");
    println!(
        "MB: 10^6 bytes, on disk: the sizes of all of the store's files; ratio: MB in so far / MB on disk"
    );
    Ok(numbers)
}

/// The part of an ingest's report that the table shows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ingested {
    files: u64,
    bytes: u64,
    reused: u64,
    recalled: u64,
    verbatim: u64,
}

impl Ingested {
    fn read(report: &Value) -> Outcome<Self> {
        Ok(Self {
            files: number(report, "files")?,
            bytes: number(report, "bytes")?,
            reused: number(report, "reused")?,
            recalled: number(report, "recalled")?,
            verbatim: number(report, "verbatim")?,
        })
    }

    fn add(&mut self, other: &Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.reused += other.reused;
        self.recalled += other.recalled;
        self.verbatim += other.verbatim;
    }

    fn cells(&self, name: &str, on_disk: u64, so_far: u64, seconds: f64) -> Vec<String> {
        vec![
            name.to_owned(),
            count(self.files),
            megabytes(self.bytes),
            megabytes(on_disk),
            quotient(so_far as f64, on_disk as f64),
            quotient(self.bytes as f64 / 1e6, seconds),
            count(self.reused),
            count(self.recalled),
            count(self.verbatim),
        ]
    }
}

fn statistics(store: &Store) -> Outcome {
    let report = store.report(&["stats", "--json"])?;
    let fields = report.as_object().ok_or("`engrams stats --json` printed no object")?;
    let mut table = Table::new(&["<figure", ">value"]);
    for (name, value) in fields {
        let shown = match (value.as_u64(), value.as_f64()) {
            (Some(whole), _) => count(whole),
            (None, Some(fraction)) => format!("{fraction:.2}"),
            (None, None) => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        };
        table.row([name.replace('_', " "), shown]);
    }
    print!("{table}");
    Ok(())
}

/// Extracts every version beside the store, compares it, removes it; returns how many differences there were.
fn extract(store: &Store, history: &History, numbers: &[u64], scratch: &Path) -> Outcome<usize> {
    let mut table = Table::new(&["<version", ">entries", ">MB compared", ">MB/s extracted", "<verdict"]);
    let mut different = 0;
    for ((name, original), version) in history.versions.iter().zip(numbers) {
        let io = |error| format!("comparing {name}: {error}");
        let place = Scratch::within(scratch, "extract").map_err(io)?;
        let into = place.path().to_str().ok_or("the temporary directory's name is not UTF-8")?;
        let started = Instant::now();
        store.read(&["extract", &history.name, "-o", into, "--version", &version.to_string()])?;
        let took = started.elapsed().as_secs_f64();
        let seen = tree::compare(original, &place.path().join(&history.name)).map_err(io)?;
        let verdict = match seen.differences.len() {
            0 => "identical".to_owned(),
            many => format!("{many} different"),
        };
        let speed = quotient(seen.bytes as f64 / 1e6, took);
        table.row([name.clone(), count(seen.entries as u64), megabytes(seen.bytes), speed, verdict]);
        for difference in seen.differences.iter().take(SHOWN) {
            println!("   {name}: {difference}");
        }
        if seen.differences.len() > SHOWN {
            println!("   {name}: and {} more", seen.differences.len() - SHOWN);
        }
        different += seen.differences.len();
    }
    print!("{table}");
    println!("compared: names, kinds, contents, modes, modification times to the nanosecond, link targets");
    Ok(different)
}

/// The binary and the store it works on.
struct Store {
    engrams: PathBuf,
    path: PathBuf,
}

impl Store {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.engrams);
        command.arg("-s").arg(&self.path).args(arguments);
        command
    }

    fn read(&self, arguments: &[&str]) -> Outcome<String> {
        process::read(&mut self.command(arguments))
    }

    fn report(&self, arguments: &[&str]) -> Outcome<Value> {
        let text = self.read(arguments)?;
        let verb = arguments.first().copied().unwrap_or_default();
        serde_json::from_str(&text)
            .map_err(|error| format!("`engrams {verb} --json` printed no JSON: {error}"))
    }

    fn size(&self) -> Outcome<u64> {
        tree::size(&self.path).map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

fn number(report: &Value, field: &str) -> Outcome<u64> {
    report[field].as_u64().ok_or_else(|| format!("the report has no number {field:?}: {report}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Outcome<Options> {
        options(&arguments.iter().map(|&argument| argument.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn options_come_in_any_order_and_mistakes_are_named() {
        let expected = Options { path: Some("dir".to_owned()), tokio: false, keep: true };
        assert_eq!(parsed(&["--keep", "dir"]), Ok(expected));
        assert!(parsed(&["one", "two"]).unwrap_err().contains("two"));
        assert!(parsed(&["--fast"]).unwrap_err().contains("--fast"));
        assert!(parsed(&["--tokio", "dir"]).is_err());
    }

    #[test]
    fn a_report_without_a_field_says_which() {
        let report = serde_json::json!({"files": 3, "bytes": 10, "reused": 1, "recalled": 2, "verbatim": 0});
        let read = Ingested::read(&report).unwrap();
        assert_eq!(read, Ingested { files: 3, bytes: 10, reused: 1, recalled: 2, verbatim: 0 });
        assert!(number(&report, "version").unwrap_err().contains("\"version\""));
    }

    #[test]
    fn a_line_shows_the_ratio_so_far_and_its_own_speed() {
        let one = Ingested { files: 1234, bytes: 20_000_000, reused: 1, recalled: 2, verbatim: 3 };
        let cells = one.cells("5.1.6", 4_000_000, 100_000_000, 2.0);
        assert_eq!(cells, ["5.1.6", "1,234", "20.00", "4.00", "25.0", "10.0", "1", "2", "3"]);
    }
}
