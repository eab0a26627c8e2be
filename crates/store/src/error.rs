//! The one error of the store and of everything above it: opaque, with a kind that says what the caller can do.
//!
//! A message is one lower-case clause with what and where; causes are reached through `source()` only.
//! No backend's own error type appears here.

use std::error::Error as StdError;
use std::fmt;

/// The store's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, with what and where in its message.
pub struct Error {
    kind: ErrorKind,
    message: Box<str>,
    conflict: Option<Conflict>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What the caller can do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No such store, version, path or chunk: ask for another.
    NotFound,
    /// Someone else committed first, or the expected version is not the one found: read again, then retry.
    Conflict,
    /// An argument is out of its range or contradicts another: change it.
    Invalid,
    /// The store was written by a newer release, or with a feature this build lacks: use another build.
    Unsupported,
    /// Stored bytes are damaged: `verify` names all of them; restore these from another copy.
    Corrupt,
    /// The store is encrypted and the key is missing or not its own, or it is not encrypted and a key was given: open
    /// it with the right one, or with none.
    Denied,
    /// The store is in use by another process, or was closed: try again when it is free.
    Unavailable,
    /// Reading or writing outside the store's records failed (disk full, permission, a failing reader).
    Io,
}

/// The two sides of an [`ErrorKind::Conflict`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The path both sides wanted to write.
    pub path: Vec<u8>,
    /// The version the caller expected; `None`: that the path does not exist.
    pub expected: Option<u64>,
    /// The version found; `None`: the path does not exist.
    pub found: Option<u64>,
}

impl Error {
    /// An error of `kind`; `message` is one lower-case clause with what and where.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into().into_boxed_str(), conflict: None, source: None }
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// A conflict on a path, with both sides.
    #[must_use]
    pub fn conflicting(conflict: Conflict) -> Self {
        let show = |version: Option<u64>| version.map_or("no file".to_owned(), |v| format!("version {v}"));
        let message = format!(
            "`{}` changed: expected {}, found {}",
            conflict.path.escape_ascii(),
            show(conflict.expected),
            show(conflict.found)
        );
        Self {
            kind: ErrorKind::Conflict,
            message: message.into_boxed_str(),
            conflict: Some(conflict),
            source: None,
        }
    }

    /// Damaged bytes: `what` names the record and, where known, the chunk and the file.
    pub fn corrupt(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, what)
    }

    /// An argument out of its range: name, value and limit.
    pub fn invalid(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, what)
    }

    /// What is asked for is not there.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, what)
    }

    /// An operating-system error with what was being done, and to what.
    pub fn io(doing: impl fmt::Display, source: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, format!("{doing}: {source}")).with_source(source)
    }

    /// What the caller can do next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Both sides of a conflict on a path, when this is one.
    #[must_use]
    pub fn conflict(&self) -> Option<&Conflict> {
        self.conflict.as_ref()
    }

    /// The same error with a wider `context` (a file, a version) before its message.
    #[must_use]
    pub fn within(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message).into_boxed_str();
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)?;
        if let Some(source) = &self.source {
            write!(f, " ({source})")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|s| s as _)
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind {
            ErrorKind::NotFound => std::io::ErrorKind::NotFound,
            ErrorKind::Invalid => std::io::ErrorKind::InvalidInput,
            ErrorKind::Corrupt => std::io::ErrorKind::InvalidData,
            ErrorKind::Unsupported => std::io::ErrorKind::Unsupported,
            ErrorKind::Denied => std::io::ErrorKind::PermissionDenied,
            _ => std::io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// `None` for what is damaged: where an index, a cache or a base is only a help, damage must not stop the work.
///
/// # Errors
/// Every error but `Corrupt`.
pub fn unless_corrupt<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
        Err(error) => Err(error),
    }
}
