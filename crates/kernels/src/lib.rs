//! Word operations on hypervectors, on the fastest tier the processor has.
//!
//! A hypervector is a slice of `u64` words; bit `i` of the hypervector is bit `i % 64` of word
//! `i / 64`. This crate binds (XOR), permutes (rotates), measures (Hamming distance), expands 64-bit
//! features into pseudo-random words, finds the nearest rows of a matrix, bundles features into bit-sliced
//! counters, and adds up signed ones. It knows words and lanes; it refuses to know what a feature is a feature *of*.
//!
//! Every operation is a method of [`Level`], a `Copy` value which proves that the processor can run
//! that tier. All tiers give the same words, bit for bit; [`Level::all_available`] lets tests and
//! benchmarks name each one.
//!
//! ```
//! use engrams_kernels::{BitCounters, Level};
//!
//! let level = Level::detect();
//! // Bundle three features into 1,024 bits: each bit of the majority agrees with most of them.
//! let mut counters = BitCounters::new(level, 16, vec![0; BitCounters::<Vec<u64>>::buffer_len(16)]);
//! counters.add(&[1, 2, 3]);
//! let mut majority = [0; 16];
//! counters.majority(&[0; 16], &mut majority);
//!
//! let mut one = [0; 16];
//! level.expand(1, &mut one);
//! // A feature in the bundle is much nearer than the 512 bits of an unrelated one.
//! assert!(level.hamming(&majority, &one) < 350);
//! ```
//!
//! # Panics
//!
//! Slices whose lengths must agree and do not are a programming error: every such method panics and
//! says which lengths it needs.
//!
//! # Tiers
//!
//! | tier | where | how |
//! |---|---|---|
//! | portable | everywhere | `wide` vectors, whose width is fixed when the crate is compiled |
//! | AVX2 | x86-64 | `core::arch`, chosen at run time |
//! | AVX-512 | x86-64 with F, BW, DQ and VL | the same |
//! | AVX-512 with VPOPCNTDQ | x86-64 that has it besides | the same; only counting bits differs |
//! | NEON | 64-bit Arm, where the target has it | `core::arch`, no choice to make |
//!
//! `RUSTFLAGS="--cfg engrams_force_portable"` leaves only the portable tier (a cfg and not a feature,
//! because features add up across a build and one crate could slow down all).
#![no_std]

mod arch;
mod counters;
mod dispatch;
mod gear;
mod level;
mod nearest;
mod seed;

pub use counters::{BitCounters, MAX_COUNT};
pub use gear::NibbleGear;
pub use level::Level;
pub use nearest::Neighbour;
pub use seed::mix64;
