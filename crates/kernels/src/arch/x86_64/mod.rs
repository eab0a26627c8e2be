//! Tiers of x86-64.

pub(crate) mod avx2;
pub(crate) mod avx2_walsh;
pub(crate) mod avx512;
pub(crate) mod avx512_vpopcntdq;
