//! `cargo xtask compare`: this project and others side by side on one machine, every result checked, and the page that
//! says so.
//!
//! Figures are kept in `compare/results.json` in the target directory. A run replaces what it measured, so the page can
//! be put together from several runs; each table says when and how its figures were taken.

pub(crate) mod circumstances;
mod history;
mod kernels;
mod measure;
mod page;
mod random;
mod reads;
mod results;
mod samples;
mod streams;
mod target;
mod tool;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::corpus::{self, History};
use crate::process::{self, Outcome};
use crate::table::Table;
use crate::tree::Scratch;
use crate::workspace::{self, Workspace};
use crate::{demo, prerequisites};

use circumstances::Circumstances;
use results::{Results, Taken};
use streams::Bench;
use tool::Tool;

/// Programs, and the Debian packages they are in.
const PEERS: [(&str, &str); 4] =
    [("restic", "restic"), ("borg", "borgbackup"), ("zpaq", "zpaq"), ("zstd", "zstd")];
const EMBEDDENATOR: &str = "0.25.0";

const GIBIBYTE: u64 = 1 << 30;
const GROWTH_STEPS: u64 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    History,
    Small,
    Reads,
    Incompressible,
    Memory,
    Growth,
    Kernels,
}

const PARTS: [(&str, Part); 7] = [
    ("history", Part::History),
    ("small", Part::Small),
    ("reads", Part::Reads),
    ("incompressible", Part::Incompressible),
    ("memory", Part::Memory),
    ("growth", Part::Growth),
    ("kernels", Part::Kernels),
];

/// Bytes of the streams that are made for measuring.
#[derive(Debug, PartialEq, Eq)]
struct Lengths {
    incompressible: u64,
    memory: [u64; 3],
    growth_step: u64,
}

const USUAL: Lengths = Lengths {
    incompressible: 4 * GIBIBYTE,
    memory: [GIBIBYTE, 4 * GIBIBYTE, 16 * GIBIBYTE],
    growth_step: 1_000_000_000,
};
const QUICK: Lengths = Lengths {
    incompressible: GIBIBYTE / 2,
    memory: [GIBIBYTE / 16, GIBIBYTE / 4, GIBIBYTE],
    growth_step: 100_000_000,
};

#[derive(Debug, PartialEq, Eq)]
struct Options {
    rounds: usize,
    parts: Vec<Part>,
    lengths: &'static Lengths,
    is_long: bool,
    /// Only write the page from what was measured before.
    render: bool,
}

/// Measures what is asked for, saves it after each part, and writes the page.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let options = options(arguments)?;
    let home = workspace.target().join("compare");
    fs::create_dir_all(&home).map_err(|error| at(&home, &error))?;
    let kept = home.join("results.json");
    let mut results = Results::load(&kept)?;
    let mut failures = Vec::new();
    if !options.render {
        let typed = ["cargo xtask compare"].into_iter().chain(arguments.iter().map(String::as_str));
        let typed = typed.collect::<Vec<_>>().join(" ");
        remove_leftovers(&home);
        let scratch = Scratch::within(&home, "work").map_err(|error| at(&home, &error))?;
        let binary = prepare(workspace)?;
        for &part in &options.parts {
            let name = PARTS.iter().find(|(_, known)| *known == part).map_or("", |(name, _)| name);
            eprintln!("== {name}");
            let circumstances = Circumstances::now(workspace, &typed);
            match measure(workspace, part, &options, &binary, scratch.path(), circumstances, &mut results) {
                Ok(()) => results.save(&kept)?,
                Err(why) => {
                    eprintln!("   {name} failed: {why}");
                    failures.push(format!("{name}: {why}"));
                }
            }
        }
    }
    page::update(workspace.root(), &results)?;
    for (name, part) in page::parts(&results) {
        println!("\n== {name}\n\n{}", aligned(&part));
    }
    println!("figures: {}\npage: {}", kept.display(), page::PAGE);
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
}

fn options(arguments: &[String]) -> Outcome<Options> {
    let (mut rounds, mut quick, mut long, mut render, mut only) = (None, false, false, false, Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--quick" => quick = true,
            "--long" => long = true,
            "--render" => render = true,
            "--rounds" => {
                let number = rest.next().and_then(|text| text.parse().ok()).filter(|&number| number > 0);
                rounds = Some(number.ok_or("--rounds takes a number of at least 1")?);
            }
            "--only" => {
                let name = rest.next().map(String::as_str).unwrap_or_default();
                let part = PARTS.iter().find(|(known, _)| *known == name).map(|&(_, part)| part);
                let names = PARTS.map(|(name, _)| name).join(", ");
                only.push(part.ok_or(format!("--only takes one of {names}, not {name:?}"))?);
            }
            other => {
                return Err(format!(
                    "compare knows --rounds N, --quick, --long, --only PART and --render, not {other}"
                ));
            }
        }
    }
    if quick && long {
        return Err("compare is --quick or --long, not both".to_owned());
    }
    let usual: &[Part] = match (quick, long) {
        (true, _) => &[Part::History, Part::Reads, Part::Incompressible],
        (_, true) => &PARTS.map(|(_, part)| part),
        _ => &[Part::History, Part::Small, Part::Reads, Part::Incompressible, Part::Kernels],
    };
    Ok(Options {
        rounds: rounds.unwrap_or(if quick { 1 } else { 3 }),
        parts: if only.is_empty() { usual.to_vec() } else { only },
        lengths: if quick { &QUICK } else { &USUAL },
        is_long: long,
        render,
    })
}

/// Builds the binary, and sees that the others are there; who is missing is missed by its row.
fn prepare(workspace: &Workspace) -> Outcome<PathBuf> {
    if prerequisites::on_path("time").is_none() {
        prerequisites::install(&["time"])?;
    }
    let missing: Vec<&str> = PEERS
        .iter()
        .filter(|(program, _)| prerequisites::on_path(program).is_none())
        .map(|&(_, package)| package)
        .collect();
    if !missing.is_empty()
        && let Err(how) = prerequisites::install(&missing)
    {
        eprintln!("   {how}");
    }
    demo::binary(workspace)
}

fn measure(
    workspace: &Workspace,
    part: Part,
    options: &Options,
    binary: &Path,
    scratch: &Path,
    circumstances: Circumstances,
    results: &mut Results,
) -> Outcome {
    let bench = Bench { binary, scratch };
    match part {
        Part::History => {
            let history = corpus::typescript(workspace)?;
            let figures = history::measure_all(&all_tools(binary), &history, options.rounds, scratch)?;
            results.history = Some(Taken { circumstances, figures });
        }
        Part::Small => {
            let tools = [
                Tool::Engrams { binary: binary.to_owned(), level: None },
                Tool::Embeddenator { binary: embeddenator(workspace) },
            ];
            let history = small(workspace)?;
            let figures = history::measure_all(&tools, &history, 1, scratch)?;
            results.small = Some(Taken { circumstances, figures });
        }
        Part::Reads => {
            let Some(program) = reads::program(workspace)? else { return Ok(()) };
            let history = corpus::typescript(workspace)?;
            let tool = Tool::Engrams { binary: binary.to_owned(), level: None };
            let figures = reads::measure(&program, &tool, &history, options.rounds, scratch)?;
            results.reads = Some(Taken { circumstances, figures });
        }
        Part::Incompressible => {
            let figures = bench.incompressible(options.lengths.incompressible, options.rounds)?;
            results.incompressible = Some(Taken { circumstances, figures });
        }
        Part::Memory => {
            let lengths = options.lengths.memory.iter();
            let figures =
                lengths.map(|&length| bench.memory(length, options.rounds)).collect::<Outcome<_>>()?;
            results.memory = Some(Taken { circumstances, figures });
        }
        Part::Growth => {
            let figures = bench.growth(options.lengths.growth_step, GROWTH_STEPS)?;
            results.growth = Some(Taken { circumstances, figures });
        }
        Part::Kernels => {
            let figures = kernels::measure(workspace, options.is_long)?;
            results.kernels = Some(Taken { circumstances, figures });
        }
    }
    Ok(())
}

fn all_tools(binary: &Path) -> Vec<Tool> {
    let engrams = |level| Tool::Engrams { binary: binary.to_owned(), level };
    vec![
        engrams(None),
        engrams(Some(9)),
        engrams(Some(19)),
        Tool::Restic,
        Tool::Borg,
        Tool::Zpaq { method: 1 },
        Tool::Zpaq { method: 3 },
        Tool::Solid,
    ]
}

/// The releases in `testdata/history`.
fn small(workspace: &Workspace) -> Outcome<History> {
    let home = workspace.root().join("testdata").join("history");
    let mut versions = Vec::new();
    for entry in fs::read_dir(&home).map_err(|error| at(&home, &error))? {
        let entry = entry.map_err(|error| at(&home, &error))?;
        if entry.path().is_dir() {
            versions.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
    }
    versions.sort();
    Ok(History { name: "testdata/history".replace('/', "-"), versions })
}

/// Builds embeddenator-fs into the target directory, once; where that fails, its row will say that it is not there.
fn embeddenator(workspace: &Workspace) -> PathBuf {
    let peers = workspace.target().join("peers");
    let binary = peers.join("bin").join("embeddenator-fs");
    if !binary.is_file() {
        let build = peers.join("build");
        let mut install = workspace::bare_cargo();
        install.args(["install", "embeddenator-fs", "--version", &format!("={EMBEDDENATOR}"), "--locked"]);
        install.arg("--root").arg(&peers).env("CARGO_TARGET_DIR", &build);
        if let Err(why) = process::run(&mut install) {
            eprintln!("   {why}");
        }
        // The binary is what is wanted.
        let _ = fs::remove_dir_all(build);
    }
    binary
}

/// Removes what runs left that were stopped before they could.
fn remove_leftovers(home: &Path) {
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if owner(&name).is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists()) {
            eprintln!("   removing {}, left by a run that was stopped", entry.path().display());
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The process whose scratch directory this is.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix("engrams-work-")?.split('-').next()?.parse().ok()
}

/// Markdown's tables with their columns aligned, for a terminal.
fn aligned(markdown: &str) -> String {
    let (mut out, mut table): (String, Option<Table>) = (String::new(), None);
    let escaped = |line: &str| line.trim_matches('|').replace("\\|", "\u{1}");
    let cells = |line: &str| -> Vec<String> {
        escaped(line).split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
    };
    let lines: Vec<&str> = markdown.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if !line.starts_with('|') {
            out.extend(table.take().map(|table| table.to_string()));
            out.push_str(line);
            out.push('\n');
        } else if let Some(table) = &mut table {
            if !line.starts_with("|--") {
                table.row(cells(line));
            }
        } else {
            let sides = lines.get(index + 1).map(|line| cells(line)).unwrap_or_default();
            let heading = |(column, name): (usize, &String)| {
                let right = sides.get(column).is_some_and(|side| side.ends_with(':'));
                format!("{}{name}", if right { '>' } else { '<' })
            };
            let headings: Vec<String> = cells(line).iter().enumerate().map(heading).collect();
            table = Some(Table::new(&headings.iter().map(String::as_str).collect::<Vec<_>>()));
        }
    }
    out.extend(table.map(|table| table.to_string()));
    out
}

fn at(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Outcome<Options> {
        options(&arguments.iter().map(|&argument| argument.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn options_choose_parts_and_rounds() {
        let usual = parsed(&[]).unwrap();
        assert_eq!((usual.rounds, usual.parts.len(), usual.lengths), (3, 5, &USUAL));
        let quick = parsed(&["--quick"]).unwrap();
        assert_eq!((quick.rounds, quick.parts), (1, vec![Part::History, Part::Reads, Part::Incompressible]));
        assert_eq!(quick.lengths, &QUICK);
        assert_eq!(parsed(&["--long"]).unwrap().parts.len(), PARTS.len());
        let only = parsed(&["--only", "memory", "--rounds", "5"]).unwrap();
        assert_eq!((only.rounds, only.parts), (5, vec![Part::Memory]));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(parsed(&["--rounds", "0"]).unwrap_err().contains("--rounds"));
        assert!(parsed(&["--only", "nothing"]).unwrap_err().contains("kernels, not \"nothing\""));
        assert!(parsed(&["--quick", "--long"]).is_err());
        assert!(parsed(&["--fast"]).unwrap_err().contains("--fast"));
    }

    #[test]
    fn what_a_stopped_run_left_is_removed_and_what_a_running_one_has_is_not() {
        let home = Scratch::new("leftovers").unwrap();
        // No process has the largest number that there is.
        let left = home.path().join(format!("engrams-work-{}-0", u32::MAX));
        let ours = home.path().join(format!("engrams-work-{}-0", std::process::id()));
        let other = home.path().join("results.json");
        fs::create_dir(&left).unwrap();
        fs::create_dir(&ours).unwrap();
        fs::write(&other, "{}").unwrap();
        remove_leftovers(home.path());
        assert!(!left.exists() && ours.is_dir() && other.is_file());
    }

    #[test]
    fn tables_are_aligned_for_a_terminal() {
        let markdown = "words\n\n| tool | MB |\n|---|--:|\n| tar \\| zstd | 5 |\n| x | 10 |\n\nmore\n";
        let expected = "words\n\ntool        MB\n--------------\ntar | zstd   5\nx           10\n\nmore\n";
        assert_eq!(aligned(markdown), expected);
    }
}
