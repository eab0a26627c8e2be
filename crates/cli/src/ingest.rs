//! `engrams ingest`: directories, files or standard input into one new version.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use engrams::tree_fs::{TreeEvent, TreeOptions, TreeSummary, ingest_file, ingest_tree};
use engrams::{
    Attributes, ChunkParams, Chunking, Compression, IngestOptions, Timestamp, Transaction, TransactionResult,
    check_path,
};
use serde::Serialize;

use crate::exclude::Exclude;
use crate::failure::Failure;
use crate::path_text::{hex, readable};
use crate::progress::Progress;
use crate::session::{Session, stored_path};
use crate::{Ending, figures, session};

#[derive(Debug, Args)]
#[command(after_help = "\
A directory becomes the tree NAME: what is gone from the directory is gone from that tree in the new version \
(and still in the older ones); other trees stay as they are. Everything is published at once, or not at all. \
Files whose size, times and inode did not change are not read again. What can't be read is kept as the version \
before had it.

Examples:
  engrams ingest ~/data                        the tree `data`
  engrams ingest . --as projects/site -m 'before the move'
  engrams ingest ~/src --exclude target --exclude '*.o' --exclude 'docs/*.pdf'
  pg_dump shop | engrams ingest - --as shop.sql

Exit status 3: something could not be read or changed while it was read; standard error names it.")]
pub(crate) struct Ingest {
    /// Directories or files; `-` alone reads standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<OsString>,

    /// The name in the store [default: the path's own name]
    #[arg(long = "as", value_name = "NAME")]
    name: Option<OsString>,

    /// What to say about the new version
    #[arg(short, long, default_value = "", hide_default_value = true)]
    message: String,

    /// zstd level, 1 (fast) to 22 (small) [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=22))]
    level: Option<i32>,

    /// How to keep what nothing stored resembles
    #[arg(long, value_enum)]
    compression: Option<Coding>,

    /// Average chunk size, a power of two from 256 to 16M; chunks share nothing with those of another size
    /// [default: the store's, 64K]
    #[arg(long, value_name = "N", value_parser = chunking)]
    chunk_size: Option<Chunking>,

    /// How densely a new store indexes content for `find`, 1 to 16; frozen when it is made. What is shared is found for
    /// certain from 2048 / N bytes on, and the index takes N times 0.4 % of new data [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    search_density: Option<u32>,

    /// Threads to use; 0: one per core
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,

    /// Memory for data on its way, in MiB; the caches come on top [default: 32]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    memory: Option<u32>,

    /// Leave these out: a name at any depth (`target`, `*.o`), or with a slash a path in the directory (`docs/*.pdf`)
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,

    /// Encrypt the store that this makes, with --key-file, ENGRAMS_PASSPHRASE or a passphrase that is asked for; a
    /// store that is there must be encrypted
    #[arg(long)]
    encrypt: bool,

    /// Read every file, also those that did not change
    #[arg(long)]
    force_read: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Coding {
    /// As it is
    None,
    /// Fast
    Lz4,
    /// Small, see --level
    Zstd,
}

/// What one path on the command line stands for.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Tree(PathBuf),
    File(PathBuf),
    Stream,
}

#[derive(Serialize)]
struct Report {
    version: u64,
    files: u64,
    bytes: u64,
    chunks: u64,
    reused: u64,
    recalled: u64,
    verbatim: u64,
    correction_bytes: u64,
    correction_savings: u64,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_hash: Option<String>,
}

/// What the sources together brought.
#[derive(Default)]
struct Taken {
    trees: TreeSummary,
    /// The hash of the last single file or stream.
    hash: Option<[u8; 32]>,
}

pub(crate) fn run(session: &Session, verb: Ingest) -> Result<Ending, Failure> {
    // Whatever can be refused is refused before a store is made.
    let options = options(&verb)?;
    let exclude = Exclude::new(&verb.exclude)?;
    let sources = sources(&verb)?;
    let before = size_on_disk(&session.store);
    let store = session.open_or_create(verb.encrypt, verb.search_density)?;

    let began = Instant::now();
    let tree_options = TreeOptions::new()
        .with_force_read(verb.force_read)
        .with_exclude(move |path| exclude.matches(path))
        .with_store_directory(&session.store);
    let mut tx = Transaction::begin(&store, &options)?;
    let progress = Progress::bytes();
    let mut taken = Taken::default();
    for (source, name) in &sources {
        take(session, &mut tx, source, name, &tree_options, &progress, &mut taken)?;
    }
    progress.say(|| "publishing".to_owned());
    let result = tx.commit(&verb.message)?;
    progress.finish();
    store.close().map_err(|error| session::committed(result.version, error))?;
    let took = began.elapsed();

    let report = Report::new(&result, took, taken.hash.filter(|_| sources.len() == 1));
    let grown = size_on_disk(&session.store).saturating_sub(before);
    session.report(&report, || text(&report, &taken.trees, grown))?;
    Ok(if taken.trees.skipped_count > 0 { Ending::Partial } else { Ending::Complete })
}

fn options(verb: &Ingest) -> Result<IngestOptions, Failure> {
    let compression = match (verb.compression, verb.level) {
        (None | Some(Coding::Zstd), Some(level)) => Compression::Zstd(level),
        (None | Some(Coding::Zstd), None) => Compression::default(),
        (Some(_), Some(_)) => {
            return Err(Failure::usage("--level is for zstd", "leave --level or --compression out"));
        }
        (Some(Coding::None), None) => Compression::None,
        (Some(Coding::Lz4), None) => Compression::Lz4,
    };
    let mut options = IngestOptions { compression, threads: verb.threads, ..IngestOptions::default() };
    options.chunking = verb.chunk_size;
    if let Some(mebibytes) = verb.memory {
        options.memory_bytes = (mebibytes as usize) << 20;
    }
    Ok(options)
}

fn chunking(text: &str) -> Result<Chunking, String> {
    let average = figures::parse_size(text)?;
    ChunkParams::from_average(average)
        .map(Chunking::ContentDefined)
        .map_err(|error| format!("{error}: give a power of two from 256 to 16M"))
}

/// What each path stands for and what it is to be called.
fn sources(verb: &Ingest) -> Result<Vec<(Source, Vec<u8>)>, Failure> {
    let given = verb.name.as_deref().map(stored_path).transpose()?;
    if verb.paths.len() > 1 && given.is_some() {
        return Err(Failure::usage("--as names one path, and there are several", "ingest them one by one"));
    }
    let mut sources: Vec<(Source, Vec<u8>)> = Vec::new();
    for path in &verb.paths {
        let (source, name) = if path == "-" {
            if verb.paths.len() > 1 {
                return Err(Failure::usage(
                    "`-` stands beside other paths",
                    "ingest standard input by itself",
                ));
            }
            let name = given
                .clone()
                .ok_or_else(|| Failure::usage("standard input has no name", "give it one with --as NAME"))?;
            (Source::Stream, name)
        } else {
            named(Path::new(path), given.as_deref())?
        };
        if sources.iter().any(|(_, other)| *other == name) {
            let what = format!("two paths would both be called `{}`", readable(&name));
            return Err(Failure::usage(what, "ingest them one by one, with --as"));
        }
        sources.push((source, name));
    }
    Ok(sources)
}

/// A directory or file, and its name: the given one or its own.
fn named(path: &Path, given: Option<&[u8]>) -> Result<(Source, Vec<u8>), Failure> {
    let shown = readable(path.as_os_str().as_bytes());
    let metadata = std::fs::metadata(path)
        .map_err(|error| Failure::new(format!("{shown}: {error}"), "check the path; nothing was stored"))?;
    let (source, own) = if metadata.is_dir() {
        let whole = std::fs::canonicalize(path).map_err(|error| {
            Failure::new(format!("{shown}: {error}"), "check the path; nothing was stored")
        })?;
        let own = whole.file_name().map(OsStr::to_os_string);
        (Source::Tree(path.to_path_buf()), own)
    } else if metadata.is_file() {
        (Source::File(path.to_path_buf()), path.file_name().map(OsStr::to_os_string))
    } else {
        let advice = "to store what a pipe or device delivers, let `-` read it as standard input";
        return Err(Failure::new(format!("{shown} is neither a directory nor a file"), advice));
    };
    let name = match (given, own) {
        (Some(given), _) => given.to_vec(),
        (None, Some(own)) => own.as_bytes().to_vec(),
        (None, None) => {
            return Err(Failure::usage(format!("{shown} has no name"), "give it one with --as NAME"));
        }
    };
    check_path(&name)?;
    Ok((source, name))
}

/// Puts one source into the transaction.
fn take(
    session: &Session,
    tx: &mut Transaction,
    source: &Source,
    name: &[u8],
    options: &TreeOptions,
    progress: &Progress,
    taken: &mut Taken,
) -> Result<(), Failure> {
    let mut on_event = |event: TreeEvent<'_>| match event {
        TreeEvent::Reading { path, .. } => progress.say(|| readable(path)),
        TreeEvent::Read { bytes } => progress.add(bytes),
        TreeEvent::Skipped(skipped) => progress.warn(&format_args!("{}: {skipped}", readable(&skipped.path))),
        TreeEvent::StoreItself { path } => {
            progress.warn(&format_args!("{}: left out, it is this store", readable(path)));
        }
        _ => {}
    };
    match source {
        Source::Tree(dir) => {
            let summary = ingest_tree(tx, dir, name, options, &mut on_event)?;
            add(&mut taken.trees, &summary);
        }
        Source::File(path) => {
            let outcome = ingest_file(tx, path, name, options, &mut on_event)?;
            taken.hash = Some(outcome.hash);
            taken.trees.files += 1;
            taken.trees.unchanged += u64::from(outcome.unchanged);
            taken.trees.skipped_count += outcome.skipped.len() as u64;
        }
        Source::Stream => {
            let mut input = Told { input: io::stdin().lock(), progress };
            let summary = tx.put_file(name, stream_attributes(session), &mut input)?;
            taken.hash = Some(summary.hash);
            taken.trees.files += 1;
        }
    }
    Ok(())
}

/// Bytes of all files in the store's directory.
fn size_on_disk(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_on_disk(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// What a stream, which has no attributes, is given: those of a new file of whoever owns the store.
fn stream_attributes(session: &Session) -> Attributes {
    let (uid, gid) =
        std::fs::metadata(&session.store).map(|store| (store.uid(), store.gid())).unwrap_or_default();
    Attributes { mode: 0o644, mtime: Timestamp::now(), uid, gid, ..Attributes::default() }
}

fn add(sum: &mut TreeSummary, one: &TreeSummary) {
    sum.files += one.files;
    sum.directories += one.directories;
    sum.symlinks += one.symlinks;
    sum.unchanged += one.unchanged;
    sum.bytes_read += one.bytes_read;
    sum.skipped_count += one.skipped_count;
}

/// Standard input that tells the progress bar.
struct Told<'a, R> {
    input: R,
    progress: &'a Progress,
}

impl<R: Read> Read for Told<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.progress.add(read as u64);
        Ok(read)
    }
}

impl Report {
    fn new(result: &TransactionResult, took: Duration, hash: Option<[u8; 32]>) -> Self {
        Self {
            version: result.version,
            files: result.files,
            bytes: result.progress.bytes,
            chunks: result.progress.chunks,
            reused: result.progress.reused,
            recalled: result.progress.recalled,
            verbatim: result.progress.verbatim,
            correction_bytes: result.progress.correction_bytes,
            correction_savings: result.progress.correction_savings,
            seconds: took.as_secs_f64(),
            content_hash: hash.map(|hash| hex(&hash)),
        }
    }
}

/// The report for people.
fn text(report: &Report, trees: &TreeSummary, grown: u64) -> String {
    use figures::{bytes, counted, grouped, ratio};
    let seconds = report.seconds;
    let mut text = format!("version {}: {}", report.version, counted(trees.files, "file", "files"));
    if trees.directories > 0 {
        text += &format!(", {}", counted(trees.directories, "directory", "directories"));
    }
    if trees.symlinks > 0 {
        text += &format!(", {}", counted(trees.symlinks, "symbolic link", "symbolic links"));
    }
    if trees.unchanged > 0 {
        text += &format!(" ({} unchanged and not read)", grouped(trees.unchanged));
    }
    let rate = if seconds > 0.0 { (report.bytes as f64 / seconds) as u64 } else { 0 };
    text += &format!(
        "\nread {} in {seconds:.2} s ({}/s), {} more on disk",
        bytes(report.bytes),
        bytes(rate),
        bytes(grown)
    );
    if report.chunks > 0 {
        text += &format!(
            " (ratio {})\n{}: {} stored already, {} recalled and corrected, {} verbatim\n",
            ratio(report.bytes, grown),
            counted(report.chunks, "chunk", "chunks"),
            grouped(report.reused),
            grouped(report.recalled),
            grouped(report.verbatim)
        );
    } else {
        text.push('\n');
    }
    if let Some(hash) = &report.content_hash {
        text += &format!("BLAKE3 {hash}\n");
    }
    if trees.skipped_count > 0 {
        text += &format!(
            "{} not stored, or not as on the disk; see the messages above\n",
            counted(trees.skipped_count, "path was", "paths were")
        );
    }
    text
}
