//! Wrong usage in one line, where clap takes several: what is wrong, where, and which help says more.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

use crate::arguments::Arguments;
use crate::failure::Failure;

/// What clap writes below its first paragraph.
const BELOW: [ContextKind; 5] = [
    ContextKind::SuggestedSubcommand,
    ContextKind::SuggestedArg,
    ContextKind::SuggestedValue,
    ContextKind::Suggested,
    ContextKind::Usage,
];

/// A line that no verb is to be run for.
#[derive(Debug)]
pub(crate) enum Unparsed {
    /// It asks for help or the version, which this is.
    Text(clap::Error),
    Wrong(Failure),
}

/// Parses a command line, its name first.
pub(crate) fn parse(line: &[OsString]) -> Result<Arguments, Unparsed> {
    Arguments::try_parse_from(line).map_err(|error| {
        if error.use_stderr() { Unparsed::Wrong(refusal(line, error)) } else { Unparsed::Text(error) }
    })
}

/// The one line for what clap refuses.
fn refusal(line: &[OsString], mut error: clap::Error) -> Failure {
    let help = verb_of(line).map_or("engrams help".to_owned(), |verb| format!("engrams help {verb}"));
    let mut advice = match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => format!("`{help}` says what it takes"),
        _ => format!("`{help}` lists what there is"),
    };
    if let Some(similar) = BELOW.iter().find_map(|&kind| similar(&error, kind)) {
        advice = format!("perhaps `{similar}` is meant; {advice}");
    }
    for kind in BELOW {
        error.remove(kind);
    }
    let what = match error.kind() {
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "no command is given".to_owned()
        }
        _ => first_paragraph(&error.render().to_string()),
    };
    Failure::usage(what, advice)
}

/// What clap's message says, without what it puts around it; its lists follow on the same line.
fn first_paragraph(message: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let message = message.rfind("\n\nFor more information").map_or(message, |end| &message[..end]);
    message.trim_end().trim_end_matches(" found").replace("\n  ", " ")
}

/// What clap takes to be meant.
fn similar(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        ContextValue::Strings(texts) => texts.first().map(String::as_str),
        _ => None,
    }
}

/// The verb of a line that is wrong elsewhere.
fn verb_of(line: &[OsString]) -> Option<String> {
    let matches = Arguments::command().ignore_errors(true).try_get_matches_from(line).ok()?;
    matches.subcommand_name().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn of_a_message_its_first_paragraph_stays_on_one_line() {
        let message = "error: missing:\n  --output <DIR>\n  <PATH>\n\nFor more information, try '--help'.\n";
        assert_eq!(first_paragraph(message), "missing: --output <DIR> <PATH>");
        assert_eq!(first_paragraph("error: unexpected argument '-x' found\n"), "unexpected argument '-x'");
    }
}
