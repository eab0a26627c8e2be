//! Parts alone, beside the crates and libraries that one would otherwise take: programs of `benches/compare`, and `growth`
//! of `benches`, which check their results and print what they measured.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::target::{Limit, Target, gigabytes_per_second, times};
use crate::prerequisites;
use crate::process::{self, Outcome};
use crate::workspace::{self, Workspace};

/// What the programs printed.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kernels {
    pub(crate) rates: Vec<Rate>,
    pub(crate) recall: Vec<Recall>,
}

/// A part on one core, by one implementation of it.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rate {
    /// `cut random`, `cut text`, `scan`, `pairs` or `bundle`.
    what: String,
    peer: String,
    median_seconds: f64,
    bytes: f64,
}

/// What recalling costs in a store of so many chunks, in microseconds a chunk.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recall {
    chunks: u64,
    unrelated: f64,
    young: f64,
    young_found: String,
    old: f64,
    old_found: String,
    resident_mib: f64,
}

/// Sizes of stores that recall is measured in.
const CHUNKS: [&str; 2] = ["10000", "1000000"];
/// One size more, which takes minutes to make.
const MANY_CHUNKS: &str = "10000000";

/// The programs are started so often: what they read lies elsewhere in memory each time, which makes up to a third of what
/// scanning a matrix takes, for any implementation.
const STARTS: usize = 15;

pub(crate) fn measure(workspace: &Workspace, is_long: bool) -> Outcome<Kernels> {
    let peers = workspace.root().join("benches").join("compare");
    let python =
        prerequisites::python_with(&workspace.target().join("compare"), "faiss", &["faiss-cpu", "numpy"]);
    if let Err(why) = &python {
        eprintln!("   without faiss: {why}");
    }
    let mut rates = Vec::new();
    for start in 1..=STARTS {
        for program in ["cut_peers", "scan_peers"] {
            eprintln!("   {program}, {start} of {STARTS}");
            let mut command = workspace::bare_cargo();
            command.args(["run", "--release", "--quiet", "--bin", program]).current_dir(&peers);
            command.env("CARGO_TARGET_DIR", workspace.target().join("peers").join("target"));
            if let Ok(python) = &python {
                command.env("FAISS_PYTHON", python);
            }
            rates.extend(rates_in(&process::read(&mut command)?)?);
        }
    }
    let rates = medians(rates);
    eprintln!("   growth");
    process::run(workspace.cargo("build").args(["--release", "--workspace", "--bin", "growth"]))?;
    let mut growth = std::process::Command::new(workspace.target().join("release").join("growth"));
    growth.args(CHUNKS).args(is_long.then_some(MANY_CHUNKS));
    Ok(Kernels { rates, recall: recall_in(&process::read(&mut growth)?) })
}

/// The JSON lines among others.
fn rates_in(text: &str) -> Outcome<Vec<Rate>> {
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).map_err(|error| format!("{line}: {error}"))).collect()
}

/// One rate for each part and implementation, in the order in which they came first: the one of median time.
fn medians(all: Vec<Rate>) -> Vec<Rate> {
    let mut grouped: Vec<Vec<Rate>> = Vec::new();
    for rate in all {
        let is_like = |group: &Vec<Rate>| (&group[0].what, &group[0].peer) == (&rate.what, &rate.peer);
        match grouped.iter_mut().find(|group| is_like(group)) {
            Some(group) => group.push(rate),
            None => grouped.push(vec![rate]),
        }
    }
    let median = |mut group: Vec<Rate>| {
        group.sort_unstable_by(|a, b| a.median_seconds.total_cmp(&b.median_seconds));
        group.swap_remove(group.len() / 2)
    };
    grouped.into_iter().map(median).collect()
}

/// The rows of the program's table.
fn recall_in(text: &str) -> Vec<Recall> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [chunks, unrelated, young, young_found, old, old_found, _, resident] = cells[..] else {
            return None;
        };
        Some(Recall {
            chunks: chunks.parse().ok()?,
            unrelated: unrelated.parse().ok()?,
            young: young.parse().ok()?,
            young_found: young_found.to_owned(),
            old: old.parse().ok()?,
            old_found: old_found.to_owned(),
            resident_mib: resident.parse().ok()?,
        })
    };
    text.lines().filter_map(row).collect()
}

impl Kernels {
    fn rate(&self, what: &str, peer: impl Fn(&str) -> bool) -> Option<f64> {
        let rates = self.rates.iter().filter(|rate| rate.what == what && peer(&rate.peer));
        rates.map(|rate| rate.bytes / rate.median_seconds).reduce(f64::max)
    }
}

/// The aims that these figures are for.
pub(super) fn targets(kernels: Option<&Kernels>, targets: &mut Vec<Target>) {
    let ours = |peer: &str| peer.starts_with("engrams");
    let of = |what: &str, peer: &str| kernels?.rate(what, |name| name.starts_with(peer));
    let best = |what: &str| kernels?.rate(what, ours);
    let ratio = |a: Option<f64>, b: Option<f64>| Some(a? / b?);
    let mut judge = |limit: Limit, what: &str, figure| targets.push(limit.judge(what, figure));
    judge(
        Limit::at_least(2.5e9, gigabytes_per_second),
        "cut points and features of random bytes, one core",
        best("cut random"),
    );
    for peer in ["fastcdc", "gearhash"] {
        judge(
            Limit::at_least(1.0, times),
            &format!("their speed, of `{peer}`'s cutting alone"),
            ratio(best("cut random"), of("cut random", peer)),
        );
    }
    for (tier, level, aim) in [("AVX2", "avx2", 9e9), ("AVX-512", "avx512", 25e9)] {
        judge(
            Limit::at_least(aim, gigabytes_per_second),
            &format!("bundling, one core, {tier}"),
            of("bundle", &format!("engrams-kernels, {level}")),
        );
    }
    let read = of("scan", "the bytes read");
    judge(
        Limit::at_least(0.95, times),
        "nearest of 1 M vectors of 1,024 bits, one core, of the speed of reading them",
        ratio(best("scan"), read),
    );
    judge(
        Limit::at_least(1.0, times),
        "the same, of faiss's IndexBinaryFlat",
        ratio(best("scan"), of("scan", "faiss")),
    );
    let recall = |chunks: u64| kernels?.recall.iter().find(|row| row.chunks == chunks);
    for (chunks, name) in [(1_000_000, "1 M"), (10_000_000, "10 M")] {
        // The dearest kind of chunk.
        let cost = recall(10_000).zip(recall(chunks)).map(|(few, many)| {
            let kinds = [(few.unrelated, many.unrelated), (few.young, many.young), (few.old, many.old)];
            kinds.into_iter().map(|(few, many)| many / few).fold(0.0, f64::max)
        });
        let what = format!("recall of a chunk among {name} stored ones, of that among 10,000");
        judge(Limit::at_most(1.5, times), &what, cost);
    }
}

/// Tables of all figures.
pub(super) fn table(kernels: &Kernels) -> String {
    let mut out = "| part, one core | by | GB/s | median |\n|---|---|--:|--:|\n".to_owned();
    for rate in &kernels.rates {
        let Rate { what, peer, median_seconds, bytes } = rate;
        let time = match median_seconds {
            s if *s < 1e-6 => format!("{:.1} ns", s * 1e9),
            s if *s < 1e-3 => format!("{:.1} us", s * 1e6),
            s => format!("{:.1} ms", s * 1e3),
        };
        let _ = writeln!(out, "| {what} | {peer} | {:.2} | {time} |", bytes / median_seconds / 1e9);
    }
    out.push_str(
        "\n| stored chunks | unrelated, us | young, us | found | old, us | found | resident, MiB |\n",
    );
    out.push_str("|--:|--:|--:|--:|--:|--:|--:|\n");
    for row in &kernels.recall {
        let Recall { chunks, unrelated, young, young_found, old, old_found, resident_mib } = row;
        let _ = writeln!(
            out,
            "| {chunks} | {unrelated:.1} | {young:.1} | {young_found} | {old:.1} | {old_found} | {resident_mib:.0} |"
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_programs_print_is_read() {
        let text = "row\n{\"what\":\"scan\",\"peer\":\"faiss x\",\"median_seconds\":0.5,\"least_seconds\":0.1,\"bytes\":1e9}\n";
        let rates = rates_in(text).unwrap();
        assert_eq!(
            Kernels { rates, recall: Vec::new() }.rate("scan", |peer| peer.starts_with("faiss")),
            Some(2e9)
        );
        assert!(rates_in("{\n").is_err());
        let table = "| chunks | a | b | c | d | e | f | g |\n|---|---|\n| 10000 | 5.0 | 6.5 | 100.0 % | 7.0 | 65.0 % | 12 | 30 |\n";
        let recall = recall_in(table);
        assert_eq!(
            (recall.len(), recall[0].chunks, recall[0].young, recall[0].resident_mib),
            (1, 10_000, 6.5, 30.0)
        );
    }

    #[test]
    fn of_several_starts_the_median_counts() {
        let rate = |peer: &str, median_seconds| Rate {
            what: "scan".to_owned(),
            peer: peer.to_owned(),
            median_seconds,
            bytes: 1.0,
        };
        let all = vec![rate("b", 9.0), rate("a", 1.0), rate("b", 2.0), rate("a", 5.0), rate("b", 3.0)];
        assert_eq!(medians(all), [rate("b", 3.0), rate("a", 5.0)]);
    }

    #[test]
    fn the_dearest_kind_of_recall_counts() {
        let row = |chunks, old| Recall { chunks, unrelated: 1.0, young: 1.0, old, ..Recall::default() };
        let kernels = Kernels { rates: Vec::new(), recall: vec![row(10_000, 2.0), row(1_000_000, 4.0)] };
        let mut found = Vec::new();
        targets(Some(&kernels), &mut found);
        let of = |name: &str| found.iter().find(|target| target.what.contains(name)).unwrap();
        assert_eq!(of("among 1 M").figure.as_deref(), Some("2.00 times"));
        assert!(!of("among 1 M").is_met);
        assert_eq!(of("among 10 M").verdict(), "not measured");
    }
}
