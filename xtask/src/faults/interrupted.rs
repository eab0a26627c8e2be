//! A repair is killed at any moment, in damaged copies of a store. The next one finishes it: the store is then what a repair
//! that nobody disturbed makes of the same damage.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Campaign;
use super::media;
use super::model::{Model, Trouble};
use super::random::Random;
use super::subject::{LIMIT, Subject, kill, wait_for};
use crate::process::Outcome;

/// Damages a copy of the store in `place`, and kills the repair of it. Says whether no promise was broken.
pub(super) fn repair(
    campaign: &mut Campaign,
    subject: &Subject,
    place: &Path,
    model: &Model,
    random: &mut Random,
) -> Outcome<bool> {
    let [kept, undisturbed, killed] = ["kept", "undisturbed", "killed"].map(|name| place.join(name));
    for directory in [&kept, &undisturbed, &killed] {
        drop(fs::remove_dir_all(directory));
    }
    super::copy(&place.join("store"), &kept)?;
    let damage = media::damage(&kept, random)?;
    super::copy(&kept, &undisturbed)?;
    super::copy(&kept, &killed)?;
    let started = Instant::now();
    let said = media::said(subject, &undisturbed, &[]);
    let mut script = vec![damage.shown];
    let Some(said) = campaign.judge(said, &kept, &script)? else { return Ok(false) };
    let typical = started.elapsed();

    let mut child = subject.start(&mut subject.command(&killed, &["repair"]))?;
    let started = Instant::now();
    // The last steps are done in a moment, so every second time they are waited for.
    let ended = if random.percent(50) {
        wait_for(&mut child, typical * random.below(1100) as u32 / 1000)?.is_some()
    } else {
        let is_near_the_end = || ["repair.ready", "damaged-1"].iter().any(|name| killed.join(name).exists());
        loop {
            if wait_for(&mut child, Duration::from_micros(20))?.is_some() {
                break true;
            }
            if is_near_the_end() || started.elapsed() > LIMIT {
                break false;
            }
        }
    };
    if ended {
        campaign.count("repairs that ended before they were killed", 1);
    } else {
        kill(&mut child)?;
        let how_far = match (killed.join("damaged-1").exists(), killed.join("repair.ready").exists()) {
            (false, false) => "repairs killed before the damaged database was replaced",
            (false, true) | (true, true) => "repairs killed while the damaged database was replaced",
            (true, false) => "repairs killed after the damaged database was replaced",
        };
        campaign.count(how_far, 1);
        script.push(format!("repair: killed after {:?}", started.elapsed()));
    }
    drop(fs::remove_dir_all(&kept));
    super::copy(&killed, &kept)?;
    let log = subject.run(&killed, &["log"])?;
    if !log.succeeded() && !log.complaint.contains("engrams repair") {
        let why = format!("after a repair was killed, log: {}", log.shown());
        campaign.broken(&why, &kept, &script)?;
        return Ok(false);
    }
    let finished: Result<_, Trouble> =
        media::said(subject, &killed, &[]).and_then(|_| media::opened(subject, &killed, model, &said));
    Ok(campaign.judge(finished, &kept, &script)?.is_some())
}
