//! What an error of RocksDB means to a caller. Its type stays here: only its text goes on, as the cause.

use std::path::Path;

use ::rocksdb::ErrorKind as RocksKind;

use crate::{Error, ErrorKind};

/// `error`, met while `doing` something to the store at `path`.
pub(super) fn failure(doing: &str, path: &Path, error: ::rocksdb::Error) -> Error {
    let kind = error.kind();
    let text = error.into_string();
    let at = path.display();
    let held = text.contains("LOCK") && (text.contains("lock hold by") || text.contains("While lock file"));
    let error = match kind {
        RocksKind::IOError if held => in_use(path),
        // A table that the manifest names and the directory lacks.
        RocksKind::IOError if text.contains(".sst") && text.contains("No such file") => {
            Error::corrupt(format!("can't {doing} the store at {at}: one of its files is gone"))
        }
        RocksKind::Corruption => {
            // Which bytes of which file, as far as the database knows.
            let what = text.strip_prefix("Corruption: ").unwrap_or(&text);
            Error::corrupt(format!("can't {doing} the store at {at}: its bytes are damaged: {what}"))
        }
        RocksKind::NotSupported => {
            Error::new(ErrorKind::Unsupported, format!("can't {doing} the store at {at} with this build"))
        }
        RocksKind::Busy | RocksKind::TryAgain | RocksKind::Expired | RocksKind::MergeInProgress => {
            Error::new(ErrorKind::Conflict, format!("can't {doing} the store at {at} right now"))
        }
        RocksKind::ShutdownInProgress | RocksKind::Aborted | RocksKind::TimedOut => {
            Error::new(ErrorKind::Unavailable, format!("can't {doing} the store at {at}: it is closing"))
        }
        RocksKind::InvalidArgument if text.contains("olumn famil") => {
            Error::not_found(format!("there is no whole store at {at}"))
        }
        _ => {
            // A full disk is told from a broken one only by what the system said.
            let why = text.strip_prefix("IO error: ").unwrap_or(&text);
            Error::new(ErrorKind::Io, format!("can't {doing} the store at {at}: {why}"))
        }
    };
    error.with_source(text)
}

/// Somebody writes to the store at `path`.
pub(crate) fn in_use(path: &Path) -> Error {
    let message = format!("the store at {} is in use by another process", path.display());
    Error::new(ErrorKind::Unavailable, message)
}
