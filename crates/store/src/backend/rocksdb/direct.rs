//! Whether files can be written past the system's cache.
//!
//! Whoever ingests hardly ever reads soon what he wrote, and copying it into the system's cache costs more processor time
//! than all else that the system does for an ingest; it would also drive out what others have there.

#[cfg(target_os = "linux")]
use std::fs;
use std::path::Path;

/// Bytes to which addresses, places and lengths of direct writes are rounded: what the database assumes where it is not told.
#[cfg(target_os = "linux")]
const ALIGNMENT: usize = 4096;

/// Whether the file system of `directory` takes direct writes. A file without a name is tried, so that nothing is left.
#[cfg(target_os = "linux")]
pub(super) fn is_possible(directory: &Path) -> bool {
    use rustix::fs::{Mode, OFlags};

    // Of a file that it can't open the database would say that direct writes are not possible, whatever the cause is.
    let unreadable = |error: std::io::Error| error.kind() != std::io::ErrorKind::NotFound;
    if fs::read(directory.join("CURRENT")).is_err_and(unreadable) {
        return false;
    }
    let flags = OFlags::TMPFILE | OFlags::DIRECT | OFlags::RDWR | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR) else { return false };
    let bytes = [0_u8; 2 * ALIGNMENT];
    let at = bytes.as_ptr().align_offset(ALIGNMENT);
    let page = bytes.get(at..).and_then(|rest| rest.first_chunk::<ALIGNMENT>());
    page.is_some_and(|page| rustix::io::pwrite(&file, page, 0) == Ok(page.len()))
}

/// Elsewhere it is left to the system.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_possible(_: &Path) -> bool {
    false
}
