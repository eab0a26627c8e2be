//! Versions: the newest, all of them, their trees and engrams, and the records that say which there are.

use std::sync::Arc;

use engrams_core::{Dimension, Engram};

use crate::backend::KeyRange;
use crate::format::{Forgotten, MAX_ID, Reader, Version, id_key, id_of_key, put_varint, seal, unseal};
use crate::pin::Pins;
use crate::store::{EngramStore, Inner};
use crate::tree::{Totals, Tree, TreeRoot};
use crate::{Backend, Error, Result, Space};

pub(crate) const HEAD_KEY: &[u8] = b"head";

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
    /// `Corrupt` when a record is damaged.
    pub fn versions(&self) -> Result<Vec<Version>> {
        let newest = self.0.head().as_ref().map_or(0, |head| head.number);
        let snapshot = self.0.backend.snapshot()?;
        let to = id_key(newest + 1);
        let range = KeyRange { to: Some(&to), descending: true, ..KeyRange::default() };
        snapshot
            .scan(Space::Version, range)
            .map(|record| {
                let (key, value) = record?;
                Version::decode(id_of_key(Space::Version, &key)?, &value)
            })
            .collect()
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
    let record = backend.get(Space::Version, &id_key(number))?;
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
