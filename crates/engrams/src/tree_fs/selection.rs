//! Which paths to restore, in an order in which a directory's children come together.

use std::cmp::Ordering;

/// The paths asked for, without those that lie under another, and ordered by component, so that those with a common
/// ancestor are neighbours. No path at all means everything: the one empty path.
pub(super) fn selection(paths: &[Vec<u8>]) -> Vec<&[u8]> {
    let mut sorted: Vec<&[u8]> = paths.iter().map(|path| trimmed(path)).collect();
    if sorted.is_empty() {
        sorted.push(b"");
    }
    sorted.sort_unstable_by(|a, b| by_component(a, b));
    let mut selected: Vec<&[u8]> = Vec::new();
    for path in sorted {
        if !selected.last().is_some_and(|last| is_under(path, last)) {
            selected.push(path);
        }
    }
    selected
}

/// The same path without slashes at its end.
fn trimmed(path: &[u8]) -> &[u8] {
    let len = path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    path.get(..len).unwrap_or_default()
}

/// `path` is `above` or lies under it.
pub(super) fn is_under(path: &[u8], above: &[u8]) -> bool {
    above.is_empty() || path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// The directories above `path`, from the top.
pub(super) fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|&(_, &byte)| byte == b'/').filter_map(|(at, _)| path.get(..at))
}

/// The directory `path` is in (empty: the top) and its own name.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

fn by_component(a: &[u8], b: &[u8]) -> Ordering {
    a.split(|&byte| byte == b'/').cmp(b.split(|&byte| byte == b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(paths: &[&str]) -> Vec<String> {
        let paths: Vec<_> = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
        let text = |path: &[u8]| String::from_utf8(path.to_vec()).unwrap();
        selection(&paths).into_iter().map(text).collect()
    }

    #[test]
    fn what_lies_under_another_is_not_restored_twice() {
        assert_eq!(select(&["a/x", "a-b", "a", "a/", "b/c", "b/d/"]), ["a", "a-b", "b/c", "b/d"]);
        assert_eq!(select(&["a", "a-b/c", "a/b"]), ["a", "a-b/c"]);
        assert_eq!(select(&[]), [""]);
        assert_eq!(select(&["a", ""]), [""]);
    }

    #[test]
    fn ancestors_come_from_the_top() {
        assert_eq!(ancestors(b"a/b/c").collect::<Vec<_>>(), [&b"a"[..], b"a/b"]);
        assert_eq!(ancestors(b"a").count(), 0);
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"c"), (&b""[..], &b"c"[..]));
    }
}
