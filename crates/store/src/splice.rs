//! Splices: a chunk as long copies out of its bases, and the literal bytes between them.
//!
//! A chunk is mostly so much like its bases that to enter their bytes into zstd's tables and to search them takes longer
//! than everything else that is done for it. A splice finds what is equal by a few looks: every 16th place of the bases
//! is noted, and a match found there is followed in both directions (as xdelta and its kin do; MacDonald, File System
//! Support for Delta Compression, 2000). What remains are the literals. zstd codes them with the surroundings of the
//! copies as prefix, since what was replaced resembles what replaces it.
//!
//! Knows byte strings alone: not what a chunk is, nor where bases come from.

use crate::format::{Reader, put_signed, put_varint};
use crate::{Error, Result};

/// Places of the bases are noted in steps of this, or in longer ones when bases are long.
const STEP: usize = 16;
/// No more places than this are noted: the table of them stays below 512 KiB.
const MOST_PLACES: usize = 1 << 16;
/// Bytes that are compared by their hash.
const WINDOW: usize = 16;
/// A copy of fewer bytes is left to zstd, which spends as little on it as a line of the script takes.
const LEAST_COPY: usize = 56;
/// Bytes around a copy's end that the literals there are coded with.
const CONTEXT: usize = 64;
/// Bytes of context for one chunk, at most: bounds memory whatever a script says.
const MOST_CONTEXT: usize = 256 << 10;

/// Bytes of the plain that are equal to bytes of the bases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Copy {
    /// Place in the plain bytes.
    at: usize,
    /// Place in the bases, as if one lay behind the other; all of it lies in one base.
    from: usize,
    len: usize,
}

/// A chunk as copies and literals, to be coded by [`Encoder::splice`](crate::Encoder::splice).
#[derive(Debug)]
pub struct Splice {
    pub(crate) script: Vec<u8>,
    /// What the literals are coded with, and right behind it the literals: zstd searches what lies in one piece faster.
    pub(crate) text: Vec<u8>,
    /// Where the literals begin.
    pub(crate) context: usize,
}

impl Splice {
    /// `plain` as a splice of `bases`, in their order; `None` if more than two fifths of it would be literals: then
    /// zstd is better at finding what is alike.
    #[must_use]
    pub fn find(plain: &[u8], bases: &[&[u8]]) -> Option<Self> {
        let copies = Index::new(bases).copies(plain)?;
        let mut splice = Self { script: Vec::new(), text: Vec::new(), context: 0 };
        gather_context(&copies, plain.len(), bases, &mut splice.text);
        splice.context = splice.text.len();
        put_varint(&mut splice.script, copies.len() as u64);
        let mut before = Copy { at: 0, from: 0, len: 0 };
        for &copy in &copies {
            let literals = before.end()..copy.at;
            put_varint(&mut splice.script, literals.len() as u64);
            put_varint(&mut splice.script, (copy.len - LEAST_COPY) as u64);
            put_signed(&mut splice.script, copy.from as i64 - (before.source_end() + literals.len()) as i64);
            splice.text.extend_from_slice(&plain[literals]);
            before = copy;
        }
        splice.text.extend_from_slice(&plain[before.end()..]);
        Some(splice)
    }

    /// Bytes that coding it looks at.
    #[must_use]
    pub fn reach(&self) -> usize {
        self.text.len()
    }

    #[cfg(test)]
    fn literals(&self) -> &[u8] {
        &self.text[self.context..]
    }
}

impl Copy {
    fn end(&self) -> usize {
        self.at + self.len
    }

    fn source_end(&self) -> usize {
        self.from + self.len
    }
}

/// Where windows of the bases are, by their hash; of equal ones the last.
struct Index<'b> {
    bases: &'b [&'b [u8]],
    /// Places in the joined bases plus one; 0: none.
    table: Vec<u32>,
    shift: u32,
}

impl<'b> Index<'b> {
    fn new(bases: &'b [&'b [u8]]) -> Self {
        let joined: usize = bases.iter().map(|base| base.len()).sum();
        let step = STEP.max((joined / MOST_PLACES).next_power_of_two());
        let bits = (2 * joined / step).max(WINDOW).next_power_of_two().ilog2();
        let mut index = Self { bases, table: vec![0; 1 << bits], shift: u64::BITS - bits };
        let mut start = 0;
        for base in bases {
            let windows = base.as_chunks().0.iter().step_by(step / WINDOW);
            for (at, window) in windows.enumerate() {
                let place = index.place(window);
                index.table[place] = (start + at * step) as u32 + 1;
            }
            start += base.len();
        }
        index
    }

    /// Two words, mixed by odd multipliers; the upper bits are the place in the table.
    fn place(&self, window: &[u8; WINDOW]) -> usize {
        let both = u128::from_le_bytes(*window);
        let (first, second) = (both as u64, (both >> 64) as u64);
        let mixed = first.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ second.rotate_left(23);
        (mixed.wrapping_mul(0xd6e8_feb8_6659_fd93) >> self.shift) as usize
    }

    /// The copies that make up `plain`, ascending; `None` if less than three fifths of it are copies.
    fn copies(&self, plain: &[u8]) -> Option<Vec<Copy>> {
        let most_literals = plain.len() / 5 * 2;
        let (mut copies, mut copied): (Vec<Copy>, usize) = (Vec::new(), 0);
        let mut before = Copy { at: 0, from: 0, len: 0 };
        let mut at = 0;
        while let Some(window) = plain.get(at..).and_then(|rest| rest.first_chunk()) {
            if at - copied > most_literals {
                return None;
            }
            let noted = self.table[self.place(window)] as usize;
            // Of what is found there and what goes on where the last copy ended, the longer one.
            let straight = before.source_end() + (at - before.end());
            // Most places noted are other windows'.
            let place = noted.checked_sub(1).filter(|&place| self.window_at(place) == Some(window));
            let found = place.and_then(|place| self.around(plain, before.end(), at, place));
            let found = found.map(|found| {
                let other = (noted != straight + 1).then(|| self.around(plain, before.end(), at, straight));
                other.flatten().filter(|other| other.len >= found.len).unwrap_or(found)
            });
            match found.filter(|copy| copy.len >= LEAST_COPY) {
                Some(copy) => {
                    copies.push(copy);
                    copied += copy.len;
                    at = copy.end();
                    before = copy;
                }
                None => at += 1,
            }
        }
        (plain.len() - copied <= most_literals).then_some(copies)
    }

    #[inline]
    fn window_at(&self, place: usize) -> Option<&[u8; WINDOW]> {
        let (start, base) = base_at(self.bases, place)?;
        base.get(place - start..)?.first_chunk()
    }

    /// The longest copy around `at`, not before `least`, whose bytes at `at` are those at `place` of the bases.
    fn around(&self, plain: &[u8], least: usize, at: usize, place: usize) -> Option<Copy> {
        let (start, base) = base_at(self.bases, place)?;
        let within = place - start;
        let after = common_prefix(&plain[at..], &base[within..]);
        if after < WINDOW {
            return None;
        }
        let before = common_suffix(&plain[least..at], &base[..within]);
        Some(Copy { at: at - before, from: place - before, len: before + after })
    }
}

/// The base that has the byte at this place of the joined bases, and where it begins.
fn base_at<'b>(bases: &[&'b [u8]], place: usize) -> Option<(usize, &'b [u8])> {
    let mut start = 0;
    for base in bases {
        if place < start + base.len() {
            return Some((start, base));
        }
        start += base.len();
    }
    None
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    const STRIDE: usize = 64;
    // Of a length that is known, they are compared without a call.
    let strides = a.as_chunks::<STRIDE>().0.iter().zip(b.as_chunks::<STRIDE>().0);
    let equal = STRIDE * strides.take_while(|(a, b)| a == b).count();
    equal + a[equal..].iter().zip(&b[equal..]).take_while(|(a, b)| a == b).count()
}

fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    const STRIDE: usize = 16;
    let strides = a.as_rchunks::<STRIDE>().1.iter().rev().zip(b.as_rchunks::<STRIDE>().1.iter().rev());
    let equal = STRIDE * strides.take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - equal], &b[..b.len() - equal]);
    equal + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// What the literals of a chunk of `len` bytes are coded with: for each stretch of them the bytes of the bases that lie
/// between the copies around it, and 64 bytes to either side. Where these are no neighbours, as many bytes as the stretch
/// has follow the copy before it.
fn gather_context(copies: &[Copy], len: usize, bases: &[&[u8]], into: &mut Vec<u8>) {
    let end = Copy { at: len, from: usize::MAX, len: 0 };
    let mut before = Copy { at: 0, from: 0, len: 0 };
    for copy in copies.iter().chain([&end]) {
        let (literals, from) = (copy.at - before.end(), before.source_end());
        let reach = 2 * literals + 4 * CONTEXT;
        let to = if (from..from + reach).contains(&copy.from) { copy.from } else { from + literals };
        // The byte before decides the base: a copy may have ended with it.
        if literals > 0
            && let Some((start, base)) = base_at(bases, from.saturating_sub(1))
        {
            let first = (from - start).saturating_sub(CONTEXT);
            let last = (to - start + CONTEXT).min(base.len());
            let room = MOST_CONTEXT.saturating_sub(into.len());
            into.extend_from_slice(&base[first..last.min(first + room)]);
        }
        before = *copy;
    }
}

/// Puts splices together again; keeps its buffers.
#[derive(Default)]
pub(crate) struct Splicer {
    copies: Vec<Copy>,
    literals: Vec<u8>,
    context: Vec<u8>,
}

/// Buffers longer than this are not worth keeping.
const KEPT_BYTES: usize = 1 << 20;

impl Splicer {
    /// The `len` plain bytes of `payload`, appended to `plain`. `decode` appends the plain bytes of a frame with this
    /// prefix, as many as the buffer has room for.
    ///
    /// # Errors
    /// `Corrupt`, and those of `decode`.
    pub(crate) fn join(
        &mut self,
        payload: &[u8],
        bases: &[&[u8]],
        len: usize,
        plain: &mut Vec<u8>,
        decode: impl FnOnce(&[u8], &[u8], &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let mut reader = Reader::new(payload, "splice");
        let literals = self.read(&mut reader, bases, len)?;
        self.literals.clear();
        self.literals.reserve_exact(literals);
        let frame = reader.rest();
        if literals > 0 {
            self.context.clear();
            gather_context(&self.copies, len, bases, &mut self.context);
            decode(frame, &self.context, &mut self.literals)?;
        }
        if self.literals.len() != literals || (literals == 0 && !frame.is_empty()) {
            return Err(Error::corrupt("splice: its literals are too few or too many"));
        }
        let mut rest = &self.literals[..];
        for copy in &self.copies {
            let (own, later) = rest.split_at(copy.at - plain.len());
            plain.extend_from_slice(own);
            rest = later;
            let (start, base) = base_at(bases, copy.from).unwrap_or_default();
            plain.extend_from_slice(&base[copy.from - start..copy.source_end() - start]);
        }
        plain.extend_from_slice(rest);
        if self.literals.capacity() + self.context.capacity() > KEPT_BYTES {
            *self = Self::default();
        }
        Ok(())
    }

    /// Reads the script for a chunk of `len` bytes; how many of them are literals.
    fn read(&mut self, reader: &mut Reader<'_>, bases: &[&[u8]], len: usize) -> Result<usize> {
        self.copies.clear();
        let count = reader.varint_up_to((len / LEAST_COPY) as u64)?;
        let (mut before, mut copied) = (Copy { at: 0, from: 0, len: 0 }, 0);
        for _ in 0..count {
            let literals = reader.varint_up_to((len - before.end()) as u64)? as usize;
            let at = before.end() + literals;
            let long = reader.varint_up_to(len as u64)? as usize + LEAST_COPY;
            let straight = (before.source_end() + literals) as i64;
            let from = straight.checked_add(reader.signed()?).and_then(|from| usize::try_from(from).ok());
            let copy = Copy { at, from: from.unwrap_or(usize::MAX), len: long };
            let lies_in_one = base_at(bases, copy.from)
                .is_some_and(|(start, base)| copy.len <= base.len() - (copy.from - start));
            if !lies_in_one || copy.end() > len {
                return Err(reader.error("a copy reaches too far"));
            }
            self.copies.push(copy);
            copied += copy.len;
            before = copy;
        }
        Ok(len - copied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Put together with frames that are the literals themselves.
    fn joined(script: &[u8], literals: &[u8], bases: &[&[u8]], len: usize) -> Result<Vec<u8>> {
        let mut plain = Vec::new();
        let payload = [script, literals].concat();
        let decode = |frame: &[u8], _: &[u8], into: &mut Vec<u8>| {
            into.extend_from_slice(frame);
            Ok(())
        };
        Splicer::default().join(&payload, bases, len, &mut plain, decode)?;
        Ok(plain)
    }

    fn bytes(seed: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn an_edit_is_a_copy_before_it_and_one_after_it() {
        let base = bytes(1, 20_000);
        let mut plain = base.clone();
        plain.splice(9000..9010, *b"something else");
        let splice = Splice::find(&plain, &[&base]).unwrap();
        assert_eq!(splice.literals(), b"something else");
        assert_eq!(splice.text[..splice.context], base[9000 - CONTEXT..9010 + CONTEXT]);
        assert_eq!(joined(&splice.script, splice.literals(), &[&base], plain.len()).unwrap(), plain);
    }

    #[test]
    fn a_copy_of_all_needs_no_literals() {
        let base = bytes(2, 5000);
        let splice = Splice::find(&base, &[&base]).unwrap();
        assert!(splice.text.is_empty() && splice.script.len() < 8);
        assert_eq!(joined(&splice.script, b"", &[&base], 5000).unwrap(), base);
        assert!(joined(&splice.script, b"more", &[&base], 5000).is_err());
    }

    #[test]
    fn what_shares_too_little_is_none() {
        let (base, other) = (bytes(3, 10_000), bytes(4, 10_000));
        assert!(Splice::find(&other, &[&base]).is_none());
        assert!(Splice::find(&[&base[..5500], &other[..4500]].concat(), &[&base]).is_none());
        assert!(Splice::find(&[&base[..6500], &other[..3500]].concat(), &[&base]).is_some());
        assert!(Splice::find(b"short", &[b"shorter"]).is_none());
        assert!(Splice::find(&base, &[]).is_none());
    }

    #[test]
    fn a_script_that_reaches_too_far_is_refused() {
        let base = bytes(5, 1000);
        let script = |fields: &[u64]| {
            fields.iter().fold(Vec::new(), |mut out, field| {
                put_varint(&mut out, *field);
                out
            })
        };
        // Count; literals, length above the least, place (zig-zag).
        assert!(joined(&script(&[1, 0, 944, 0]), b"", &[&base], 1000).is_ok());
        for fields in [
            &[1, 0, 945, 0][..],
            &[1, 0, 944, 2],
            &[1, 0, 944, 1],
            &[1, 1, 944, 0],
            &[1, 0, u64::MAX, 0],
            &[1, u64::MAX, 0, 0],
            &[2, 0, 0, 0],
            &[18, 0, 0, 0],
            &[u64::MAX],
            &[],
        ] {
            assert!(joined(&script(fields), b"", &[&base], 1000).is_err(), "{fields:?}");
        }
        assert!(joined(&script(&[1, 0, 944, 0]), b"", &[&base[..500], &base[500..]], 1000).is_err());
    }

    proptest! {
        #[test]
        fn every_splice_comes_back(
            lens in proptest::collection::vec(0usize..3000, 1..4),
            edits in proptest::collection::vec((any::<u16>(), 0usize..200, 0usize..200), 0..8),
            order: bool,
        ) {
            let mut bases: Vec<Vec<u8>> = (0..).zip(&lens).map(|(seed, &len)| bytes(seed, len)).collect();
            let mut plain = bases.concat();
            for (at, removed, added) in edits {
                let at = usize::from(at) % (plain.len() + 1);
                let to = (at + removed).min(plain.len());
                plain.splice(at..to, bytes(99, added));
            }
            if order {
                bases.reverse();
            }
            let bases: Vec<&[u8]> = bases.iter().map(|base| &base[..]).collect();
            if let Some(splice) = Splice::find(&plain, &bases) {
                prop_assert_eq!(joined(&splice.script, splice.literals(), &bases, plain.len()).unwrap(), &plain[..]);
                prop_assert!(splice.literals().len() <= plain.len() / 5 * 2);
            }
        }

        #[test]
        fn any_script_is_refused_or_makes_what_is_declared(
            payload: Vec<u8>, len in 0usize..2000, lens in proptest::collection::vec(0usize..300, 0..4),
        ) {
            let bases: Vec<Vec<u8>> = (0..).zip(&lens).map(|(seed, &len)| bytes(seed, len)).collect();
            let bases: Vec<&[u8]> = bases.iter().map(|base| &base[..]).collect();
            if let Ok(plain) = joined(&payload, b"", &bases, len) {
                prop_assert_eq!(plain.len(), len);
            }
        }
    }
}
