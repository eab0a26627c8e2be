//! Retention: which versions are kept, and forgetting the others.
//!
//! Forgetting is one small settled batch: the records of the versions go, and their numbers are written down, so that
//! asking for one of them later tells it from one that never was. It frees nothing by itself; a collection does.

use std::collections::BTreeSet;

use crate::format::{Forgotten, Version, id_key};
use crate::store::EngramStore;
use crate::versions::{HEAD_KEY, head_record};
use crate::{Batch, Durability, Error, Result, Space};

/// Which versions to keep. Each rule keeps some, and what no rule keeps is forgotten; without any rule all are kept.
/// The newest version and tagged ones are always kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// The newest so many.
    pub last: Option<u64>,
    /// The newest of each of the last so many days (UTC) that have a version.
    pub daily: Option<u64>,
    /// The newest of each of the last so many weeks (Monday to Sunday, UTC) that have a version.
    pub weekly: Option<u64>,
    /// The newest of each of the last so many months (UTC) that have a version.
    pub monthly: Option<u64>,
}

/// What to forget: by rules, by number, or both.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forget {
    /// Rules of what to keep.
    pub keep: Retention,
    /// Versions to forget whatever the rules say.
    pub versions: Vec<u64>,
}

/// Which versions go and which stay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ForgetPlan {
    /// Versions to be forgotten, ascending.
    pub forget: Vec<u64>,
    /// Versions that stay, ascending.
    pub keep: Vec<u64>,
    /// Of these, what a tag alone keeps.
    pub kept_by_tag: Vec<u64>,
}

impl Forget {
    /// Decides among `versions`, newest first; `tagged` ones are protected.
    ///
    /// # Errors
    /// `Invalid` when nothing is asked for, a rule keeps none, or a version is named that is protected.
    pub fn plan(&self, versions: &[Version], tagged: &BTreeSet<u64>) -> Result<ForgetPlan> {
        let rules = self.keep;
        let given = [
            ("last", rules.last),
            ("daily", rules.daily),
            ("weekly", rules.weekly),
            ("monthly", rules.monthly),
        ];
        if let Some((rule, _)) = given.iter().find(|(_, keep)| *keep == Some(0)) {
            return Err(Error::invalid(format!("rule `{rule}` would keep 0 versions: give 1 or more")));
        }
        let ruled = given.iter().any(|(_, keep)| keep.is_some());
        if !ruled && self.versions.is_empty() {
            return Err(Error::invalid(
                "nothing says what to forget: give a rule of what to keep, or a version",
            ));
        }
        let mut kept: BTreeSet<u64> = versions.first().map(|newest| newest.number).into_iter().collect();
        if ruled {
            keep_newest(&mut kept, versions, rules.last, |version| Some(version.number));
            keep_newest(&mut kept, versions, rules.daily, day);
            keep_newest(&mut kept, versions, rules.weekly, |version| day(version).map(week));
            keep_newest(&mut kept, versions, rules.monthly, |version| day(version).map(month));
        } else {
            kept.extend(versions.iter().map(|version| version.number));
        }
        for &number in &self.versions {
            if versions.first().is_some_and(|newest| newest.number == number) {
                return Err(Error::invalid(format!("version {number} is the newest: it can't be forgotten")));
            }
            if tagged.contains(&number) {
                return Err(Error::invalid(format!("version {number} is tagged: remove its tags first")));
            }
            kept.remove(&number);
        }
        let mut plan = ForgetPlan::default();
        for number in versions.iter().rev().map(|version| version.number) {
            if kept.contains(&number) {
                plan.keep.push(number);
            } else if tagged.contains(&number) {
                plan.keep.push(number);
                plan.kept_by_tag.push(number);
            } else {
                plan.forget.push(number);
            }
        }
        Ok(plan)
    }
}

/// Keeps the newest version of each of the first `count` different periods, going back.
fn keep_newest<P: PartialEq>(
    kept: &mut BTreeSet<u64>,
    versions: &[Version],
    count: Option<u64>,
    period: impl Fn(&Version) -> Option<P>,
) {
    let (mut left, mut last) = (count.unwrap_or(0), None);
    for version in versions {
        let period = period(version);
        // A clock that was set back makes a period come twice: each run of it counts.
        if left > 0 && (period.is_none() || period != last) {
            kept.insert(version.number);
            left -= 1;
        }
        last = period;
    }
}

/// Days since 1970-01-01, UTC.
fn day(version: &Version) -> Option<i64> {
    Some(version.time.seconds.div_euclid(86_400))
}

/// Weeks that begin on Monday; 1970-01-01 was a Thursday.
fn week(day: i64) -> i64 {
    (day + 3).div_euclid(7)
}

/// Months since the year 0, by the civil-from-days algorithm (Hinnant, "chrono-compatible low-level date algorithms").
fn month(day: i64) -> i64 {
    let day = day.saturating_add(719_468);
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // Months from March: the leap day is a year's last.
    let month = (5 * of_year + 2) / 153;
    12 * (year + 400 * era) + month + 2
}

impl EngramStore {
    /// Which versions [`forget`](Self::forget) would forget.
    ///
    /// # Errors
    /// `Invalid` when nothing is asked for, a rule keeps none, or a protected version is named; `NotFound` when one is
    /// named that is not there.
    pub fn forget_plan(&self, what: &Forget) -> Result<ForgetPlan> {
        let head = self.0.head();
        self.plan_now(head.as_ref().map_or(0, |head| head.number), what)
    }

    /// The commit lock is held, so that nothing is tagged, forgotten or committed meanwhile.
    fn plan_now(&self, newest: u64, what: &Forget) -> Result<ForgetPlan> {
        let versions = self.kept_versions(newest)?;
        for &number in &what.versions {
            if !versions.iter().any(|version| version.number == number) {
                let gone = self.0.pins.state().forgotten.contains(number);
                let why = if gone { "was forgotten already" } else { "is not there" };
                return Err(Error::not_found(format!("version {number} {why}")));
            }
        }
        let tagged = self.tags().map_err(undecided)?.into_iter().map(|tag| tag.version).collect();
        what.plan(&versions, &tagged)
    }

    /// Forgets versions: from the moment it returns they are gone, and power loss changes nothing. The numbers of the
    /// others stay. Who has one of them open reads on.
    ///
    /// # Errors
    /// As [`forget_plan`](Self::forget_plan); nothing is then forgotten. `Io` or `Unavailable` when it can't be made
    /// durable: reopen the store to see whether it was.
    pub fn forget(&self, what: &Forget) -> Result<ForgetPlan> {
        let head = self.0.head();
        let plan = self.plan_now(head.as_ref().map_or(0, |head| head.number), what)?;
        if plan.forget.is_empty() {
            return Ok(plan);
        }
        let mut forgotten = self.0.pins.state().forgotten.clone();
        let newest = head.as_ref().map(|head| head_record(head.number));
        let mut batch = Batch::new();
        batch.expect(Space::Meta, HEAD_KEY, newest);
        batch.expect(Space::Meta, Forgotten::KEY, self.0.backend.get(Space::Meta, Forgotten::KEY)?);
        for &number in &plan.forget {
            batch.delete(Space::Version, id_key(number));
            forgotten.insert(number);
        }
        batch.put(Space::Meta, Forgotten::KEY, forgotten.encode());
        // Known before it is done, so that nobody takes a record that goes for one that was lost.
        let before = std::mem::replace(&mut self.0.pins.state().forgotten, forgotten);
        self.0.backend.write(batch, Durability::Settled).inspect_err(|_| {
            self.0.pins.state().forgotten = before;
        })?;
        Ok(plan)
    }

    /// All versions up to `newest`, newest first, none of them missing but what was forgotten.
    pub(crate) fn kept_versions(&self, newest: u64) -> Result<Vec<Version>> {
        let forgotten = {
            let state = self.0.pins.state();
            state.check()?;
            state.forgotten.clone()
        };
        // What is lost must not be taken for forgotten.
        let versions = self.versions_up_to(newest)?.whole().map_err(undecided)?;
        match versions.iter().find(|version| forgotten.contains(version.number)) {
            None => Ok(versions),
            Some(version) => {
                let both = format!("version {} was forgotten and has a record", version.number);
                Err(undecided(Error::corrupt(both)))
            }
        }
    }
}

/// Nothing is decided by records of which some can't be read.
fn undecided(error: Error) -> Error {
    error.within("what is kept can't be told")
}

#[cfg(test)]
mod tests;
