//! What the file system says of one name, in one set of types whatever the platform.

use std::time::Duration;

use rustix::fs::FileType;

use crate::{Attributes, Timestamp};

/// A file or directory whatever its name: device and inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// The fields of `stat` that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileStat {
    pub(super) identity: Identity,
    pub(super) kind: FileType,
    /// Permission bits (`0o7777`).
    pub(super) mode: u32,
    pub(super) links: u64,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    /// Bytes the file takes on its medium.
    pub(super) allocated: u64,
    pub(super) mtime: Timestamp,
    pub(super) ctime: Timestamp,
}

/// How long a file must have been left alone before "its times are the same" proves "its content is the same".
///
/// Linux stamps with the last timer tick, 10 ms apart at the coarsest usual setting; twice that is safe.
pub(super) const SETTLED: Duration = Duration::from_millis(20);

impl From<rustix::fs::Stat> for FileStat {
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_lossless,
        reason = "the width and sign of these fields depend on the platform"
    )]
    fn from(stat: rustix::fs::Stat) -> Self {
        Self {
            identity: Identity { device: stat.st_dev as u64, inode: stat.st_ino as u64 },
            kind: FileType::from_raw_mode(stat.st_mode),
            mode: stat.st_mode as u32 & 0o7777,
            links: stat.st_nlink as u64,
            uid: stat.st_uid as u32,
            gid: stat.st_gid as u32,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            allocated: (stat.st_blocks as u64).saturating_mul(512),
            mtime: Timestamp { seconds: stat.st_mtime as i64, nanoseconds: stat.st_mtime_nsec as u32 },
            ctime: Timestamp { seconds: stat.st_ctime as i64, nanoseconds: stat.st_ctime_nsec as u32 },
        }
    }
}

impl FileStat {
    /// The same file with the same content, as far as the file system can tell.
    pub(super) fn unchanged_since(&self, before: &Self) -> bool {
        self.identity == before.identity
            && self.size == before.size
            && self.mtime == before.mtime
            && self.ctime == before.ctime
    }

    /// The bytes to remember a file by: whoever finds the same bytes again need not read it.
    ///
    /// The attributes it was stored with are part of it: what is remembered outlives an ingest that is never
    /// published, and must not vouch for attributes that only that one saw.
    pub(super) fn key(&self, stored: &Attributes) -> Vec<u8> {
        let mut key = vec![1];
        for number in [self.size, self.identity.inode, self.identity.device] {
            key.extend_from_slice(&number.to_le_bytes());
        }
        for time in [self.mtime, self.ctime] {
            key.extend_from_slice(&time.seconds.to_le_bytes());
            key.extend_from_slice(&time.nanoseconds.to_le_bytes());
        }
        key.extend_from_slice(&digest(stored));
        key
    }

    /// How long to wait until a further change is certain to show in ctime; `None`: ctime lies in the future (a
    /// clock was set back, or is another machine's), so that it proves nothing.
    pub(super) fn wait_until_settled(&self, now: Timestamp) -> Option<Duration> {
        if self.ctime > now {
            return None;
        }
        let nanoseconds =
            |time: Timestamp| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds);
        let age = u64::try_from(nanoseconds(now) - nanoseconds(self.ctime)).unwrap_or(u64::MAX);
        Some(SETTLED.saturating_sub(Duration::from_nanos(age)))
    }
}

/// Tells attributes apart.
fn digest(attributes: &Attributes) -> [u8; 16] {
    let Attributes { mode, mtime, uid, gid, sparse, hard_link, xattrs } = attributes;
    let mut hasher = blake3::Hasher::new();
    for number in [*mode, *uid, *gid, mtime.nanoseconds, u32::from(*sparse), u32::from(hard_link.is_some())] {
        hasher.update(&number.to_le_bytes());
    }
    hasher.update(&mtime.seconds.to_le_bytes());
    let mut text = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    };
    text(hard_link.as_deref().unwrap_or_default());
    for (name, value) in xattrs {
        text(name);
        text(value);
    }
    let mut digest = [0; 16];
    hasher.finalize_xof().fill(&mut digest);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(seconds: i64, nanoseconds: u32) -> FileStat {
        FileStat {
            identity: Identity { device: 1, inode: 2 },
            kind: FileType::RegularFile,
            mode: 0o644,
            links: 1,
            uid: 0,
            gid: 0,
            size: 3,
            allocated: 512,
            mtime: Timestamp { seconds: 5, nanoseconds: 6 },
            ctime: Timestamp { seconds, nanoseconds },
        }
    }

    #[test]
    fn a_young_file_is_waited_for_and_an_old_one_is_not() {
        let now = Timestamp { seconds: 100, nanoseconds: 5_000_000 };
        assert_eq!(stat(99, 0).wait_until_settled(now), Some(Duration::ZERO));
        assert_eq!(stat(100, 0).wait_until_settled(now), Some(Duration::from_millis(15)));
        assert_eq!(stat(99, 995_000_000).wait_until_settled(now), Some(Duration::from_millis(10)));
        assert_eq!(stat(100, 6_000_000).wait_until_settled(now), None);
    }

    #[test]
    fn any_of_size_times_inode_and_attributes_changes_the_key() {
        let (one, stored) = (stat(7, 8), Attributes::default());
        let key = one.key(&stored);
        assert_eq!(key, one.key(&stored));
        let linked = Attributes { hard_link: Some(b"a".to_vec()), ..stored.clone() };
        let noted = Attributes { xattrs: vec![(b"a".to_vec(), Vec::new())], ..stored.clone() };
        let other = Attributes { mode: 0o600, ..stored.clone() };
        for attributes in [&linked, &noted, &other] {
            assert_ne!(key, one.key(attributes));
        }
        assert_ne!(key, FileStat { size: 4, ..one }.key(&stored));
        assert_ne!(key, stat(7, 9).key(&stored));
        let moved = Identity { device: 1, inode: 3 };
        assert_ne!(key, FileStat { identity: moved, ..one }.key(&stored));
        assert!(!FileStat { identity: moved, ..one }.unchanged_since(&one));
    }
}
