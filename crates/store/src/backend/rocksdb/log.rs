//! A look at the logs before RocksDB reads them.
//!
//! Its log reader never comes back from a record whose type byte was damaged into that of a recycled log
//! (`ReadPhysicalRecord` in `db/log_reader.cc` of 11.8 returns `kBadRecord` without having consumed anything,
//! and its caller asks again). We never recycle logs, so such a type is damage, and is reported as that. All
//! other damage RocksDB finds by itself, by checksum. The manifest has the same format and the same reader.

use std::fs;
use std::path::Path;

use crate::{Error, Result};

const BLOCK_BYTES: usize = 32 << 10;
/// Checksum (4), length (2, little-endian), type (1).
const HEADER_BYTES: usize = 7;
/// Whole records and the first, middle and last parts of long ones; 0 is space not written yet.
const KNOWN_TYPES: std::ops::RangeInclusive<u8> = 0..=4;

/// Refuses a store whose logs would hang the database.
pub(super) fn check_logs(path: &Path) -> Result<()> {
    let failed =
        |error| Error::io(format_args!("can't read the logs of the store at {}", path.display()), error);
    // Other manifests are what a crash left of one being written: nobody reads them.
    let manifest = fs::read_to_string(path.join("CURRENT")).unwrap_or_default();
    for entry in fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        if !name.ends_with(".log") && name != manifest.trim_end() {
            continue;
        }
        match fs::read(path.join(&*name)) {
            Ok(bytes) if !is_readable(&bytes) => {
                let message = format!("the store at {} is damaged in its file `{name}`", path.display());
                return Err(Error::corrupt(message));
            }
            // Replaced by a writer since it was listed.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Makes records with an unknown type such that the database passes over them as damaged ones.
pub(super) fn disarm(path: &Path) -> Result<()> {
    let failed =
        |error| Error::io(format_args!("can't copy the logs of the store at {}", path.display()), error);
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_string_lossy().ends_with(".log") {
            continue;
        }
        let mut bytes = fs::read(entry.path()).map_err(failed)?;
        while let Some(at) = unknown_type(&bytes) {
            // A whole record: its checksum, which covers the type, tells whether that is true.
            bytes[at] = 1;
        }
        fs::write(entry.path(), bytes).map_err(failed)?;
    }
    Ok(())
}

/// Whether every record up to the end, or to where a crash cut it off, has a type that we write.
fn is_readable(log: &[u8]) -> bool {
    unknown_type(log).is_none()
}

/// Where the first type is that we do not write.
fn unknown_type(log: &[u8]) -> Option<usize> {
    for (block, bytes) in log.chunks(BLOCK_BYTES).enumerate() {
        let mut rest = bytes;
        while let Some(([_, _, _, _, low, high, kind], records)) = rest.split_first_chunk::<HEADER_BYTES>() {
            if !KNOWN_TYPES.contains(kind) {
                return Some(block * BLOCK_BYTES + (bytes.len() - rest.len()) + HEADER_BYTES - 1);
            }
            if [*low, *high, *kind] == [0; 3] {
                // Zeros, as a page leaves that was lost with the power: the database skips the block's rest.
                break;
            }
            let Some(next) = records.get(usize::from(u16::from_le_bytes([*low, *high]))..) else { break };
            rest = next;
        }
    }
    None
}
