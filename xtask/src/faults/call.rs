//! One system call, read from the line in which `strace -xx -y` shows it.

use std::path::{Path, PathBuf};

use crate::process::Outcome;

/// A file descriptor, and the file that is open under it.
#[derive(Debug)]
pub(super) struct Descriptor {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) deleted: bool,
}

/// One call that succeeded.
#[derive(Debug)]
pub(super) struct Call<'t> {
    pub(super) name: &'t str,
    arguments: Vec<&'t str>,
    pub(super) result: u64,
}

impl<'t> Call<'t> {
    /// `None` for a call that failed, which has done nothing.
    pub(super) fn parse(text: &'t str) -> Outcome<Option<Self>> {
        let (call, result) = text.rsplit_once(") ").ok_or("no result")?;
        let result = result.trim_start().strip_prefix("= ").ok_or("no result")?;
        if result.starts_with('-') || result.starts_with('?') {
            return Ok(None);
        }
        let (name, arguments) = call.split_once('(').ok_or("no arguments")?;
        let digits = result.find(|c: char| !c.is_ascii_hexdigit() && c != 'x').unwrap_or(result.len());
        let result = number(&result[..digits]).ok_or("no number as its result")?;
        Ok(Some(Self { name, arguments: split(arguments), result }))
    }

    fn argument(&self, at: usize) -> Outcome<&'t str> {
        self.arguments.get(at).copied().ok_or_else(|| format!("argument {at} is missing"))
    }

    pub(super) fn number(&self, at: usize) -> Outcome<u64> {
        number(self.argument(at)?).ok_or_else(|| format!("argument {at} is no number"))
    }

    pub(super) fn has(&self, at: usize, flag: &str) -> bool {
        self.arguments.get(at).is_some_and(|argument| argument.contains(flag))
    }

    pub(super) fn mentions(&self, root: &Path) -> bool {
        let shown: String = root.display().to_string().bytes().map(|byte| format!("\\x{byte:02x}")).collect();
        self.arguments.iter().any(|argument| argument.contains(&shown))
    }

    pub(super) fn descriptor(&self, at: usize) -> Outcome<Descriptor> {
        let argument = self.argument(at)?;
        let (number, rest) = argument.split_once('<').unwrap_or((argument, ">"));
        let (path, after) = rest.rsplit_once('>').ok_or("no end of a descriptor's path")?;
        let path = PathBuf::from(text(path)?);
        Ok(Descriptor { number: number.parse().unwrap_or(u64::MAX), path, deleted: after == "(deleted)" })
    }

    /// The path in argument `at`, which is relative to the directory in argument `directory`.
    pub(super) fn path(&self, directory: Option<usize>, at: usize) -> Outcome<PathBuf> {
        let quoted = self.argument(at)?;
        let path = PathBuf::from(String::from_utf8_lossy(&unquoted(quoted)?).into_owned());
        match directory {
            Some(directory) if path.is_relative() => Ok(self.descriptor(directory)?.path.join(path)),
            _ => Ok(path),
        }
    }

    /// All bytes quoted in argument `at`: one string, or those of a vector.
    pub(super) fn bytes(&self, at: usize) -> Outcome<Vec<u8>> {
        let mut bytes = Vec::new();
        for quoted in self.argument(at)?.split('"').skip(1).step_by(2) {
            bytes.extend_from_slice(&escaped(quoted)?);
        }
        Ok(bytes)
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The arguments: what stands between commas that are in no bracket.
fn split(arguments: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_i32, 0, Vec::new());
    for (at, byte) in arguments.bytes().enumerate() {
        match byte {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(arguments[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(arguments[start..].trim());
    parts
}

fn unquoted(quoted: &str) -> Outcome<Vec<u8>> {
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    escaped(inner.ok_or("no whole string")?)
}

fn text(escapes: &str) -> Outcome<String> {
    Ok(String::from_utf8_lossy(&escaped(escapes)?).into_owned())
}

/// `\x61\x62` as bytes; what is not escaped (as in `pipe:[1]`) stands for itself.
fn escaped(text: &str) -> Outcome<Vec<u8>> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len() / 4), text.as_bytes());
    loop {
        match rest {
            [] => return Ok(bytes),
            [b'\\', b'x', high, low, tail @ ..] => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).ok_or("no hexadecimal digit");
                bytes.push((digit(high)? * 16 + digit(low)?) as u8);
                rest = tail;
            }
            [plain, tail @ ..] => {
                bytes.push(*plain);
                rest = tail;
            }
        }
    }
}
