//! The recall index: from a few of a chunk's features to the chunks that had them most recently.

use crate::backend::KeyRange;
use crate::format::{Reader, put_varint};
use crate::{Backend, Batch, Durability, Result, Space};

/// Features of a chunk that are looked up and written: the smallest ones. Eight with four recent chunks each
/// propose what an exhaustive nearest-neighbour search would find (measured; docs/decisions).
pub const RECALL_FEATURES: usize = 8;
/// Chunks remembered for one feature, most recent first.
pub(crate) const RECENT: usize = 4;

/// The index key of a feature: 40 of its bits, from below the ones that being among the smallest leaves zero.
pub(crate) fn key(feature: u64) -> [u8; 5] {
    let [_, _, a, b, c, d, e, _] = feature.to_be_bytes();
    [a, b, c, d, e]
}

/// Ids, most recent first.
pub(crate) fn encode(ids: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut above = None;
    for &id in ids {
        put_varint(&mut out, above.map_or(id, |above: u64| above.wrapping_sub(id)));
        above = Some(id);
    }
    out
}

/// Reads what [`encode`] wrote. The index is a hint: a list that makes no sense is an empty one.
pub(crate) fn decode(value: &[u8]) -> Vec<u64> {
    parse(value).unwrap_or_default()
}

/// Reads what [`encode`] wrote, and nothing else.
pub(crate) fn parse(value: &[u8]) -> Result<Vec<u64>> {
    let mut reader = Reader::new(value, "recall entry");
    let mut ids: Vec<u64> = Vec::new();
    while !reader.is_empty() {
        let number = reader.varint()?;
        let id = match ids.last() {
            Some(above) => above.checked_sub(number).filter(|_| number > 0),
            None => Some(number),
        };
        ids.push(id.ok_or_else(|| reader.error("its ids do not descend"))?);
        if ids.len() > RECENT {
            return Err(reader.error("it is too long"));
        }
    }
    Ok(ids)
}

/// `ids` with `id` in front, no longer than [`RECENT`].
pub(crate) fn remember(ids: &mut Vec<u64>, id: u64) {
    ids.retain(|&old| old != id);
    ids.insert(0, id);
    ids.truncate(RECENT);
}

/// The chunks that had one of these features most recently, each once.
pub(crate) fn recent(backend: &dyn Backend, features: &[u64]) -> Result<Vec<u64>> {
    let keys: Vec<[u8; 5]> = features.iter().map(|&f| key(f)).collect();
    let keys: Vec<&[u8]> = keys.iter().map(<[u8; 5]>::as_slice).collect();
    let found = backend.multi_get(Space::Recall, &keys)?;
    let mut ids: Vec<u64> = found.into_iter().flatten().flat_map(|value| decode(&value)).collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Adds to `batch` that chunk `id`, of whatever age, has these features.
pub(crate) fn enter(backend: &dyn Backend, batch: &mut Batch, features: &[u64], id: u64) -> Result<()> {
    let mut keys: Vec<[u8; 5]> = features.iter().map(|&f| key(f)).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let mut ids = backend.get(Space::Recall, &key)?.map_or_else(Vec::new, |value| decode(&value));
        let at = ids.partition_point(|&other| other > id);
        if ids.get(at) != Some(&id) && at < RECENT {
            ids.insert(at, id);
            ids.truncate(RECENT);
            batch.put(Space::Recall, key, encode(&ids));
        }
    }
    Ok(())
}

/// Takes out of the whole index what `is_gone` says; returns how many entries that were. Keys are written under
/// `lock`, which keeps others from writing them.
pub(crate) fn sweep<Guard>(
    backend: &dyn Backend,
    lock: impl Fn() -> Guard,
    is_gone: &dyn Fn(u64) -> bool,
) -> Result<u64> {
    const RUN: usize = 4096;
    let (mut removed, mut from) = (0, Vec::new());
    let snapshot = backend.snapshot()?;
    loop {
        let range = KeyRange { from: &from, ..KeyRange::default() };
        let run: Vec<_> = snapshot.scan(Space::Recall, range).take(RUN).collect::<Result<_>>()?;
        let Some((last, _)) = run.last() else { return Ok(removed) };
        from = [last.as_slice(), &[0]].concat();
        let _lock = lock();
        let mut batch = Batch::new();
        // An id that is gone is in no key that was without it before: the snapshot shows all keys to look at.
        for (key, _) in run.iter().filter(|(_, value)| decode(value).into_iter().any(is_gone)) {
            let Some(value) = backend.get(Space::Recall, key)? else { continue };
            let ids = decode(&value);
            let kept: Vec<u64> = ids.iter().copied().filter(|&id| !is_gone(id)).collect();
            removed += (ids.len() - kept.len()) as u64;
            if kept.is_empty() {
                batch.delete(Space::Recall, key.as_slice());
            } else {
                batch.put(Space::Recall, key.as_slice(), encode(&kept));
            }
        }
        if !batch.is_empty() {
            backend.write(batch, Durability::Staged)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_recent_come_first_and_come_back() {
        let mut ids = Vec::new();
        for id in [3, 9, 9, 12, 700, 70_000] {
            remember(&mut ids, id);
        }
        assert_eq!(ids, [70_000, 700, 12, 9]);
        assert_eq!(decode(&encode(&ids)), ids);
        assert_eq!(decode(&[0x80]), [0; 0]);
    }
}
