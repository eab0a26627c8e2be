//! A look at a damaged store, as its user has it: whatever can be read is exact, whatever can't be is refused by name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::media::Damaged;
use super::model::{self, Trouble};
use super::session::{self, Files};
use super::subject::{End, Ran, Subject};

/// Files of a version that are tried one by one.
const MOST_TRIED: usize = 20;

/// What a fault did that nobody was deceived by.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// The verb that noticed first.
    pub(super) noticed_by: &'static str,
    pub(super) files_lost: u64,
    pub(super) files_read: u64,
    /// 1 if `verify` found nothing, and a new version and a collection succeeded.
    pub(super) written: u64,
}

/// Uses the damaged store: whatever can be read is exact, whatever can't be is refused by name, and `verify` is right. What
/// it finds nothing in takes a new version and a collection.
pub(super) fn look(subject: &Subject, store: &Path, damaged: &Damaged) -> Result<Verdict, Trouble> {
    let broken = |why: String| Err(Trouble::Broken(why));
    let log = clear(subject.run(store, &["log", "--json"])?, "log")?;
    let Some(listed) = listed(&log, damaged)? else {
        // It does not open, for nobody.
        for number in damaged.model.versions().keys() {
            let (extract, found) = model::extracted(subject, store, *number)?;
            let extract = clear(extract, &format!("extract of version {number}"))?;
            if extract.end != End::Exit(1) || !found.is_empty() {
                return broken(format!("version {number} can be extracted, but log: {}", log.shown()));
            }
        }
        return Ok(Verdict { noticed_by: "whoever opens it", ..Verdict::default() });
    };
    let verify = clear(subject.run(store, &["verify"])?, "verify")?;
    let deep = clear(subject.run(store, &["verify", "--deep"])?, "verify --deep")?;
    if deep.succeeded() && !verify.succeeded() {
        return broken("verify finds damage that verify --deep does not".to_owned());
    }
    if verify.succeeded() && !log.succeeded() {
        return broken(format!("verify finds nothing, but log: {}", log.shown()));
    }
    let mut verdict = Verdict::default();
    for (number, files) in damaged.model.versions() {
        let (extract, found) = model::extracted(subject, store, *number)?;
        let extract = clear(extract, &format!("extract of version {number}"))?;
        let same = model::same(&found, files);
        same.map_err(|why| Trouble::Broken(format!("version {number}: {why}")))?;
        let missing = (files.len() - found.len()) as u64;
        if extract.succeeded() && missing > 0 {
            return broken(format!("version {number}: {missing} files are missing, and nobody says so"));
        }
        if listed.contains(number) {
            nothing_is_left_out(subject, store, *number, &found)?;
        } else if extract.end != End::Exit(1) {
            return broken(format!("log can't list version {number}, but extract: {}", extract.shown()));
        }
        verdict.files_lost += missing;
        verdict.files_read += found.len() as u64;
        if deep.succeeded() && !extract.succeeded() {
            let shown = extract.shown();
            return broken(format!("verify --deep finds nothing, but version {number}: {shown}"));
        }
    }
    if verify.succeeded() {
        write(subject, store, damaged)?;
        verdict.written = 1;
    }
    verdict.noticed_by = match (verify.succeeded(), deep.succeeded()) {
        (false, _) => "verify",
        (true, false) => "verify --deep",
        (true, true) => "nobody: it is in unused bytes, all is exact",
    };
    Ok(verdict)
}

/// The versions that `log` lists; with those that it names as damaged they are all. `None`: it lists nothing.
fn listed(log: &Ran, damaged: &Damaged) -> Result<Option<Vec<u64>>, Trouble> {
    if !matches!(log.end, End::Exit(0 | 3)) {
        return Ok(None);
    }
    let report: Value = serde_json::from_str(&log.output)
        .map_err(|error| Trouble::Broken(format!("log: {error}: {}", log.shown())))?;
    let rows = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    let shown: Vec<u64> = rows("versions").iter().filter_map(|row| row["version"].as_u64()).collect();
    let mut all = shown.clone();
    all.extend(rows("damaged").iter().filter_map(Value::as_u64));
    all.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
    let expected: Vec<u64> = damaged.model.versions().keys().rev().copied().collect();
    if all != expected || (log.succeeded() && shown != expected) {
        let why = format!("log shows {shown:?} of {expected:?}, and names {:?}", report["damaged"]);
        return Err(Trouble::Broken(why));
    }
    Ok(Some(shown))
}

/// What `ls` lists of a version and no extraction restored can't be read.
fn nothing_is_left_out(
    subject: &Subject,
    store: &Path,
    number: u64,
    extracted: &Files,
) -> Result<(), Trouble> {
    let number = number.to_string();
    let ls = clear_unless_named(subject.run(store, &["ls", "--json", "--version", &number])?, "ls")?;
    let report: Value = serde_json::from_str(&ls.output)
        .map_err(|error| Trouble::Broken(format!("ls: {error}: {}", ls.shown())))?;
    let entries = report["entries"].as_array().cloned().unwrap_or_default();
    let files: BTreeSet<&str> =
        entries.iter().filter(|e| e["kind"] == "file").filter_map(|e| e["path"].as_str()).collect();
    if let Some(path) = extracted.keys().find(|path| !files.contains(path.as_str())) {
        return Err(Trouble::Broken(format!(
            "version {number}: {path} was restored, but ls does not list it"
        )));
    }
    for path in files.into_iter().filter(|path| !extracted.contains_key(*path)).take(MOST_TRIED) {
        let cat = clear(subject.run(store, &["cat", path, "--version", &number])?, "cat")?;
        if cat.succeeded() {
            let why = format!("version {number}: {path} is listed and can be read, but was not restored");
            return Err(Trouble::Broken(why));
        }
    }
    Ok(())
}

/// Stores the newest version's files again, some of them changed, and collects.
fn write(subject: &Subject, store: &Path, damaged: &Damaged) -> Result<(), Trouble> {
    let again = store.with_file_name("again");
    drop(fs::remove_dir_all(&again));
    if let Some(newest) = damaged.model.versions().values().next_back() {
        put_files(&again, newest)?;
    }
    let source = again.join(session::NAME);
    let written = source.join("written");
    fs::write(&written, store.as_os_str().as_encoded_bytes())
        .map_err(|error| format!("{}: {error}", written.display()))?;
    let source = source.display().to_string();
    let mut commands = vec![vec!["ingest", &source, "--as", session::NAME]];
    if damaged.collects {
        commands.extend([vec!["forget", "--keep-last", "1"], vec!["gc"]]);
    }
    commands.push(vec!["verify"]);
    for command in commands {
        let ran = subject.run(store, &command)?;
        if !ran.succeeded() {
            let why = format!("verify found nothing, but {} does not succeed: {}", command[0], ran.shown());
            return Err(Trouble::Broken(why));
        }
    }
    Ok(())
}

/// Writes these files below `directory`.
pub(super) fn put_files(directory: &Path, files: &Files) -> Result<(), Trouble> {
    for (path, bytes) in files {
        let path = directory.join(path);
        let written = fs::create_dir_all(path.parent().unwrap_or(directory))
            .and_then(|()| fs::write(&path, bytes.as_slice()));
        written.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// As [`clear`], but of status 3, which says that something was lost.
pub(super) fn clear_unless_named(ran: Ran, what: &str) -> Result<Ran, Trouble> {
    match ran.end {
        End::Exit(0 | 3) => Ok(ran),
        _ => Err(Trouble::Broken(format!("{what}: {}", ran.shown()))),
    }
}

/// No hang, no crash, and a failure that says in clear lines what it is.
pub(super) fn clear(ran: Ran, what: &str) -> Result<Ran, Trouble> {
    match ran.unclear() {
        Some(unclear) if ran.end == End::Hung => Err(Trouble::Broken(format!("{what} hangs: {unclear}"))),
        Some(unclear) => Err(Trouble::Broken(format!("{what}: {unclear}"))),
        None => Ok(ran),
    }
}
