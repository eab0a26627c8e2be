//! A copy of the key record in a file beside the database, for [`repair`](crate::EngramStore::repair): one damaged block
//! of the database must not cost all that is stored. Otherwise it is only verified.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use super::KeyRecord;
use crate::{Error, Result};

const NAME: &str = "LOCKED-KEY";
const NEW: &str = "LOCKED-KEY.new";
/// Longer than any key record.
const MOST_BYTES: u64 = 4096;

/// Makes the copy in `directory` one of `record`, if it is not; durable when it returns.
pub(crate) fn keep(directory: &Path, record: &[u8]) -> Result<()> {
    let path = directory.join(NAME);
    if fs::read(&path).is_ok_and(|kept| kept == record) {
        return Ok(());
    }
    let write = || {
        let new = directory.join(NEW);
        let mut file = File::create(&new)?;
        file.write_all(record)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(|error| Error::io(format_args!("writing {}", path.display()), error))
}

/// The copy in `directory`, if there is one.
pub(crate) fn read(directory: &Path) -> Result<Option<Vec<u8>>> {
    let path = directory.join(NAME);
    let mut record = Vec::new();
    match File::open(&path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut record)) {
        Ok(_) => Ok(Some(record)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(format_args!("reading {}", path.display()), error)),
    }
}

/// Says what is damaged of the copy in `directory`. One that is missing, or older than the key, a crash may have left.
pub(crate) fn damage(directory: &Path) -> Result<Option<String>> {
    let Some(record) = read(directory)? else { return Ok(None) };
    let damage = KeyRecord::decode(&record).err();
    Ok(damage.map(|error| format!("the copy {NAME} of the key record is damaged: {error}")))
}

/// Bytes of the copy in `directory`.
pub(crate) fn bytes(directory: &Path) -> u64 {
    fs::metadata(directory.join(NAME)).map_or(0, |data| data.len())
}

/// Removes from `directory` the copy and what is left of making it.
pub(crate) fn remove(directory: &Path) {
    for name in [NAME, NEW] {
        drop(fs::remove_file(directory.join(name)));
    }
}
