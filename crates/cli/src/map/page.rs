//! The map as one HTML file: two treemaps, by bytes and by what is stored, and a table of the groups.
//!
//! It has no script and names no other resource; its policy forbids both. Names of files are escaped text.

use std::fmt::Write;

use engrams::Clusters;

use crate::drift::escape;
use crate::figures;
use crate::path_text::readable;
use crate::treemap::{Area, Node, Rect, STRIP, is_titled};

const WIDTH: f64 = 1200.0;
const HEIGHT: f64 = 680.0;
/// Width of a character of the labels.
const ADVANCE: f64 = 6.6;
/// Rows of the table, and names in each.
const SHOWN: (usize, usize) = (100, 8);

const STYLE: &str = "\
:root{--paper:#fff;--ink:#1f2328;--quiet:#59636e;--line:#d1d9e0;--single:#dfe5eb;--dir:#f3f5f7;--light:72%;--text:#1f2328}\
@media(prefers-color-scheme:dark){:root{--paper:#0d1117;--ink:#e6edf3;--quiet:#9da7b3;--line:#30363d;--single:#2b323b;\
--dir:#161b22;--light:34%;--text:#f0f3f6}}\
body{margin:0 auto;max-width:1240px;padding:16px 20px;background:var(--paper);color:var(--ink);font:14px/1.45 system-ui,sans-serif}\
h1{font-size:20px;margin:0 0 4px}h2{font-size:16px;margin:24px 0 6px}p{margin:4px 0 12px;color:var(--quiet)}\
svg{width:100%;height:auto;display:block}svg text{font:12px system-ui,sans-serif;fill:var(--text);pointer-events:none}\
svg .name{font-weight:600}rect{stroke:var(--paper);stroke-width:1}rect.dir{fill:var(--dir);stroke:var(--line)}\
rect.single,rect.rest{fill:var(--single)}rect.rest{opacity:.6}rect.file:hover{stroke:var(--ink);stroke-width:2}\
input{position:absolute;opacity:0}label{display:inline-block;padding:4px 12px;border:1px solid var(--line);cursor:pointer}\
input:focus-visible+label{outline:2px solid #0969da}input:checked+label{background:var(--ink);color:var(--paper)}\
.picture{margin-top:10px}#by-size:checked~.stored,#by-stored:checked~.size{display:none}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:5px 10px 5px 0;border-top:1px solid var(--line)}\
td.number,th.number{text-align:right;white-space:nowrap}td{overflow-wrap:anywhere}td:last-child{width:100%}.key{display:inline-block;width:12px;height:12px;\
vertical-align:-1px}.more{color:var(--quiet)}";

/// The page. The same groups give the same bytes.
pub(super) fn html(version: u64, path: &[u8], found: &Clusters) -> String {
    let what = if path.is_empty() { "everything".to_owned() } else { readable(path) };
    let what = escape(&what);
    let (size, stored) = (
        found.files.iter().map(|file| file.size).sum::<u64>(),
        found.files.iter().map(|file| file.stored).sum::<f64>().round() as u64,
    );
    let grouped = found.files.iter().filter(|file| file.cluster.is_some()).count() as u64;
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Map of {what}, version {version}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>Map of {what}, version {version}</h1>\n\
         <p>{} of {}, stored in {}. {} of them in {} of near-duplicates, each with a colour of its own; what \
         resembles nothing is grey.</p>\n\
         <input type=\"radio\" name=\"by\" id=\"by-size\" checked><label for=\"by-size\">by size</label>\
         <input type=\"radio\" name=\"by\" id=\"by-stored\"><label for=\"by-stored\">by what is stored</label>\n",
        figures::counted(found.files.len() as u64, "file", "files"),
        figures::bytes(size),
        figures::bytes(stored),
        figures::grouped(grouped),
        figures::counted(found.clusters.len() as u64, "group", "groups"),
    );
    for (class, weight) in [
        ("size", &(|at: usize| found.files[at].size as f64) as &dyn Fn(usize) -> f64),
        ("stored", &|at: usize| found.files[at].stored),
    ] {
        let _ = writeln!(out, "<div class=\"picture {class}\">");
        picture(&mut out, found, weight);
        out.push_str("</div>\n");
    }
    table(&mut out, found);
    out.push_str("</body>\n</html>\n");
    out
}

fn picture(out: &mut String, found: &Clusters, weight: &dyn Fn(usize) -> f64) {
    let mut root = Node::default();
    for (at, file) in found.files.iter().enumerate() {
        root.add(&file.path, at, weight(at));
    }
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"Treemap\">"
    );
    if root.weight <= 0.0 {
        let _ = writeln!(
            out,
            "<text x=\"{:.0}\" y=\"40\" text-anchor=\"middle\">nothing to draw</text>",
            WIDTH / 2.0
        );
    }
    for area in root.layout(Rect { x: 0.0, y: 0.0, width: WIDTH, height: HEIGHT }) {
        match area {
            Area::Directory { path, name, rect } => {
                box_of(out, "dir", "", rect, &readable(&path));
                if is_titled(rect) {
                    text_in(out, "name", &(readable(&name) + "/"), rect);
                }
            }
            Area::Leaf { number, rect } => {
                let file = &found.files[number];
                let shown = readable(&file.path);
                let (class, style) = match file.cluster {
                    Some(cluster) => ("file", format!(" style=\"fill:{}\"", colour(cluster))),
                    None => ("file single", String::new()),
                };
                let group = file.cluster.map(|at| format!(", group {}", at + 1)).unwrap_or_default();
                let stored = figures::bytes(file.stored.round() as u64);
                let hint = format!("{shown}: {}, stored {stored}{group}", figures::bytes(file.size));
                box_of(out, class, &style, rect, &hint);
                let name = shown.rsplit('/').next().unwrap_or(&shown);
                text_in(out, "", name, rect);
            }
            Area::Rest { count, rect } => {
                let what = figures::counted(count as u64, "smaller file", "smaller files");
                box_of(out, "rest", "", rect, &what);
                text_in(out, "", &what, rect);
            }
        }
    }
    out.push_str("</svg>\n");
}

fn box_of(out: &mut String, class: &str, style: &str, rect: Rect, hint: &str) {
    let _ = writeln!(
        out,
        "<rect class=\"{class}\"{style} x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
        rect.x,
        rect.y,
        rect.width,
        rect.height,
        escape(hint)
    );
}

/// A label at the top of a rectangle, shortened to its width; none where there is no room for four characters.
fn text_in(out: &mut String, class: &str, text: &str, rect: Rect) {
    let room = ((rect.width - 8.0) / ADVANCE).max(0.0) as usize;
    if room < 4 || rect.height < STRIP {
        return;
    }
    let label = match text.chars().count() <= room {
        true => text.to_owned(),
        false => text.chars().take(room - 1).chain(['\u{2026}']).collect(),
    };
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let (x, y) = (rect.x + 4.0, rect.y + 12.5);
    let _ = writeln!(out, "<text{class} x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(&label));
}

/// Neighbouring numbers get hues far apart: steps of the golden angle.
fn colour(cluster: usize) -> String {
    let hue = (cluster % 360) as f64 * 137.508 % 360.0;
    let saturation = 45 + 10 * (cluster / 12 % 4);
    format!("hsl({hue:.0} {saturation}% var(--light))")
}

fn table(out: &mut String, found: &Clusters) {
    out.push_str("<h2>Groups of near-duplicates</h2>\n");
    if found.clusters.is_empty() {
        out.push_str("<p>There are none.</p>\n");
        return;
    }
    out.push_str(
        "<table>\n<tr><th></th><th class=\"number\">files</th><th class=\"number\">different</th>\
         <th class=\"number\">bytes</th><th class=\"number\">stored</th><th>names</th></tr>\n",
    );
    for (number, cluster) in found.clusters.iter().enumerate().take(SHOWN.0) {
        let mut names: Vec<String> =
            cluster.files.iter().take(SHOWN.1).map(|at| escape(&readable(&found.files[*at].path))).collect();
        if let more @ 1.. = cluster.files.len().saturating_sub(SHOWN.1) {
            names.push(format!("<span class=\"more\">and {} more</span>", figures::grouped(more as u64)));
        }
        let _ = writeln!(
            out,
            "<tr><td class=\"number\"><span class=\"key\" style=\"background:{}\"></span> {}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td></tr>",
            colour(number),
            number + 1,
            figures::grouped(cluster.files.len() as u64),
            figures::grouped(cluster.contents as u64),
            figures::bytes(cluster.size),
            figures::bytes(cluster.stored.round() as u64),
            names.join("<br>")
        );
    }
    out.push_str("</table>\n");
    if let more @ 1.. = found.clusters.len().saturating_sub(SHOWN.0) {
        let _ = writeln!(out, "<p>and {}</p>", figures::counted(more as u64, "more group", "more groups"));
    }
}
