//! The command `engrams`; all of it is in the library beside this.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::process::ExitCode;

/// Takes memory in huge pages, for RocksDB and zstd too: a process that ends soon pays more for fresh pages than for
/// anything else the system does (docs/decisions/0025).
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let line: Vec<OsString> = std::env::args_os().collect();
    engrams_cli::run_line(&line)
}
