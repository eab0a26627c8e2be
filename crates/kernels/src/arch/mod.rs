//! The tree is the dispatch table: a file per instruction set, each with the same functions.
//!
//! Callers have checked lengths; the functions here assume them. `shared.rs` holds bodies which need
//! no intrinsics and are compiled anew inside each tier, `walsh.rs` those of transforms.

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
pub(crate) mod aarch64;
pub(crate) mod portable;
mod shared;
mod walsh;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86_64;
