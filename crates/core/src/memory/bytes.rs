//! An item memory as bytes: the one place that writes and reads them.

use alloc::vec::Vec;

use super::ItemMemory;
use crate::{Dimension, ItemMemoryError};

/// The format byte.
const FORMAT: u8 = 1;
/// Format, a zero, words (2), tables (4), items (8), next id (8).
const HEADER_BYTES: usize = 24;
/// The most ids that can have been given: none is ever too large to count on.
const MOST_IDS: u64 = 1 << 63;
/// Id (8), length of the label (4).
const ITEM_BYTES: usize = 12;

impl<T: AsRef<[u8]>> ItemMemory<T> {
    /// The memory as bytes; labels are byte strings here. FROZEN FORMAT, all numbers little-endian:
    ///
    /// | bytes | |
    /// |---|---|
    /// | 1 | format: 1 |
    /// | 1 | 0 |
    /// | 2 | words of a hypervector, 1 to 1,024 |
    /// | 4 | tables of the index, 0 to `words * 4` |
    /// | 8 | number of items |
    /// | 8 | id of the next item, at most 2^63 |
    ///
    /// and for each item, ids ascending and below the next:
    ///
    /// | bytes | |
    /// |---|---|
    /// | 8 | id |
    /// | 4 | length of the label |
    /// | as many | label |
    /// | `words * 8` | hypervector |
    ///
    /// Buckets are not kept: [`from_bytes`](ItemMemory::from_bytes) makes them anew.
    ///
    /// # Errors
    ///
    /// [`ItemMemoryError::Label`] if a label has 4 GiB or more.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ItemMemoryError> {
        let words = self.dimension().words();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.len() * (ITEM_BYTES + words * 8));
        bytes.extend([FORMAT, 0]);
        // At most 1,024 words and 4,096 tables.
        bytes.extend((words as u16).to_le_bytes());
        bytes.extend((self.tables() as u32).to_le_bytes());
        bytes.extend((self.len() as u64).to_le_bytes());
        bytes.extend(self.next_id.to_le_bytes());
        for (id, label, row) in self.iter() {
            let label = label.as_ref();
            let len = u32::try_from(label.len()).map_err(|_| ItemMemoryError::Label { id })?;
            bytes.extend(id.to_le_bytes());
            bytes.extend(len.to_le_bytes());
            bytes.extend(label);
            row.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        }
        Ok(bytes)
    }
}

impl ItemMemory<Vec<u8>> {
    /// The inverse of [`to_bytes`](ItemMemory::to_bytes), from any bytes: a memory that recalls as the one
    /// written did, or an error. Each memory has one encoding.
    ///
    /// Takes memory of at most 16 times the bytes given and 512 KiB, index included: nothing is reserved on the
    /// word of a count.
    ///
    /// # Errors
    ///
    /// [`ItemMemoryError`] says what is wrong, and where.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ItemMemoryError> {
        let mut reader = Reader { rest: bytes, len: bytes.len() };
        let [format, zero] = reader.array()?;
        if format != FORMAT || zero != 0 {
            return Err(ItemMemoryError::Format { found: [format, zero] });
        }
        let words = u16::from_le_bytes(reader.array()?);
        let dimension =
            Dimension::new(usize::from(words) * 64).map_err(|_| ItemMemoryError::Dimension { words })?;
        let tables = u32::from_le_bytes(reader.array()?);
        if tables as usize > Self::max_tables(dimension) {
            return Err(ItemMemoryError::Tables { tables });
        }
        let items = u64::from_le_bytes(reader.array()?);
        let next_id = u64::from_le_bytes(reader.array()?);
        if next_id > MOST_IDS {
            return Err(ItemMemoryError::Id { id: next_id });
        }
        let mut memory = Self::new(dimension);
        let mut row = Vec::with_capacity(dimension.words());
        for _ in 0..items {
            let id = u64::from_le_bytes(reader.array()?);
            if id >= next_id || memory.ids.last().is_some_and(|last| id <= *last) {
                return Err(ItemMemoryError::Id { id });
            }
            let label_len = u32::from_le_bytes(reader.array()?);
            let label = reader.take(label_len as usize)?.to_vec();
            row.clear();
            let (rows, _) = reader.take(dimension.bytes())?.as_chunks::<8>();
            row.extend(rows.iter().map(|word| u64::from_le_bytes(*word)));
            memory.push(id, label, &row);
        }
        if !reader.rest.is_empty() {
            return Err(ItemMemoryError::Length { bytes: bytes.len(), needed: reader.offset() });
        }
        memory.next_id = next_id;
        Ok(memory.with_index(tables as usize))
    }
}

/// What is left of the bytes.
struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Reader<'a> {
    fn offset(&self) -> usize {
        self.len - self.rest.len()
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], ItemMemoryError> {
        let short = ItemMemoryError::Length { bytes: self.len, needed: self.offset().saturating_add(len) };
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ItemMemoryError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }
}
