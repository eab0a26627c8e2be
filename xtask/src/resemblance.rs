//! `cargo xtask resemblance`: how well a search by example finds what it should, beside ssdeep and TLSH, on real files.
//!
//! It fetches what is needed, runs the measuring program (`benches/src/bin/resemblance`), and writes the table into its page.
//! The programs are Debian's `ssdeep`, and `py-tlsh` in an environment of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::compare::circumstances::Circumstances;
use crate::process::{self, Outcome};
use crate::tree::Scratch;
use crate::workspace::Workspace;
use crate::{corpus, prerequisites, table};

const PAGE: &str = "docs/resemblance.md";
const MARKER: &str = "<!-- generated: resemblance -->";
const END: &str = "<!-- end -->";
/// Directories of the machine that files are taken from, as far as they are there.
const MACHINE: [&str; 3] = ["/usr/share/doc", "/usr/share", "/usr/lib"];

/// What each row must reach, in percent: all queries, or those that are informative where `true`.
const TARGETS: [(f64, bool); 13] = [
    (100.0, false),
    (99.5, false),
    (99.0, false),
    (98.0, false),
    (99.0, false),
    (99.0, false),
    (99.5, false),
    (99.5, true),
    (99.0, true),
    (72.0, true),
    (100.0, false),
    (97.0, false),
    (95.0, true),
];

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let quick = match arguments {
        [] => false,
        [one] if one == "--quick" => true,
        _ => return Err("usage: cargo xtask resemblance [--quick]".to_owned()),
    };
    let typed = if quick { "cargo xtask resemblance --quick" } else { "cargo xtask resemblance" };
    let circumstances = Circumstances::now(workspace, typed);
    prerequisites::for_building()?;
    if prerequisites::on_path("ssdeep").is_none() {
        prerequisites::install(&["ssdeep"])?;
    }
    let ssdeep = prerequisites::on_path("ssdeep").ok_or("ssdeep is not to be had")?;
    let home = workspace.target().join("resemblance");
    fs::create_dir_all(&home).map_err(|error| format!("{}: {error}", home.display()))?;
    let python = prerequisites::python_with(&home, "tlsh", &["py-tlsh"])?;
    let typescript = corpus::typescript(workspace)?.versions;
    let tokio = corpus::tokio(workspace)?.versions;
    let ends = |versions: &[(String, PathBuf)]| -> Vec<PathBuf> {
        versions.first().into_iter().chain(versions.last()).map(|(_, path)| path.clone()).collect()
    };
    let mut roots = ends(&typescript);
    roots.extend(ends(&tokio));
    roots.extend(MACHINE.iter().map(PathBuf::from).filter(|path| path.is_dir()));
    let history: Vec<String> = typescript.iter().map(|(_, path)| path.display().to_string()).collect();
    process::run(workspace.cargo("build").args(["--release", "--workspace", "--bin", "resemblance"]))?;
    let scratch = Scratch::within(&home, "work").map_err(|error| format!("{}: {error}", home.display()))?;
    let out = home.join("results.json");
    let (queries, chunks) = if quick { ("30", "100000") } else { ("300", "1000000") };
    let mut command = Command::new(workspace.target().join("release").join("resemblance"));
    command.arg(&out).arg(scratch.path()).args([queries, chunks]).arg(ssdeep).arg(python);
    process::run(command.arg(history.join(",")).args(roots))?;
    let text = fs::read_to_string(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    let results: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let body = render(&results, &circumstances);
    println!("\n{body}");
    if quick { Ok(()) } else { write(workspace.root(), &body) }
}

fn write(root: &Path, body: &str) -> Outcome {
    let path = root.join(PAGE);
    let text = fs::read_to_string(&path).map_err(|error| format!("{PAGE}: {error}"))?;
    fs::write(&path, splice(&text, body)?).map_err(|error| format!("{PAGE}: {error}"))
}

fn splice(text: &str, body: &str) -> Outcome<String> {
    let missing = || format!("{PAGE} has no part {MARKER:?} up to {END:?}; put the markers back");
    let (before, rest) = text.split_once(MARKER).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{MARKER}\n\n{}\n\n{END}{after}", body.trim_end()))
}

fn render(results: &Value, circumstances: &Circumstances) -> String {
    let whole = |value: &Value| table::count(value.as_u64().unwrap_or(0));
    let megabytes = |value: &Value| table::megabytes(value.as_u64().unwrap_or(0));
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let mut out = format!(
        "{} files of 1 KiB to 4 MiB, {} MB; {} files of types that are not stored.\n\n",
        whole(&results["files"]),
        megabytes(&results["bytes"]),
        whole(&results["held_out"])
    );
    out.push_str("| query | queries | found at rank 1 | of informative ones | target | ssdeep | TLSH | ranges | rank, confirm, ms |\n");
    out.push_str("|---|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    let rows = results["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (row, (target, informative)) in rows.iter().zip(TARGETS) {
        let share = |part: &str, of: &str| {
            let all = number(&row[of]);
            if all > 0.0 { format!("{:.1} %", number(&row[part]) * 100.0 / all) } else { "-".to_owned() }
        };
        let of_informative =
            format!("{} ({})", share("engrams_informative", "informative"), whole(&row["informative"]));
        let recall = number(&row["range_recall"]);
        out.push_str(&format!(
            "| {} | {} | {} | {} | {target} %{} | {} | {} | {} | {:.2}, {:.2} |\n",
            row["kind"].as_str().unwrap_or("?"),
            whole(&row["queries"]),
            share("engrams", "queries"),
            of_informative,
            if informative { " of informative" } else { "" },
            share("ssdeep", "queries"),
            share("tlsh", "queries"),
            if recall > 0.0 { format!("{:.2} %", recall * 100.0) } else { "-".to_owned() },
            number(&row["ranking_ms"]),
            number(&row["confirming_ms"]),
        ));
    }
    out.push_str("\n| search index | new bytes, MB | entries | its records, MB | of new bytes | to load, s |\n|---|--:|--:|--:|--:|--:|\n");
    for index in results["indexes"].as_array().into_iter().flatten() {
        out.push_str(&format!(
            "| windows of {} bytes | {} | {} | {} | {:.2} % | {:.2} |\n",
            whole(&index["window"]),
            megabytes(&index["novel_bytes"]),
            whole(&index["entries"]),
            megabytes(&index["bytes"]),
            number(&index["bytes"]) * 100.0 / number(&index["novel_bytes"]).max(1.0),
            number(&index["seconds_to_load"]),
        ));
    }
    let history = &results["history"];
    out.push_str(&format!(
        "\n{} releases of typescript, one after the other: {} MB on disk; with one feature for each MiB in the search \
         index, {} MB. The records of the index have {} MB.\n",
        whole(&history["versions"]),
        megabytes(&history["stored_bytes"]),
        megabytes(&history["without_bytes"]),
        megabytes(&history["record_bytes"]),
    ));
    let ranking = &results["ranking"];
    out.push_str(&format!(
        "\nA query of {} MB against {} made-up chunks ({} entries, {} under features of the query), eight versions of it among \
         them: ranking {:.1} ms warm (median of 101; slowest {:.1} ms); a first search before it reads the index, the heads and the tree, {:.1} s.\n",
        megabytes(&ranking["query_bytes"]),
        whole(&ranking["chunks"]),
        whole(&ranking["entries"]),
        whole(&ranking["entries_of_query"]),
        number(&ranking["warm_ms"]),
        number(&ranking["slowest_ms"]),
        number(&ranking["cold_seconds"]),
    ));
    out.push_str("\nReports for files of types that are not stored, each confirmed on the bytes:\n\n");
    let strangers = results["strangers"].as_array().map(Vec::as_slice).unwrap_or_default();
    for stranger in strangers {
        out.push_str(&format!("- `{}`\n", stranger.as_str().unwrap_or("?")));
    }
    if strangers.is_empty() {
        out.push_str("- none\n");
    }
    out.push_str(&format!("\n{}\n", circumstances.show()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_as_many_cells_as_headings() {
        let row = serde_json::json!({
            "kind": "some", "queries": 300, "informative": 290, "engrams": 270, "engrams_informative": 270,
            "ssdeep": 3, "tlsh": 0, "range_recall": 0.5, "ranking_ms": 0.25, "confirming_ms": 2.0,
        });
        let results = serde_json::json!({ "rows": [row], "strangers": [] });
        let table = render(&results, &Circumstances::default());
        let expected =
            "| some | 300 | 90.0 % | 93.1 % (290) | 100 % | 1.0 % | 0.0 % | 50.00 % | 0.25, 2.00 |";
        assert!(table.contains(expected), "{table}");
        let rows = table.lines().filter(|line| line.starts_with('|')).take(3);
        let cells: Vec<usize> = rows.map(|line| line.matches('|').count()).collect();
        assert!(cells.iter().all(|&count| count == cells[0]), "{cells:?}");
    }

    #[test]
    fn the_page_has_a_place_for_the_table() {
        let page = fs::read_to_string(crate::workspace::manifest_directory().join("..").join(PAGE)).unwrap();
        assert!(splice(&page, "table").unwrap().contains("table"));
    }
}
