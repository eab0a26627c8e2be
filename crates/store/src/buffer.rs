//! Buffers for the bytes of chunks, in few sizes.

/// Capacities of plain bytes are multiples of this. Chunks of all lengths come and go in the cache; without it the
/// gaps between them grow with the length of the stream, by a third of the cache (measured with glibc's allocator).
pub(crate) const CAPACITY_STEP: usize = 32 << 10;

/// An empty buffer for `len` plain bytes.
pub(crate) fn buffer(len: usize) -> Vec<u8> {
    Vec::with_capacity(len.next_multiple_of(CAPACITY_STEP))
}

/// A copy of plain or coded bytes.
pub(crate) fn copy(bytes: &[u8]) -> Vec<u8> {
    let mut copy = buffer(bytes.len());
    copy.extend_from_slice(bytes);
    copy
}
