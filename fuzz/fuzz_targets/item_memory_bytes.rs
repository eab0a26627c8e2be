//! `ItemMemory::from_bytes` takes any bytes, accepts each memory in one encoding only, and what it accepts
//! recalls the same by its index and by a scan.
#![no_main]

use engrams::Hypervector;
use engrams::core::{ByteCorrection, ItemMemory, Reach};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The same bytes as a correction, of a piece of the same length.
    match ByteCorrection::from_bytes(bytes, bytes.len()) {
        Ok(correction) => {
            assert_eq!(correction.to_bytes(), bytes, "another encoding was accepted");
            assert!(correction.apply(&mut bytes.to_vec()).is_ok());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }

    // The message of an error must hold for any bytes as well.
    let mut memory = match ItemMemory::from_bytes(bytes) {
        Ok(memory) => memory,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert_eq!(memory.to_bytes().as_deref(), Ok(bytes), "another encoding was accepted");

    let query = Hypervector::from_feature(1, memory.dimension());
    assert_eq!(memory.recall(&query, 3), memory.search(&query, 3, Reach::Scan).items);
    let ids: Vec<u64> = memory.iter().map(|(id, ..)| id).collect();
    assert_eq!(ids.len(), memory.len());
    for id in ids {
        assert!(memory.remove(id).is_some(), "item {id} was listed and is not there");
    }
    assert!(memory.is_empty() && memory.recall(&query, 3).is_empty());
});
