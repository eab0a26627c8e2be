//! The few records that a store hangs on: superblock, head, versions, forgotten versions, tags.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{RepairOptions, RepairReport};
use crate::backend::KeyRange;
use crate::collect::Marks;
use crate::error::unless_corrupt;
use crate::format::{Forgotten, Head, Superblock, Version, id_key, id_of_key};
use crate::index_keys::IndexKeys;
use crate::page::PageStore;
use crate::versions::{HEAD_KEY, head_number, head_record};
use crate::{Backend, Batch, Durability, EngramStore, Error, Result, Space, lost, tag};

/// More version numbers without a record than a store can have come by honestly.
const MOST_GAPS: u64 = 1_000_000;

/// Makes these records such that the store opens, and names what is lost with them.
pub(super) fn set_right(
    backend: &Arc<dyn Backend>,
    keys: &IndexKeys,
    marked: Option<u64>,
    options: &RepairOptions,
    mut report: RepairReport,
) -> Result<RepairReport> {
    let mut batch = Batch::new();
    superblock(&**backend, options, &mut batch, &mut report)?;
    let newest = versions(backend, marked, options, &mut batch, &mut report)?;
    tags(&**backend, keys, newest, &mut batch, &mut report)?;
    if report.unless_damaged(lost::read(&**backend))?.is_none() {
        batch.delete(Space::Meta, lost::KEY);
    }
    if !batch.is_empty() {
        backend.write(batch, Durability::Durable)?;
    }
    Ok(report)
}

fn superblock(
    backend: &dyn Backend,
    options: &RepairOptions,
    batch: &mut Batch,
    report: &mut RepairReport,
) -> Result<()> {
    let record = unless_corrupt(backend.get(Space::Meta, Superblock::KEY))?.flatten();
    match record.map(|record| Superblock::decode(&record)) {
        Some(Ok(_)) => return Ok(()),
        Some(Err(error)) if error.kind() != crate::ErrorKind::Corrupt => return Err(error),
        Some(Err(error)) => report.found(error),
        None if is_empty(backend)? => return Err(Error::not_found("there is no store to repair")),
        None => report.found("the superblock is missing"),
    }
    let mut superblock =
        options.sources.first().map_or(options.open.superblock, |source| *source.superblock());
    // Limits that what is stored keeps to, whatever they were.
    let snapshot = backend.snapshot()?;
    for record in snapshot.scan(Space::Head, KeyRange::default()) {
        let head = record.and_then(|(key, record)| {
            Head::decode(id_of_key(Space::Head, &key)?, &record, Superblock::MAX_CHUNK_BYTES)
        });
        if let Some(head) = unless_corrupt(head)? {
            superblock.max_depth = superblock.max_depth.max(head.depth);
        }
    }
    batch.put(Space::Meta, Superblock::KEY, superblock.encode());
    Ok(())
}

fn is_empty(backend: &dyn Backend) -> Result<bool> {
    let snapshot = backend.snapshot()?;
    for space in Space::ALL {
        if snapshot.scan(space, KeyRange::default()).next().is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Sets right which versions there are; returns them.
fn versions(
    backend: &Arc<dyn Backend>,
    marked: Option<u64>,
    options: &RepairOptions,
    batch: &mut Batch,
    report: &mut RepairReport,
) -> Result<BTreeSet<u64>> {
    let snapshot = backend.snapshot()?;
    let mut good = BTreeSet::new();
    let mut damaged = BTreeSet::new();
    for record in snapshot.scan(Space::Version, KeyRange::default()) {
        let Some((key, record)) = report.unless_damaged(record)? else { continue };
        let number = id_of_key(Space::Version, &key);
        let decoded = number
            .and_then(|number| Version::decode(number, &record).inspect_err(|_| damaged.extend([number])));
        match report.unless_damaged(decoded)? {
            Some(version) => drop(good.insert(version.number)),
            None => drop(batch.delete(Space::Version, key)),
        }
    }
    let record = report.unless_damaged(backend.get(Space::Meta, HEAD_KEY))?.flatten();
    let head = record.as_deref().map(head_number);
    let head = match head {
        Some(head) => report.unless_damaged(head)?,
        None => None,
    };
    let newest = good.last().copied().unwrap_or(0);
    let top = [Some(newest), head, marked, damaged.last().copied()].into_iter().flatten().max().unwrap_or(0);
    let record = report.unless_damaged(backend.get(Space::Meta, Forgotten::KEY))?.flatten();
    let known = match &record {
        None => Some(Forgotten::default()),
        Some(record) => report.unless_damaged(Forgotten::decode(record))?,
    };
    let mut forgotten = known.clone().unwrap_or_default();
    if top - newest > MOST_GAPS || newest - good.len() as u64 > MOST_GAPS + forgotten.count() {
        return Err(Error::corrupt(format!(
            "version {top} is the newest, but there are {} records",
            good.len()
        )));
    }
    let mut copies = Vec::new();
    for source in &options.sources {
        if is_copy(&**backend, source)? {
            copies.push(source);
        }
    }
    let (last, mut newest) = (newest, newest);
    let mut next = 1;
    while next <= top {
        let number = next;
        next = forgotten.run_end(number).map_or(number, |last| last) + 1;
        if good.contains(&number) || known.as_ref().is_some_and(|known| known.contains(number)) {
            continue;
        }
        if let Some(record) = from_sources(backend, number, &copies)? {
            report.found(format!("version {number}: its record was damaged, and is taken from a source"));
            batch.put(Space::Version, id_key(number), record);
            good.insert(number);
            newest = newest.max(number);
            continue;
        }
        forgotten.insert(number);
        if known.is_some() || damaged.contains(&number) || number > last {
            report.lost_versions.push(number);
        }
    }
    if known.as_ref() != Some(&forgotten) {
        batch.put(Space::Meta, Forgotten::KEY, forgotten.encode());
    }
    match newest {
        0 => drop(batch.delete(Space::Meta, HEAD_KEY)),
        _ if head != Some(newest) => drop(batch.put(Space::Meta, HEAD_KEY, head_record(newest))),
        _ => {}
    }
    if head.is_some_and(|head| head > newest) || (head.is_none() && top > 0 && record.is_none()) {
        report.found(format!("the newest version that is left is {newest}"));
    }
    Ok(good)
}

/// The record of version `number` in a source that is a copy of this store.
fn from_sources(backend: &Arc<dyn Backend>, number: u64, copies: &[&EngramStore]) -> Result<Option<Vec<u8>>> {
    for source in copies {
        let Some(record) = version_record(source, number)? else { continue };
        let mut marks = Marks::default();
        if unless_corrupt(marks.version(&source.0, &Version::decode(number, &record)?))?.is_none() {
            continue;
        }
        let pages = PageStore::open(Arc::clone(backend))?;
        let mut same = true;
        for page in marks.pages.iter() {
            let here = unless_corrupt(pages.get(page))?;
            same &= here.is_none() || here == unless_corrupt(source.0.pages.get(page))?;
        }
        if same {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// A source is a copy of this store if what both have under the same id or number is the same, and there is something.
fn is_copy(backend: &dyn Backend, source: &EngramStore) -> Result<bool> {
    let (snapshot, mut common) = (backend.snapshot()?, 0);
    for record in snapshot.scan(Space::Version, KeyRange::default()) {
        let Some((key, record)) = unless_corrupt(record)? else { continue };
        let number = id_of_key(Space::Version, &key)?;
        if Version::decode(number, &record).is_ok()
            && let Some(there) = version_record(source, number)?
        {
            if there != record {
                return Ok(false);
            }
            common += 1;
        }
    }
    for record in snapshot.scan(Space::Head, KeyRange::default()) {
        let Some((key, record)) = unless_corrupt(record)? else { continue };
        let id = id_of_key(Space::Head, &key)?;
        let here = unless_corrupt(Head::decode(id, &record, Superblock::MAX_CHUNK_BYTES))?;
        let there = unless_corrupt(source.find_chunk_head(id))?.flatten();
        if let (Some(here), Some(there)) = (here, there) {
            if here.name != there.name {
                return Ok(false);
            }
            common += 1;
        }
    }
    Ok(common > 0)
}

/// The record of version `number`, if it is there and sound.
pub(super) fn version_record(store: &EngramStore, number: u64) -> Result<Option<Vec<u8>>> {
    let record = unless_corrupt(store.0.backend.get(Space::Version, &id_key(number)))?.flatten();
    Ok(record.filter(|record| Version::decode(number, record).is_ok()))
}

/// Tags that can't be read, or name what is gone, go.
fn tags(
    backend: &dyn Backend,
    keys: &IndexKeys,
    versions: BTreeSet<u64>,
    batch: &mut Batch,
    report: &mut RepairReport,
) -> Result<()> {
    let snapshot = backend.snapshot()?;
    for record in snapshot.scan(Space::Meta, tag::all()) {
        let Some((key, value)) = report.unless_damaged(record)? else { continue };
        match report.unless_damaged(tag::decode(keys, &key, &value))? {
            Some(tag) if versions.contains(&tag.version) => {}
            Some(tag) => {
                report.drop(format!("tag `{}` of version {}", tag.name.escape_debug(), tag.version));
                batch.delete(Space::Meta, key);
            }
            None => {
                report.drop(format!("a tag that can't be read: {}", key.escape_ascii()));
                batch.delete(Space::Meta, key);
            }
        }
    }
    Ok(())
}
