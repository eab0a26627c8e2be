//! The power fails: the session is recorded call by call, and every kind of disk that may be left is opened.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Campaign;
use super::disk::{self, Event, Fate, State, Uncertain};
use super::model::{Compared, Model, Trouble};
use super::random::Random;
use super::record::{Recorder, strace};
use super::session::{Scale, Session, Step, TAGS};
use super::subject::Subject;
use crate::process::{Outcome, succeeds};

const SCALE: Scale = Scale { files: 12, largest: 120_000 };

/// A recorded session, and what the store must hold at each point of it.
pub(super) struct Recorded {
    events: Vec<Event>,
    /// What was promised before each step, with that step under way.
    models: Vec<Model>,
    /// The model when each step has promised what it made.
    promised: Vec<Model>,
    script: Vec<String>,
}

pub(super) fn run(campaign: &mut Campaign) -> Outcome {
    let (sessions, steps) = (campaign.trials(6, 1), campaign.trials(11, 5));
    for number in 0..sessions {
        let place = campaign.place()?;
        let random = Random::part(campaign.seed, &format!("power {number}"));
        let subject = campaign.subject_for(number);
        let recorded = record(campaign, &subject, place.path(), random.clone(), steps)?;
        let what = if subject.is_keyed() { "sessions recorded, encrypted" } else { "sessions recorded" };
        campaign.count(what, 1);
        campaign.count("writes, truncations, names", changes(&recorded.events));
        let syncs = recorded.events.iter().filter(|event| matches!(event, Event::Sync { .. })).count();
        campaign.count("fsyncs recorded", syncs as u64);
        try_states(campaign, &subject, place.path(), &recorded, random)?;
        if campaign.has_enough() {
            break;
        }
    }
    Ok(())
}

fn changes(events: &[Event]) -> u64 {
    let other =
        |event: &&Event| !matches!(event, Event::Sync { .. } | Event::Promise { .. } | Event::Begin { .. });
    events.iter().filter(other).count() as u64
}

/// Runs a session of so many commands and writes down what each does to its disk.
pub(super) fn record(
    campaign: &Campaign,
    subject: &Subject,
    place: &Path,
    mut random: Random,
    steps: usize,
) -> Outcome<Recorded> {
    if !succeeds(Command::new("strace").arg("-V")) {
        return Err(
            "strace is needed to see what a process writes: install it (apt install strace)".to_owned()
        );
    }
    let (root, log) = (place.join("disk"), place.join("calls"));
    fs::create_dir_all(&root).map_err(|error| format!("{}: {error}", root.display()))?;
    let store = store_in(&root);
    let mut session = Session::new(Random::new(random.next()), SCALE, campaign.verbs, place.join("source"))?;
    let mut recorder = Recorder::new(root.clone());
    let (mut model, mut models, mut promised, mut script) = (Model::default(), vec![], vec![], vec![]);
    for number in 0..steps {
        let step = match number {
            // A session of a few commands has each kind of them.
            3 => {
                Step::Remove(model.head().and_then(|files| files.keys().next().cloned()).unwrap_or_default())
            }
            2 if campaign.verbs.tag => Step::Tag(TAGS[0], 1),
            // Only the one between the tagged and the newest goes.
            4 if campaign.verbs.forget => Step::Forget(1),
            5 if campaign.verbs.gc => Step::Gc,
            7 if campaign.verbs.tag => Step::Tag(TAGS[0], model.newest()),
            9 if campaign.verbs.tag => Step::Untag(TAGS[0]),
            10 if campaign.verbs.forget => Step::Forget(1),
            _ => session.change().map(|()| Step::Ingest)?,
        };
        model.begin(&step, &session);
        models.push(model.clone());
        let mut command = subject.command_under(strace(&log), &store, &session.arguments(&step));
        let ran = subject.run_command(&mut command)?;
        if !ran.succeeded() {
            return Err(format!("{step:?} under strace: {}", ran.shown()));
        }
        model.promise();
        promised.push(model.clone());
        script.push(format!("{step:?}"));
        let calls = fs::read_to_string(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        recorder.add(number, &calls)?;
        let there = State::read(&root).map_err(|error| format!("{}: {error}", root.display()))?;
        let events = &recorder.events;
        if disk::state_after(events, events.len(), |_| Fate::Kept) != there {
            return Err(format!("the record of step {number} does not add up to what is on the disk"));
        }
    }
    Ok(Recorded { events: recorder.events, models, promised, script })
}

impl Recorded {
    /// The disk as a process leaves it that is killed as soon as its last commit has returned, and what must be on it.
    pub(super) fn killed_at_the_end(&self) -> (State, &Model) {
        let last = self.events.iter().rposition(|event| matches!(event, Event::Promise { .. }));
        let state = disk::state_after(&self.events, last.unwrap_or(0), |_| Fate::Kept);
        (state, self.promised.last().unwrap_or(&self.models[0]))
    }
}

/// Two directories deep, so that the first command makes one that it was not told of by name.
pub(super) fn store_in(root: &Path) -> PathBuf {
    root.join("a").join("store")
}

/// What the store must hold when the power fails after `cut` events.
fn expected(recorded: &Recorded, cut: usize) -> Option<(usize, bool)> {
    let mut at = None;
    for event in &recorded.events[..cut] {
        match event {
            Event::Begin { step } => at = Some((*step, false)),
            Event::Promise { step } => at = Some((*step, true)),
            _ => {}
        }
    }
    at
}

fn try_states(
    campaign: &mut Campaign,
    subject: &Subject,
    place: &Path,
    recorded: &Recorded,
    mut random: Random,
) -> Outcome {
    let events = &recorded.events;
    let mut seen = BTreeSet::new();
    let mut compared = Compared::default();
    let cuts = cuts(events, campaign.quick, &mut random);
    for (number, (cut, draw)) in cuts.iter().copied().enumerate() {
        if number.is_multiple_of(500) {
            campaign.progress(number, cuts.len());
        }
        let Some((step, is_promised)) = expected(recorded, cut) else { continue };
        let seed = random.next();
        let state = disk::state_after(events, cut, |what| draw.fate(seed, what));
        campaign.count("states drawn", 1);
        if !seen.insert((state.digest(), step, is_promised)) {
            continue;
        }
        campaign.count(draw.name(), 1);
        let model = if is_promised { &recorded.promised[step] } else { &recorded.models[step] };
        let outcome = open_state(subject, place, &state, model.clone());
        let found = outcome.map(|(seen, went_on)| {
            compared.add(seen);
            went_on
        });
        let mut script = recorded.script.clone();
        script.push(format!(
            "power lost in step {step} (promised: {is_promised}) after {cut} of {} events; {draw:?}, {seed}",
            events.len()
        ));
        script.extend(events[cut.saturating_sub(12)..cut].iter().map(shown));
        if let Some(newest) = campaign.judge(found, &place.join("found"), &script)? {
            let found =
                if newest > model.newest() { "found committed unpromised" } else { "found as promised" };
            campaign.count(found, 1);
        } else if campaign.has_enough() {
            break;
        }
    }
    campaign.count("states opened", seen.len() as u64);
    campaign.count("versions compared", compared.versions);
    campaign.count("files compared", compared.files);
    Ok(())
}

fn shown(event: &Event) -> String {
    match event {
        Event::Write { inode, at, bytes } => format!("  write of {} bytes to {inode} at {at}", bytes.len()),
        other => format!("  {other:?}"),
    }
}

/// Opens what is left, compares it with the model, and goes on in it. Returns also the newest version found.
fn open_state(
    subject: &Subject,
    place: &Path,
    state: &State,
    mut model: Model,
) -> Result<(Compared, u64), Trouble> {
    let (root, found) = (place.join("left"), place.join("found"));
    for directory in [&root, &found] {
        drop(fs::remove_dir_all(directory));
        fs::create_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        // One to be opened, one to be kept as it was found.
        state.write(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    let store = store_in(&root);
    let compared = model.check(subject, &store)?;
    let newest = model.newest();
    let source = place.join("source").display().to_string();
    let next = subject.run(&store, &["ingest", &source, "--as", "next", "--chunk-size", "4096"])?;
    if !next.succeeded() {
        return Err(Trouble::Broken(format!("the next ingest: {}", next.shown())));
    }
    let verify = subject.run(&store, &["verify", "--deep"])?;
    if !verify.succeeded() {
        return Err(Trouble::Broken(format!("verify --deep after the next ingest: {}", verify.shown())));
    }
    Ok((compared, newest))
}

/// How the fates of a state's files and directories are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Draw {
    /// Of files and of directories: everything that is not certain is kept, or lost.
    Extreme { data: bool, names: bool },
    /// Each file and each directory keeps some first part.
    Prefixes,
    /// Each page of a file by itself; directories keep some first part.
    Pages,
}

impl Draw {
    fn name(self) -> &'static str {
        match self {
            Self::Extreme { .. } => "states: all or nothing unsynced kept",
            Self::Prefixes => "states: first parts kept, writes torn",
            Self::Pages => "states: pages kept or lost one by one",
        }
    }

    fn fate(self, seed: u64, what: Uncertain) -> Fate {
        let mut random = Random::new(seed ^ (what.inode as u64).wrapping_mul(0x9e37_79b9));
        match self {
            Self::Extreme { data, names } => {
                let keeps = if what.is_directory { names } else { data };
                if keeps { Fate::Kept } else { Fate::Lost }
            }
            Self::Pages if !what.is_directory => Fate::Pages(random.next()),
            Self::Prefixes | Self::Pages => match random.below(4) {
                0 => Fate::Lost,
                1 => Fate::Kept,
                _ => Fate::Prefix(random.below(what.changes + 1), random.next() as u16),
            },
        }
    }
}

/// Where the power fails: before and after every fsync with all and with nothing of the rest, and anywhere by chance.
fn cuts(events: &[Event], quick: bool, random: &mut Random) -> Vec<(usize, Draw)> {
    let mut cuts = Vec::new();
    for (at, event) in events.iter().enumerate() {
        if matches!(event, Event::Sync { .. }) && (!quick || random.percent(8)) {
            for cut in [at, at + 1] {
                let draws = [(false, false), (false, true), (true, false), (true, true)];
                cuts.extend(draws.map(|(data, names)| (cut, Draw::Extreme { data, names })));
            }
        }
    }
    let (prefixes, pages) = if quick { (30, 10) } else { (800, 300) };
    for number in 0..prefixes + pages {
        let draw = if number < prefixes { Draw::Prefixes } else { Draw::Pages };
        cuts.push((random.below(events.len() + 1), draw));
    }
    cuts
}
