//! Wire primitives: varints, a bounded reader, keys of ids, and the seal that binds a record to its place.

use crate::{Error, Result, Space};

/// Ids and version numbers stay below this, so that counting them never overflows.
pub(crate) const MAX_ID: u64 = 1 << 56;

/// Bytes of a seal.
pub(crate) const SEAL_BYTES: usize = 4;

/// Appends `value` as a little-endian base-128 varint (1..=10 bytes).
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed value: zig-zag, then varint.
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends a length and the bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The key of an id: big-endian, so that ids ascend.
pub(crate) fn id_key(id: u64) -> [u8; 8] {
    id.to_be_bytes()
}

/// The id of a key made by [`id_key`].
pub(crate) fn id_of_key(space: Space, key: &[u8]) -> Result<u64> {
    let bytes = <[u8; 8]>::try_from(key)
        .map_err(|_| Error::corrupt(format!("{space:?} key of {} bytes where 8 are expected", key.len())))?;
    Ok(u64::from_be_bytes(bytes))
}

/// `body` with its seal: the first 4 bytes of BLAKE3 over space, key and body. It tells damage and misplaced
/// records from good ones; it is no protection from an adversary (chunk names are).
pub(crate) fn seal(space: Space, key: &[u8], mut body: Vec<u8>) -> Vec<u8> {
    let seal = seal_of(space, key, &body);
    body.extend_from_slice(&seal);
    body
}

/// The body of a sealed record, if its seal is right.
pub(crate) fn unseal<'a>(space: Space, key: &[u8], record: &'a [u8]) -> Result<&'a [u8]> {
    let (body, found) = record
        .split_at_checked(record.len().wrapping_sub(SEAL_BYTES))
        .ok_or_else(|| Error::corrupt(format!("{space:?} record of {} bytes is too short", record.len())))?;
    if seal_of(space, key, body) != found {
        return Err(Error::corrupt(format!("{space:?} record at key {} has a wrong seal", Hex(key))));
    }
    Ok(body)
}

fn seal_of(space: Space, key: &[u8], body: &[u8]) -> [u8; SEAL_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[space as u8, key.len() as u8]).update(key).update(body);
    let hash = hasher.finalize();
    let [a, b, c, d, ..] = *hash.as_bytes();
    [a, b, c, d]
}

/// Bytes shown in hexadecimal.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Reads a record front to back; every short or overlong field is `Corrupt` and names the record.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    pub(crate) fn error(&self, why: &str) -> Error {
        Error::corrupt(format!("{}: {why}", self.what))
    }

    pub(crate) fn bytes(&mut self, len: u64) -> Result<&'a [u8]> {
        let len = usize::try_from(len).map_err(|_| self.error("a length is out of range"))?;
        let (head, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.error("it ends too early"))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.bytes(N as u64)?;
        bytes.try_into().map_err(|_| self.error("it ends too early"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(crate) fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.error("a number is out of range"))
    }

    /// A varint that must not exceed `limit`.
    pub(crate) fn varint_up_to(&mut self, limit: u64) -> Result<u64> {
        let value = self.varint()?;
        if value > limit { Err(self.error("a number is out of range")) } else { Ok(value) }
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        let value = self.varint_up_to(u64::from(u32::MAX))?;
        Ok(value as u32)
    }

    pub(crate) fn signed(&mut self) -> Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(crate) fn length_prefixed(&mut self, limit: u64) -> Result<&'a [u8]> {
        let len = self.varint_up_to(limit)?;
        self.bytes(len)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn finish(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.error("bytes are left over")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varints_come_back(value: u64, signed: i64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            put_signed(&mut out, signed);
            let mut reader = Reader::new(&out, "test");
            prop_assert_eq!(reader.varint().unwrap(), value);
            prop_assert_eq!(reader.signed().unwrap(), signed);
            reader.finish().unwrap();
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes, "test");
            while reader.varint().is_ok() {}
            let _ = unseal(Space::Head, b"key", &bytes);
        }

        #[test]
        fn a_flipped_bit_or_another_key_breaks_the_seal(body: Vec<u8>, at: usize, bit in 0..8u32) {
            let good = seal(Space::Head, b"key", body.clone());
            prop_assert_eq!(unseal(Space::Head, b"key", &good).unwrap(), &body[..]);
            prop_assert!(unseal(Space::Head, b"kez", &good).is_err());
            prop_assert!(unseal(Space::Page, b"key", &good).is_err());
            let mut bad = good.clone();
            let at = at % bad.len();
            bad[at] ^= 1 << bit;
            prop_assert!(unseal(Space::Head, b"key", &bad).is_err());
        }
    }
}
