//! What was aimed at, and whether the figures reach it; computed, never typed.

use super::kernels;
use super::results::{Histories, Memory, Results, Row, Usages};
use super::samples::Samples;
use super::streams::length;

/// One aim.
#[derive(Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) aim: String,
    /// The figure, as written; nothing if it was not measured.
    pub(crate) figure: Option<String>,
    pub(crate) is_met: bool,
}

impl Target {
    pub(crate) fn verdict(&self) -> &'static str {
        match (&self.figure, self.is_met) {
            (None, _) => "not measured",
            (Some(_), true) => "met",
            (Some(_), false) => "**missed**",
        }
    }
}

/// A limit, and how a figure and it are written.
pub(super) struct Limit {
    most: bool,
    value: f64,
    written: fn(f64) -> String,
}

impl Limit {
    pub(super) fn at_most(value: f64, written: fn(f64) -> String) -> Self {
        Self { most: true, value, written }
    }

    pub(super) fn at_least(value: f64, written: fn(f64) -> String) -> Self {
        Self { most: false, value, written }
    }

    pub(super) fn judge(&self, what: impl Into<String>, figure: Option<f64>) -> Target {
        let word = if self.most { "at most" } else { "at least" };
        Target {
            what: what.into(),
            aim: format!("{word} {}", (self.written)(self.value)),
            figure: figure.map(self.written),
            is_met: figure
                .is_some_and(|figure| if self.most { figure <= self.value } else { figure >= self.value }),
        }
    }
}

fn megabytes(bytes: f64) -> String {
    format!("{:.2} MB", bytes / 1e6)
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.0} MiB", bytes / f64::from(1 << 20))
}

pub(super) fn times(ratio: f64) -> String {
    format!("{ratio:.2} times")
}

fn milliseconds(time: f64) -> String {
    format!("{time:.2} ms")
}

pub(super) fn gigabytes_per_second(bytes_per_second: f64) -> String {
    format!("{:.2} GB/s", bytes_per_second / 1e9)
}

type Direction = fn(&Memory) -> &Usages;

/// Every aim of this comparison, in the order of the page.
pub(crate) fn all(results: &Results) -> Vec<Target> {
    let mut targets = Vec::new();
    let history = results.history.as_ref().map(|taken| &taken.figures);
    of_history(history, &mut targets);
    of_streams(results, &mut targets);
    kernels::targets(results.kernels.as_ref().map(|taken| &taken.figures), &mut targets);
    targets
}

fn of_history(history: Option<&Histories>, targets: &mut Vec<Target>) {
    let row = |tool: &str| -> Option<&Row> {
        history?.tools.iter().find(|row| row.tool == tool && row.failed.is_none())
    };
    for (tool, limit) in [("engrams", 6.6e6), ("engrams --level 9", 5.6e6), ("engrams --level 19", 5.0e6)] {
        let disk = row(tool).and_then(|row| row.disk_bytes.median());
        targets.push(
            Limit::at_most(limit, megabytes).judge(format!("typescript history on disk, `{tool}`"), disk),
        );
    }
    let ratio = |peer: &str, of: fn(&Row) -> &Samples| of(row("engrams")?).ratio_to(of(row(peer)?));
    for (peer, limit) in [("restic", 0.2), ("borg, zstd", 0.2), ("tar | zstd -3 --long=30", 3.0)] {
        let taken = ratio(peer, |row| &row.ingest.seconds);
        let what = format!("wall time of its ingest, of `{peer}`'s").replace('|', "\\|");
        targets.push(Limit::at_most(limit, times).judge(what, taken));
    }
    for peer in ["restic", "borg, zstd"] {
        let taken = ratio(peer, |row| &row.extract.seconds);
        let what = format!("wall time of extracting the newest version, of `{peer}`'s");
        targets.push(Limit::at_most(1.0 / 3.0, times).judge(what, taken));
    }
}

fn of_streams(results: &Results, targets: &mut Vec<Target>) {
    let reads = results.reads.as_ref().and_then(|taken| taken.figures.p99_milliseconds.median());
    let what = "random reads of 64 KiB over all versions, warm, 99 of 100 within";
    targets.push(Limit::at_most(3.0, milliseconds).judge(what, reads));

    let stream = results.incompressible.as_ref().map(|taken| &taken.figures);
    let size = stream.map_or_else(|| length(4 << 30), |stream| length(stream.bytes));
    let again = stream.and_then(|stream| Some(stream.bytes as f64 / stream.again.seconds.median()?));
    let what = format!("ingest of {size} already stored, read in full");
    targets.push(Limit::at_least(1.5e9, gigabytes_per_second).judge(what, again));
    let first = stream.and_then(|stream| stream.first.seconds.ratio_to(&stream.copy.seconds));
    let what = format!("first ingest of {size} of random bytes, of `cp` and `sync`");
    targets.push(Limit::at_most(2.0, times).judge(what, first));

    let memory = results.memory.as_ref().map(|taken| taken.figures.as_slice()).unwrap_or_default();
    let parts: [(&str, Direction); 2] =
        [("ingest", |memory| &memory.ingest), ("extract", |memory| &memory.extract)];
    for (verb, part) in parts {
        let peaks: Vec<(u64, f64)> = memory
            .iter()
            .filter_map(|memory| Some((memory.bytes, part(memory).peak_bytes.median()?)))
            .collect();
        let most = peaks.iter().map(|&(_, peak)| peak).reduce(f64::max);
        let least = peaks.iter().map(|&(_, peak)| peak).reduce(f64::min);
        let sizes = peaks.iter().map(|&(bytes, _)| length(bytes)).collect::<Vec<_>>().join(", ");
        let streams = if sizes.is_empty() { "1, 4 and 16 GiB".to_owned() } else { sizes };
        let what = format!("peak memory of {verb}, streams of {streams}");
        targets.push(Limit::at_most(f64::from(256 << 20), mebibytes).judge(&what, most));
        // One length shows nothing about growth.
        let spread = most.zip(least).filter(|_| peaks.len() > 1).map(|(most, least)| most / least);
        let what = format!("largest of these peaks, of the smallest, {verb}");
        targets.push(Limit::at_most(1.1, times).judge(what, spread));
    }

    let speeds =
        results.growth.as_ref().map(|taken| taken.figures.steps.seconds.map(|seconds| 1.0 / seconds));
    let growth = speeds.and_then(|speeds| {
        let count = speeds.figures().len();
        let last = speeds.part(count.checked_sub(3)?, 3).median()?;
        Some(last / speeds.part(0, 3).median()?)
    });
    let gigabytes = results.growth.as_ref().map_or(20.0, |taken| {
        taken.figures.step_bytes as f64 * taken.figures.steps.seconds.figures().len() as f64 / 1e9
    });
    let what = format!("speed at the end of {gigabytes:.0} GB of new data, of that at the beginning");
    targets.push(Limit::at_least(0.8, times).judge(what, growth));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::circumstances::Circumstances;
    use crate::compare::measure::Usage;
    use crate::compare::results::{Growth, Taken};

    fn row(tool: &str, seconds: f64, disk: f64) -> Row {
        let usage = Usage { seconds, cpu_seconds: seconds, peak_bytes: 1.0 };
        let mut row = Row { tool: tool.to_owned(), ..Row::default() };
        row.ingest.push(usage);
        row.extract.push(usage);
        row.disk_bytes.push(disk);
        row
    }

    fn taken<T>(figures: T) -> Option<Taken<T>> {
        Some(Taken { circumstances: Circumstances::default(), figures })
    }

    fn found(targets: &[Target], start: &str) -> (String, &'static str) {
        let target = targets.iter().find(|target| target.what.starts_with(start)).expect(start);
        (target.figure.clone().unwrap_or_default(), target.verdict())
    }

    #[test]
    fn nothing_measured_is_nothing_met() {
        let targets = all(&Results::default());
        assert!(targets.iter().all(|target| target.verdict() == "not measured"), "{targets:#?}");
    }

    #[test]
    fn figures_are_held_against_their_limits() {
        let tools = vec![
            row("engrams", 2.0, 6.6e6),
            row("engrams --level 9", 3.0, 5.7e6),
            row("restic", 10.0, 46e6),
            row("borg, zstd", 9.0, 43e6),
        ];
        let history = taken(Histories { tools, ..Histories::default() });
        let targets = all(&Results { history, ..Results::default() });
        assert_eq!(found(&targets, "typescript history on disk, `engrams`"), ("6.60 MB".to_owned(), "met"));
        let missed = found(&targets, "typescript history on disk, `engrams --level 9`");
        assert_eq!(missed, ("5.70 MB".to_owned(), "**missed**"));
        let unknown = found(&targets, "typescript history on disk, `engrams --level 19`");
        assert_eq!(unknown, (String::new(), "not measured"));
        let restic = found(&targets, "wall time of its ingest, of `restic`");
        assert_eq!(restic, ("0.20 times".to_owned(), "met"));
        let borg = found(&targets, "wall time of its ingest, of `borg");
        assert_eq!(borg, ("0.22 times".to_owned(), "**missed**"));
    }

    #[test]
    fn a_tool_that_failed_is_compared_with_nothing() {
        let mut failed = row("restic", 10.0, 46e6);
        failed.failed = Some("it fell".to_owned());
        let history =
            taken(Histories { tools: vec![row("engrams", 1.0, 1.0), failed], ..Histories::default() });
        let targets = all(&Results { history, ..Results::default() });
        assert_eq!(found(&targets, "wall time of its ingest, of `restic`").1, "not measured");
    }

    #[test]
    fn memory_must_be_small_and_flat() {
        let peak = |bytes: u64, mebibytes: f64| {
            let mut memory = Memory { bytes, ..Memory::default() };
            let usage = Usage { peak_bytes: mebibytes * f64::from(1 << 20), ..Usage::default() };
            memory.ingest.push(usage);
            memory
        };
        let skipped = Memory { bytes: 16 << 30, skipped: Some("no disk".to_owned()), ..Memory::default() };
        let memory = taken(vec![peak(1 << 30, 100.0), peak(4 << 30, 120.0), skipped]);
        let targets = all(&Results { memory, ..Results::default() });
        let most = found(&targets, "peak memory of ingest, streams of 1 GiB, 4 GiB");
        assert_eq!(most, ("120 MiB".to_owned(), "met"));
        let spread = found(&targets, "largest of these peaks, of the smallest, ingest");
        assert_eq!(spread, ("1.20 times".to_owned(), "**missed**"));
        assert_eq!(found(&targets, "peak memory of extract").1, "not measured");
    }

    #[test]
    fn growth_compares_the_last_steps_with_the_first() {
        let mut growth = Growth { step_bytes: 1_000_000_000, ..Growth::default() };
        for seconds in [2.0, 9.0, 2.0, 2.0, 2.5, 2.5, 1.0] {
            growth.steps.push(Usage { seconds, ..Usage::default() });
        }
        let targets = all(&Results { growth: taken(growth), ..Results::default() });
        assert_eq!(found(&targets, "speed at the end of 7 GB"), ("0.80 times".to_owned(), "met"));
    }
}
