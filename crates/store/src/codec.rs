//! Coding of chunks: plain bytes to payload and back, with recalled bytes as zstd prefix or as what is copied.
//!
//! A zstd frame here has no magic number, no content size and no checksum: the chunk's head holds its length and
//! its name checks the bytes. The parameters of the reader follow from the head alone, so an encoder may choose any
//! level.

use std::sync::{Mutex, MutexGuard, PoisonError};

use zstd_safe::{CCtx, CParameter, DCtx, DParameter, FrameFormat, ParamSwitch};

use crate::buffer::{buffer, copy};
use crate::format::Coding;
use crate::noise::is_noise;
use crate::splice::{Splice, Splicer};
use crate::{Error, ErrorKind, Result};

/// How chunks without anything alike are coded; corrections are always zstd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// As they are. Corrections use zstd level 1.
    None,
    /// LZ4 blocks: fast to write and to read. Corrections use zstd level 1.
    Lz4,
    /// zstd at this level, 1..=22; corrections at the same level.
    Zstd(i32),
}

impl Default for Compression {
    /// zstd 5: measured on the typescript history as the knee between time and bytes (docs/decisions).
    fn default() -> Self {
        Self::Zstd(5)
    }
}

impl Compression {
    /// Refuses levels that zstd does not have.
    ///
    /// # Errors
    /// `Invalid`, with the level and the range.
    pub fn check(self) -> Result<Self> {
        match self {
            Self::Zstd(level) if !(1..=22).contains(&level) => {
                Err(Error::invalid(format!("zstd level {level} is outside 1..=22")))
            }
            other => Ok(other),
        }
    }

    fn level(self) -> i32 {
        match self {
            Self::None | Self::Lz4 => 1,
            Self::Zstd(level) => level,
        }
    }
}

/// Codes chunks. Keep one for a run of chunks, since its context is worth reusing; it lives no longer than the
/// prefixes it was given, so collect these first.
pub struct Encoder<'p> {
    context: CCtx<'p>,
    compression: Compression,
}

/// At this level zstd's rows of matches give way to chains: rows find 0.1 % more, but to enter a prefix into them takes a
/// third of the time that corrections take.
const CHAINS_AT: i32 = 5;
/// Windows up to here are searched by these parameters, longer ones as zstd chooses.
const CHAINS_WINDOW_LOG: u32 = 20;
/// The table that chains begin in has an eighth of the window's positions: it is cleared for each chunk and looked into at
/// random, and a small one stays in the processor's cache. The chains reach through the whole window. Matches of six
/// bytes or more, sixteen looked at (docs/decisions/0023).
const CHAINS_HASH_LOG_BELOW_WINDOW: u32 = 3;
const CHAINS_MIN_MATCH: u32 = 6;
const CHAINS_SEARCH_LOG: u32 = 4;
/// In windows up to here, which are those of splices' literals, matches of four bytes count, and eight are looked at: less
/// to search, and what lies so near is worth a short match.
const SMALL_WINDOW_LOG: u32 = 14;
const SMALL_MIN_MATCH: u32 = 4;
const SMALL_SEARCH_LOG: u32 = 3;
/// The level at which [noise](is_noise) is searched for repeats.
const NOISE_LEVEL: i32 = -1;

/// Smallest window log zstd takes.
const MIN_WINDOW_LOG: u32 = 10;
/// Three bases and a chunk at the format's limit (64 MiB each) fit in this window; of a fourth, the farthest bytes are
/// out of reach.
const MAX_WINDOW_LOG: u32 = 28;

impl<'p> Encoder<'p> {
    /// An encoder for `compression`.
    ///
    /// # Errors
    /// `Io` when there is no memory for a context; `Invalid` for a level that zstd does not have.
    pub fn new(compression: Compression) -> Result<Self> {
        let compression = compression.check()?;
        let level = compression.level();
        let mut context = CCtx::try_create()
            .ok_or_else(|| Error::new(ErrorKind::Io, "no memory to compress: lower the number of threads"))?;
        for parameter in [
            CParameter::CompressionLevel(level),
            CParameter::Format(FrameFormat::Magicless),
            CParameter::ContentSizeFlag(false),
            CParameter::ChecksumFlag(false),
            CParameter::DictIdFlag(false),
            CParameter::UseRowMatchFinder(if level == CHAINS_AT {
                ParamSwitch::Disable
            } else {
                ParamSwitch::Auto
            }),
        ] {
            context.set_parameter(parameter).map_err(|code| zstd_error(ErrorKind::Invalid, code))?;
        }
        Ok(Self { context, compression })
    }

    /// Codes `plain` alone; falls back to [`Coding::Raw`] when nothing is gained, or when `plain` looks like noise and
    /// even a quick search for repeats saves less than a 64th: data that is compressed already is not worth more.
    ///
    /// # Errors
    /// `Io` when zstd has no memory.
    pub fn verbatim(&mut self, plain: &[u8]) -> Result<(Coding, Vec<u8>)> {
        let (coding, coded) = match self.compression {
            Compression::None => return Ok((Coding::Raw, copy(plain))),
            Compression::Lz4 => (Coding::Lz4, lz4_flex::block::compress(plain)),
            Compression::Zstd(level) => {
                if is_noise(plain) {
                    let quick = self.set_level(NOISE_LEVEL).and_then(|()| self.frame(plain, 0));
                    self.set_level(level)?;
                    if quick?.len() >= plain.len() - plain.len() / 64 {
                        return Ok((Coding::Raw, copy(plain)));
                    }
                }
                (Coding::Zstd, self.frame(plain, 0)?)
            }
        };
        if coded.len() >= plain.len() { Ok((Coding::Raw, copy(plain))) } else { Ok((coding, coded)) }
    }

    /// Codes `plain` as a correction of `prefix`, the recalled bytes; decode with [`Coding::Zstd`].
    ///
    /// # Errors
    /// As [`verbatim`](Self::verbatim).
    pub fn correction(&mut self, plain: &[u8], prefix: &'p [u8]) -> Result<Vec<u8>> {
        self.context.ref_prefix(prefix).map_err(|code| zstd_error(ErrorKind::Io, code))?;
        self.frame(plain, prefix.len())
    }

    /// The same for what lies right behind its prefix, from `at` on: zstd then searches both as one, which takes less time, and
    /// may find other matches.
    ///
    /// # Errors
    /// As [`verbatim`](Self::verbatim).
    pub fn correction_behind(&mut self, joined: &'p [u8], at: usize) -> Result<Vec<u8>> {
        let (prefix, plain) = joined.split_at(at);
        self.correction(plain, prefix)
    }

    /// Codes a chunk as this splice; decode with [`Coding::Splice`].
    ///
    /// # Errors
    /// As [`verbatim`](Self::verbatim).
    pub fn splice(&mut self, splice: &'p Splice) -> Result<Vec<u8>> {
        let mut out = splice.script.clone();
        if splice.text.len() > splice.context {
            out.extend(self.correction_behind(&splice.text, splice.context)?);
        }
        Ok(out)
    }

    fn set_level(&mut self, level: i32) -> Result<()> {
        let set = self.context.set_parameter(CParameter::CompressionLevel(level));
        set.map(|_| ()).map_err(|code| zstd_error(ErrorKind::Io, code))
    }

    fn frame(&mut self, plain: &[u8], prefix_len: usize) -> Result<Vec<u8>> {
        let reach = (plain.len() + prefix_len).saturating_sub(1);
        let window = (usize::BITS - reach.leading_zeros()).clamp(MIN_WINDOW_LOG, MAX_WINDOW_LOG);
        let chains = self.compression.level() == CHAINS_AT && window <= CHAINS_WINDOW_LOG;
        let mut out = buffer(zstd_safe::compress_bound(plain.len()));
        let (min_match, search) = if window <= SMALL_WINDOW_LOG {
            (SMALL_MIN_MATCH, SMALL_SEARCH_LOG)
        } else {
            (CHAINS_MIN_MATCH, CHAINS_SEARCH_LOG)
        };
        // 0: as zstd chooses.
        let chosen = |value| if chains { value } else { 0 };
        for parameter in [
            CParameter::WindowLog(window),
            CParameter::HashLog(chosen(window - CHAINS_HASH_LOG_BELOW_WINDOW)),
            CParameter::ChainLog(chosen(window)),
            CParameter::MinMatch(chosen(min_match)),
            CParameter::SearchLog(chosen(search)),
        ] {
            self.context.set_parameter(parameter).map_err(|code| zstd_error(ErrorKind::Io, code))?;
        }
        let coded = self.context.compress2(&mut out, plain);
        coded.map_err(|code| zstd_error(ErrorKind::Io, code))?;
        Ok(out)
    }
}

/// Decodes payloads, on any number of threads. What decoding needs is made once for each thread at work.
#[derive(Default)]
pub(crate) struct Decoders(Mutex<Vec<Decoder>>);

/// Decoders kept for the next time; each has about 160 KiB.
const KEPT_DECODERS: usize = 16;

struct Decoder {
    context: DCtx<'static>,
    /// Several bases one behind the other.
    joined: Vec<u8>,
    splicer: Splicer,
}

/// zstd takes a prefix that begins so for a dictionary, unless it is given as a prefix in so many words.
const DICTIONARY_MAGIC: [u8; 4] = [0x37, 0xa4, 0x30, 0xec];

impl Decoders {
    /// The plain bytes of a payload, in `plain`, which is empty and has room for `len` of them: what the head declares.
    /// No more is allocated for them.
    ///
    /// # Errors
    /// `Corrupt` when the payload does not decode to exactly `len` bytes.
    pub(crate) fn decode(
        &self,
        coding: Coding,
        payload: &[u8],
        bases: &[&[u8]],
        len: usize,
        mut plain: Vec<u8>,
    ) -> Result<Vec<u8>> {
        match coding {
            Coding::Raw => plain.extend_from_slice(payload),
            Coding::Lz4 => {
                plain.resize(len, 0);
                let decoded = lz4_flex::block::decompress_into(payload, &mut plain)
                    .map_err(|e| Error::corrupt("an LZ4 payload does not decode").with_source(e))?;
                plain.truncate(decoded);
            }
            Coding::Zstd | Coding::Splice => {
                let mut decoder = match self.idle().pop() {
                    Some(decoder) => decoder,
                    None => Decoder { context: context()?, joined: Vec::new(), splicer: Splicer::default() },
                };
                if coding == Coding::Zstd {
                    decoder.join(payload, bases, &mut plain)?;
                } else {
                    let Decoder { context, splicer, .. } = &mut decoder;
                    let decode = |frame: &[u8], prefix: &[u8], plain: &mut Vec<u8>| {
                        decode_frame(context, frame, prefix, plain)
                    };
                    splicer.join(payload, bases, len, &mut plain, decode)?;
                }
                let mut idle = self.idle();
                if idle.len() < KEPT_DECODERS {
                    idle.push(decoder);
                }
            }
        }
        if plain.len() == len {
            Ok(plain)
        } else {
            let found = plain.len();
            Err(Error::corrupt(format!("a payload decodes to {found} bytes where {len} are declared")))
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Decoder>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Decoder {
    /// Decodes a frame whose prefix is all bases.
    fn join(&mut self, payload: &[u8], bases: &[&[u8]], plain: &mut Vec<u8>) -> Result<()> {
        let Self { context, joined, .. } = self;
        let prefix = match bases {
            [] => &[],
            [one] => *one,
            several => {
                joined.clear();
                joined.reserve(several.iter().map(|base| base.len()).sum());
                several.iter().for_each(|base| joined.extend_from_slice(base));
                joined.as_slice()
            }
        };
        decode_frame(context, payload, prefix, plain)?;
        if joined.capacity() > KEPT_PREFIX {
            *joined = Vec::new();
        }
        Ok(())
    }
}

/// Appends what a frame decodes to, at most as much as `plain` has room for.
fn decode_frame(used: &mut DCtx<'static>, frame: &[u8], prefix: &[u8], plain: &mut Vec<u8>) -> Result<()> {
    let decoded = if prefix.starts_with(&DICTIONARY_MAGIC) {
        let mut fresh = context()?;
        fresh.ref_prefix(prefix).and_then(|_| fresh.decompress(plain, frame))
    } else {
        // A dictionary that is none is a prefix, and is not remembered.
        used.decompress_using_dict(plain, frame, prefix)
    };
    decoded.map(|_| ()).map_err(|code| zstd_error(ErrorKind::Corrupt, code))
}

/// A longer prefix is not worth keeping memory for.
const KEPT_PREFIX: usize = 1 << 20;

fn context<'p>() -> Result<DCtx<'p>> {
    let mut context = DCtx::try_create()
        .ok_or_else(|| Error::new(ErrorKind::Io, "no memory to decompress: lower the number of threads"))?;
    context
        .set_parameter(DParameter::Format(FrameFormat::Magicless))
        .map_err(|code| zstd_error(ErrorKind::Io, code))?;
    Ok(context)
}

fn zstd_error(kind: ErrorKind, code: usize) -> Error {
    Error::new(kind, format!("zstd: {}", zstd_safe::get_error_name(code)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn every() -> impl Strategy<Value = Compression> {
        prop_oneof![Just(Compression::None), Just(Compression::Lz4), (1i32..=19).prop_map(Compression::Zstd),]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_coding_comes_back(compression in every(), plain: Vec<u8>, prefix: Vec<u8>, repeat in 1usize..40) {
            let (plain, prefix) = (plain.repeat(repeat), prefix.repeat(repeat));
            let mut encoder = Encoder::new(compression).unwrap();
            let (coding, coded) = encoder.verbatim(&plain).unwrap();
            let decoders = Decoders::default();
            prop_assert_eq!(decoders.decode(coding, &coded, &[], plain.len(), buffer(plain.len())).unwrap(), &plain[..]);
            let coded = encoder.correction(&plain, &prefix).unwrap();
            let (a, b) = prefix.split_at(prefix.len() / 3);
            for bases in [&[&prefix[..]][..], &[a, b], &[a, &[], b]] {
                prop_assert_eq!(decoders.decode(Coding::Zstd, &coded, bases, plain.len(), buffer(plain.len())).unwrap(), &plain[..]);
            }
        }

        #[test]
        fn hostile_payloads_allocate_no_more_than_declared(payload: Vec<u8>, len in 0usize..4096) {
            let decoders = Decoders::default();
            for coding in [Coding::Raw, Coding::Lz4, Coding::Zstd, Coding::Splice] {
                if let Ok(plain) = decoders.decode(coding, &payload, &[b"prefix"], len, buffer(len)) {
                    prop_assert_eq!(plain.len(), len);
                }
            }
        }
    }

    #[test]
    fn a_splice_comes_back_and_says_when_its_bases_are_others() {
        let text: Vec<u8> =
            (0..3000u32).flat_map(|i| format!("line {} of many\n", i * i).into_bytes()).collect();
        let mut plain = text.clone();
        plain.splice(9000..9040, *b"a line that was edited, and one more\n");
        let (front, back) = text.split_at(20_000);
        let bases = [back, front];
        let splice = Splice::find(&plain, &bases).unwrap();
        let coded = Encoder::new(Compression::default()).unwrap().splice(&splice).unwrap();
        assert!(coded.len() < 100, "{} bytes", coded.len());
        let decoders = Decoders::default();
        let decode = |coded: &[u8], bases: &[&[u8]], len: usize| {
            decoders.decode(Coding::Splice, coded, bases, len, buffer(len))
        };
        for _ in 0..2 {
            assert_eq!(decode(&coded, &bases, plain.len()).unwrap(), plain);
            assert!(decode(&coded, &bases[1..], plain.len()).is_err());
            assert!(decode(&coded, &bases, plain.len() - 1).is_err());
            assert!(decode(&coded[..coded.len() - 1], &bases, plain.len()).is_err());
        }
    }

    fn random(len: usize) -> Vec<u8> {
        (0_u64..).flat_map(|i| *blake3::hash(&i.to_le_bytes()).as_bytes()).take(len).collect()
    }

    #[test]
    fn noise_is_stored_raw_and_repeated_noise_is_not() {
        let (noise, mut encoder) = (random(40_000), Encoder::new(Compression::default()).unwrap());
        let (coding, coded) = encoder.verbatim(&noise).unwrap();
        assert!(coding == Coding::Raw && coded == noise);
        let twice = noise.repeat(2);
        let (coding, coded) = encoder.verbatim(&twice).unwrap();
        assert!(coding == Coding::Zstd && coded.len() < 41_000, "{} bytes", coded.len());
        // The level of noise does not stick.
        let text = b"chunks resemble ".repeat(1000);
        let fresh = Encoder::new(Compression::default()).unwrap().verbatim(&text).unwrap();
        assert_eq!(encoder.verbatim(&text).unwrap(), fresh);
    }

    #[test]
    fn levels_outside_the_range_are_refused() {
        for level in [0, 23, -1] {
            let error = Encoder::new(Compression::Zstd(level)).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn a_decoder_forgets_the_prefix_and_the_failure_before() {
        let (a, b) = (vec![1; 5000], (0..5000u32).flat_map(|i| i.to_le_bytes()).collect::<Vec<_>>());
        let mut encoder = Encoder::new(Compression::default()).unwrap();
        let (coding, alone) = encoder.verbatim(&b).unwrap();
        let mut of_a = Encoder::new(Compression::default()).unwrap();
        let corrected = of_a.correction(&a, &b).unwrap();
        let decoders = Decoders::default();
        for _ in 0..3 {
            assert_eq!(
                decoders.decode(Coding::Zstd, &corrected, &[&b], a.len(), buffer(a.len())).unwrap(),
                a
            );
            assert_eq!(decoders.decode(coding, &alone, &[], b.len(), buffer(b.len())).unwrap(), b);
            assert!(decoders.decode(Coding::Zstd, &corrected, &[&b], a.len() - 1, buffer(a.len())).is_err());
            assert!(
                decoders
                    .decode(Coding::Zstd, &corrected[..corrected.len() - 1], &[&b], a.len(), buffer(a.len()))
                    .is_err()
            );
        }
    }

    #[test]
    fn a_prefix_that_looks_like_a_dictionary_is_only_bytes() {
        let mut prefix = vec![0x37, 0xA4, 0x30, 0xEC];
        prefix.extend((0..5000u32).flat_map(|i| i.to_le_bytes()));
        // Another buffer: zstd does not use a prefix that overlaps the bytes to code.
        let plain = prefix.clone();
        let coded = Encoder::new(Compression::default()).unwrap().correction(&plain, &prefix).unwrap();
        assert!(coded.len() < 100, "{} bytes", coded.len());
        let decoders = Decoders::default();
        for bases in [&[&prefix[..]][..], &[&prefix[..2], &prefix[2..]]] {
            assert_eq!(
                decoders.decode(Coding::Zstd, &coded, bases, plain.len(), buffer(plain.len())).unwrap(),
                plain
            );
        }
    }
}
