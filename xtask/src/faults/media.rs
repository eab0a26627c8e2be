//! The medium loses bits: flips and truncations at random places of a store's files, each in a copy of its own; then a
//! repair of each, alone and with the files that were stored.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde_json::Value;

use super::Campaign;
use super::model::{self, Model, Trouble};
use super::power;
use super::random::Random;
use super::session::{Scale, Session, Step};
use super::subject::Subject;
use super::verdict::{Verdict, clear, clear_unless_named, look, put_files};
use crate::process::Outcome;

const SCALE: Scale = Scale { files: 12, largest: 100_000 };
/// So many files, and versions with so long messages, that records of versions, trees and files have blocks of their own.
const WIDE: Scale = Scale { files: 900, largest: 2000 };
const LONG_MESSAGE: usize = 9000;
const VERSIONS: usize = 5;
/// Of a session that ends in the middle of its last ingest; the binary may have forgotten versions before.
const COMMANDS: usize = 7;

/// Trials at a time: a database that failed to merge a damaged table waits a second before it goes on.
const WORKERS: usize = 6;

/// What all faults did, and what repairs made of them.
#[derive(Debug, Default)]
struct Sum {
    files_lost: u64,
    files_read: u64,
    most_lost: u64,
    /// Stores without a finding that took a new version and a collection.
    written: u64,
    repaired: Repaired,
}

/// What repairs made of the faults.
#[derive(Debug, Default)]
pub(super) struct Repaired {
    /// Everything was whole again, without help.
    whole: u64,
    /// Files and versions that were lost, all of them named.
    files_lost: u64,
    versions_lost: u64,
    files_read: u64,
    /// Of the repairs that lost something: everything came back from the files, but for what is named.
    healed: u64,
    files_still_lost: u64,
    /// Paths that a version's tree lost went with it, and are not asked for any more.
    files_dropped: u64,
}

pub(super) fn run(campaign: &mut Campaign) -> Outcome {
    let wanted = campaign.trials(1000, 24);
    let place = campaign.place()?;
    let random = &mut Random::part(campaign.seed, "media");
    let mut stores = Vec::new();
    for number in 0..campaign.trials(8, 2) {
        let around = place.path().join(number.to_string());
        // Of the encrypted ones, too, one was closed and one has crashed.
        let key_file = campaign.key_of(number);
        let is_closed = (number + number / 4) % 2 == 0;
        stores.push(if is_closed {
            make_store(campaign, key_file, &around, number == 0, random)?
        } else {
            make_crashed_store(campaign, key_file, &around, random)?
        });
    }
    let seed = random.next();
    let (next, shared) = (AtomicUsize::new(0), Mutex::new((campaign, Sum::default())));
    let work = |worker: usize| -> Outcome {
        let lock = || shared.lock().unwrap_or_else(PoisonError::into_inner);
        let around = place.path().join(format!("worker{worker}"));
        fs::create_dir(&around).map_err(|error| format!("{}: {error}", around.display()))?;
        let subject = lock().0.subject.catching_in(around.join("caught"))?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= wanted || lock().0.has_enough() {
                return Ok(());
            }
            let random = &mut Random::part(seed, &number.to_string());
            if number.is_multiple_of(100) {
                lock().0.progress(number, wanted);
            }
            let trial = Trial::run(&subject, &around, &stores[number % stores.len()], random)?;
            let (campaign, sum) = &mut *lock();
            trial.judge(campaign, sum)?;
        }
    };
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = (0..WORKERS).map(|worker| scope.spawn(move || work(worker))).collect();
        let died = |_| Err("a worker died".to_owned());
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(died)).collect()
    });
    outcomes.into_iter().collect::<Outcome>()?;
    let (campaign, sum) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    let files = |store: &Damaged| store.model.versions().values().map(|files| files.len() as u64).sum();
    campaign.count("files in all versions of a store, at most", stores.iter().map(files).max().unwrap_or(0));
    campaign.count("most files refused after one fault that let the store open", sum.most_lost);
    campaign.count("files refused, in all", sum.files_lost);
    campaign.count("files read and exact, in all", sum.files_read);
    campaign.count("stores without a finding that took a version and a collection", sum.written);
    let repaired = &sum.repaired;
    campaign.count("after a repair: stores that are whole", repaired.whole);
    campaign.count("after a repair: files read and exact", repaired.files_read);
    campaign.count("after a repair: files lost and named", repaired.files_lost);
    campaign.count("after a repair: versions lost and named", repaired.versions_lost);
    campaign.count("after a repair: files dropped with what listed them, and named", repaired.files_dropped);
    campaign.count("after a repair from the files: stores with every file that is listed", repaired.healed);
    campaign.count("after a repair from the files: files still lost and named", repaired.files_still_lost);
    Ok(())
}

/// One fault in a copy of one store, and what came of it.
struct Trial<'s> {
    damage: Damage,
    store: &'s Damaged,
    /// The store as the fault left it.
    kept: PathBuf,
    outcome: Result<(Verdict, Repaired), Trouble>,
}

impl<'s> Trial<'s> {
    fn run(subject: &Subject, around: &Path, store: &'s Damaged, random: &mut Random) -> Outcome<Self> {
        let subject = &subject.with_key(store.key_file.clone());
        let (damaged, kept) = (around.join("damaged"), around.join("kept"));
        for directory in [&damaged, &kept] {
            drop(fs::remove_dir_all(directory));
        }
        super::copy(&store.place, &damaged)?;
        let damage = damage(&damaged, random)?;
        super::copy(&damaged, &kept)?;
        let outcome = look(subject, &damaged, store).and_then(|verdict| {
            Ok((verdict, repair(subject, &kept, around, &store.model, store.is_crashed)?))
        });
        Ok(Self { damage, store, kept, outcome })
    }

    fn judge(self, campaign: &mut Campaign, sum: &mut Sum) -> Outcome {
        let place = match (self.store.is_crashed, &self.store.key_file) {
            (false, None) => "in a closed store",
            (true, None) => "in a crashed store",
            (false, Some(_)) => "in a closed store, encrypted",
            (true, Some(_)) => "in a crashed store, encrypted",
        };
        campaign.count(place, 1);
        let script = [self.damage.shown];
        if let Some((verdict, repaired)) = campaign.judge(self.outcome, &self.kept, &script)? {
            campaign.count(&format!("{}, noticed by {}", self.damage.kind, verdict.noticed_by), 1);
            sum.files_lost += verdict.files_lost;
            sum.files_read += verdict.files_read;
            sum.most_lost = sum.most_lost.max(verdict.files_lost);
            sum.written += verdict.written;
            sum.repaired.add(&repaired);
        }
        Ok(())
    }
}

/// A store to be damaged.
pub(super) struct Damaged {
    place: PathBuf,
    /// What is in it.
    pub(super) model: Model,
    is_crashed: bool,
    key_file: Option<PathBuf>,
    /// The binary forgets and collects.
    pub(super) collects: bool,
}

/// A closed store of a few versions.
fn make_store(
    campaign: &Campaign,
    key_file: Option<PathBuf>,
    around: &Path,
    is_wide: bool,
    random: &mut Random,
) -> Outcome<Damaged> {
    let store = around.join("store");
    let scale = if is_wide { WIDE } else { SCALE };
    let mut session = Session::new(Random::new(random.next()), scale, campaign.verbs, around.join("source"))?;
    let mut model = Model::default();
    let subject = campaign.subject.with_key(key_file.clone());
    for _ in 0..VERSIONS {
        session.change()?;
        let mut arguments = session.arguments(&Step::Ingest);
        if is_wide {
            let mut message = String::new();
            while message.len() < LONG_MESSAGE {
                message += &format!("{:x}", random.next());
            }
            arguments.extend(["-m".to_owned(), message]);
        }
        let ran = subject.run(&store, &arguments)?;
        if !ran.succeeded() {
            return Err(format!("making a store to damage: {}", ran.shown()));
        }
        model.begin(&Step::Ingest, &session);
        model.promise();
    }
    let collects = campaign.verbs.forget && campaign.verbs.gc;
    Ok(Damaged { place: store, model, is_crashed: false, key_file, collects })
}

/// A store as a process leaves it that is killed when its commit has returned: with what a close would have removed.
fn make_crashed_store(
    campaign: &Campaign,
    key_file: Option<PathBuf>,
    around: &Path,
    random: &mut Random,
) -> Outcome<Damaged> {
    let subject = campaign.subject.with_key(key_file.clone());
    let recorded = power::record(campaign, &subject, around, Random::new(random.next()), COMMANDS)?;
    let (state, model) = recorded.killed_at_the_end();
    let root = around.join("crashed");
    let written = fs::create_dir(&root).and_then(|()| state.write(&root));
    written.map_err(|error| format!("{}: {error}", root.display()))?;
    let store = power::store_in(&root);
    let is_left_over = |(path, _): &(PathBuf, u64)| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("OPTIONS-"))
    };
    if files(&store)?.iter().any(is_left_over) {
        let collects = campaign.verbs.forget && campaign.verbs.gc;
        Ok(Damaged { place: store, model: model.clone(), is_crashed: true, key_file, collects })
    } else {
        Err("a killed process left nothing that a close would have removed".to_owned())
    }
}

/// All files of a store that have bytes, with their lengths, in the order of their names.
fn files(store: &Path) -> Outcome<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    for directory in [store.to_owned(), store.join("database")] {
        let entries =
            fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        for entry in entries {
            let path = entry.map_err(|error| error.to_string())?.path();
            let data = fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            if data.is_file() && data.len() > 0 {
                found.push((path, data.len()));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What was done to which file.
pub(super) struct Damage {
    /// The kind of the fault and of the file.
    kind: String,
    pub(super) shown: String,
}

/// Damages one file: half of the time any file, half of the time any byte of all of them.
pub(super) fn damage(store: &Path, random: &mut Random) -> Outcome<Damage> {
    let files = files(store)?;
    let total: u64 = files.iter().map(|(_, bytes)| bytes).sum();
    let mut at = random.below(total as usize) as u64;
    let mut file = &files[random.below(files.len())];
    if random.percent(50) {
        for candidate in &files {
            file = candidate;
            if at < candidate.1 {
                break;
            }
            at -= candidate.1;
        }
    }
    let (path, length) = file;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let offset = random.below(*length as usize);
    let failed = |error| format!("damaging {}: {error}", path.display());
    let mut bytes = fs::read(path).map_err(failed)?;
    let (kind, shown) = if random.percent(25) {
        bytes.truncate(offset);
        ("truncated", format!("{name}, of {length} bytes, truncated to {offset}"))
    } else {
        let bit = random.below(8);
        bytes[offset] ^= 1 << bit;
        ("flipped", format!("{name}, of {length} bytes: bit {bit} of byte {offset} flipped"))
    };
    fs::write(path, bytes).map_err(failed)?;
    let sort = name.trim_matches(|c: char| c.is_ascii_digit() || c == '-').trim_start_matches('.');
    Ok(Damage { kind: format!("{sort} {kind}"), shown })
}

impl Repaired {
    fn add(&mut self, other: &Self) {
        self.whole += other.whole;
        self.files_lost += other.files_lost;
        self.versions_lost += other.versions_lost;
        self.files_read += other.files_read;
        self.healed += other.healed;
        self.files_dropped += other.files_dropped;
        self.files_still_lost += other.files_still_lost;
    }
}

/// What a repair said.
pub(super) struct Said {
    whole: bool,
    lost_versions: Vec<u64>,
    /// Path and versions.
    lost_files: Vec<(String, Vec<u64>)>,
    dropped: Vec<String>,
}

/// Repairs a copy of the damaged store: it opens, holds all but what the repair named, byte for byte, and is verified. With
/// the files that were stored, all that is still listed comes back.
///
/// A chunk that also held files of versions that were forgotten since can't be put together from the others: where
/// versions were, files may stay lost, and are named.
fn repair(
    subject: &Subject,
    kept: &Path,
    around: &Path,
    model: &Model,
    had_forgotten: bool,
) -> Result<Repaired, Trouble> {
    let store = around.join("repaired");
    drop(fs::remove_dir_all(&store));
    super::copy(kept, &store)?;
    let said = said(subject, &store, &[])?;
    let mut repaired = opened(subject, &store, model, &said)?;
    repaired.whole = u64::from(said.whole);
    if said.whole {
        return Ok(repaired);
    }
    let files = around.join("files");
    drop(fs::remove_dir_all(&files));
    let mut from = Vec::new();
    for (number, version) in model.versions() {
        let directory = files.join(number.to_string());
        from.extend(["--from".to_owned(), directory.display().to_string()]);
        put_files(&directory, version)?;
    }
    let from: Vec<&str> = from.iter().map(String::as_str).collect();
    let healed = self::said(subject, &store, &from)?;
    if !had_forgotten && let Some((path, _)) = healed.lost_files.first() {
        return Err(Trouble::Broken(format!("{path} did not come back from the files that were stored")));
    }
    repaired.healed = u64::from(healed.lost_files.is_empty());
    let all = Said { whole: false, lost_files: healed.lost_files, ..said };
    repaired.files_still_lost = opened(subject, &store, model, &all)?.files_lost;
    Ok(repaired)
}

/// Repairs the store with the files in the directories `from`.
pub(super) fn said(subject: &Subject, store: &Path, from: &[&str]) -> Result<Said, Trouble> {
    let arguments = [&["repair", "--json"], from].concat();
    let ran = clear_unless_named(subject.run(store, &arguments)?, "repair")?;
    let report: Value = serde_json::from_str(&ran.output)
        .map_err(|error| Trouble::Broken(format!("repair: {error}: {}", ran.shown())))?;
    let list = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    let numbers = |value: &Value| value.as_array().map(|all| all.iter().filter_map(Value::as_u64).collect());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(Said {
        whole: report["whole"].as_bool() == Some(true),
        lost_versions: numbers(&report["lost_versions"]).unwrap_or_default(),
        lost_files: list("lost_files")
            .iter()
            .map(|file| (text(&file["path"]), numbers(&file["versions"]).unwrap_or_default()))
            .collect(),
        dropped: list("dropped").iter().map(text).collect(),
    })
}

/// The store opens and holds all but what was named as lost.
pub(super) fn opened(
    subject: &Subject,
    store: &Path,
    model: &Model,
    said: &Said,
) -> Result<Repaired, Trouble> {
    let broken = |why: String| Err(Trouble::Broken(format!("after a repair: {why}")));
    let log = clear(subject.run(store, &["log", "--json"])?, "log after a repair")?;
    let shown = model::versions(&log).map_err(|why| Trouble::Broken(format!("log after a repair: {why}")))?;
    let is_left = |number: &&u64| !said.lost_versions.contains(number);
    let expected: Vec<u64> = model.versions().keys().rev().filter(is_left).copied().collect();
    if shown != expected {
        return broken(format!("log shows {shown:?} instead of {expected:?}"));
    }
    let mut repaired = Repaired { versions_lost: said.lost_versions.len() as u64, ..Repaired::default() };
    let verify = clear(subject.run(store, &["verify", "--deep"])?, "verify --deep after a repair")?;
    if said.lost_files.is_empty() != verify.succeeded() {
        return broken(format!("lost files {:?}, but verify --deep: {}", said.lost_files, verify.shown()));
    }
    for (number, files) in model.versions().iter().filter(|(number, _)| expected.contains(number)) {
        let (_, found) = model::extracted(subject, store, *number)?;
        let same = model::same(&found, files);
        same.map_err(|why| Trouble::Broken(format!("version {number} after a repair: {why}")))?;
        repaired.files_read += found.len() as u64;
        for path in files.keys().filter(|path| !found.contains_key(*path)) {
            let is_named = |(lost, versions): &(String, Vec<u64>)| lost == path && versions.contains(number);
            if said.lost_files.iter().any(is_named) {
                repaired.files_lost += 1;
            } else if said.dropped.iter().any(|line| line.contains(&format!("version {number}:"))) {
                repaired.files_dropped += 1;
            } else {
                return broken(format!("version {number}: {path} is missing, and was not named"));
            }
        }
    }
    Ok(repaired)
}
