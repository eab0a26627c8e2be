//! The head of a chunk: what is known of it without its bytes.

use engrams_core::{Dimension, encode};

use super::wire::{Reader, id_key, put_varint, seal, unseal};
use crate::{Error, Result, Space};

/// Bytes of the hypervector kept with a chunk: its first 256 bits. All 1024 rank 1-2 % better and cost more than
/// that in bytes (measured; see docs/decisions).
pub const STORED_VECTOR_BYTES: usize = 32;

/// What a head keeps of the hypervector of these features, a chunk's recall features.
#[must_use]
pub fn stored_vector(features: &[u64]) -> [u8; STORED_VECTOR_BYTES] {
    let mut vector = [0; STORED_VECTOR_BYTES];
    for (bytes, word) in vector.chunks_exact_mut(8).zip(encode(features, Dimension::RECALL).words()) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    vector
}

/// How a chunk's payload is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Coding {
    /// The bytes themselves.
    Raw = 0,
    /// One LZ4 block.
    Lz4 = 1,
    /// One zstd frame without its magic number; with bases, these are its prefix.
    Zstd = 2,
    /// Copies out of the bases, and the bytes between them as a zstd frame: a [`Splice`](crate::Splice).
    Splice = 3,
}

/// What is known of a chunk without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// BLAKE3 of the plain bytes.
    pub name: [u8; 32],
    /// Plain length in bytes.
    pub len: u32,
    /// Length of the payload in bytes.
    pub coded_len: u32,
    /// How the payload is coded.
    pub coding: Coding,
    /// Corrections to apply to reach the bytes: 0 for a verbatim chunk, else 1 + the deepest base's.
    pub depth: u8,
    /// The chunks this one is a correction of, in prefix order; all ids are smaller than this chunk's own.
    pub bases: Vec<u64>,
    /// First 256 bits of the chunk's hypervector.
    pub vector: [u8; STORED_VECTOR_BYTES],
    /// First 4 bytes of BLAKE3 of the payload: tells a damaged payload from a damaged base.
    pub payload_check: [u8; 4],
}

/// More bases than any release writes.
const MAX_BASES: u64 = 8;

impl Head {
    /// The record of chunk `id`.
    #[must_use]
    pub fn encode(&self, id: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        out.push(self.coding as u8 | (self.bases.len() as u8) << 4);
        out.push(self.depth);
        put_varint(&mut out, u64::from(self.len));
        put_varint(&mut out, u64::from(self.coded_len));
        for base in &self.bases {
            put_varint(&mut out, id.wrapping_sub(*base));
        }
        out.extend_from_slice(&self.name);
        out.extend_from_slice(&self.vector);
        out.extend_from_slice(&self.payload_check);
        seal(Space::Head, &id_key(id), out)
    }

    /// Reads the record of chunk `id`; `max_len` is the store's longest chunk.
    ///
    /// # Errors
    /// `Corrupt`, naming the chunk.
    pub fn decode(id: u64, record: &[u8], max_len: u32) -> Result<Self> {
        Self::parse(id, record, max_len).map_err(|e| e.within(format_args!("head of chunk {id}")))
    }

    fn parse(id: u64, record: &[u8], max_len: u32) -> Result<Self> {
        let mut reader = Reader::new(unseal(Space::Head, &id_key(id), record)?, "chunk head");
        let tag = reader.u8()?;
        let coding = match tag & 0x0f {
            0 => Coding::Raw,
            1 => Coding::Lz4,
            2 => Coding::Zstd,
            3 => Coding::Splice,
            other => {
                return Err(Error::new(crate::ErrorKind::Unsupported, format!("unknown coding {other}")));
            }
        };
        let count = u64::from(tag >> 4);
        let fits = match coding {
            Coding::Raw | Coding::Lz4 => count == 0,
            Coding::Zstd => count <= MAX_BASES,
            Coding::Splice => (1..=MAX_BASES).contains(&count),
        };
        if !fits {
            return Err(reader.error("its bases do not fit its coding"));
        }
        let depth = reader.u8()?;
        if (depth == 0) != (count == 0) {
            return Err(reader.error("its depth does not fit its bases"));
        }
        let len = reader.varint_up_to(u64::from(max_len))? as u32;
        let coded_len = reader.u32()?;
        let bases = (0..count)
            .map(|_| match reader.varint()? {
                0 => Err(reader.error("it is its own base")),
                back => id.checked_sub(back).ok_or_else(|| reader.error("a base id is below zero")),
            })
            .collect::<Result<_>>()?;
        let head = Self {
            name: reader.array()?,
            len,
            coded_len,
            coding,
            depth,
            bases,
            vector: reader.array()?,
            payload_check: reader.array()?,
        };
        reader.finish()?;
        Ok(head)
    }

    /// The check of a payload, as kept in its head.
    #[must_use]
    pub fn check_of(payload: &[u8]) -> [u8; 4] {
        first_bytes(blake3::hash(payload).as_bytes())
    }

    /// The same, of the payload of the chunk with this name: raw bytes are what the name is of.
    #[must_use]
    pub fn check_for(name: &[u8; 32], coding: Coding, payload: &[u8]) -> [u8; 4] {
        if coding == Coding::Raw { first_bytes(name) } else { Self::check_of(payload) }
    }
}

fn first_bytes(hash: &[u8; 32]) -> [u8; 4] {
    std::array::from_fn(|i| hash[i])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(bases: Vec<u64>) -> Head {
        Head {
            name: [7; 32],
            len: 65_537,
            coded_len: 300,
            coding: Coding::Zstd,
            depth: u8::from(!bases.is_empty()),
            bases,
            vector: [9; 32],
            payload_check: [1, 2, 3, 4],
        }
    }

    #[test]
    fn heads_come_back() {
        for bases in [vec![], vec![41], vec![40, 1]] {
            let head = head(bases);
            assert_eq!(Head::decode(42, &head.encode(42), 1 << 20).unwrap(), head);
        }
    }

    #[test]
    fn a_head_under_another_id_is_refused() {
        assert!(Head::decode(43, &head(vec![1]).encode(42), 1 << 20).is_err());
    }

    proptest! {
        #[test]
        fn any_flipped_byte_is_refused(at in 0usize..70, flip in 1u8..) {
            let mut record = head(vec![40, 1]).encode(42);
            let at = at % record.len();
            record[at] ^= flip;
            let error = Head::decode(42, &record, 1 << 20).unwrap_err();
            prop_assert!(error.to_string().contains("chunk 42"));
        }
    }
}
