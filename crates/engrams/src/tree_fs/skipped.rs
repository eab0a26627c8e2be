//! What an ingest left out or took only in part, and why.

use std::fmt;

/// A path that is not in the new version as it is on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The path in the store.
    pub path: Vec<u8>,
    /// Why.
    pub reason: SkipReason,
    /// The version before had this path (or something under it), and that was kept.
    pub kept: bool,
}

/// Why a path was left out or taken only in part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// A socket: it has no content.
    Socket,
    /// A named pipe: it has no content of its own.
    Pipe,
    /// A character or block device.
    Device,
    /// Something the system has no name for.
    UnknownKind,
    /// It could not be opened, listed or read; the system's words.
    Unreadable(String),
    /// It was written to during each of several readings; what was read last is stored.
    Changed,
    /// Its extended attributes could not be read; everything else is stored. The system's words.
    ExtendedAttributes(String),
    /// The store can not hold such a path (too long); the store's words.
    Path(String),
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket => f.write_str("skipped, a socket"),
            Self::Pipe => f.write_str("skipped, a named pipe"),
            Self::Device => f.write_str("skipped, a device"),
            Self::UnknownKind => f.write_str("skipped, of an unknown kind"),
            Self::Unreadable(why) => write!(f, "could not be read: {why}"),
            Self::Changed => f.write_str("changed while it was read: stored as last read"),
            Self::ExtendedAttributes(why) => {
                write!(f, "stored without extended attributes, which could not be read: {why}")
            }
            Self::Path(why) => write!(f, "skipped: {why}"),
        }
    }
}

impl fmt::Display for Skipped {
    /// The reason without the path, and what became of the version before.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)?;
        if self.kept {
            f.write_str(" (kept as it was in the version before)")?;
        }
        Ok(())
    }
}
