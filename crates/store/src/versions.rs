//! Versions: the newest, all of them, their trees and engrams, and the records that say which there are.

use std::ops::Range;
use std::sync::Arc;

use engrams_core::{Dimension, Engram};

use crate::backend::KeyRange;
use crate::format::{Forgotten, MAX_ID, Reader, Version, id_key, id_of_key, put_varint, seal, unseal};
use crate::pin::Pins;
use crate::store::{EngramStore, Inner};
use crate::tree::{Totals, Tree, TreeRoot};
use crate::{Backend, Error, ErrorKind, Result, Space, unless_corrupt};

pub(crate) const HEAD_KEY: &[u8] = b"head";

/// Versions in a row that can't be read; after these the rest is given up.
pub(crate) const MAX_MISSING: u64 = 1000;

/// The versions of a store, as far as their records can be read.
#[derive(Debug, Default)]
pub struct VersionList {
    /// Newest first.
    pub versions: Vec<Version>,
    /// Those that were not forgotten and whose records are damaged or missing, newest first; of more than 1,000 in a
    /// row the first ones.
    pub damaged: Vec<DamagedVersion>,
}

/// A version whose record can't be read.
#[derive(Debug)]
pub struct DamagedVersion {
    /// Its number.
    pub number: u64,
    /// Why, naming it.
    pub error: Error,
}

impl VersionList {
    /// The versions, if all of them can be read.
    pub(crate) fn whole(mut self) -> Result<Vec<Version>> {
        match self.damaged.pop() {
            None => Ok(self.versions),
            Some(oldest) => Err(oldest.error),
        }
    }
}

impl EngramStore {
    /// The newest version; `None` before the first commit.
    ///
    /// # Errors
    /// None today; a shared backend may fail.
    pub fn head(&self) -> Result<Option<Version>> {
        Ok(self.0.head().clone())
    }

    /// The version with this number.
    ///
    /// # Errors
    /// `NotFound`, saying whether it was forgotten or what versions there are; `Corrupt` when its record is damaged.
    pub fn version(&self, number: u64) -> Result<Version> {
        let newest = self.0.head().as_ref().map_or(0, |head| head.number);
        // Above the newest there may be lost ones.
        let is_known = number <= newest || self.0.pins.state().forgotten.contains(number);
        if number == 0 || !is_known {
            let have = if newest == 0 {
                "the store is empty".to_owned()
            } else {
                format!("there are 1 to {newest}")
            };
            return Err(Error::not_found(format!("no version {number}: {have}")));
        }
        stored_version(&self.0, number)
    }

    /// First and last number of each run of versions that were forgotten, ascending.
    ///
    /// # Errors
    /// `Corrupt` when the record of them is damaged.
    pub fn forgotten(&self) -> Result<Vec<(u64, u64)>> {
        let state = self.0.pins.state();
        state.check()?;
        Ok(state.forgotten.runs().to_vec())
    }

    /// All versions, newest first.
    ///
    /// # Errors
    /// `Corrupt` when a record is damaged or missing: [`readable_versions`](Self::readable_versions) has the others.
    pub fn versions(&self) -> Result<Vec<Version>> {
        self.readable_versions()?.whole()
    }

    /// The versions whose records can be read, and which can't.
    ///
    /// # Errors
    /// `Io` or `Unavailable`.
    pub fn readable_versions(&self) -> Result<VersionList> {
        let newest = self.0.head().as_ref().map_or(0, |head| head.number);
        self.versions_up_to(newest)
    }

    pub(crate) fn versions_up_to(&self, newest: u64) -> Result<VersionList> {
        let snapshot = self.0.backend.snapshot()?;
        let (mut list, mut next) = (VersionList::default(), 1);
        let to = id_key(newest + 1);
        for record in snapshot.scan(Space::Version, KeyRange { to: Some(&to), ..KeyRange::default() }) {
            let version =
                record.and_then(|(key, value)| Version::decode(id_of_key(Space::Version, &key)?, &value));
            let Some(version) = unless_corrupt(version)? else { continue };
            self.look_for(next..version.number, &mut list)?;
            next = version.number + 1;
            list.versions.push(version);
        }
        self.look_for(next..newest + 1, &mut list)?;
        list.versions.reverse();
        list.damaged.reverse();
        Ok(list)
    }

    /// Reads one by one what a scan did not find.
    fn look_for(&self, numbers: Range<u64>, list: &mut VersionList) -> Result<()> {
        let (mut next, mut damaged) = (numbers.start, 0);
        while next < numbers.end {
            let number = next;
            let state = self.0.pins.state();
            let (run_end, knows_forgotten) = (state.forgotten.run_end(number), state.check().is_ok());
            drop(state);
            // In one step, for a forged record may name more than there is time for.
            next = run_end.unwrap_or(number) + 1;
            if run_end.is_some() {
                continue;
            }
            if damaged == MAX_MISSING {
                let last = numbers.end - 1;
                let error = Error::corrupt(format!("versions {number} to {last} can't be read"));
                list.damaged.push(DamagedVersion { number, error });
                return Ok(());
            }
            damaged += 1;
            let record = self.0.backend.get(Space::Version, &id_key(number));
            // It may have been forgotten, then, as nobody knows.
            if !knows_forgotten && matches!(record, Ok(None)) {
                continue;
            }
            match decode_version(number, record) {
                Ok(version) => list.versions.push(version),
                // Forgotten since.
                Err(_) if self.0.pins.state().forgotten.contains(number) => {}
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    list.damaged.push(DamagedVersion { number, error });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The tree of version `number`, or of the newest; an empty tree before the first commit.
    ///
    /// # Errors
    /// As [`version`](Self::version).
    pub fn tree(&self, number: Option<u64>) -> Result<Tree> {
        match number {
            Some(number) => Ok(self.tree_of(Some(&self.version(number)?))),
            // Under its lock, the newest version is not forgotten before it is pinned.
            None => Ok(self.tree_of(self.0.head().as_ref())),
        }
    }

    /// The tree of a version; an empty tree of none. While it, a clone or a walk of it is there, nothing of the version
    /// is collected, even when it is forgotten. The tree of a version that is forgotten already gives `NotFound`.
    #[must_use]
    pub fn tree_of(&self, version: Option<&Version>) -> Tree {
        let Some(version) = version else { return Tree::new(Arc::clone(&self.0.pages), TreeRoot::default()) };
        let tree = Tree::new(Arc::clone(&self.0.pages), TreeRoot::of(version));
        match self.0.pins.version(version) {
            Some(pin) => tree.pinned(pin),
            None => tree.gone(version.number),
        }
    }

    /// The root engram of a version: the sum of all its files' features.
    ///
    /// # Errors
    /// `NotFound` when the version was forgotten; `Corrupt` when its record is damaged.
    pub fn engram(&self, version: &Version) -> Result<Engram> {
        match self.0.pins.version(version) {
            Some(_pin) => self.0.engram(version),
            None => Err(forgotten_version(version.number)),
        }
    }
}

impl Inner {
    pub(crate) fn engram(&self, version: &Version) -> Result<Engram> {
        let damaged = |e: Error| e.within(format_args!("engram of version {}", version.number));
        let bytes = self.pages.get(version.engram).map_err(damaged)?;
        let engram = Engram::from_bytes(&bytes);
        let engram = engram.map_err(|e| damaged(Error::corrupt("it can't be read").with_source(e)))?;
        if engram.dimension() == Dimension::ENGRAM {
            Ok(engram)
        } else {
            Err(damaged(Error::corrupt(format!("it has {} counters", engram.dimension().bits()))))
        }
    }
}

impl TreeRoot {
    /// The root of a version's tree.
    pub(crate) fn of(version: &Version) -> Self {
        let Version { entries, files, bytes, tree, .. } = *version;
        Self { page: tree, totals: Totals { entries, files, bytes } }
    }
}

/// Reads which versions were forgotten. Damage to that must not keep the rest from being read.
pub(crate) fn load_forgotten(backend: &dyn Backend, pins: &Pins) -> Result<()> {
    let mut state = pins.state();
    match backend.get(Space::Meta, Forgotten::KEY)?.map(|record| Forgotten::decode(&record)) {
        None => {}
        Some(Ok(forgotten)) => state.forgotten = forgotten,
        Some(Err(error)) => state.damage = Some(error.to_string()),
    }
    Ok(())
}

pub(crate) fn forgotten_version(number: u64) -> Error {
    Error::not_found(format!("version {number} was forgotten"))
}

/// The version with this number, which there was.
pub(crate) fn stored_version(store: &Inner, number: u64) -> Result<Version> {
    let forgotten = || store.pins.state().forgotten.contains(number);
    if forgotten() {
        return Err(forgotten_version(number));
    }
    // It may be forgotten this very moment.
    read_version(&*store.backend, number)
        .map_err(|error| if forgotten() { forgotten_version(number) } else { error })
}

pub(crate) fn read_version(backend: &dyn Backend, number: u64) -> Result<Version> {
    decode_version(number, backend.get(Space::Version, &id_key(number)))
}

fn decode_version(number: u64, record: Result<Option<Vec<u8>>>) -> Result<Version> {
    let record = record.map_err(|error| error.within(format_args!("version {number}")))?;
    let record = record.ok_or_else(|| Error::corrupt(format!("version {number} has no record")))?;
    Version::decode(number, &record)
}

/// The head's record: the newest version's number.
pub(crate) fn head_record(number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, number);
    seal(Space::Meta, HEAD_KEY, out)
}

pub(crate) fn head_number(record: &[u8]) -> Result<u64> {
    let mut reader = Reader::new(unseal(Space::Meta, HEAD_KEY, record)?, "head record");
    let number = reader.varint()?;
    reader.finish()?;
    if (1..MAX_ID).contains(&number) {
        Ok(number)
    } else {
        Err(Error::corrupt("head record: its number is out of range"))
    }
}
