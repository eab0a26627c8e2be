//! One instant of a [`RocksBackend`], and ordered scans of it.

use ::rocksdb::{DB, DBRawIteratorWithThreadMode, ReadOptions};

use super::{RocksBackend, options::placement};
use crate::backend::{KeyRange, KeyValue, Snapshot};
use crate::{ErrorKind, Result, Space};

pub(super) struct RocksSnapshot<'b> {
    backend: &'b RocksBackend,
    instant: ::rocksdb::Snapshot<'b>,
}

impl<'b> RocksSnapshot<'b> {
    pub(super) fn new(backend: &'b RocksBackend) -> Result<Self> {
        Ok(Self { backend, instant: backend.database()?.snapshot() })
    }

    fn open_scan<'a>(&'a self, space: Space, range: KeyRange<'a>) -> Result<Option<Scan<'a>>> {
        if range.to.is_some_and(|to| to <= range.from) {
            return Ok(None);
        }
        let mut cursor = self.cursor(space, range)?;
        if range.descending {
            cursor.seek_to_last();
        } else {
            cursor.seek_to_first();
        }
        let prefix = Prefix::of(space);
        let start = if range.descending { range.to.unwrap_or(&[0xff; 8]) } else { range.from };
        let at = [prefix.as_slice(), start].concat();
        Ok(Some(Scan { snapshot: self, space, range, cursor, at, skipped: Vec::new(), done: false }))
    }

    fn cursor<'a>(&'a self, space: Space, range: KeyRange<'a>) -> Result<Cursor<'a>> {
        let (family, prefix) = self.backend.family(space)?;
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound([prefix.as_slice(), range.from].concat());
        if let Some(to) = range.to {
            options.set_iterate_upper_bound([prefix.as_slice(), to].concat());
        } else if let [byte] = prefix.as_slice() {
            // Prefixes are ASCII letters: there is a next one.
            options.set_iterate_upper_bound([byte + 1]);
        }
        // A long scan would push everything else out of the cache; a look at a few index entries is what the
        // cache is for.
        let short = matches!(space, Space::Name | Space::Recall) && range.to.is_some();
        options.fill_cache(short);
        Ok(self.instant.raw_iterator_cf_opt(family, options))
    }
}

impl Snapshot for RocksSnapshot<'_> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let (family, prefix) = self.backend.family(space)?;
        self.instant
            .get_cf(family, [prefix.as_slice(), key].concat())
            .map_err(|error| self.backend.failure("read", error))
    }

    fn scan<'a>(
        &'a self,
        space: Space,
        range: KeyRange<'a>,
    ) -> Box<dyn Iterator<Item = Result<KeyValue>> + 'a> {
        match self.open_scan(space, range) {
            Ok(scan) => Box::new(scan.into_iter().flatten()),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }
}

/// The byte before the keys of a space, or nothing.
#[derive(Clone, Copy)]
pub(super) struct Prefix(Option<u8>);

impl Prefix {
    pub(super) fn of(space: Space) -> Self {
        Self(placement(space).1)
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }
}

type Cursor<'a> = DBRawIteratorWithThreadMode<'a, DB>;

struct Scan<'a> {
    snapshot: &'a RocksSnapshot<'a>,
    space: Space,
    range: KeyRange<'a>,
    cursor: Cursor<'a>,
    /// The key given out last, as the database has it; at first the bound where the scan begins.
    at: Vec<u8>,
    /// Records to be given out next, the last one first.
    skipped: Vec<KeyValue>,
    done: bool,
}

/// Keys tried one by one behind one that can't be read, before the steps grow.
const SMALL_STEPS: u64 = 64;

impl Scan<'_> {
    /// Moves behind a block that the database can't read, to the next key that it can; false: there is none.
    ///
    /// The database does not say where a block ends. Keys are tried as numbers (the eight bytes after the space's): one
    /// by one first, as ids ascend, then in steps that double, and the last step is halved until the first key behind
    /// the damage is found.
    fn pass_damage(&mut self) -> bool {
        let (space, last) = self.at.split_at(Prefix::of(self.space).as_slice().len().min(self.at.len()));
        let (space, number) = (space.to_vec(), number_of(last));
        let key = |number: u64| [space.as_slice(), &number.to_be_bytes()].concat();
        let (mut near, mut step) = (number, 1);
        loop {
            let far =
                if self.range.descending { near.saturating_sub(step) } else { near.saturating_add(step) };
            if self.is_readable_from(&key(far)) {
                return self.narrow(near, far, &key);
            }
            if far == near {
                return false;
            }
            near = far;
            if near.abs_diff(number) >= SMALL_STEPS {
                step = step.saturating_mul(2);
            }
        }
    }

    /// `near` can't be read and `far` can: puts the cursor on the first key behind the damage.
    fn narrow(&mut self, mut near: u64, mut far: u64, key: &dyn Fn(u64) -> Vec<u8>) -> bool {
        while near.abs_diff(far) > 1 {
            let middle = near.midpoint(far);
            if self.is_readable_from(&key(middle)) { far = middle } else { near = middle }
        }
        self.is_readable_from(&key(far)) && self.cursor.valid()
    }

    /// What can be read between the cursor and the key given out last. A cursor that goes backwards reads the record before
    /// the one it is at, so it does not come to the one just behind the damage.
    fn skipped(&self) -> Vec<KeyValue> {
        let prefix = Prefix::of(self.space).as_slice().len();
        let below = self.cursor.key().and_then(|key| key.get(prefix..));
        let from = below.map_or_else(|| self.range.from.to_vec(), |below| [below, &[0]].concat());
        let range = KeyRange { from: &from, to: self.at.get(prefix..), descending: false };
        self.snapshot.scan(self.space, range).filter_map(Result::ok).collect()
    }

    fn is_readable_from(&mut self, key: &[u8]) -> bool {
        // A cursor that failed once may say so of the next block too.
        match self.snapshot.cursor(self.space, self.range) {
            Ok(cursor) => self.cursor = cursor,
            Err(_) => return false,
        }
        if self.range.descending {
            self.cursor.seek_for_prev(key);
        } else {
            self.cursor.seek(key);
        }
        self.cursor.valid() || self.cursor.status().is_ok()
    }
}

/// The first eight bytes of a key as a number.
fn number_of(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(key).for_each(|(byte, from)| *byte = *from);
    u64::from_be_bytes(bytes)
}

impl Iterator for Scan<'_> {
    type Item = Result<KeyValue>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(record) = self.skipped.pop() {
            return Some(Ok(record));
        }
        if self.done {
            return None;
        }
        if let Err(closed) = self.snapshot.backend.database() {
            self.done = true;
            return Some(Err(closed));
        }
        let Some((key, value)) = self.cursor.item() else {
            let Err(failed) = self.cursor.status() else {
                self.done = true;
                return None;
            };
            let error = self.snapshot.backend.failure("scan", failed);
            self.done = error.kind() != ErrorKind::Corrupt || !self.pass_damage();
            if error.kind() == ErrorKind::Corrupt && self.range.descending {
                self.skipped = self.skipped();
            }
            return Some(Err(error));
        };
        self.at.clear();
        self.at.extend_from_slice(key);
        let item =
            (key.get(Prefix::of(self.space).as_slice().len()..).unwrap_or_default().to_vec(), value.to_vec());
        if self.range.descending {
            self.cursor.prev();
        } else {
            self.cursor.next();
        }
        Some(Ok(item))
    }
}
