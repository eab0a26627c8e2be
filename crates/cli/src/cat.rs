//! `engrams cat`: a stored file, or a part of it, to standard output.

use std::ffi::OsString;
use std::io::{Read, Seek, SeekFrom};

use clap::Args;
use engrams::{Error, Node, StreamingDecoder};

use crate::Ending;
use crate::failure::Failure;
use crate::path_text::readable;
use crate::session::{At, Output, Session, no_such_path, stored_path};

/// Bytes decoded and written at a time.
const BUFFER: usize = 256 * 1024;

#[derive(Debug, Args)]
#[command(after_help = "\
Only the chunks that hold the bytes asked for are decoded, and each is checked before it is written.

Examples:
  engrams cat shop.sql | psql shop
  engrams cat disk.img --version 3 --offset 1048576 --length 512 | xxd")]
pub(crate) struct Cat {
    /// The file
    path: OsString,

    #[command(flatten)]
    at: At,

    /// The first byte to write
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: u64,

    /// How many bytes to write at most [default: all that follow]
    #[arg(long, value_name = "N")]
    length: Option<u64>,
}

pub(crate) fn run(session: &Session, verb: &Cat) -> Result<Ending, Failure> {
    if session.json {
        return Err(Failure::usage("`cat` writes the file itself, not JSON", "leave --json out"));
    }
    let store = session.open_for_reading()?;
    let number = verb.at.number(&store)?;
    let path = stored_path(&verb.path)?;
    let tree = store.tree(number)?;
    let shown = readable(&path);
    let Some(entry) = tree.get(&path)? else {
        if tree.entries(&path).next().is_some() {
            return Err(no_file(&shown, "a directory"));
        }
        return Err(no_such_path(&path, &tree, number));
    };
    let size = match &entry.node {
        Node::File(file) => file.size,
        Node::Directory => return Err(no_file(&shown, "a directory")),
        Node::Symlink(target) => {
            return Err(no_file(&shown, &format!("a symbolic link to `{}`", readable(target))));
        }
    };
    if verb.offset > size {
        let what = format!("--offset {} is behind the end of `{shown}`", verb.offset);
        return Err(Failure::usage(what, format!("it has {size} bytes")));
    }

    let mut decoder = StreamingDecoder::of_entry(&store, &entry)?;
    let reading = |error: std::io::Error| reading(&shown, entry.version, error);
    decoder.seek(SeekFrom::Start(verb.offset)).map_err(reading)?;
    let mut content = Read::take(decoder, verb.length.unwrap_or(u64::MAX));
    let mut output = Output::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => output.bytes(&buffer[..read])?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(reading(error)),
        }
    }
    output.finish()?;
    Ok(Ending::Complete)
}

fn no_file(shown: &str, kind: &str) -> Failure {
    Failure::new(format!("`{shown}` is {kind}, not a file"), "`engrams extract` restores it")
}

/// The decoder's own error travels inside the reader's.
fn reading(shown: &str, version: u64, error: std::io::Error) -> Failure {
    let error = match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::io("decoding", error),
    };
    Failure::from(error.within(format_args!("`{shown}` of version {version}")))
}
