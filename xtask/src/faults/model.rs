//! What the store must hold: every version with all its bytes, kept beside the campaign, and the comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::session::{Files, Session, Step};
use super::subject::{End, Ran, Subject};
use crate::process::Outcome;
use crate::tree::Scratch;

/// A fault found a promise broken (`Broken`), or the campaign itself could not go on (`Stuck`).
#[derive(Debug)]
pub(super) enum Trouble {
    Broken(String),
    Stuck(String),
}

impl From<String> for Trouble {
    fn from(message: String) -> Self {
        Self::Stuck(message)
    }
}

/// What is compared, in numbers.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Compared {
    pub(super) versions: u64,
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl Compared {
    pub(super) fn add(&mut self, other: Self) {
        self.versions += other.versions;
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

/// The versions that were promised, and the one that may have come about.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    versions: BTreeMap<u64, Arc<Files>>,
    newest: u64,
    /// The content of version `newest + 1`, if a commit of it was under way.
    pending: Option<Arc<Files>>,
    /// Versions that a step under way may have forgotten.
    going: BTreeSet<u64>,
    tags: Tags,
    /// The tags as a step under way may have made them.
    retagged: Option<Tags>,
}

/// Versions by the name of their tag.
type Tags = BTreeMap<String, u64>;

impl Model {
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// The newest version's content.
    pub(super) fn head(&self) -> Option<&Files> {
        self.versions.get(&self.newest).map(|files| &**files)
    }

    pub(super) fn versions(&self) -> &BTreeMap<u64, Arc<Files>> {
        &self.versions
    }

    pub(super) fn tags(&self) -> &BTreeMap<String, u64> {
        &self.tags
    }

    /// A step begins: what it makes or takes away may be there from now on.
    pub(super) fn begin(&mut self, step: &Step, session: &Session) {
        match step {
            Step::Ingest => self.pending = Some(Arc::new(session.tree().clone())),
            Step::Remove(path) => {
                let mut files = self.head().cloned().unwrap_or_default();
                files.remove(path);
                self.pending = Some(Arc::new(files));
            }
            Step::Forget(keep) => {
                let gone = self.versions.len().saturating_sub(*keep as usize);
                let is_tagged = |number: &u64| self.tags.values().any(|tagged| tagged == number);
                let gone = self.versions.keys().copied().take(gone);
                self.going = gone.filter(|number| !is_tagged(number)).collect();
            }
            Step::Tag(name, version) => {
                let mut tags = self.tags.clone();
                tags.insert((*name).to_owned(), *version);
                self.retagged = Some(tags);
            }
            Step::Untag(name) => {
                let mut tags = self.tags.clone();
                tags.remove(*name);
                self.retagged = Some(tags);
            }
            Step::Gc => {}
        }
    }

    /// The step said that it is done.
    pub(super) fn promise(&mut self) {
        if let Some(files) = self.pending.take() {
            self.newest += 1;
            self.versions.insert(self.newest, files);
        }
        for number in std::mem::take(&mut self.going) {
            self.versions.remove(&number);
        }
        if let Some(tags) = self.retagged.take() {
            self.tags = tags;
        }
    }

    /// Looks at the store as its user would: `log`, `tag`, `verify --deep`, and every version extracted and compared. What
    /// turns out to have been finished without having been promised is promised from now on.
    pub(super) fn check(&mut self, subject: &Subject, store: &Path) -> Result<Compared, Trouble> {
        let log = subject.run(store, &["log", "--json"])?;
        let shown = match versions(&log) {
            Ok(shown) => shown,
            // Before the first promise there need not be a store.
            Err(_) if self.newest == 0 && log.unclear().is_none() && is_absence(&log) => Vec::new(),
            Err(why) => return Err(Trouble::Broken(format!("log: {why}"))),
        };
        let newest = shown.iter().max().copied().unwrap_or(0);
        if newest > self.newest && self.pending.is_some() {
            self.promise();
        }
        self.pending = None;
        if newest != self.newest {
            let why = format!("the newest version is {newest}, but {} was promised", self.newest);
            return Err(Trouble::Broken(why));
        }
        self.settle_forgotten(&shown)?;
        if newest == 0 {
            return Ok(Compared::default());
        }
        self.settle_tags(&subject.run(store, &["tag", "--json"])?)?;
        let verify = subject.run(store, &["verify", "--deep"])?;
        if !verify.succeeded() {
            return Err(Trouble::Broken(format!("verify --deep: {}", verify.shown())));
        }
        let mut compared = Compared::default();
        for (number, files) in &self.versions {
            compared.add(exact(subject, store, *number, files)?);
        }
        Ok(compared)
    }

    fn settle_tags(&mut self, ran: &Ran) -> Result<(), Trouble> {
        let shown = tags(ran).map_err(|why| Trouble::Broken(format!("tag: {why}")))?;
        if let Some(tags) = self.retagged.take().filter(|tags| *tags == shown) {
            self.tags = tags;
        }
        if shown == self.tags {
            return Ok(());
        }
        Err(Trouble::Broken(format!("the tags are {shown:?}, but {:?} were promised", self.tags)))
    }

    fn settle_forgotten(&mut self, shown: &[u64]) -> Result<(), Trouble> {
        for number in std::mem::take(&mut self.going) {
            if !shown.contains(&number) {
                self.versions.remove(&number);
            }
        }
        let shown: BTreeSet<u64> = shown.iter().copied().collect();
        let expected: BTreeSet<u64> = self.versions.keys().copied().collect();
        if shown == expected {
            return Ok(());
        }
        let (lost, risen) = (&expected - &shown, &shown - &expected);
        Err(Trouble::Broken(format!("lost versions {lost:?}, versions {risen:?} that should not be there")))
    }
}

/// The versions that `log --json` shows.
pub(super) fn versions(log: &Ran) -> Result<Vec<u64>, String> {
    if !log.succeeded() {
        return Err(log.shown());
    }
    let report: Value = serde_json::from_str(&log.output).map_err(|error| format!("no JSON: {error}"))?;
    let rows = report["versions"].as_array().ok_or("no list of versions")?;
    rows.iter()
        .map(|row| row["version"].as_u64().ok_or_else(|| "a version without number".to_owned()))
        .collect()
}

/// What `tag --json` shows.
fn tags(ran: &Ran) -> Result<Tags, String> {
    if !ran.succeeded() {
        return Err(ran.shown());
    }
    let report: Value = serde_json::from_str(&ran.output).map_err(|error| format!("no JSON: {error}"))?;
    let rows = report["tags"].as_array().ok_or("no list of tags")?;
    let tag = |row: &Value| Some((row["name"].as_str()?.to_owned(), row["version"].as_u64()?));
    rows.iter().map(|row| tag(row).ok_or_else(|| "a tag without name or version".to_owned())).collect()
}

/// The command found no store, which is not a damaged one.
pub(super) fn is_absence(ran: &Ran) -> bool {
    ran.end == End::Exit(1) && ran.complaint.contains("there is no store at")
}

/// Extracts a version and finds it exactly as it was.
fn exact(subject: &Subject, store: &Path, number: u64, files: &Files) -> Result<Compared, Trouble> {
    let (extract, found) = extracted(subject, store, number)?;
    if !extract.succeeded() {
        return Err(Trouble::Broken(format!("extract of version {number}: {}", extract.shown())));
    }
    let compared = same(&found, files).map_err(|why| Trouble::Broken(format!("version {number}: {why}")))?;
    match files.keys().find(|path| !found.contains_key(*path)) {
        Some(path) => {
            Err(Trouble::Broken(format!("version {number}: {path} is missing, and nobody says so")))
        }
        None => Ok(compared),
    }
}

/// Extracts a version, and reads what came of it.
pub(super) fn extracted(subject: &Subject, store: &Path, number: u64) -> Outcome<(Ran, Files)> {
    let around = store.parent().ok_or("the store has no directory around it")?;
    let place = Scratch::within(around, "extracted").map_err(|error| format!("extracting: {error}"))?;
    let into = place.path().display().to_string();
    let ran = subject.run(store, &["extract", "--version", &number.to_string(), "-o", &into])?;
    let mut found = Files::new();
    read_tree(place.path(), place.path(), &mut found).map_err(|error| format!("reading {into}: {error}"))?;
    Ok((ran, found))
}

/// Everything found is in `files`, with these bytes.
pub(super) fn same(found: &Files, files: &Files) -> Result<Compared, String> {
    let mut compared = Compared { versions: 1, ..Compared::default() };
    for (path, bytes) in found {
        match files.get(path) {
            None => return Err(format!("{path} was never in it")),
            Some(expected) if expected != bytes => return Err(format!("wrong bytes in {path}")),
            Some(_) => {}
        }
        compared.files += 1;
        compared.bytes += bytes.len() as u64;
    }
    Ok(compared)
}

fn read_tree(root: &Path, at: &Path, into: &mut Files) -> std::io::Result<()> {
    for entry in fs::read_dir(at)? {
        let path: PathBuf = entry?.path();
        if path.is_dir() {
            read_tree(root, &path, into)?;
        } else {
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            into.insert(name, Arc::new(fs::read(&path)?));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::random::Random;
    use super::super::session::{Scale, Verbs};
    use super::*;

    #[test]
    fn a_tag_keeps_its_version_until_it_moves_and_a_step_under_way_may_have_ended_or_not() {
        let place = Scratch::new("model").unwrap();
        let scale = Scale { files: 3, largest: 100 };
        let source = place.path().join("source");
        let session = Session::new(Random::new(1), scale, Verbs::default(), source).unwrap();
        let mut model = Model::default();
        let run = |model: &mut Model, step: Step| {
            model.begin(&step, &session);
            model.promise();
            model.versions.keys().copied().collect::<Vec<u64>>()
        };
        for _ in 0..3 {
            run(&mut model, Step::Ingest);
        }
        run(&mut model, Step::Tag("kept", 1));
        assert_eq!(run(&mut model, Step::Forget(1)), [1, 3]);
        let shown = |tags: &str| Ran {
            end: End::Exit(0),
            output: format!("{{\"tags\": [{tags}]}}"),
            complaint: String::new(),
        };
        let (before, after) =
            ("{\"name\": \"kept\", \"version\": 1}", "{\"name\": \"kept\", \"version\": 3}");
        model.begin(&Step::Tag("kept", 3), &session);
        model.clone().settle_tags(&shown(before)).unwrap();
        assert!(model.clone().settle_tags(&shown("")).is_err());
        model.settle_tags(&shown(after)).unwrap();
        assert!(model.settle_tags(&shown(before)).is_err(), "what was seen is promised from then on");
        assert_eq!(run(&mut model, Step::Forget(1)), [3]);
        run(&mut model, Step::Untag("kept"));
        model.settle_tags(&shown("")).unwrap();
    }
}
