//! Coding of chunks: plain bytes to payload and back, with recalled bytes as zstd prefix.
//!
//! A zstd frame here has no magic number, no content size and no checksum: the chunk's head holds its length and
//! its name checks the bytes. The parameters of the reader follow from the head alone, so an encoder may choose any
//! level.

use zstd_safe::{CCtx, CParameter, DCtx, DParameter, FrameFormat};

use crate::buffer::{buffer, copy};
use crate::format::Coding;
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
        let mut context = CCtx::try_create()
            .ok_or_else(|| Error::new(ErrorKind::Io, "no memory to compress: lower the number of threads"))?;
        for parameter in [
            CParameter::CompressionLevel(compression.level()),
            CParameter::Format(FrameFormat::Magicless),
            CParameter::ContentSizeFlag(false),
            CParameter::ChecksumFlag(false),
            CParameter::DictIdFlag(false),
        ] {
            context.set_parameter(parameter).map_err(|code| zstd_error(ErrorKind::Invalid, code))?;
        }
        Ok(Self { context, compression })
    }

    /// Codes `plain` alone; falls back to [`Coding::Raw`] when nothing is gained.
    ///
    /// # Errors
    /// `Io` when zstd has no memory.
    pub fn verbatim(&mut self, plain: &[u8]) -> Result<(Coding, Vec<u8>)> {
        let (coding, coded) = match self.compression {
            Compression::None => return Ok((Coding::Raw, copy(plain))),
            Compression::Lz4 => (Coding::Lz4, lz4_flex::block::compress(plain)),
            Compression::Zstd(_) => (Coding::Zstd, self.frame(plain, 0)?),
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

    fn frame(&mut self, plain: &[u8], prefix_len: usize) -> Result<Vec<u8>> {
        let reach = (plain.len() + prefix_len).saturating_sub(1);
        let window = (usize::BITS - reach.leading_zeros()).clamp(MIN_WINDOW_LOG, MAX_WINDOW_LOG);
        let mut out = buffer(zstd_safe::compress_bound(plain.len()));
        self.context
            .set_parameter(CParameter::WindowLog(window))
            .and_then(|_| self.context.compress2(&mut out, plain))
            .map_err(|code| zstd_error(ErrorKind::Io, code))?;
        Ok(out)
    }
}

/// The plain bytes of a payload; `len` is what the head declares, and all that is allocated.
///
/// # Errors
/// `Corrupt` when the payload does not decode to exactly `len` bytes.
pub(crate) fn decode(coding: Coding, payload: &[u8], prefix: &[u8], len: usize) -> Result<Vec<u8>> {
    let plain = match coding {
        Coding::Raw => copy(payload),
        Coding::Lz4 => lz4_flex::block::decompress(payload, len)
            .map_err(|e| Error::corrupt("an LZ4 payload does not decode").with_source(e))?,
        Coding::Zstd => {
            let mut context = DCtx::try_create().ok_or_else(|| {
                Error::new(ErrorKind::Io, "no memory to decompress: lower the number of threads")
            })?;
            let mut plain = buffer(len);
            context
                .set_parameter(DParameter::Format(FrameFormat::Magicless))
                .and_then(|_| context.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG)))
                .and_then(|_| if prefix.is_empty() { Ok(0) } else { context.ref_prefix(prefix) })
                .and_then(|_| context.decompress(&mut plain, payload))
                .map_err(|code| zstd_error(ErrorKind::Corrupt, code))?;
            plain
        }
    };
    if plain.len() == len {
        Ok(plain)
    } else {
        Err(Error::corrupt(format!("a payload decodes to {} bytes where {len} are declared", plain.len())))
    }
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
            prop_assert_eq!(decode(coding, &coded, &[], plain.len()).unwrap(), &plain[..]);
            let coded = encoder.correction(&plain, &prefix).unwrap();
            prop_assert_eq!(decode(Coding::Zstd, &coded, &prefix, plain.len()).unwrap(), &plain[..]);
        }

        #[test]
        fn hostile_payloads_allocate_no_more_than_declared(payload: Vec<u8>, len in 0usize..4096) {
            for coding in [Coding::Raw, Coding::Lz4, Coding::Zstd] {
                if let Ok(plain) = decode(coding, &payload, b"prefix", len) {
                    prop_assert_eq!(plain.len(), len);
                }
            }
        }
    }

    #[test]
    fn levels_outside_the_range_are_refused() {
        for level in [0, 23, -1] {
            let error = Encoder::new(Compression::Zstd(level)).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Invalid);
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
        assert_eq!(decode(Coding::Zstd, &coded, &prefix, plain.len()).unwrap(), plain);
    }
}
