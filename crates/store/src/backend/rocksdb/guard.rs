//! A guard for the manifest: what it must at least hold, in a small file beside it.
//!
//! The manifest says which tables count. When its end is lost, that looks like a flush that a crash cut off: RocksDB opens
//! what the rest names, and removes all other tables for good. The guard says how long the manifest was at the last
//! flush or close, and what was in it; a shorter or other one is refused before RocksDB sees it.
//!
//! A crash must never be refused. So nothing is written down but what was synced, and a manifest that has grown or was
//! replaced since is fine. A damaged guard guards nothing: it is named by who verifies, and made anew by who writes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::{Error, Result};

const NAME: &str = "MANIFEST.guard";
const NEW: &str = "MANIFEST.guard.new";

/// Writes the guard down. Without it all works as before, so that a failure is none.
pub(super) fn renew(path: &Path) {
    let renew = || -> io::Result<()> {
        let name = fs::read_to_string(path.join("CURRENT"))?;
        let name = name.trim_end();
        let manifest = path.join(name);
        let bytes = fs::read(&manifest)?;
        // What was read may not be on the medium yet.
        File::open(&manifest)?.sync_data()?;
        let text = text(name, &bytes);
        if fs::read(path.join(NAME)).is_ok_and(|old| old == text.as_bytes()) {
            return Ok(());
        }
        let mut file = File::create(path.join(NEW))?;
        file.write_all(text.as_bytes())?;
        // A crash must leave the old one or this one, lest it looks like damage.
        file.sync_data()?;
        fs::rename(path.join(NEW), path.join(NAME))
    };
    drop(renew());
}

/// Nothing is guarded any more, until the next flush.
pub(super) fn forget(path: &Path) {
    drop(fs::remove_file(path.join(NAME)));
}

/// Says what is damaged of the guard itself.
pub(super) fn damage(path: &Path) -> Result<Option<String>> {
    match fs::read(path.join(NAME)) {
        Ok(guard) if std::str::from_utf8(&guard).is_ok_and(is_whole) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(_) => Ok(Some(format!(
            "the store at {} is damaged: its file `{NAME}` does not fit its check",
            path.display()
        ))),
        Err(error) => Err(Error::io(format_args!("reading {}", path.join(NAME).display()), error)),
    }
}

/// Refuses a manifest that has lost or changed what the guard says of it.
pub(super) fn check(path: &Path) -> Result<()> {
    let Ok(guard) = fs::read_to_string(path.join(NAME)) else { return Ok(()) };
    let mut words = guard.split_ascii_whitespace();
    let (Some(name), Some(Ok(length))) = (words.next(), words.next().map(str::parse::<usize>)) else {
        return Ok(());
    };
    let current = fs::read_to_string(path.join("CURRENT")).unwrap_or_default();
    if current.trim_end() != name {
        return Ok(());
    }
    // One that is gone, the database reports by itself.
    let Ok(bytes) = fs::read(path.join(name)) else { return Ok(()) };
    let now = bytes.get(..length).map(|bytes| text(name, bytes));
    if now.as_ref() == Some(&guard) || !is_whole(&guard) {
        return Ok(());
    }
    let why = match now {
        None => format!("has {} of at least {length} bytes", bytes.len()),
        Some(_) => format!("is not what it was in its first {length} bytes"),
    };
    Err(Error::corrupt(format!("the store at {} is damaged: its file `{name}` {why}", path.display())))
}

/// Name, length and BLAKE3 of the manifest, and a check of these three.
fn text(name: &str, bytes: &[u8]) -> String {
    let line = format!("{name} {} {}", bytes.len(), blake3::hash(bytes));
    let check = blake3::hash(line.as_bytes());
    format!("{line} {}\n", &check.to_hex()[..16])
}

/// The guard itself is undamaged.
fn is_whole(guard: &str) -> bool {
    guard
        .strip_suffix('\n')
        .and_then(|guard| guard.rsplit_once(' '))
        .is_some_and(|(line, check)| blake3::hash(line.as_bytes()).to_hex()[..16] == *check)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_may_grow_and_be_replaced_but_never_lose_or_change_what_it_had() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path();
        let put = |name: &str, bytes: &[u8]| fs::write(path.join(name), bytes).unwrap();
        put("CURRENT", b"MANIFEST-000005\n");
        put("MANIFEST-000005", b"what tables there are");
        check(path).unwrap();
        renew(path);
        check(path).unwrap();
        put("MANIFEST-000005", b"what tables there are, and more");
        check(path).unwrap();
        for damaged in [&b"what tables there ar"[..], b"", b"what tables there arf, and more"] {
            put("MANIFEST-000005", damaged);
            let error = check(path).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Corrupt);
            assert!(error.to_string().contains("MANIFEST-000005"), "{error}");
        }
        // After a crash another one may be in use.
        put("CURRENT", b"MANIFEST-000009\n");
        check(path).unwrap();
        put("CURRENT", b"MANIFEST-000005\n");
        // A guard that is damaged itself guards nothing.
        let guard = fs::read(path.join(NAME)).unwrap();
        for at in 0..guard.len() {
            let mut bad = guard.clone();
            bad[at] ^= 1;
            put(NAME, &bad);
            check(path).unwrap();
            assert!(damage(path).unwrap().is_some(), "byte {at}");
            put(NAME, &guard[..at]);
            check(path).unwrap();
            assert!(damage(path).unwrap().is_some(), "cut to {at}");
        }
        renew(path);
        assert_eq!(damage(path).unwrap(), None);
        forget(path);
        assert_eq!(damage(path).unwrap(), None);
    }
}
