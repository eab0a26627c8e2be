//! Which bytes of a block are which bytes of a file: along the alignments that shared features give, all runs of equal
//! bytes, also in the gaps between features.

use std::ops::Range;

use std::collections::HashMap;

use engrams_core::SHINGLE_BYTES;
use engrams_store::tree::FileNode;
use engrams_store::{EngramStore, Pieces, Plain, Result, unless_corrupt};

use super::MatchRange;
use super::anchor::Anchor;
use super::gaps::Slots;

/// Shorter runs of equal bytes are not reported.
pub(super) const LEAST_RUN: usize = SHINGLE_BYTES;

/// Consecutive anchors of one alignment.
struct Segment {
    /// Place in the file less place in the block.
    shift: i64,
    /// First bytes of the windows of its first and last anchor.
    first: usize,
    last: usize,
}

/// Equal bytes of a block and a file.
pub(super) struct Aligned {
    /// In the block's order and without overlaps there; `query` is a place in the block.
    pub(super) ranges: Vec<MatchRange>,
    /// Bytes of those to which features led.
    pub(super) by_features: u64,
}

/// Compares a block with a file that shares these features with it.
pub(super) fn align(
    store: &EngramStore,
    file: &FileNode,
    block: &[u8],
    slots: &Slots<'_>,
    anchors: &[Anchor],
) -> Result<Aligned> {
    let segments = segments(anchors);
    let mut bytes = FileBytes { store, pieces: store.pieces(file), at: None };
    let mut found = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let from = match index.checked_sub(1).and_then(|before| segments.get(before)) {
            Some(before) => (before.last + SHINGLE_BYTES).min(segment.first),
            None => 0,
        };
        let to = match segments.get(index + 1) {
            Some(after) => after.first.max(segment.last + SHINGLE_BYTES),
            None => block.len(),
        };
        runs(&mut bytes, file.size, block, from..to, segment.shift, &mut found)?;
    }
    let mut ranges = disjoint(found);
    let by_features = ranges.iter().map(|range| range.bytes).sum();
    let gaps = slots.gaps(&ranges);
    if !gaps.is_empty() {
        let mut places: Vec<u64> = anchors.iter().map(|anchor| anchor.file).collect();
        places.sort_unstable();
        let (mut open, mut end) = (slots.open(&gaps), 0);
        for place in places {
            if place < end {
                continue;
            }
            if let Some((offset, piece)) = bytes.piece(place)? {
                slots.fill(piece, offset, &gaps, &mut open, &mut ranges);
            }
            end = bytes.end();
        }
        ranges = disjoint(ranges);
    }
    Ok(Aligned { ranges, by_features })
}

fn shift_of(anchor: Anchor) -> i64 {
    anchor.file as i64 - i64::from(anchor.query)
}

/// For each place of the block one alignment: that of the place before if it goes on, else the one that most anchors
/// have.
fn segments(anchors: &[Anchor]) -> Vec<Segment> {
    let mut support: HashMap<i64, u32> = HashMap::new();
    anchors.iter().for_each(|&anchor| *support.entry(shift_of(anchor)).or_default() += 1);
    let mut segments: Vec<Segment> = Vec::new();
    for here in anchors.chunk_by(|a, b| a.query == b.query) {
        let place = here[0].query as usize;
        let going_on = segments.last().map(|segment| segment.shift);
        let of = |shift: i64| support.get(&shift).copied().unwrap_or_default();
        let apart = |shift: i64| going_on.map_or(0, |before| shift.abs_diff(before));
        let best = here.iter().map(|&anchor| shift_of(anchor)).min_by_key(|&shift| {
            (going_on != Some(shift), std::cmp::Reverse(of(shift)), apart(shift), shift)
        });
        match (segments.last_mut(), best) {
            (_, None) => {}
            (Some(segment), Some(shift)) if segment.shift == shift => segment.last = place,
            (_, Some(shift)) => segments.push(Segment { shift, first: place, last: place }),
        }
    }
    segments
}

/// Appends the runs of equal bytes of one alignment.
fn runs(
    bytes: &mut FileBytes<'_>,
    size: u64,
    block: &[u8],
    within: Range<usize>,
    shift: i64,
    found: &mut Vec<MatchRange>,
) -> Result<()> {
    // Where the file's first and last byte would be in the block.
    let begins = usize::try_from(-shift).unwrap_or(0);
    let ends = i64::try_from(size).unwrap_or(i64::MAX).saturating_sub(shift);
    let to = within.end.min(usize::try_from(ends).unwrap_or(0));
    let mut at = within.start.max(begins);
    let mut run = at;
    let close = |run: usize, end: usize, found: &mut Vec<MatchRange>| {
        if end - run >= LEAST_RUN {
            let file = (run as i64 + shift) as u64;
            found.push(MatchRange { query: run as u64, file, bytes: (end - run) as u64 });
        }
    };
    while at < to {
        let Some(there) = bytes.from((at as i64 + shift) as u64)? else {
            // Damaged: nothing is known to be equal up to the next piece.
            close(run, at, found);
            at = usize::try_from(bytes.end() as i64 - shift).unwrap_or(to).max(at + 1);
            run = at;
            continue;
        };
        let here = &block[at..to.min(at + there.len())];
        let mut done = 0;
        while done < here.len() {
            let equal = here[done..].iter().zip(&there[done..]).take_while(|(a, b)| a == b).count();
            done += equal;
            if done == here.len() {
                break;
            }
            close(run, at + done, found);
            let other = here[done..].iter().zip(&there[done..]).take_while(|(a, b)| a != b).count();
            done += other;
            run = at + done;
        }
        at += here.len();
    }
    close(run.min(to), to.max(run), found);
    Ok(())
}

/// Orders ranges, takes out of each what one before it has, and joins what goes on.
fn disjoint(mut ranges: Vec<MatchRange>) -> Vec<MatchRange> {
    ranges.sort_unstable_by_key(|range| (range.query, std::cmp::Reverse(range.bytes), range.file));
    let mut out: Vec<MatchRange> = Vec::new();
    for mut range in ranges {
        if let Some(last) = out.last_mut() {
            let end = last.query + last.bytes;
            let over = end.saturating_sub(range.query).min(range.bytes);
            range.query += over;
            range.file += over;
            range.bytes -= over;
            if range.bytes > 0 && range.query == end && range.file == last.file + last.bytes {
                last.bytes += range.bytes;
                continue;
            }
        }
        if range.bytes > 0 {
            out.push(range);
        }
    }
    out
}

/// The bytes of a stored file, piece by piece.
struct FileBytes<'s> {
    store: &'s EngramStore,
    pieces: Pieces,
    /// The piece read last: where it lies in the file, and its bytes unless they are damaged.
    at: Option<(Range<u64>, Option<Slice>)>,
}

/// Some bytes of a chunk.
type Slice = (Plain, Range<usize>);

impl FileBytes<'_> {
    /// The bytes from `offset` to the end of their piece; `None` when they are damaged.
    fn from(&mut self, offset: u64) -> Result<Option<&[u8]>> {
        if !self.at.as_ref().is_some_and(|(range, _)| range.contains(&offset)) {
            let Some(Some((start, piece))) = unless_corrupt(self.pieces.at(offset))? else {
                self.at = Some((offset..offset + 1, None));
                return Ok(None);
            };
            let within = piece.start as usize..piece.start as usize + piece.len as usize;
            let plain = unless_corrupt(self.store.chunk(piece.chunk))?;
            let plain = plain.filter(|plain| within.end <= plain.len());
            self.at = Some((start..start + u64::from(piece.len), plain.map(|plain| (plain, within))));
        }
        Ok(match &self.at {
            Some((range, Some((plain, within)))) => {
                Some(&plain[within.clone()][(offset - range.start) as usize..])
            }
            _ => None,
        })
    }

    /// The piece that has the byte at `offset`, and where it begins; `None` when it is damaged.
    fn piece(&mut self, offset: u64) -> Result<Option<(u64, &[u8])>> {
        self.from(offset)?;
        Ok(match &self.at {
            Some((range, Some((plain, within)))) => Some((range.start, &plain[within.clone()])),
            _ => None,
        })
    }

    /// Where the piece read last ends.
    fn end(&self) -> u64 {
        self.at.as_ref().map_or(0, |(range, _)| range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(query: u64, file: u64, bytes: u64) -> MatchRange {
        MatchRange { query, file, bytes }
    }

    #[test]
    fn ranges_do_not_overlap_and_what_goes_on_is_one() {
        let found = vec![range(50, 150, 50), range(0, 100, 60), range(100, 500, 40), range(90, 7, 20)];
        assert_eq!(disjoint(found), [range(0, 100, 100), range(100, 17, 10), range(110, 510, 30)]);
    }

    #[test]
    fn an_alignment_goes_on_through_places_that_repeat() {
        let anchors = [(0, 100), (40, 140), (40, 900), (80, 180), (120, 5), (160, 260)]
            .map(|(query, file)| Anchor { query, file });
        let shifts: Vec<(i64, usize, usize)> =
            segments(&anchors).iter().map(|s| (s.shift, s.first, s.last)).collect();
        assert_eq!(shifts, [(100, 0, 80), (-115, 120, 120), (100, 160, 160)]);
    }
}
