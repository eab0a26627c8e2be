//! Giving a restored path its attributes back.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, chownat, fchmod, fchown, fstat, futimens,
    utimensat,
};
use xattr::FileExt;

use super::attributes::link_path;
use super::stat::FileStat;
use crate::{Attributes, Timestamp};

/// Set-user-id and set-group-id.
const SET_ID: u32 = 0o6000;

/// What of the attributes could not be given back, in words; nothing: everything was.
pub(super) type Lost = Vec<String>;

/// Gives an open file or directory its attributes.
///
/// The order matters: changing the owner clears set-id bits and capabilities, extended attributes need a writable
/// file, and the times come last. A user who may not give files away silently owns what he restores, without
/// set-id bits, which would mean something else with another owner.
pub(super) fn of_open(file: &File, attributes: &Attributes) -> io::Result<Lost> {
    let now = FileStat::from(fstat(file)?);
    let chown = |uid, gid| fchown(file, uid, gid);
    let owned = set_owner(&now, attributes, chown);
    let mut lost = Lost::new();
    for (name, value) in &attributes.xattrs {
        if let Err(error) = file.set_xattr(OsStr::from_bytes(name), value) {
            lost.push(format!("extended attribute `{}`: {error}", name.escape_ascii()));
        }
    }
    let mode = if owned { attributes.mode } else { attributes.mode & !SET_ID } & 0o7777;
    fchmod(file, Mode::from(mode))?;
    if let Err(error) = futimens(file, &times(attributes.mtime)) {
        lost.push(format!("time of last change: {error}"));
    }
    Ok(lost)
}

/// Gives the symbolic link `name` its attributes; links have no mode of their own.
pub(super) fn of_link(directory: &OwnedFd, name: &[u8], attributes: &Attributes) -> io::Result<Lost> {
    let now = FileStat::from(rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?);
    let chown = |uid, gid| chownat(directory, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW);
    set_owner(&now, attributes, chown);
    let mut lost = Lost::new();
    for (attribute, value) in &attributes.xattrs {
        let set = link_path(directory.as_fd(), name)
            .ok_or_else(|| io::ErrorKind::Unsupported.into())
            .and_then(|path| xattr::set(path, OsStr::from_bytes(attribute), value));
        if let Err(error) = set {
            lost.push(format!("extended attribute `{}`: {error}", attribute.escape_ascii()));
        }
    }
    if let Err(error) = utimensat(directory, name, &times(attributes.mtime), AtFlags::SYMLINK_NOFOLLOW) {
        lost.push(format!("time of last change: {error}"));
    }
    Ok(lost)
}

/// Sets user and group, each as far as permitted; false when either is not as it should be.
fn set_owner(
    now: &FileStat,
    wanted: &Attributes,
    chown: impl Fn(Option<Uid>, Option<Gid>) -> rustix::io::Result<()>,
) -> bool {
    // The highest number is no owner but the system's word for "leave it": only a damaged record has it.
    if wanted.uid == u32::MAX || wanted.gid == u32::MAX {
        return false;
    }
    let uid = (now.uid != wanted.uid).then(|| Uid::from_raw(wanted.uid));
    let gid = (now.gid != wanted.gid).then(|| Gid::from_raw(wanted.gid));
    if uid.is_none() && gid.is_none() || chown(uid, gid).is_ok() {
        return true;
    }
    // A user may still choose among his own groups.
    if uid.is_some() && gid.is_some() {
        let _ = chown(None, gid);
    }
    false
}

fn times(mtime: Timestamp) -> Timestamps {
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ };
    // A damaged record may say anything; `utimensat` reads larger values as commands.
    let nanoseconds = mtime.nanoseconds.min(999_999_999);
    Timestamps {
        last_access: omit,
        last_modification: Timespec { tv_sec: mtime.seconds as _, tv_nsec: nanoseconds as _ },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn set_id_bits_need_the_owner() {
        let stat = FileStat::from(fstat(tempfile::tempfile().unwrap()).unwrap());
        let wanted = Attributes { uid: stat.uid ^ 1, gid: stat.gid, ..Attributes::default() };
        assert!(!set_owner(&stat, &wanted, |_, _| Err(rustix::io::Errno::PERM)));
        assert!(set_owner(&stat, &wanted, |_, _| Ok(())));
        let own = Attributes { uid: stat.uid, gid: stat.gid, ..Attributes::default() };
        assert!(set_owner(&stat, &own, |_, _| Err(rustix::io::Errno::PERM)));
    }

    #[test]
    fn mode_and_time_come_back_to_the_bit() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let metadata = file.as_file().metadata().unwrap();
        for seconds in [-5, 1_700_000_000] {
            let attributes = Attributes {
                mode: 0o4751,
                mtime: Timestamp { seconds, nanoseconds: 123_456_789 },
                uid: metadata.uid(),
                gid: metadata.gid(),
                ..Attributes::default()
            };
            assert_eq!(of_open(file.as_file(), &attributes).unwrap(), Lost::new());
            let metadata = file.as_file().metadata().unwrap();
            assert_eq!(metadata.permissions().mode() & 0o7777, 0o4751);
            assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (seconds, 123_456_789));
        }
    }
}
