//! Streams of any length that nothing can compress, made anew as often as they are needed instead of being kept.

use std::io::{self, Read, Write};

/// Bytes made at a time.
const PIECE: usize = 1 << 16;

/// An endless stream that depends on its seed alone (xorshift64*; Vigna, "An experimental exploration of
/// Marsaglia's xorshift generators, scrambled", 2016).
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_mut(8) {
            word.copy_from_slice(&self.word().to_le_bytes()[..word.len()]);
        }
    }
}

/// Writes the first `length` bytes of the stream.
pub(crate) fn write(seed: u64, length: u64, to: &mut impl Write) -> io::Result<()> {
    pieces(seed, length, |piece| to.write_all(piece))
}

/// Whether `from` holds the first `length` bytes of the stream, and nothing more.
pub(crate) fn is_stream(seed: u64, length: u64, from: &mut impl Read) -> io::Result<bool> {
    let (mut buffer, mut same) = (vec![0; PIECE], true);
    pieces(seed, length, |piece| {
        from.read_exact(&mut buffer[..piece.len()])?;
        same &= buffer[..piece.len()] == *piece;
        Ok(())
    })
    .or_else(|error| {
        same = false;
        if error.kind() == io::ErrorKind::UnexpectedEof { Ok(()) } else { Err(error) }
    })?;
    Ok(same && from.read(&mut buffer)? == 0)
}

fn pieces(seed: u64, length: u64, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let (mut random, mut buffer, mut left) = (Random::new(seed), vec![0; PIECE], length);
    while left > 0 {
        let size = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        random.fill(&mut buffer[..size]);
        each(&buffer[..size])?;
        left -= size as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_known_by_its_seed_and_length() {
        let mut bytes = Vec::new();
        write(7, 200_001, &mut bytes).unwrap();
        assert_eq!(bytes.len(), 200_001);
        assert!(is_stream(7, 200_001, &mut bytes.as_slice()).unwrap());
        assert!(!is_stream(8, 200_001, &mut bytes.as_slice()).unwrap(), "another seed");
        assert!(!is_stream(7, 200_000, &mut bytes.as_slice()).unwrap(), "one byte more");
        assert!(!is_stream(7, 200_002, &mut bytes.as_slice()).unwrap(), "one byte less");
        bytes[199_999] ^= 1;
        assert!(!is_stream(7, 200_001, &mut bytes.as_slice()).unwrap(), "one bit");
    }

    #[test]
    fn no_byte_is_more_frequent_than_another() {
        let (mut bytes, mut counts) = (Vec::new(), [0_u32; 256]);
        write(1, 1 << 20, &mut bytes).unwrap();
        bytes.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
        assert!(counts.iter().all(|count| (3_600..4_600).contains(count)), "{counts:?}");
    }
}
