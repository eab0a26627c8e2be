//! `cargo xtask tidy`: the project's taste, checked; every finding at once.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::process::Outcome;
use crate::workspace::Workspace;
use crate::{licence, links, source};

/// Directories whose Rust files the rules about source are for.
const SOURCES: [&str; 6] = ["crates", "benches", "examples", "fuzz", "tests", "xtask"];
/// The one place for `unsafe`.
const UNSAFE: &str = "crates/kernels";
/// Endings of files that are read as text.
const TEXTS: [&str; 8] = ["rs", "md", "toml", "sh", "yml", "yaml", "json", "run"];

/// What tidy says; warnings do not fail it.
#[derive(Debug, Default)]
struct Findings {
    wrong: Vec<String>,
    warnings: Vec<String>,
}

impl Findings {
    fn at(&mut self, path: &str, lines: impl IntoIterator<Item = usize>, what: &str) {
        self.wrong.extend(lines.into_iter().map(|line| format!("{path}:{line}: {what}")));
    }
}

/// Prints every finding; fails when there is one.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let mut findings = Findings::default();
    let files = files(workspace.root())?;
    let (mut read, mut unreadable) = (0, Vec::new());
    for path in &files {
        match fs::read_to_string(workspace.root().join(path)) {
            Ok(text) => {
                read += 1;
                file(path, &text, &mut findings);
                if path.ends_with(".md") {
                    for (line, target) in links::broken(&workspace.root().join(path), &text) {
                        findings.at(path, [line], &format!("the link {target} leads nowhere"));
                    }
                }
            }
            Err(error) => unreadable.push(format!("{path}: {error}")),
        }
    }
    findings.wrong.extend(unreadable);
    match licence::findings(workspace) {
        Ok(found) => findings.wrong.extend(found),
        Err(why) => findings.wrong.push(format!("licences could not be checked: {why}")),
    }
    report(read, &findings)
}

fn report(read: usize, findings: &Findings) -> Outcome {
    let mut text = String::new();
    for warning in &findings.warnings {
        let _ = writeln!(text, "   warning: {warning}");
    }
    for wrong in &findings.wrong {
        let _ = writeln!(text, "   {wrong}");
    }
    print!("{text}");
    match findings.wrong.len() {
        0 => {
            println!("   tidy: {read} files, nothing to find");
            Ok(())
        }
        1 => Err("tidy: 1 finding, above".to_owned()),
        many => Err(format!("tidy: {many} findings, above")),
    }
}

/// Every rule that looks at one file only. The path is relative to the root, with `/`.
fn file(path: &str, text: &str, findings: &mut Findings) {
    findings.at(path, source::machine_paths(text), "names a place on somebody's machine");
    if let Some(name) = path.strip_prefix("docs/decisions/")
        && !is_decision(name)
    {
        findings.wrong.push(format!("{path}: a decision is called NNNN-what-was-decided.md"));
    }
    if !path.ends_with(".rs") || !SOURCES.iter().any(|dir| is_below(path, dir)) {
        return;
    }
    let lines = text.lines().count();
    if lines > source::LONGEST {
        findings.wrong.push(format!("{path}: {lines} lines, {} at most", source::LONGEST));
    } else if lines > source::LONG {
        findings.warnings.push(format!("{path}: {lines} lines, {} would be better", source::LONG));
    }
    if !source::opens_with_paragraph(text) {
        findings.at(path, [1], "does not open with a //! paragraph that says what it is");
    }
    findings.at(path, source::unfinished(text), "unfinished work");
    if is_below(path, UNSAFE) {
        findings.at(path, source::unsafe_without_reason(text), "unsafe without a SAFETY comment before it");
    } else {
        let code = source::code_only(text);
        findings.at(path, source::lines_with_word(&code, "unsafe"), "unsafe outside crates/kernels");
        if is_crate_root(path) && !source::forbids_unsafe(text) {
            findings.at(path, [1], "the crate does not say #![forbid(unsafe_code)]");
        }
    }
}

/// `src/lib.rs` or `src/main.rs` of a member of the workspace (fuzz targets' macros forbid forbidding).
fn is_crate_root(path: &str) -> bool {
    !is_below(path, "fuzz") && (path.ends_with("src/lib.rs") || path.ends_with("src/main.rs"))
}

fn is_below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

fn is_decision(name: &str) -> bool {
    let (number, rest) = name.split_at_checked(4).unwrap_or((name, ""));
    let named = rest.strip_prefix('-').and_then(|rest| rest.strip_suffix(".md"));
    number.len() == 4
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && named.is_some_and(|name| !name.is_empty())
}

/// The project's own text files, relative to the root, in order: not what is built, generated or others' work.
fn files(root: &Path) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(dir) = pending.pop() {
        let entries = fs::read_dir(root.join(&dir)).map_err(|error| format!("{}: {error}", dir.display()))?;
        for entry in entries {
            let entry = entry.map_err(|error| format!("{}: {error}", dir.display()))?;
            let path = dir.join(entry.file_name());
            let name = path.to_string_lossy().replace('\\', "/");
            let kind = entry.file_type().map_err(|error| format!("{name}: {error}"))?;
            if kind.is_dir() && !is_foreign(&name) {
                pending.push(path);
            } else if kind.is_file() && is_text(&name) {
                found.push(name);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn is_foreign(dir: &str) -> bool {
    let last = dir.rsplit('/').next().unwrap_or(dir);
    matches!(last, ".git" | "target")
        || dir.ends_with(".engrams")
        || is_below(dir, "testdata/history")
        || ["fuzz/corpus", "fuzz/artifacts"].contains(&dir)
}

fn is_text(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "run" || name.rsplit_once('.').is_some_and(|(_, ending)| TEXTS.contains(&ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        file(path, text, &mut findings);
        findings.wrong
    }

    #[test]
    fn a_good_file_has_no_finding() {
        assert_eq!(
            found("crates/core/src/lib.rs", "//! Chunks.\n#![no_std]\n#![forbid(unsafe_code)]\n"),
            [""; 0]
        );
        let kernel = "//! Lanes.\n// SAFETY: the level proves it.\nlet x = unsafe { f() };\n";
        assert_eq!(found("crates/kernels/src/arch.rs", kernel), [""; 0]);
    }

    #[test]
    fn every_finding_of_a_file_is_told_at_once() {
        let text = format!("fn f() {{ unsafe {{ g() }} }} // {}\n", concat!("FIX", "ME"));
        let found = found("crates/core/src/lib.rs", &text);
        assert_eq!(found.len(), 4, "{found:#?}");
    }

    #[test]
    fn long_files_are_warned_of_and_longer_ones_refused() {
        let mut findings = Findings::default();
        file("xtask/src/a.rs", &"//! Long.\n".repeat(501), &mut findings);
        assert_eq!((findings.wrong.len(), findings.warnings.len()), (0, 1));
        file("xtask/src/a.rs", &"//! Long.\n".repeat(601), &mut findings);
        assert_eq!((findings.wrong.len(), findings.warnings.len()), (1, 1));
    }

    #[test]
    fn rules_about_source_leave_other_places_alone() {
        assert_eq!(found("docs/example.rs", "fn main() {}\n"), [""; 0]);
        assert_eq!(found("fuzz/src/lib.rs", "//! Targets.\n"), [""; 0]);
    }

    #[test]
    fn decisions_are_numbered() {
        assert!(is_decision("0001-one-in-order-point.md"));
        for name in ["1-short.md", "0001.md", "0001-.md", "0001-x.txt", "README.md", "000é-x.md"] {
            assert!(!is_decision(name), "{name}");
        }
        assert_eq!(found("docs/decisions/why.md", "x\n").len(), 1);
    }

    #[test]
    fn what_others_wrote_or_cargo_built_is_not_read() {
        for dir in ["target", "fuzz/target", ".git", "testdata/history/1.0.9", "fuzz/corpus", "a.engrams"] {
            assert!(is_foreign(dir), "{dir}");
        }
        assert!(!is_foreign("testdata/history") && !is_foreign("crates/core"));
    }
}
