//! Paths of any bytes as text: for people, unambiguous; for programs, lossless.

use std::fmt::Write;

use serde::Serialize;

/// The path for people: as it is where it can be read, otherwise escaped. No two paths look alike.
///
/// A backslash is `\\`, control characters and characters that turn the line's direction are `\n`, `\t`, `\u{..}`, bytes that
/// are not UTF-8 are `\xNN`.
pub(crate) fn readable(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                _ if is_hidden(character) => text.extend(character.escape_default()),
                _ => text.push(character),
            }
        }
        escape_bytes(chunk.invalid(), &mut text);
    }
    text
}

/// Text from elsewhere on one line, whatever it holds.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut line, character| {
        if is_hidden(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
        line
    })
}

/// A path in JSON. `path` is the path itself where it is UTF-8. Where it is not, its other bytes are `\xNN` in `path`, and
/// `path_bytes` (there only then) has all of it in hexadecimal.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct JsonPath {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
}

impl JsonPath {
    pub(crate) fn new(path: &[u8]) -> Self {
        if let Ok(path) = std::str::from_utf8(path) {
            return Self { path: path.to_owned(), path_bytes: None };
        }
        let mut text = String::new();
        for chunk in path.utf8_chunks() {
            text.push_str(chunk.valid());
            escape_bytes(chunk.invalid(), &mut text);
        }
        Self { path: text, path_bytes: Some(hex(path)) }
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn escape_bytes(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// Control characters, and those that make a terminal show characters in another order than they have.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_paths_look_alike() {
        assert_eq!(readable("grün/a b".as_bytes()), "grün/a b");
        assert_eq!(readable(b"a\xffb"), "a\\xffb");
        assert_eq!(readable(b"a\\xffb"), "a\\\\xffb");
        assert_eq!(readable(b"a\nb\x1b"), "a\\nb\\u{1b}");
        assert_eq!(readable("a\u{202e}b".as_bytes()), "a\\u{202e}b");
    }

    #[test]
    fn json_gives_the_bytes_where_text_can_not() {
        let json = |path| serde_json::to_string(&JsonPath::new(path)).unwrap();
        assert_eq!(json(b"a\\b"), r#"{"path":"a\\b"}"#);
        assert_eq!(json(b"a\xff"), r#"{"path":"a\\xff","path_bytes":"61ff"}"#);
    }

    #[test]
    fn a_message_stays_on_its_line() {
        assert_eq!(one_line("a\nb"), "a\\nb");
    }
}
