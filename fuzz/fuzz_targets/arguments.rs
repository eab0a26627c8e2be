//! What the command is given as text: whole lines, by its own grammar; paths, patterns, points in time, by its own files.
//!
//! No input panics. A line is taken or refused by one line that names a help which there is. No two paths look alike, and no
//! path is more than one line; what is written is read again; a path that is let into a store names something below
//! wherever it is extracted to.
#![no_main]
#![allow(dead_code)]

#[path = "../../crates/cli/src/exclude.rs"]
mod exclude;
#[path = "../../crates/cli/src/failure.rs"]
mod failure;
#[path = "../../crates/cli/src/moment.rs"]
mod moment;
#[path = "../../crates/cli/src/path_text.rs"]
mod path_text;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use engrams::Timestamp;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    paths: [Vec<u8>; 2],
    patterns: Vec<String>,
    time: String,
    seconds: i64,
    nanoseconds: u32,
    /// Last, so that what inputs from before it say of the rest they still say.
    line: Vec<Word>,
}

/// A word of a command line.
#[derive(Debug, Arbitrary)]
enum Word {
    /// One that the grammar has: a verb or an option.
    Known(u8),
    /// An option with its value behind `=`.
    Joined(u8, String),
    Text(String),
    Bytes(Vec<u8>),
}

/// All verbs, and all options of all of them.
fn known() -> &'static [String] {
    static KNOWN: OnceLock<Vec<String>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let mut grammar = engrams_cli::grammar();
        grammar.build();
        let mut words = BTreeSet::from(["--".to_owned(), "-".to_owned()]);
        let verbs: Vec<_> = grammar.get_subcommands().cloned().collect();
        words.extend(verbs.iter().map(|verb| verb.get_name().to_owned()));
        for argument in verbs.iter().chain([&grammar]).flat_map(|verb| verb.get_arguments()) {
            words.extend(argument.get_long().map(|long| format!("--{long}")));
            words.extend(argument.get_short().map(|short| format!("-{short}")));
        }
        words.into_iter().collect()
    })
}

impl Word {
    fn text(&self) -> OsString {
        let known = |at: u8| known()[usize::from(at) % known().len()].clone();
        match self {
            Self::Known(at) => known(*at).into(),
            Self::Joined(at, value) => format!("{}={value}", known(*at)).into(),
            Self::Text(text) => text.into(),
            Self::Bytes(bytes) => OsString::from_vec(bytes.clone()),
        }
    }
}

/// What is said of a line that is wrong is one line, and the help that it names is there.
fn check_line(words: &[Word]) {
    let line: Vec<OsString> =
        std::iter::once("engrams".into()).chain(words.iter().take(12).map(Word::text)).collect();
    let Err(said) = engrams_cli::check_line(&line) else { return };
    assert!(is_plain(&said), "{said:?}");
    let help = said.rsplit_once('`').and_then(|(before, _)| before.rsplit_once('`')).map(|(_, help)| help);
    let help = help.expect("a help is named");
    assert!(help.starts_with("engrams help"), "{said}");
    let help: Vec<OsString> = help.split(' ').map(OsString::from).collect();
    assert_eq!(engrams_cli::check_line(&help), Ok(()), "{said}");
}

/// Whether it is what a terminal shows on one line, in the order it is in.
fn is_plain(text: &str) -> bool {
    !text.chars().any(|c| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

fn bytes_of(json: &str) -> Vec<u8> {
    let value: serde_json::Value = serde_json::from_str(json).expect("it is JSON");
    match &value["path_bytes"] {
        serde_json::Value::String(digits) => {
            let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
            pairs.map(|pair| u8::from_str_radix(pair, 16).expect("digits")).collect()
        }
        _ => value["path"].as_str().expect("a path is there").as_bytes().to_vec(),
    }
}

fuzz_target!(|input: Input| {
    check_line(&input.line);

    let [first, second] = &input.paths;
    for path in [first, second] {
        assert!(is_plain(&path_text::readable(path)));
        let json = serde_json::to_string(&path_text::JsonPath::new(path)).expect("it can be written");
        assert_eq!(bytes_of(&json), *path);
        if engrams::check_path(path).is_ok() {
            let path = Path::new(OsStr::from_bytes(path));
            assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
            assert!(path.components().next().is_some());
        }
    }
    if first != second {
        assert_ne!(path_text::readable(first), path_text::readable(second));
    }

    let patterns: Vec<String> =
        input.patterns.iter().take(4).filter(|pattern| pattern.len() < 200).cloned().collect();
    for pattern in &patterns {
        assert!(is_plain(&path_text::one_line(pattern)));
    }
    if let Ok(exclude) = exclude::Exclude::new(&patterns) {
        let whole = exclude.matches(first);
        if patterns.iter().all(|pattern| !pattern.strip_suffix('/').unwrap_or(pattern).contains('/')) {
            // Patterns for names look at the name alone.
            let name = first.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            assert_eq!(whole, exclude.matches(name));
        }
    }

    if let Ok(time) = moment::parse(&input.time) {
        assert!(time.nanoseconds < 1_000_000_000);
        assert_eq!(moment::parse(&moment::rfc3339(time)), Ok(time));
    }
    let time = Timestamp { seconds: input.seconds, nanoseconds: input.nanoseconds % 1_000_000_000 };
    let written = moment::rfc3339(time);
    assert!(written.starts_with('@') || moment::parse(&written) == Ok(time), "{written}");
    assert!(is_plain(&moment::short(time)));
});
