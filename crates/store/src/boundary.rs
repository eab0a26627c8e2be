//! Where pages end: after an item whose spread key has certain bits clear, so that an insertion moves no boundary
//! but its own and versions share the pages around it.

/// splitmix64's finalizer (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): spreads a
/// number over all bits.
pub(crate) fn spread(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// FNV-1a (Fowler, Noll, Vo) of bytes, spread.
pub(crate) fn spread_bytes(bytes: &[u8]) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    spread(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fnv))
}
