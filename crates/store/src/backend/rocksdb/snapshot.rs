//! One instant of a [`RocksBackend`], and ordered scans of it.

use ::rocksdb::{DB, DBRawIteratorWithThreadMode, ReadOptions};

use super::{RocksBackend, options::placement};
use crate::backend::{KeyRange, KeyValue, Snapshot};
use crate::{Result, Space};

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
        let mut cursor = self.instant.raw_iterator_cf_opt(family, options);
        if range.descending {
            cursor.seek_to_last();
        } else {
            cursor.seek_to_first();
        }
        let prefix_bytes = prefix.as_slice().len();
        Ok(Some(Scan {
            backend: self.backend,
            cursor,
            prefix_bytes,
            descending: range.descending,
            done: false,
        }))
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

struct Scan<'a> {
    backend: &'a RocksBackend,
    cursor: DBRawIteratorWithThreadMode<'a, DB>,
    prefix_bytes: usize,
    descending: bool,
    done: bool,
}

impl Iterator for Scan<'_> {
    type Item = Result<KeyValue>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if let Err(closed) = self.backend.database() {
            self.done = true;
            return Some(Err(closed));
        }
        let Some((key, value)) = self.cursor.item() else {
            self.done = true;
            let failed = self.cursor.status().err()?;
            return Some(Err(self.backend.failure("scan", failed)));
        };
        let item = (key.get(self.prefix_bytes..).unwrap_or_default().to_vec(), value.to_vec());
        if self.descending {
            self.cursor.prev();
        } else {
            self.cursor.next();
        }
        Some(Ok(item))
    }
}
