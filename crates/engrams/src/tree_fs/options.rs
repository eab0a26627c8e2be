//! What an ingest takes of a tree, and how.

use std::fmt;
use std::path::PathBuf;

/// Says of a path, relative to the directory that is ingested, whether to leave it out.
type Exclude = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// What to take of a tree, and how.
#[derive(Default)]
pub struct TreeOptions {
    pub(super) exclude: Option<Exclude>,
    pub(super) force_read: bool,
    pub(super) store_directory: Option<PathBuf>,
}

impl TreeOptions {
    /// Everything, reading only what changed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves out every path that `exclude` says yes to, and everything under it. It is asked with paths relative to
    /// the ingested directory (`src/main.rs`, without the tree's name).
    #[must_use]
    pub fn with_exclude(mut self, exclude: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        self.exclude = Some(Box::new(exclude));
        self
    }

    /// Reads every file, also those whose size, times and inode are what they were (default: false).
    #[must_use]
    pub fn with_force_read(mut self, force_read: bool) -> Self {
        self.force_read = force_read;
        self
    }

    /// Where the store itself lives: when that lies inside the tree, it is left out.
    #[must_use]
    pub fn with_store_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.store_directory = Some(directory.into());
        self
    }
}

impl fmt::Debug for TreeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeOptions")
            .field("exclude", &self.exclude.is_some())
            .field("force_read", &self.force_read)
            .field("store_directory", &self.store_directory)
            .finish()
    }
}
