//! The scripted session: a small tree of files that grows, shrinks and is edited, and the verbs that store it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::model::Model;
use super::random::Random;
use crate::process::Outcome;

/// Files by their path in the store.
pub(super) type Files = BTreeMap<String, Arc<Vec<u8>>>;

/// The tree's name in the store.
pub(super) const NAME: &str = "tree";

/// How large the tree is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) files: usize,
    /// Bytes of the largest file.
    pub(super) largest: usize,
}

/// What the binary under test can do beside the verbs that every release has.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Verbs {
    pub(super) forget: bool,
    pub(super) gc: bool,
    pub(super) tag: bool,
}

/// One command of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The tree as it is on disk now.
    Ingest,
    /// A path of the newest version goes.
    Remove(String),
    /// A name for a version, which it loses to this one if another had it.
    Tag(&'static str, u64),
    Untag(&'static str),
    /// Only so many newest versions stay, and those that have a tag.
    Forget(u64),
    Gc,
}

/// The names of tags.
pub(super) const TAGS: [&str; 3] = ["first", "release", "kept for long"];

/// The tree on disk, and what happens to it next.
#[derive(Debug)]
pub(super) struct Session {
    random: Random,
    scale: Scale,
    verbs: Verbs,
    source: PathBuf,
    /// The tree on disk.
    tree: Files,
    named: usize,
}

impl Session {
    /// A session whose tree lies in `source`, a directory that is made.
    pub(super) fn new(random: Random, scale: Scale, verbs: Verbs, source: PathBuf) -> Outcome<Self> {
        fs::create_dir_all(&source).map_err(|error| format!("{}: {error}", source.display()))?;
        let mut session = Self { random, scale, verbs, source, tree: Files::new(), named: 0 };
        for _ in 0..scale.files {
            session.add()?;
        }
        Ok(session)
    }

    /// The files as a version of them shows them.
    pub(super) fn tree(&self) -> &Files {
        &self.tree
    }

    /// The next step in a store that holds what `model` says; for `Ingest` the tree has been changed.
    pub(super) fn next(&mut self, model: &Model) -> Outcome<Step> {
        let chance = self.random.below(100);
        match model.head() {
            Some(newest) if chance < 12 && newest.len() > 2 => {
                let at = self.random.below(newest.len());
                Ok(Step::Remove(newest.keys().nth(at).cloned().unwrap_or_default()))
            }
            Some(_) if chance < 20 && self.verbs.forget => Ok(Step::Forget(2 + self.random.below(8) as u64)),
            Some(_) if chance < 30 && self.verbs.gc => Ok(Step::Gc),
            Some(_) if chance < 42 && self.verbs.tag => {
                let name = TAGS[self.random.below(TAGS.len())];
                // Each third time one goes that is there.
                if model.tags().contains_key(name) && self.random.percent(33) {
                    return Ok(Step::Untag(name));
                }
                let at = self.random.below(model.versions().len());
                Ok(Step::Tag(name, model.versions().keys().nth(at).copied().unwrap_or_default()))
            }
            Some(_) => self.change().map(|()| Step::Ingest),
            None => Ok(Step::Ingest),
        }
    }

    /// The arguments of a step.
    pub(super) fn arguments(&self, step: &Step) -> Vec<String> {
        let words: &[&str] = match step {
            Step::Ingest => {
                let source = self.source.display().to_string();
                // Small chunks: many records from few bytes.
                return ["ingest", &source, "--as", NAME, "--chunk-size", "4096"].map(str::to_owned).into();
            }
            Step::Remove(path) => &["rm", path],
            Step::Tag(name, version) => &["tag", name, &version.to_string()],
            Step::Untag(name) => &["tag", "--remove", name],
            Step::Forget(keep) => &["forget", "--keep-last", &keep.to_string()],
            Step::Gc => &["gc"],
        };
        words.iter().map(|&word| word.to_owned()).collect()
    }

    /// Edits a few files, and sometimes adds, removes or renames one.
    pub(super) fn change(&mut self) -> Outcome {
        for _ in 0..1 + self.random.below(4) {
            let at = self.random.below(self.tree.len());
            let Some((path, bytes)) = self.tree.iter().nth(at) else { continue };
            let (path, mut bytes) = (path.clone(), Vec::clone(bytes));
            for _ in 0..1 + self.random.below(3) {
                let start = self.random.below(bytes.len());
                let end = (start + self.random.below(2000)).min(bytes.len());
                let new = content(&mut self.random, 2000);
                bytes.splice(start..end, new);
            }
            self.write(path, bytes)?;
        }
        match self.random.below(6) {
            0 => self.add(),
            1 if self.tree.len() > 3 => self.take().map(drop),
            2 => match self.take()? {
                Some(bytes) => {
                    let path = self.name();
                    self.write(path, Vec::clone(&bytes))
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// A directory beside the tree with one file of so many bytes that nothing compresses.
    pub(super) fn huge(&mut self, length: usize) -> Outcome<PathBuf> {
        let place = self.source.with_file_name("huge");
        let bytes: Vec<u8> = (0..length / 8).flat_map(|_| self.random.next().to_le_bytes()).collect();
        let written = fs::create_dir_all(&place).and_then(|()| fs::write(place.join("noise"), bytes));
        written.map(|()| place.clone()).map_err(|error| format!("{}: {error}", place.display()))
    }

    fn name(&mut self) -> String {
        self.named += 1;
        format!("{NAME}/d{}/f{}", self.named % 3, self.named)
    }

    fn add(&mut self) -> Outcome {
        let path = self.name();
        let bytes = content(&mut self.random, self.scale.largest);
        self.write(path, bytes)
    }

    fn take(&mut self) -> Outcome<Option<Arc<Vec<u8>>>> {
        let at = self.random.below(self.tree.len());
        let Some(path) = self.tree.keys().nth(at).cloned() else { return Ok(None) };
        let place = self.place(&path);
        fs::remove_file(&place).map_err(|error| format!("{}: {error}", place.display()))?;
        Ok(self.tree.remove(&path))
    }

    fn write(&mut self, path: String, bytes: Vec<u8>) -> Outcome {
        let place = self.place(&path);
        let made = place.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::write(&place, &bytes)).map_err(|e| format!("{}: {e}", place.display()))?;
        self.tree.insert(path, Arc::new(bytes));
        Ok(())
    }

    fn place(&self, path: &str) -> PathBuf {
        self.source.join(Path::new(path).strip_prefix(NAME).unwrap_or(Path::new(path)))
    }
}

/// Up to `most` bytes, small ones more often: words, or what nothing compresses.
fn content(random: &mut Random, most: usize) -> Vec<u8> {
    let most = most >> random.below(8);
    let length = 1 + random.below(most);
    let mut bytes = Vec::with_capacity(length + 16);
    if random.percent(30) {
        while bytes.len() < length {
            bytes.extend_from_slice(&random.next().to_le_bytes());
        }
    } else {
        while bytes.len() < length {
            let word = random.next() % 2048;
            bytes.extend_from_slice(
                format!("{:x} ", word.wrapping_mul(0x9e37_79b9) >> (word % 24)).as_bytes(),
            );
        }
    }
    bytes.truncate(length);
    bytes
}
