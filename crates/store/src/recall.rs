//! The recall index: from a few of a chunk's features to the chunks that had them most recently.

use crate::Result;
use crate::format::{Reader, put_varint};

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
