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
use rustix::io::Errno;
use rustix::process::geteuid;
use xattr::FileExt;

use super::attributes::link_path;
use super::stat::FileStat;
use crate::{Attributes, Timestamp};

/// Set-user-id and set-group-id.
const SET_ID: u32 = 0o6000;

/// What of the attributes could not be given back, in words; nothing: everything was.
pub(super) type Lost = Vec<String>;

/// Gives an open file or directory its attributes. What the file system refuses costs nothing else.
///
/// The order matters: changing the owner clears set-id bits and capabilities, extended attributes need a writable
/// file, and the times come last. A user who may not give files away silently owns what he restores, without
/// set-id bits, which would mean something else with another owner.
pub(super) fn of_open(file: &File, attributes: &Attributes) -> Lost {
    let mut lost = Lost::new();
    let now = fstat(file).map(FileStat::from);
    let chown = |uid, gid| fchown(file, uid, gid);
    let owned = is_owned(now.and_then(|now| set_owner(&now, attributes, chown)), &mut lost);
    for (name, value) in &attributes.xattrs {
        if let Err(error) = file.set_xattr(OsStr::from_bytes(name), value) {
            lost.push(format!("extended attribute `{}`: {error}", name.escape_ascii()));
        }
    }
    let mode = if owned { attributes.mode } else { attributes.mode & !SET_ID } & 0o7777;
    if let Err(error) = fchmod(file, Mode::from(mode)) {
        lost.push(format!("mode {mode:o}: {error}"));
    }
    if let Err(error) = futimens(file, &times(attributes.mtime)) {
        lost.push(format!("time of last change: {error}"));
    }
    lost
}

/// Gives the symbolic link `name` its attributes; links have no mode of their own.
pub(super) fn of_link(directory: &OwnedFd, name: &[u8], attributes: &Attributes) -> Lost {
    let mut lost = Lost::new();
    let now = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map(FileStat::from);
    let chown = |uid, gid| chownat(directory, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW);
    is_owned(now.and_then(|now| set_owner(&now, attributes, chown)), &mut lost);
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
    lost
}

/// Sets user and group, each as far as permitted; false when there is no such owner.
fn set_owner(
    now: &FileStat,
    wanted: &Attributes,
    chown: impl Fn(Option<Uid>, Option<Gid>) -> rustix::io::Result<()>,
) -> rustix::io::Result<bool> {
    // The highest number is no owner but the system's word for "leave it": only a damaged record has it.
    if wanted.uid == u32::MAX || wanted.gid == u32::MAX {
        return Ok(false);
    }
    let uid = (now.uid != wanted.uid).then(|| Uid::from_raw(wanted.uid));
    let gid = (now.gid != wanted.gid).then(|| Gid::from_raw(wanted.gid));
    if uid.is_none() && gid.is_none() {
        return Ok(true);
    }
    chown(uid, gid).map(|()| true).inspect_err(|_| {
        // A user may still choose among his own groups.
        if uid.is_some() && gid.is_some() {
            let _ = chown(None, gid);
        }
    })
}

/// Whether it has its owner now; that it should have and has not is lost, but for users who may not give files away.
fn is_owned(set: rustix::io::Result<bool>, lost: &mut Lost) -> bool {
    set.unwrap_or_else(|error| {
        // `INVAL`: a container that does not know the owner.
        if geteuid().is_root() || !matches!(error, Errno::PERM | Errno::INVAL) {
            lost.push(format!("owner: {error}"));
        }
        false
    })
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
        assert_eq!(set_owner(&stat, &wanted, |_, _| Err(Errno::PERM)), Err(Errno::PERM));
        assert_eq!(set_owner(&stat, &wanted, |_, _| Ok(())), Ok(true));
        let own = Attributes { uid: stat.uid, gid: stat.gid, ..Attributes::default() };
        assert_eq!(set_owner(&stat, &own, |_, _| Err(Errno::PERM)), Ok(true));
        let none = Attributes { uid: u32::MAX, ..Attributes::default() };
        assert_eq!(set_owner(&stat, &none, |_, _| Ok(())), Ok(false));
    }

    #[test]
    fn an_owner_that_could_not_be_set_is_named_unless_a_user_may_not_set_it() {
        for (error, by_users) in [(Errno::PERM, false), (Errno::INVAL, false), (Errno::IO, true)] {
            let mut lost = Lost::new();
            assert!(!is_owned(Err(error), &mut lost));
            assert_eq!(!lost.is_empty(), by_users || geteuid().is_root(), "{lost:?}");
        }
        let mut lost = Lost::new();
        assert!(is_owned(Ok(true), &mut lost) && !is_owned(Ok(false), &mut lost) && lost.is_empty());
    }

    /// Found: a mode that the file system refused cost the whole file.
    #[test]
    #[cfg(target_os = "linux")]
    fn all_that_is_refused_is_named_and_stops_nothing_else() {
        use rustix::fs::{OFlags, open};
        let file = tempfile::NamedTempFile::new().unwrap();
        let metadata = file.as_file().metadata().unwrap();
        let attributes = Attributes {
            mode: 0o640,
            mtime: Timestamp { seconds: 1, nanoseconds: 0 },
            uid: metadata.uid() ^ 1,
            gid: metadata.gid(),
            xattrs: vec![(b"user.one".to_vec(), vec![1]), (b"user.two".to_vec(), vec![2])],
            ..Attributes::default()
        };
        // Through such a handle nothing may be changed.
        let handle = open(file.path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let lost = of_open(&handle.into(), &attributes);
        let named: Vec<_> = lost.iter().filter_map(|line| line.split(':').next()).collect();
        let all = [
            "owner",
            "extended attribute `user.one`",
            "extended attribute `user.two`",
            "mode 640",
            "time of last change",
        ];
        assert_eq!(named, all, "{lost:?}");

        let directory = tempfile::tempdir().unwrap();
        let handle = open(directory.path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let lost = of_link(&handle, b"gone", &attributes);
        let named: Vec<_> = lost.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(named, [all[0], all[1], all[2], all[4]], "{lost:?}");
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
            assert_eq!(of_open(file.as_file(), &attributes), Lost::new());
            let metadata = file.as_file().metadata().unwrap();
            assert_eq!(metadata.permissions().mode() & 0o7777, 0o4751);
            assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (seconds, 123_456_789));
        }
    }
}
