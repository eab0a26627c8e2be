//! Item memories as bytes: exact both ways, and total on hostile bytes.

use engrams_core::{Dimension, Hypervector, ItemMemory, ItemMemoryError};
use proptest::collection::vec;
use proptest::prelude::*;

fn memory(words: usize, tables: usize, labels: &[Vec<u8>], removed: &[usize]) -> ItemMemory<Vec<u8>> {
    let dimension = Dimension::new(words * 64).unwrap();
    let mut memory = ItemMemory::new(dimension).with_index(tables);
    for (label, feature) in labels.iter().zip(0..) {
        memory.insert(label.clone(), &Hypervector::from_feature(feature, dimension));
    }
    for id in removed {
        memory.remove(*id as u64);
    }
    memory
}

fn listed(memory: &ItemMemory<Vec<u8>>) -> Vec<(u64, Vec<u8>, Vec<u64>)> {
    memory.iter().map(|(id, label, row)| (id, label.clone(), row.to_vec())).collect()
}

proptest! {
    #![proptest_config(crate::cases(128))]

    #[test]
    fn bytes_give_back_the_memory(
        words in 1..20_usize,
        tables in 0..90_usize,
        labels in vec(vec(any::<u8>(), 0..9), 0..40),
        removed in vec(0..40_usize, 0..30),
    ) {
        let mut before = memory(words, tables, &labels, &removed);
        let bytes = before.to_bytes().unwrap();
        let mut after = ItemMemory::from_bytes(&bytes).unwrap();
        prop_assert_eq!(listed(&after), listed(&before));
        prop_assert_eq!(after.tables(), before.tables());
        prop_assert_eq!(after.to_bytes(), Ok(bytes));
        let query = Hypervector::from_feature(3, before.dimension());
        prop_assert_eq!(after.recall(&query, 5), before.recall(&query, 5));
        // An id is never given twice.
        prop_assert_eq!(after.insert(vec![1], &query), before.insert(vec![1], &query));
        prop_assert_eq!(after.insert(vec![1], &query), labels.len() as u64 + 1);
    }

    #[test]
    fn hostile_bytes_give_an_error_or_their_own_memory(
        header in (0..3_u8, 0..2_u8, 0..4_u16, 0..20_u32, 0..4_u64, 0..9_u64),
        items in vec((0..9_u64, 0..4_u32, any::<u64>()), 0..4),
        rest in vec(any::<u8>(), 0..40),
    ) {
        let (format, zero, words, tables, count, next) = header;
        let mut bytes = vec![format, zero];
        bytes.extend(words.to_le_bytes());
        bytes.extend(tables.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(next.to_le_bytes());
        for (id, len, word) in items {
            bytes.extend(id.to_le_bytes());
            bytes.extend(len.to_le_bytes());
            bytes.extend(vec![b'x'; len as usize]);
            bytes.extend(word.to_le_bytes().repeat(usize::from(words)));
        }
        bytes.extend(rest);
        match ItemMemory::from_bytes(&bytes) {
            Ok(memory) => prop_assert_eq!(memory.to_bytes(), Ok(bytes)),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn a_changed_byte_never_panics_and_never_reads_as_the_same(at in 0..10_000_usize, change in 1..=255_u8) {
        let memory = memory(3, 5, &[b"one".to_vec(), b"two".to_vec(), b"three".to_vec()], &[1]);
        let mut bytes = memory.to_bytes().unwrap();
        let at = at % bytes.len();
        bytes[at] ^= change;
        if let Ok(changed) = ItemMemory::from_bytes(&bytes) {
            prop_assert_eq!(changed.to_bytes(), Ok(bytes));
        }
    }
}

#[test]
fn errors_name_what_is_wrong() {
    let good = memory(1, 4, &[b"a".to_vec(), b"b".to_vec()], &[]).to_bytes().unwrap();
    let changed = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        ItemMemory::from_bytes(&bytes).unwrap_err().to_string()
    };
    assert_eq!(changed(0, 9), "item memory format 9 with 0 is unknown");
    assert_eq!(changed(1, 1), "item memory format 1 with 1 is unknown");
    assert_eq!(changed(2, 0), "item memory of 0 words is not within 1..=1024");
    assert_eq!(changed(3, 5), "item memory of 1281 words is not within 1..=1024");
    assert_eq!(changed(4, 5), "item memory index of 5 tables has fewer than 16 bits for each");
    assert_eq!(changed(8, 1), "item memory has 66 bytes where 45 are needed");
    assert_eq!(changed(8, 3), "item memory has 66 bytes where 74 are needed");
    assert_eq!(changed(15, 0xFF), "item memory has 66 bytes where 74 are needed");
    assert_eq!(changed(16, 1), "item memory has id 1 out of order");
    assert_eq!(changed(23, 0xFF), "item memory has id 18374686479671623682 out of order");
    assert_eq!(changed(45, 0), "item memory has id 0 out of order");
    assert_eq!(changed(34, 0xFF), "item memory has 66 bytes where 16711717 are needed");
    for len in 0..good.len() {
        let error = ItemMemory::from_bytes(&good[..len]).unwrap_err();
        assert!(matches!(error, ItemMemoryError::Length { bytes, .. } if bytes == len), "{len}: {error}");
    }
}
