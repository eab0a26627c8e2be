//! `cargo xtask bench`: the criterion suites, and one table of what they measured.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use serde_json::Value;

use crate::prerequisites;
use crate::process::{self, Outcome};
use crate::table::Table;
use crate::workspace::Workspace;

#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    filter: Option<String>,
    test: bool,
}

/// Runs every suite, or the benchmarks whose name has the filter in it.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let options = options(arguments)?;
    prerequisites::for_building()?;
    let started = SystemTime::now();
    process::run(&mut suites(workspace, &options))?;
    if !options.test {
        let mut found = Vec::new();
        collect(&workspace.target().join("criterion"), started, &mut found);
        found.sort_by(|a, b| a.name.cmp(&b.name));
        print!("\n{}", table(&found));
        println!("medians; the reports are in {}", workspace.target().join("criterion").display());
    }
    Ok(())
}

/// The command for all suites. The whole workspace chooses the features, so that RocksDB is compiled once.
fn suites(workspace: &Workspace, options: &Options) -> Command {
    let mut cargo = workspace.cargo("bench");
    cargo.args(["--workspace", "--bench", "*", "--"]);
    cargo.args(options.test.then_some("--test")).args(&options.filter);
    cargo
}

/// Runs each benchmark once: their assertions hold, whatever the speed.
pub(crate) fn smoke(workspace: &Workspace) -> Command {
    suites(workspace, &Options { filter: None, test: true })
}

fn options(arguments: &[String]) -> Outcome<Options> {
    let mut options = Options::default();
    for argument in arguments {
        match argument.as_str() {
            "--test" => options.test = true,
            flag if flag.starts_with('-') => return Err(format!("bench knows --test, not {flag}")),
            filter if options.filter.is_none() => options.filter = Some(filter.to_owned()),
            more => return Err(format!("bench takes one FILTER, and {more} is a second one")),
        }
    }
    Ok(options)
}

/// What criterion says of one benchmark.
#[derive(Debug, Clone, PartialEq)]
struct Measured {
    name: String,
    nanoseconds: f64,
    /// Bytes or elements of one iteration.
    amount: Option<(f64, bool)>,
}

/// Finds what was measured since `started`, in criterion's own files.
fn collect(dir: &Path, started: SystemTime, found: &mut Vec<Measured>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if !path.is_dir() {
            continue;
        }
        if entry.file_name() == "new" {
            let written = fs::metadata(path.join("estimates.json")).and_then(|file| file.modified());
            if written.is_ok_and(|written| written >= started) {
                found.extend(read(&path));
            }
        } else {
            collect(&path, started, found);
        }
    }
}

fn read(dir: &Path) -> Option<Measured> {
    let file = |name: &str| -> Option<Value> {
        serde_json::from_str(&fs::read_to_string(dir.join(name)).ok()?).ok()
    };
    measured(&file("benchmark.json")?, &file("estimates.json")?)
}

fn measured(benchmark: &Value, estimates: &Value) -> Option<Measured> {
    let throughput = &benchmark["throughput"];
    let amount = match (throughput["Bytes"].as_f64(), throughput["Elements"].as_f64()) {
        (Some(bytes), _) => Some((bytes, true)),
        (None, elements) => elements.map(|elements| (elements, false)),
    };
    Some(Measured {
        name: benchmark["full_id"].as_str()?.to_owned(),
        nanoseconds: estimates["median"]["point_estimate"].as_f64()?,
        amount,
    })
}

fn table(found: &[Measured]) -> Table {
    let mut table = Table::new(&["<benchmark", ">time", ">throughput"]);
    for one in found {
        let throughput = match one.amount {
            Some((bytes, true)) => format!("{:.2} GB/s", bytes / one.nanoseconds),
            Some((elements, false)) => format!("{:.1} k/s", elements / one.nanoseconds * 1e6),
            None => String::new(),
        };
        table.row([one.name.clone(), duration(one.nanoseconds), throughput]);
    }
    table
}

fn duration(nanoseconds: f64) -> String {
    let (unit, name) = match nanoseconds {
        ..1e3 => (1.0, "ns"),
        1e3..1e6 => (1e3, "us"),
        1e6..1e9 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    format!("{:.2} {name}", nanoseconds / unit)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tree::Scratch;

    #[test]
    fn options_are_a_filter_and_a_flag() {
        let parsed = |arguments: &[&str]| {
            options(&arguments.iter().map(|&argument| argument.to_owned()).collect::<Vec<_>>())
        };
        let expected = Options { filter: Some("scan".to_owned()), test: true };
        assert_eq!(parsed(&["--test", "scan"]), Ok(expected));
        assert!(parsed(&["a", "b"]).unwrap_err().contains('b'));
        assert!(parsed(&["--long"]).unwrap_err().contains("--long"));
    }

    #[test]
    fn what_criterion_wrote_since_the_start_is_found_at_any_depth() {
        let scratch = Scratch::new("criterion").unwrap();
        let dir = scratch.path().join("group/one/new");
        fs::create_dir_all(&dir).unwrap();
        let benchmark = r#"{"full_id": "group/one", "throughput": {"Bytes": 2000}}"#;
        fs::write(dir.join("benchmark.json"), benchmark).unwrap();
        fs::write(dir.join("estimates.json"), r#"{"median": {"point_estimate": 1000.0}}"#).unwrap();
        let (mut since, mut later) = (Vec::new(), Vec::new());
        collect(scratch.path(), SystemTime::UNIX_EPOCH, &mut since);
        collect(scratch.path(), SystemTime::now() + Duration::from_secs(60), &mut later);
        let expected =
            Measured { name: "group/one".to_owned(), nanoseconds: 1000.0, amount: Some((2000.0, true)) };
        assert_eq!((since, later), (vec![expected], vec![]));
    }

    #[test]
    fn times_and_throughputs_have_fitting_units() {
        assert_eq!([5.0, 5_300.0, 2.5e6, 3e9].map(duration), ["5.00 ns", "5.30 us", "2.50 ms", "3.00 s"]);
        let one = |name: &str, amount| Measured { name: name.to_owned(), nanoseconds: 1000.0, amount };
        let shown = table(&[one("a", Some((2000.0, true))), one("b", Some((10.0, false))), one("c", None)]);
        let shown = shown.to_string();
        assert!(
            shown.contains("2.00 GB/s") && shown.contains("10000.0 k/s") && shown.ends_with("1.00 us\n"),
            "{shown}"
        );
    }
}
