//! The disk is full: from the beginning of a command, or from any moment of it, until room is made again; or the store
//! itself has filled it, and must make room by what it forgets.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Campaign;
use super::model::{Compared, Model, Trouble};
use super::random::Random;
use super::session::{Scale, Session, Step};
use super::subject::{Subject, wait_for};
use crate::process::{self, Outcome};

const SCALE: Scale = Scale { files: 24, largest: 300_000 };
const MEGABYTES: usize = 48;

/// So many commands meet a full disk before a new store is begun.
const PER_STORE: usize = 20;

pub(super) fn run(campaign: &mut Campaign) -> Outcome {
    let wanted = campaign.trials(200, 8);
    let (mut tried, mut number) = (0, 0);
    while tried < wanted && !campaign.has_enough() {
        campaign.progress(tried, wanted);
        let place = campaign.place()?;
        let medium = Medium::mount(place.path().join("medium"))?;
        let random = Random::part(campaign.seed, &format!("full {number}"));
        let subject = campaign.subject_for(number);
        let most = (wanted - tried).min(PER_STORE);
        let in_it = one_store(campaign, &subject, place.path(), &medium, random, most)?;
        tried += in_it;
        if subject.is_keyed() {
            campaign.count("commands on encrypted stores", in_it as u64);
        }
        number += 1;
    }
    Ok(())
}

fn one_store(
    campaign: &mut Campaign,
    subject: &Subject,
    place: &Path,
    medium: &Medium,
    mut random: Random,
    most: usize,
) -> Outcome<usize> {
    let (store, crashed) = (medium.place.join("store"), place.join("crashed"));
    let mut session = Session::new(Random::new(random.next()), SCALE, campaign.verbs, place.join("source"))?;
    let (mut model, mut script, mut compared) = (Model::default(), Vec::new(), Compared::default());
    // About what one command writes at most.
    let mut usual = 3_000_000;
    for trial in 0..most {
        let step = session.next(&model)?;
        let arguments = session.arguments(&step);
        model.begin(&step, &session);
        let before = medium.used()?;
        let sudden = random.percent(50);
        let room = random.below(usual);
        if !sudden {
            medium.fill(room)?;
        }
        let mut child = subject.start(&mut subject.command(&store, &arguments))?;
        if sudden {
            let moment = std::time::Duration::from_micros(random.below(150_000) as u64);
            if wait_for(&mut child, moment)?.is_none() {
                medium.fill(0)?;
            }
        }
        let ran = subject.wait(child)?;
        let how = if sudden { "filled up meanwhile".to_owned() } else { format!("{room} bytes left") };
        script.push(format!("{step:?}, {how}: {}", ran.shown()));
        if ran.succeeded() {
            campaign.count("had room enough", 1);
            model.promise();
        } else if let Some(unclear) = ran.unclear() {
            campaign.broken(&format!("a full disk is not said clearly: {unclear}"), &store, &script)?;
            return Ok(trial + 1);
        } else {
            if !ran.complaint.contains("No space left") {
                campaign.broken(&format!("a full disk is not named: {}", ran.shown()), &store, &script)?;
                return Ok(trial + 1);
            }
            campaign.count("failed with one line", 1);
        }
        // Reading may need room too; then it says so.
        let log = subject.run(&store, &["log"])?;
        match log.unclear() {
            None if log.succeeded() => campaign.count("opened while the disk was full", 1),
            None => campaign.count("refused to open while the disk was full", 1),
            Some(unclear) => {
                campaign.broken(&format!("log on a full disk: {unclear}"), &store, &script)?;
                return Ok(trial + 1);
            }
        }
        medium.free()?;
        drop(fs::remove_dir_all(&crashed));
        super::copy(&store, &crashed)?;
        let before_check = model.newest();
        let outcome = model.check(subject, &store);
        let Some(seen) = campaign.judge(outcome, &crashed, &script)? else { return Ok(trial + 1) };
        compared.add(seen);
        if model.newest() > before_check {
            // Its version was complete, and only what comes after the commit failed.
            campaign.count("failed after the commit", 1);
        } else if !ran.succeeded() {
            // The same again, with room.
            let again = subject.run(&store, &arguments)?;
            if !again.succeeded() {
                campaign.broken(&format!("again, with room: {}", again.shown()), &crashed, &script)?;
                return Ok(trial + 1);
            }
            model.begin(&step, &session);
            model.promise();
            campaign.count("done again, with room", 1);
        }
        usual = usual.min((medium.used()?.saturating_sub(before) * 3).max(60_000));
    }
    let outcome = make_room(&mut session, &mut model, subject, &store, medium, &mut script);
    if let Some(seen) = campaign.judge(outcome, &store, &script)? {
        compared.add(seen);
        campaign.count("disks filled by an ingest, and emptied by forget and gc alone", 1);
    }
    campaign.count("versions compared", compared.versions);
    campaign.count("files compared", compared.files);
    Ok(most)
}

/// An ingest fills the disk up and fails. `forget` and `gc` succeed on what room that left, and make it usable again:
/// nobody else removes anything.
fn make_room(
    session: &mut Session,
    model: &mut Model,
    subject: &Subject,
    store: &Path,
    medium: &Medium,
    script: &mut Vec<String>,
) -> Result<Compared, Trouble> {
    let broken = |why: String| Err(Trouble::Broken(why));
    let source = session.huge(MEGABYTES << 20)?.display().to_string();
    let ingest = subject.run(store, &["ingest", &source, "--as", "huge", "--chunk-size", "4096"])?;
    script.push(format!("ingest of more than there is room for: {}", ingest.shown()));
    if ingest.unclear().is_some() || !ingest.complaint.contains("No space left") {
        return broken(format!("an ingest that fills the disk up: {}", ingest.shown()));
    }
    let before = medium.used()?;
    for step in [Step::Forget(1), Step::Gc] {
        model.begin(&step, session);
        let ran = subject.run(store, &session.arguments(&step))?;
        script.push(format!("{step:?}, on the disk that is full: {}", ran.shown()));
        if !ran.succeeded() {
            return broken(format!("{step:?} on a disk that an ingest filled up: {}", ran.shown()));
        }
        model.promise();
    }
    let after = medium.used()?;
    if after * 2 > before {
        return broken(format!("of {before} bytes gc left {after} on a disk that an ingest filled up"));
    }
    model.check(subject, store)?;
    session.change()?;
    model.begin(&Step::Ingest, session);
    let ran = subject.run(store, &session.arguments(&Step::Ingest))?;
    if !ran.succeeded() {
        return broken(format!("an ingest after room was made: {}", ran.shown()));
    }
    model.promise();
    model.check(subject, store)
}

/// A small file system of its own, which goes away with the value.
struct Medium {
    place: PathBuf,
}

impl Medium {
    fn mount(place: PathBuf) -> Outcome<Self> {
        fs::create_dir(&place).map_err(|error| format!("{}: {error}", place.display()))?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={MEGABYTES}m"), "engrams-faults"]).arg(&place);
        process::read(&mut mount).map_err(|why| {
            format!("{why}; a small file system to fill up needs root (or --only another kind)")
        })?;
        Ok(Self { place })
    }

    fn ballast(&self) -> PathBuf {
        self.place.join("ballast")
    }

    /// Fills it up but for so many bytes.
    fn fill(&self, room: usize) -> Outcome {
        let failed = |error| format!("filling {}: {error}", self.place.display());
        let mut ballast = File::create(self.ballast()).map_err(failed)?;
        let page = vec![0xa5; 4096];
        let mut length = 0;
        while ballast.write_all(&page).is_ok() {
            length += page.len();
        }
        ballast.set_len(length.saturating_sub(room) as u64).map_err(failed)
    }

    fn free(&self) -> Outcome {
        match fs::remove_file(self.ballast()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(format!("ballast: {error}")),
            _ => Ok(()),
        }
    }

    /// Bytes of the store on it.
    fn used(&self) -> Outcome<usize> {
        crate::tree::size(&self.place).map(|bytes| bytes as usize).map_err(|error| error.to_string())
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        // What is still mounted is named by the directory that can't be removed.
        let _ = process::read(Command::new("umount").arg(&self.place));
    }
}
