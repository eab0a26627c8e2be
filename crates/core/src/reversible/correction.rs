//! What makes bytes read from a hypervector the real ones: positions and right bytes.

use alloc::vec::Vec;

use crate::ReversibleError;

/// The bytes of a piece that were read wrongly, each with its position.
///
/// Encoded it takes two bytes for each of them (three where 128 positions or more lie between), and
/// nothing if there are none.
///
/// ```
/// use engrams_core::ByteCorrection;
/// let correction = ByteCorrection::between(b"hallo werld", b"hello world");
/// let bytes = correction.to_bytes();
/// assert_eq!((correction.len(), bytes.len()), (2, 4));
///
/// let mut piece = *b"hallo werld";
/// ByteCorrection::from_bytes(&bytes, piece.len())?.apply(&mut piece)?;
/// assert_eq!(&piece, b"hello world");
/// # Ok::<(), engrams_core::ReversibleError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ByteCorrection {
    /// In ascending order of positions.
    changes: Vec<(u32, u8)>,
}

impl ByteCorrection {
    /// What turns `read` into `right`.
    ///
    /// # Panics
    ///
    /// If they are not equally long, or 4 GiB or longer.
    #[must_use]
    pub fn between(read: &[u8], right: &[u8]) -> Self {
        assert_eq!(read.len(), right.len(), "a correction is between equally many bytes");
        assert!(u32::try_from(right.len()).is_ok(), "{} bytes are too many to correct", right.len());
        let pairs = (0_u32..).zip(read.iter().zip(right));
        Self { changes: pairs.filter(|(_, (a, b))| a != b).map(|(at, (_, byte))| (at, *byte)).collect() }
    }

    /// The number of bytes that change.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether no byte changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The positions that change, ascending, and the right byte of each.
    pub fn changes(&self) -> impl ExactSizeIterator<Item = (usize, u8)> {
        self.changes.iter().map(|(at, byte)| (*at as usize, *byte))
    }

    /// Puts the right bytes in their places.
    ///
    /// # Errors
    ///
    /// [`ReversibleError::Position`] if a position is not below the number of bytes; nothing is changed then.
    pub fn apply(&self, bytes: &mut [u8]) -> Result<(), ReversibleError> {
        if let Some((at, _)) = self.changes().last()
            && at >= bytes.len()
        {
            return Err(ReversibleError::Position { position: at as u64, piece_len: bytes.len() });
        }
        self.changes().for_each(|(at, byte)| bytes[at] = byte);
        Ok(())
    }

    /// For each change, the positions between it and the one before (from -1) in LEB128, then the byte.
    /// FROZEN FORMAT.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 * self.changes.len());
        let mut next = 0;
        for (at, byte) in &self.changes {
            let mut gap = at - next;
            while gap >= 0x80 {
                bytes.push(gap as u8 | 0x80);
                gap >>= 7;
            }
            bytes.extend([gap as u8, *byte]);
            next = at + 1;
        }
        bytes
    }

    /// The inverse of [`to_bytes`](Self::to_bytes), for a piece of `piece_len` bytes; takes each correction
    /// in its one encoding only. Uses at most four times the memory that the bytes take.
    ///
    /// # Errors
    ///
    /// [`ReversibleError::Position`] if a position is not below `piece_len`, [`ReversibleError::Encoding`]
    /// if the bytes end within a change or a number is longer than it needs to be.
    pub fn from_bytes(bytes: &[u8], piece_len: usize) -> Result<Self, ReversibleError> {
        let mut changes = Vec::with_capacity(bytes.len() / 2);
        let (mut rest, mut next) = (bytes, 0_u64);
        while !rest.is_empty() {
            let malformed = ReversibleError::Encoding { offset: bytes.len() - rest.len() };
            let len = rest.iter().position(|byte| byte & 0x80 == 0).ok_or(malformed)? + 1;
            let (number, after) = rest.split_at(len);
            let is_longer_than_needed = len > 1 && number[len - 1] == 0;
            let Some((byte, after)) = after.split_first().filter(|_| len <= 5 && !is_longer_than_needed)
            else {
                return Err(malformed);
            };
            let gap = number.iter().rev().fold(0, |gap, byte| (gap << 7) | u64::from(byte & 0x7F));
            let position = next + gap;
            match u32::try_from(position) {
                Ok(at) if position < piece_len as u64 => changes.push((at, *byte)),
                _ => return Err(ReversibleError::Position { position, piece_len }),
            }
            (rest, next) = (after, position + 1);
        }
        Ok(Self { changes })
    }
}
