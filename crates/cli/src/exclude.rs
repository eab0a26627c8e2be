//! Which paths `--exclude` leaves out.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::failure::Failure;

/// Patterns for names anywhere, and patterns for whole paths.
#[derive(Debug)]
pub(crate) struct Exclude {
    names: GlobSet,
    paths: GlobSet,
}

impl Exclude {
    /// A pattern without a slash is for names at any depth (`*.o`, `target`); one with a slash is for the path
    /// relative to the ingested directory (`docs/*.pdf`, `/build`, `**/cache/*`). `*` does not match a slash.
    pub(crate) fn new(patterns: &[String]) -> Result<Self, Failure> {
        let (mut names, mut paths) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for pattern in patterns {
            let wrong = |error: &dyn std::fmt::Display| {
                Failure::usage(format!("--exclude `{pattern}`: {error}"), "correct the pattern")
            };
            let body = pattern.strip_suffix('/').unwrap_or(pattern);
            let glob = |body| GlobBuilder::new(body).literal_separator(true).backslash_escape(true).build();
            if body.is_empty() {
                return Err(wrong(&"it is empty"));
            }
            if body.contains('/') {
                paths.add(glob(body.trim_start_matches('/')).map_err(|error| wrong(error.kind()))?);
            } else {
                names.add(glob(body).map_err(|error| wrong(error.kind()))?);
            }
        }
        let built = |builder: GlobSetBuilder| {
            builder
                .build()
                .map_err(|error| Failure::usage(error.to_string(), "give fewer or simpler --exclude"))
        };
        Ok(Self { names: built(names)?, paths: built(paths)? })
    }

    /// Whether the path, relative to the ingested directory, is left out.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
        self.names.is_match(as_path(name)) || self.paths.is_match(as_path(path))
    }
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(pattern: &str, path: &[u8]) -> bool {
        Exclude::new(&[pattern.to_owned()]).unwrap().matches(path)
    }

    #[test]
    fn a_pattern_without_a_slash_is_for_names_and_one_with_a_slash_for_paths() {
        assert!(excluded("*.o", b"a/b/c.o"));
        assert!(excluded("target/", b"a/target"));
        assert!(excluded("*", b"\xff"));
        assert!(!excluded("target", b"a/targets"));
        assert!(excluded("docs/*.pdf", b"docs/a.pdf"));
        assert!(!excluded("docs/*.pdf", b"docs/a/b.pdf"));
        assert!(!excluded("docs/*.pdf", b"more/docs/a.pdf"));
        assert!(excluded("**/docs/*.pdf", b"more/docs/a.pdf"));
        assert!(excluded("/build", b"build"));
        assert!(!excluded("/build", b"a/build"));
    }

    #[test]
    fn a_wrong_pattern_is_refused() {
        for pattern in ["", "/", "a[", "{a"] {
            assert!(Exclude::new(&[pattern.to_owned()]).is_err(), "{pattern}");
        }
    }
}
