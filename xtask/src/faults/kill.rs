//! The process is killed at any moment, again and again, in stores that live on.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::model::{Compared, Model};
use super::random::Random;
use super::session::{Scale, Session, Step};
use super::subject::{Subject, kill, wait_for};
use super::{Campaign, interrupted};
use crate::process::Outcome;

/// One store goes through so many kills, with `--quick` the second number: damage that adds up is seen, and the comparison stays fast.
const KILLS_PER_STORE: (usize, usize) = (15, 4);

/// So many repairs of damaged copies of each store are killed, too.
const REPAIRS_PER_STORE: (usize, usize) = (5, 2);

const SCALE: Scale = Scale { files: 24, largest: 200_000 };

/// How long verbs take that nobody kills.
#[derive(Debug, Default)]
struct Durations(BTreeMap<String, Duration>);

impl Durations {
    fn learn(&mut self, verb: &str, took: Duration) {
        let known = self.0.entry(verb.to_owned()).or_insert(took);
        *known = (*known + took) / 2;
    }

    /// It would have taken longer than that.
    fn learn_more(&mut self, verb: &str) {
        if let Some(known) = self.0.get_mut(verb) {
            *known = *known * 21 / 20;
        }
    }

    /// A moment between the start of a verb and a little after its end.
    fn moment(&self, verb: &str, random: &mut Random) -> Duration {
        let typical = self.0.get(verb).copied().unwrap_or(Duration::from_millis(60));
        typical * random.below(1100) as u32 / 1000
    }
}

pub(super) fn run(campaign: &mut Campaign) -> Outcome {
    let wanted = campaign.trials(300, 8);
    let (mut killed, mut store_number) = (0, 0);
    let mut durations = Durations::default();
    while killed < wanted && !campaign.has_enough() {
        campaign.progress(killed, wanted);
        let place = campaign.place()?;
        let random = Random::part(campaign.seed, &format!("kill {store_number}"));
        let most = (wanted - killed).min(campaign.trials(KILLS_PER_STORE.0, KILLS_PER_STORE.1));
        let subject = campaign.subject_for(store_number);
        let in_it = one_store(campaign, &subject, place.path(), random, most, &mut durations)?;
        killed += in_it;
        if subject.is_keyed() {
            campaign.count("kills in encrypted stores", in_it as u64);
        }
        store_number += 1;
    }
    campaign.count("stores", store_number as u64);
    Ok(())
}

/// A session in one store until `most` of its commands were killed; returns how many were.
fn one_store(
    campaign: &mut Campaign,
    subject: &Subject,
    place: &Path,
    mut random: Random,
    most: usize,
    durations: &mut Durations,
) -> Outcome<usize> {
    let (store, crashed) = (place.join("store"), place.join("crashed"));
    let mut session = Session::new(Random::new(random.next()), SCALE, campaign.verbs, place.join("source"))?;
    let (mut model, mut script, mut compared) = (Model::default(), Vec::new(), Compared::default());
    let mut killed = 0;
    while killed < most {
        let step = session.next(&model)?;
        let arguments = session.arguments(&step);
        let spared = random.percent(if model.newest() == 0 { 50 } else { 20 });
        let moment = durations.moment(&arguments[0], &mut random);
        model.begin(&step, &session);
        let started = Instant::now();
        let mut child = subject.start(&mut subject.command(&store, &arguments))?;
        let ended = if spared { None } else { wait_for(&mut child, moment)? };
        if spared || ended.is_some() {
            let ran = subject.wait(child)?;
            durations.learn(&arguments[0], started.elapsed());
            script.push(format!("{step:?}: {:?}", ran.end));
            if !ran.succeeded() {
                let why = format!("{step:?}, which nobody disturbed: {}", ran.shown());
                campaign.broken(&why, &store, &script)?;
                return Ok(killed);
            }
            model.promise();
            campaign.count("commands that ended undisturbed", 1);
            continue;
        }
        kill(&mut child)?;
        killed += 1;
        campaign.count(&format!("{} killed", arguments[0]), 1);
        script.push(format!("{step:?}: killed after {moment:?}"));
        // What was reported before the end is promised.
        if subject.wait(child)?.output.is_empty() {
            durations.learn_more(&arguments[0]);
        } else {
            campaign.count("killed after the report", 1);
            model.promise();
        }
        if random.percent(30) {
            disturb_recovery(campaign, subject, &store, &mut random, durations, &mut script)?;
        }
        drop(std::fs::remove_dir_all(&crashed));
        super::copy(&store, &crashed)?;
        let before = model.newest();
        let outcome = model.check(subject, &store);
        let Some(seen) = campaign.judge(outcome, &crashed, &script)? else { return Ok(killed) };
        compared.add(seen);
        let found = if model.newest() > before { "found committed unpromised" } else { "found as promised" };
        campaign.count(found, 1);
        if matches!(step, Step::Ingest) && model.newest() == 0 {
            campaign.count("killed before the first version", 1);
        }
    }
    for _ in 0..campaign.trials(REPAIRS_PER_STORE.0, REPAIRS_PER_STORE.1) {
        if model.newest() == 0 || !interrupted::repair(campaign, subject, place, &model, &mut random)? {
            break;
        }
    }
    campaign.count("versions compared", compared.versions);
    campaign.count("files compared", compared.files);
    Ok(killed)
}

/// The process that recovers from the kill is killed too.
fn disturb_recovery(
    campaign: &mut Campaign,
    subject: &Subject,
    store: &Path,
    random: &mut Random,
    durations: &Durations,
    script: &mut Vec<String>,
) -> Outcome {
    let mut child = subject.start(&mut subject.command(store, &["log"]))?;
    let moment = durations.moment("log", random) / 3;
    if wait_for(&mut child, moment)?.is_none() {
        kill(&mut child)?;
        campaign.count("recoveries killed", 1);
        script.push(format!("log: killed after {moment:?}"));
    }
    Ok(())
}
