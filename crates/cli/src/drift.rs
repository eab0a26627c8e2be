//! `engrams drift`: a tree's similarity over its versions, drawn in the terminal and as SVG, with sudden jumps named.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use engrams::{DriftStep, drift};
use serde::Serialize;

use crate::engram::write;
use crate::failure::Failure;
use crate::likeness::{JsonSimilarity, percent};
use crate::path_text::readable;
use crate::session::{Session, newest, stored_path};
use crate::{Ending, moment};

#[derive(Debug, Args)]
#[command(after_help = "\
Each version is compared with the one before it: how much of that is still there, and how much of this one is new. A JUMP \
loses (with 95 % certainty) over 30 % and over twice what the versions before it usually lost; over 60 % where fewer than \
three came before. That is how a tree looks that was encrypted or overwritten, but a deliberate rewrite looks the same.

Examples:
  engrams drift                         everything, over all versions
  engrams drift data --last 30 --svg drift.svg
  engrams drift data --json | jq '.steps[] | select(.jump) | .version'")]
pub(crate) struct Drift {
    /// This file or directory [default: everything]
    path: Option<OsString>,

    /// Only the newest so many versions
    #[arg(long, value_name = "N")]
    last: Option<usize>,

    /// Draw it into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    steps: Vec<Step>,
    jumps: Vec<u64>,
}

#[derive(Serialize)]
struct Step {
    version: u64,
    time: String,
    /// `first` is the version before, `second` this one.
    from_before: Option<JsonSimilarity>,
    /// `first` is the oldest version.
    from_first: Option<JsonSimilarity>,
    jump: bool,
}

pub(crate) fn run(session: &Session, verb: &Drift) -> Result<Ending, Failure> {
    let store = session.open_for_reading()?;
    newest(&store)?;
    let path = verb.path.as_deref().map(stored_path).transpose()?.unwrap_or_default();
    let found = drift(&store, &path, verb.last)?;
    if found.steps.is_empty() {
        let what = format!("no version has `{}`", readable(&path));
        return Err(Failure::new(what, "`engrams ls` shows what there is"));
    }
    if let Some(file) = &verb.svg {
        write(file, svg(&title(&path), &found.steps).as_bytes())?;
    }
    let steps = found.steps.iter().map(|step| Step {
        version: step.version,
        time: moment::rfc3339(step.time),
        from_before: step.from_before.as_ref().map(JsonSimilarity::from),
        from_first: step.from_first.as_ref().map(JsonSimilarity::from),
        jump: step.is_jump,
    });
    let jumps = found.steps.iter().filter(|step| step.is_jump).map(|step| step.version).collect();
    let report = Report { steps: steps.collect(), jumps };
    session.report(&report, || text(&found.steps))?;
    Ok(Ending::Complete)
}

fn title(path: &[u8]) -> String {
    if path.is_empty() { "everything".to_owned() } else { readable(path) }
}

/// Characters of a bar that stands for 100 %.
const BAR: usize = 40;

fn text(steps: &[DriftStep]) -> String {
    let mut text = format!(
        "{:>7}  {:19}  {:>8} {:>8} {:>8}  of the version before, still there\n",
        "version", "time (UTC)", "kept", "new", "first"
    );
    for step in steps {
        let line = match (&step.from_before, &step.from_first) {
            (Some(before), Some(first)) => {
                let kept = (before.containment.value * BAR as f64).round() as usize;
                let bar = format!("{}{}", "#".repeat(kept), ".".repeat(BAR.saturating_sub(kept)));
                let mut new = before.containment_of_other;
                new.value = 1.0 - new.value;
                format!(
                    "{:>8} {:>8} {:>8}  {bar}{}",
                    percent(&before.containment),
                    percent(&new),
                    percent(&first.containment),
                    if step.is_jump { "  JUMP" } else { "" }
                )
            }
            _ => format!("{:>8} {:>8} {:>8}", "", "", ""),
        };
        let line = format!("{:>7}  {}  {line}", step.version, moment::short(step.time));
        text += line.trim_end();
        text.push('\n');
    }
    let jumps: Vec<String> =
        steps.iter().filter(|step| step.is_jump).map(|step| step.version.to_string()).collect();
    text += &match jumps.is_empty() {
        true => "no jumps\n".to_owned(),
        false => format!("jumps in version {}: see `engrams diff`\n", jumps.join(", ")),
    };
    text
}

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 50.0;
const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-size:16px;font-weight:600}.paper{fill:#fff}\
.grid{stroke:#d8dee4}.kept{stroke:#0969da;fill:none;stroke-width:2}.first{stroke:#6e7781;fill:none;stroke-width:2;\
stroke-dasharray:5 4}.band{fill:#0969da;opacity:.15}.dot{fill:#0969da}.jump{fill:#cf222e}.label{fill:#cf222e;font-weight:600}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.paper{fill:#0d1117}.grid{stroke:#262c36}.kept{stroke:#58a6ff}\
.band,.dot{fill:#58a6ff}.first{stroke:#9da7b3}.jump,.label{fill:#ff7b72}}";

/// The share of the version before, and of the first, that is still there. The same steps give the same bytes.
fn svg(title: &str, steps: &[DriftStep]) -> String {
    let last = steps.len().saturating_sub(1).max(1) as f64;
    let x = |at: usize| LEFT + (WIDTH - LEFT - RIGHT) * at as f64 / last;
    let y = |share: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - share);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
         <style>{STYLE}</style>\n<rect class=\"paper\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"24\">Drift of {}</text>\n\
         <text x=\"{LEFT}\" y=\"44\">share still there: of the version before (solid, with 95 % band), of the first (dashed)</text>\n",
        escape(title)
    );
    for tenth in 0..=5 {
        let share = f64::from(tenth) / 5.0;
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{:.0} %</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y(share) + 4.0,
            100.0 * share,
            y = y(share)
        );
    }
    let compared: Vec<(usize, &DriftStep)> =
        steps.iter().enumerate().filter(|(_, step)| step.from_before.is_some()).collect();
    let points = |share: &dyn Fn(&DriftStep) -> Option<f64>| -> Vec<String> {
        compared
            .iter()
            .filter_map(|(at, step)| Some(format!("{:.1},{:.1}", x(*at), y(share(step)?))))
            .collect()
    };
    let mut band = points(&|step| Some(step.from_before?.containment.high));
    band.extend(points(&|step| Some(step.from_before?.containment.low)).into_iter().rev());
    let _ = writeln!(out, "<polygon class=\"band\" points=\"{}\"/>", band.join(" "));
    for (class, line) in [
        ("first", points(&|step| Some(step.from_first?.containment.value))),
        ("kept", points(&|step| Some(step.from_before?.containment.value))),
    ] {
        let _ = writeln!(out, "<polyline class=\"{class}\" points=\"{}\"/>", line.join(" "));
    }
    // Numbers of versions, as many as there is room for.
    let every = steps.len().div_ceil(16).max(1);
    for (at, step) in steps.iter().enumerate() {
        if let Some(before) = &step.from_before {
            let (x, y) = (x(at), y(before.containment.value));
            let class = if step.is_jump { "jump" } else { "dot" };
            let _ = writeln!(out, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>");
            if step.is_jump {
                let _ = writeln!(
                    out,
                    "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{}\">jump in {}</text>",
                    if at + 1 == steps.len() { x - 8.0 } else { x + 8.0 },
                    y - 8.0,
                    if at + 1 == steps.len() { "end" } else { "start" },
                    step.version
                );
            }
        }
        if at % every == 0 {
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x(at),
                HEIGHT - BOTTOM + 20.0,
                step.version
            );
        }
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">version</text>\n</svg>",
        WIDTH / 2.0,
        HEIGHT - 10.0
    );
    out
}

/// Text in XML and HTML.
pub(crate) fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
        out
    })
}
