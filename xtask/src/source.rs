//! Rust source as `tidy` reads it: code apart from comments and strings, and the rules about one file.
//!
//! A scanner, not a parser: it knows comments, strings, raw strings and characters, and nothing of the grammar.

/// Lines above which a file is a finding, and above which it is a warning.
pub(crate) const LONGEST: usize = 600;
pub(crate) const LONG: usize = 500;

/// The source with comments, strings and character literals blanked; line numbers stay.
pub(crate) fn code_only(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = comment(rest).or_else(|| literal(rest, code.chars().next_back()));
        let Some(length) = length else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        code.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[length..];
    }
    code
}

/// The length of the comment `text` starts with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let here = &text[at..];
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    Some(text.len())
}

/// The length of the string or character literal `text` starts with.
fn literal(text: &str, before: Option<char>) -> Option<usize> {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let prefix = ["br", "cr", "b", "c", "r"].into_iter().find(|prefix| !in_word && text.starts_with(prefix));
    let skip = prefix.map_or(0, str::len);
    let body = &text[skip..];
    if prefix.is_some_and(|prefix| prefix.ends_with('r')) {
        let hashes = body.len() - body.trim_start_matches('#').len();
        if body[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let inside = skip + hashes + 1;
            return Some(text[inside..].find(&end).map_or(text.len(), |at| inside + at + end.len()));
        }
    }
    if body.starts_with('"') {
        return Some(skip + quoted(body, '"').unwrap_or(body.len()));
    }
    let mut characters = body.strip_prefix('\'')?.chars();
    let (one, two) = (characters.next()?, characters.next()?);
    // `'a'` and `'\n'` are literals, `'a` is a lifetime.
    if one == '\\' || two == '\'' { Some(skip + quoted(body, '\'')?) } else { None }
}

/// The length up to and with the closing quote.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + c.len_utf8()),
            _ => {}
        }
    }
    None
}

/// Line numbers (from 1) where a word stands in code.
pub(crate) fn lines_with_word(code: &str, word: &str) -> Vec<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let stands = |line: &str| {
        line.match_indices(word)
            .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
    };
    code.lines().enumerate().filter(|(_, line)| stands(line)).map(|(index, _)| index + 1).collect()
}

/// Line numbers of `unsafe` without a reason (`SAFETY:`, or `# Safety` in documentation) right above or beside it.
pub(crate) fn unsafe_without_reason(source: &str) -> Vec<usize> {
    let code = code_only(source);
    let (lines, code_lines): (Vec<&str>, Vec<&str>) = (source.lines().collect(), code.lines().collect());
    let reasoned = |number: &usize| {
        let mut index = number - 1;
        if lines[index].contains("SAFETY:") {
            return true;
        }
        while index > 0 {
            index -= 1;
            let (line, code) = (lines[index].trim(), code_lines[index].trim());
            if line.starts_with("//") {
                if line.contains("SAFETY:") || line.contains("# Safety") {
                    return true;
                }
            } else if line.is_empty() || (code.ends_with([';', '{', '}', ',']) && !code.starts_with("#[")) {
                return false;
            }
        }
        false
    };
    lines_with_word(&code, "unsafe").into_iter().filter(|number| !reasoned(number)).collect()
}

/// True when the file says what it is before anything else.
pub(crate) fn opens_with_paragraph(source: &str) -> bool {
    source
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("//!"))
        .is_some_and(|text| !text.trim().is_empty())
}

/// True when the crate root forbids unsafe code, in code and not in a comment.
pub(crate) fn forbids_unsafe(source: &str) -> bool {
    code_only(source).lines().any(|line| line.trim().starts_with("#![forbid(unsafe_code)]"))
}

/// Line numbers with a mark of unfinished work. Split here, so that this file is not a finding itself.
pub(crate) fn unfinished(source: &str) -> Vec<usize> {
    let mut found = lines_with_word(source, concat!("TO", "DO"));
    found.extend(lines_with_word(source, concat!("FIX", "ME")));
    let debug = concat!("db", "g!");
    let code = code_only(source);
    found.extend(
        code.lines().enumerate().filter(|(_, line)| line.contains(debug)).map(|(index, _)| index + 1),
    );
    found.sort_unstable();
    found.dedup();
    found
}

/// Line numbers that name a place on somebody's machine.
pub(crate) fn machine_paths(text: &str) -> Vec<usize> {
    const PLACES: [&str; 4] =
        [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/tmp/", "corpora")];
    let absolute = |line: &str, place: &str| {
        line.match_indices(place)
            .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-~*}>".contains(c)))
    };
    let named = |line: &str| PLACES.iter().any(|place| absolute(line, place));
    text.lines().enumerate().filter(|(_, line)| named(line)).map(|(index, _)| index + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay() {
        let source = "let a = \"unsafe \\\" x\"; // unsafe\n/* unsafe /* nested */ unsafe */ b'\"' r#\"unsafe \" \"# 'u' &'a str\n";
        let code = code_only(source);
        assert_eq!(code.lines().count(), source.lines().count());
        assert!(!code.contains("unsafe"), "{code}");
        assert!(code.contains("let a =") && code.contains("&'a str"), "{code}");
    }

    #[test]
    fn a_word_that_ends_in_r_is_no_raw_string() {
        assert_eq!(code_only("for x in bar { r } br"), "for x in bar { r } br");
        assert_eq!(code_only("'\\'' x '\"' y"), "     x     y");
    }

    #[test]
    fn unsafe_is_a_word_of_its_own() {
        let code = code_only("#![forbid(unsafe_code)]\nunsafe_op();\nunsafe { x() }\n");
        assert_eq!(lines_with_word(&code, "unsafe"), [3]);
    }

    #[test]
    fn a_reason_stands_right_above_or_beside() {
        let good = "\
// SAFETY: the slice is aligned.
let x = unsafe { y() };

// SAFETY: the proof is in the value.
#[inline]
let z =
    unsafe { y() };
unsafe { y() } // SAFETY: as above.
/// # Safety
/// The caller has AVX2.
#[target_feature(enable = \"avx2\")]
unsafe fn f() {}
";
        assert_eq!(unsafe_without_reason(good), [0_usize; 0]);
        let bad = "\
// SAFETY: for the first only.
let x = unsafe { y() };
let z = unsafe { y() };

// an ordinary remark
unsafe impl Send for X {}
";
        assert_eq!(unsafe_without_reason(bad), [3, 6]);
    }

    #[test]
    fn a_file_opens_with_what_it_is() {
        assert!(opens_with_paragraph("//! Words and lanes.\n"));
        assert!(!opens_with_paragraph("//!\n"));
        assert!(!opens_with_paragraph("#![no_std]\n//! Late.\n"));
        assert!(!opens_with_paragraph(""));
    }

    #[test]
    fn forbidding_is_an_attribute_and_not_a_remark() {
        assert!(forbids_unsafe("//! A crate.\n#![forbid(unsafe_code)]\n"));
        assert!(!forbids_unsafe(
            "//! A crate with\n//! #![forbid(unsafe_code)]\n// #![forbid(unsafe_code)]\n"
        ));
    }

    #[test]
    fn unfinished_work_is_found_in_comments_and_code() {
        let source = format!(
            "// {}: later\nlet x = {}(y);\nlet s = \"fine\";\n",
            concat!("TO", "DO"),
            concat!("db", "g!")
        );
        assert_eq!(unfinished(&source), [1, 2]);
    }

    #[test]
    fn machine_paths_are_absolute_ones() {
        let text =
            format!("a {0}x\nb target{0}x\n`{1}y`\n~{0}\n", concat!("/ho", "me/"), concat!("/wo", "rk/"));
        assert_eq!(machine_paths(&text), [1, 3]);
    }
}
