//! The generated parts of the page on performance: tables between markers, and the plots beside it.

use std::fs;
use std::path::Path;

use super::kernels;
use super::results::{Growth, Histories, Incompressible, Memory, Reads, Results, Row, Taken, Usages};
use super::samples::Samples;
use super::streams::length;
use super::target;
use crate::plot::{Axis, Chart, Colour, Point, Scale, Series};
use crate::process::Outcome;

/// The page, from the root of the workspace.
pub(crate) const PAGE: &str = "docs/performance.md";
/// Where the plots are: beside the page, in a directory of its name.
const PLOTS: &str = "performance";
const DISK_AND_TIME: &str = "disk-and-time.svg";
const MEMORY: &str = "memory.svg";
const GROWTH: &str = "growth.svg";

const MEBIBYTE: f64 = (1 << 20) as f64;

/// Parts of the page, and what measures them.
const PARTS: [(&str, &str); 9] = [
    ("targets", ""),
    ("history", "history"),
    ("tools", "history"),
    ("small", "small"),
    ("reads", "reads"),
    ("incompressible", "incompressible"),
    ("memory", "memory"),
    ("growth", "growth"),
    ("kernels", "kernels"),
];

/// Writes every part, also those without figures, so that no figure stays that the results do not have.
pub(crate) fn update(root: &Path, results: &Results) -> Outcome {
    let path = root.join(PAGE);
    let mut text = fs::read_to_string(&path).map_err(|error| format!("{PAGE}: {error}"))?;
    let measured = parts(results);
    for (name, measured_by) in PARTS {
        let body = measured.iter().find(|(known, _)| *known == name).map(|(_, body)| body.clone());
        let body =
            body.unwrap_or_else(|| format!("Not measured: `cargo xtask compare --only {measured_by}`."));
        text = splice(&text, name, &body)?;
    }
    fs::write(&path, text).map_err(|error| format!("{PAGE}: {error}"))?;
    let plots = root.join("docs").join(PLOTS);
    fs::create_dir_all(&plots).map_err(|error| format!("{PLOTS}: {error}"))?;
    for (name, chart) in charts(results) {
        if let Some(svg) = chart.svg() {
            fs::write(plots.join(name), svg).map_err(|error| format!("{PLOTS}/{name}: {error}"))?;
        }
    }
    Ok(())
}

/// Every generated part that there are figures for, by its name.
pub(crate) fn parts(results: &Results) -> Vec<(&'static str, String)> {
    let mut parts = vec![("targets", targets(results))];
    if let Some(taken) = &results.history {
        let body = under(&history(&taken.figures), taken);
        parts.push(("history", body + &image("bytes on disk against seconds to ingest", DISK_AND_TIME)));
        parts.push(("tools", tools(&taken.figures)));
    }
    if let Some(taken) = &results.small {
        parts.push(("small", under(&history(&taken.figures), taken)));
    }
    if let Some(taken) = &results.reads {
        parts.push(("reads", under(&reads(&taken.figures), taken)));
    }
    if let Some(taken) = &results.incompressible {
        parts.push(("incompressible", under(&incompressible(&taken.figures), taken)));
    }
    if let Some(taken) = &results.memory {
        let body = under(&memory(&taken.figures), taken);
        parts.push(("memory", body + &image("peak memory against the length of a stream", MEMORY)));
    }
    if let Some(taken) = &results.growth {
        let body = under(&growth(&taken.figures), taken);
        parts.push(("growth", body + &image("speed of ingest while a store grows", GROWTH)));
    }
    if let Some(taken) = &results.kernels {
        parts.push(("kernels", under(&kernels::table(&taken.figures), taken)));
    }
    parts
}

/// Replaces what is between `<!-- generated: NAME -->` and the next `<!-- end -->`.
pub(crate) fn splice(text: &str, name: &str, body: &str) -> Outcome<String> {
    let marker = format!("<!-- generated: {name} -->");
    let missing = || format!("{PAGE} has no part {marker:?} up to \"<!-- end -->\"; put the markers back");
    let (before, rest) = text.split_once(&marker).ok_or_else(missing)?;
    let (_, after) = rest.split_once("<!-- end -->").ok_or_else(missing)?;
    Ok(format!("{before}{marker}\n\n{}\n\n<!-- end -->{after}", body.trim_end()))
}

fn under<T>(table: &str, taken: &Taken<T>) -> String {
    format!("{table}\n{}\n", taken.circumstances.show())
}

/// A plot, in the part with its table: where nothing was measured, nothing is shown.
fn image(what: &str, name: &str) -> String {
    format!("\n![{what}]({PLOTS}/{name})\n")
}

fn targets(results: &Results) -> String {
    let mut table = "| what | target | measured | |\n|---|---|--:|---|\n".to_owned();
    for target in target::all(results) {
        let figure = target.figure.as_deref().unwrap_or("-");
        table.push_str(&format!("| {} | {} | {figure} | {} |\n", target.what, target.aim, target.verdict()));
    }
    table
}

/// A table of the tools' figures; every tool has a row, also one that failed.
pub(crate) fn history(histories: &Histories) -> String {
    let mut table = format!(
        "{}: {} versions, {:.2} MB, the newest of them {:.2} MB; {}.\n\n\
         | tool | MB on disk | ratio | ingest s | MB/s | CPU s | peak MiB | extract s | CPU s | peak MiB |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        histories.name,
        histories.versions,
        histories.bytes as f64 / 1e6,
        histories.newest_bytes as f64 / 1e6,
        rounds(histories.rounds),
    );
    for row in &histories.tools {
        table.push_str(&format!("| {} |", escape(&row.tool)));
        table.push_str(&match &row.failed {
            Some(why) => format!(" failed: {} |{}\n", escape(why), " |".repeat(8)),
            None => cells(row, histories.bytes as f64),
        });
    }
    table
}

fn cells(row: &Row, bytes: f64) -> String {
    let (ingest, extract) = (&row.ingest, &row.extract);
    let median = |samples: &Samples, decimals: usize| match samples.median() {
        Some(median) => format!("{median:.decimals$}"),
        None => "-".to_owned(),
    };
    format!(
        " {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        row.disk_bytes.map(|disk| disk / 1e6).show(2),
        median(&row.disk_bytes.map(|disk| bytes / disk), 1),
        ingest.seconds.show(2),
        median(&ingest.seconds.map(|seconds| bytes / 1e6 / seconds), 1),
        median(&ingest.cpu_seconds, 2),
        median(&peaks(ingest), 0),
        extract.seconds.show(2),
        median(&extract.cpu_seconds, 2),
        median(&peaks(extract), 0),
    )
}

fn peaks(usages: &Usages) -> Samples {
    usages.peak_bytes.map(|bytes| bytes / MEBIBYTE)
}

fn tools(histories: &Histories) -> String {
    let mut table =
        "| tool | version | what is typed in each version's directory | |\n|---|---|---|---|\n".to_owned();
    for row in &histories.tools {
        let typed = escape(&row.typed);
        let version = if row.version.is_empty() { "-" } else { &row.version };
        table.push_str(&format!("| {} | {version} | `{typed}` | {} |\n", escape(&row.tool), row.note));
    }
    table
}

fn reads(seen: &Reads) -> String {
    format!(
        "{} reads, as many before them to warm the caches; {}.\n\n\
         | half of them within, ms | 99 of 100 within, ms |\n|--:|--:|\n| {} | {} |\n",
        seen.reads,
        rounds(seen.rounds),
        seen.p50_milliseconds.show(2),
        seen.p99_milliseconds.show(2),
    )
}

fn incompressible(seen: &Incompressible) -> String {
    let mut table = format!(
        "{} of random bytes in one file, {:.2} times that on disk afterwards; {}.\n\n\
         | what | seconds | GB/s | CPU s | peak MiB |\n|---|--:|--:|--:|--:|\n",
        length(seen.bytes),
        seen.disk_bytes.median().unwrap_or(0.0) / seen.bytes as f64,
        rounds(seen.rounds),
    );
    let rows = [
        ("`cp` and `sync` of the copy", &seen.copy),
        ("first ingest, into a new store", &seen.first),
        ("ingest again, read in full", &seen.again),
    ];
    for (what, usages) in rows {
        let speed = usages.seconds.map(|seconds| seen.bytes as f64 / 1e9 / seconds);
        table.push_str(&format!(
            "| {what} | {} | {} | {} | {} |\n",
            usages.seconds.show(2),
            speed.show(2),
            usages.cpu_seconds.show(2),
            peaks(usages).show(0),
        ));
    }
    table
}

fn memory(lengths: &[Memory]) -> String {
    let mut table = "| stream | ingest, peak MiB | seconds | extract, peak MiB | seconds |\n\
                     |---|--:|--:|--:|--:|\n"
        .to_owned();
    for stream in lengths {
        let size = length(stream.bytes);
        table.push_str(&match &stream.skipped {
            Some(why) => format!("| {size} | left out: {} | | | |\n", escape(why)),
            None => format!(
                "| {size} | {} | {} | {} | {} |\n",
                peaks(&stream.ingest).show(0),
                stream.ingest.seconds.show(1),
                peaks(&stream.extract).show(0),
                stream.extract.seconds.show(1),
            ),
        });
    }
    table
}

fn growth(seen: &Growth) -> String {
    let mut table = format!(
        "Steps of {:.0} MB each into one store, which in the end takes {:.2} GB.\n\n\
         | step | MB/s | CPU s | peak MiB |\n|--:|--:|--:|--:|\n",
        seen.step_bytes as f64 / 1e6,
        seen.disk_bytes as f64 / 1e9,
    );
    let peaks = peaks(&seen.steps);
    let figures =
        seen.steps.seconds.figures().iter().zip(seen.steps.cpu_seconds.figures()).zip(peaks.figures());
    for (index, ((seconds, cpu), peak)) in figures.enumerate() {
        let speed = seen.step_bytes as f64 / 1e6 / seconds;
        table.push_str(&format!("| {} | {speed:.0} | {cpu:.1} | {peak:.0} |\n", index + 1));
    }
    table
}

fn rounds(rounds: usize) -> String {
    if rounds == 1 { "one round".to_owned() } else { format!("medians of {rounds} rounds (least to most)") }
}

/// In a cell of a table.
fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}

fn charts(results: &Results) -> Vec<(&'static str, Chart)> {
    let mut charts = Vec::new();
    if let Some(taken) = &results.history {
        charts.push((DISK_AND_TIME, disk_and_time(&taken.figures)));
    }
    if let Some(taken) = &results.memory {
        charts.push((MEMORY, memory_chart(&taken.figures)));
    }
    if let Some(taken) = &results.growth {
        charts.push((GROWTH, growth_chart(&taken.figures)));
    }
    charts
}

fn disk_and_time(histories: &Histories) -> Chart {
    let points = |is_ours: bool| {
        let rows = histories.tools.iter().filter(|row| row.failed.is_none());
        let rows = rows.filter(|row| row.tool.starts_with("engrams") == is_ours);
        let point = |row: &Row| {
            let (x, y) = (row.ingest.seconds.median()?, row.disk_bytes.median()? / 1e6);
            Some(Point { x, y, label: row.tool.clone() })
        };
        rows.filter_map(point).collect()
    };
    Chart {
        title: format!("{}, {} versions: disk and time", histories.name, histories.versions),
        x: Axis { label: "seconds to ingest all versions".to_owned(), scale: Scale::Log },
        y: Axis { label: "MB on disk".to_owned(), scale: Scale::Log },
        series: vec![
            Series { points: points(true), colour: Colour::A, is_line: false },
            Series { points: points(false), colour: Colour::C, is_line: false },
        ],
        limit: None,
    }
}

fn memory_chart(lengths: &[Memory]) -> Chart {
    let series = |name: &str, colour: Colour, part: fn(&Memory) -> &Usages| {
        let point = |length: &Memory| {
            let peak = peaks(part(length)).median()?;
            let x = length.bytes as f64 / (1_u64 << 30) as f64;
            Some(Point { x, y: peak, label: format!("{name} {peak:.0}") })
        };
        Series { points: lengths.iter().filter_map(point).collect(), colour, is_line: true }
    };
    Chart {
        title: "Peak memory against the length of a stream".to_owned(),
        x: Axis { label: "stream, GiB".to_owned(), scale: Scale::Log },
        y: Axis { label: "peak memory, MiB".to_owned(), scale: Scale::Linear },
        series: vec![
            series("ingest", Colour::A, |length| &length.ingest),
            series("extract", Colour::B, |length| &length.extract),
        ],
        limit: Some((256.0, "target: at most 256 MiB".to_owned())),
    }
}

fn growth_chart(seen: &Growth) -> Chart {
    let point = |(index, seconds): (usize, &f64)| Point {
        x: (index + 1) as f64 * seen.step_bytes as f64 / 1e9,
        y: seen.step_bytes as f64 / 1e6 / seconds,
        label: String::new(),
    };
    let points = seen.steps.seconds.figures().iter().enumerate().map(point).collect();
    Chart {
        title: "Speed of ingest while a store grows".to_owned(),
        x: Axis { label: "GB of new data so far".to_owned(), scale: Scale::Linear },
        y: Axis { label: "MB/s".to_owned(), scale: Scale::Linear },
        series: vec![Series { points, colour: Colour::A, is_line: true }],
        limit: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::circumstances::Circumstances;
    use crate::compare::measure::Usage;
    use crate::tree::Scratch;

    fn histories() -> Histories {
        let mut good = Row { tool: "tar | zstd".to_owned(), ..Row::default() };
        for seconds in [1.0, 2.0, 4.0] {
            let usage = Usage { seconds, cpu_seconds: seconds, peak_bytes: 3.0 * MEBIBYTE };
            good.ingest.push(usage);
            good.extract.push(usage);
            good.disk_bytes.push(5e6);
        }
        let bad = Row { tool: "other".to_owned(), failed: Some("it | fell".to_owned()), ..Row::default() };
        Histories {
            name: "thing".to_owned(),
            versions: 2,
            bytes: 100_000_000,
            newest_bytes: 50_000_000,
            rounds: 3,
            tools: vec![good, bad],
        }
    }

    #[test]
    fn every_tool_has_a_row_with_as_many_cells_as_headings() {
        let table = history(&histories());
        let expected = "| tar \\| zstd | 5.00 | 20.0 | 2.00 (1.00 to 4.00) | 50.0 | 2.00 | 3 | \
                        2.00 (1.00 to 4.00) | 2.00 | 3 |";
        assert!(table.contains(expected), "{table}");
        assert!(table.contains("| other | failed: it \\| fell |"), "{table}");
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        let lines: Vec<usize> = table.lines().filter(|line| line.starts_with('|')).map(cells).collect();
        assert!(lines.iter().all(|&count| count == lines[0]), "{lines:?}\n{table}");
    }

    #[test]
    fn a_part_is_replaced_and_the_rest_stays() {
        let text = "before\n<!-- generated: a -->\nold\n<!-- end -->\nbetween\n<!-- generated: b -->\n<!-- end -->\n";
        let once = splice(text, "a", "new\n").unwrap();
        let expected = "before\n<!-- generated: a -->\n\nnew\n\n<!-- end -->\nbetween\n\
                        <!-- generated: b -->\n<!-- end -->\n";
        assert_eq!(once, expected);
        assert_eq!(splice(&once, "a", "new\n").unwrap(), once, "a second time changes nothing");
        assert!(splice(text, "c", "new").unwrap_err().contains("generated: c"));
    }

    #[test]
    fn no_figure_stays_that_the_results_do_not_have() {
        let scratch = Scratch::new("page").unwrap();
        let part = |(name, _): (&str, &str)| format!("<!-- generated: {name} -->\nold\n<!-- end -->\n");
        let text: String = PARTS.map(part).concat();
        fs::create_dir(scratch.path().join("docs")).unwrap();
        fs::write(scratch.path().join(PAGE), text).unwrap();
        let taken = Taken { circumstances: Circumstances::default(), figures: histories() };
        update(scratch.path(), &Results { history: Some(taken), ..Results::default() }).unwrap();
        let text = fs::read_to_string(scratch.path().join(PAGE)).unwrap();
        assert!(!text.contains("old") && text.contains("Not measured: `cargo xtask compare --only memory`."));
        assert!(scratch.path().join("docs").join(PLOTS).join(DISK_AND_TIME).is_file());
    }

    #[test]
    fn a_failed_tool_has_no_point() {
        let chart = disk_and_time(&histories());
        let labels: Vec<&str> =
            chart.series.iter().flat_map(|series| &series.points).map(|point| point.label.as_str()).collect();
        assert_eq!(labels, ["tar | zstd"]);
    }

    #[test]
    fn the_page_has_a_place_for_every_part() {
        let text = fs::read_to_string(crate::workspace::manifest_directory().join("..").join(PAGE)).unwrap();
        for (part, _) in PARTS {
            splice(&text, part, "").unwrap();
        }
    }
}
