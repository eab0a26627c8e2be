//! How records become bytes: the wire primitives and the records themselves. Byte maps: `docs/format.md`.

mod forgotten;
mod head;
mod superblock;
mod version;
mod wire;

pub(crate) use forgotten::Forgotten;
pub use head::{Coding, Head, STORED_VECTOR_BYTES, stored_vector};
pub use superblock::{FORMAT_VERSION, Superblock};
pub use version::{MAX_MESSAGE_BYTES, Version};
pub(crate) use wire::{MAX_ID, Reader, id_key, id_of_key, put_bytes, put_signed, put_varint, seal, unseal};
