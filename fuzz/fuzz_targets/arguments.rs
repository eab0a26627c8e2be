//! What the command is given as text: paths, patterns, points in time. Its own files are compiled in.
//!
//! No input panics. No two paths look alike, and no path is more than one line; what is written is read again; a path that
//! is let into a store names something below wherever it is extracted to.
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

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

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
}

/// Whether it is what a terminal shows on one line, in the order it is in.
fn is_plain(text: &str) -> bool {
    !text.chars().any(|c| {
        c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
