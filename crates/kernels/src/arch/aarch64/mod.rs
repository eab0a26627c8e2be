//! Tiers of 64-bit Arm.

pub(crate) mod neon;
