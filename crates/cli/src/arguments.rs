//! The grammar of the command line; each verb's own arguments stand in its own file.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{
    backup, cat, damage, diff, drift, engram, extract, find, forget, gc, ingest, keygen, log, ls, map, rekey,
    repair, rm, similarity, stats, tag, verify,
};

/// Keeps every version of large, slowly changing files: what resembles something stored costs only the difference.
#[derive(Debug, Parser)]
#[command(name = "engrams", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Arguments {
    /// The directory that is the store; the first `ingest` creates it.
    #[arg(short, long, global = true, value_name = "DIR", env = "ENGRAMS_STORE")]
    pub(crate) store: Option<PathBuf>,

    /// Report as one JSON object on standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// The file with the key of an encrypted store; or ENGRAMS_PASSPHRASE holds its passphrase, or it is asked for.
    #[arg(long, global = true, value_name = "FILE", env = "ENGRAMS_KEY_FILE")]
    pub(crate) key_file: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Take a directory, files or standard input into one new version
    Ingest(ingest::Ingest),
    /// List the versions, newest first
    Log(log::Log),
    /// List what is in a version
    Ls(ls::Ls),
    /// Write a stored file to standard output
    Cat(cat::Cat),
    /// Restore files and directories
    Extract(extract::Extract),
    /// Find the stored files most like a file, a snippet or a stream
    Find(find::Find),
    /// Make a new version without a path (older versions keep it)
    Rm(rm::Rm),
    /// Name a version, so that it is not forgotten; list the names
    Tag(tag::Tag),
    /// Forget versions; `gc` then frees what only they needed
    Forget(forget::Forget),
    /// Free the space of what no version needs
    Gc(gc::Gc),
    /// Copy the store, also while it is in use
    Backup(backup::Backup),
    /// Check that everything stored is intact
    Verify(verify::Verify),
    /// Heal what is damaged; drop and name what can't be saved
    Repair(repair::Repair),
    /// Tell which files of which versions need a chunk
    Damage(damage::Damage),
    /// Show what is stored and what it costs
    Stats(stats::Stats),
    /// Show what changed between two versions, with similarities
    Diff(diff::Diff),
    /// Show how far a path drifted over its versions, and where it jumped
    Drift(drift::Drift),
    /// Show near-duplicate files of a version, and where its bytes go
    Map(map::Map),
    /// Make the engram of files, directories, standard input or stored paths
    Engram(engram::Engram),
    /// Tell how much two files, directories or engrams have in common
    Similarity(similarity::Similarity),
    /// Make a key file for encrypted stores
    Keygen(keygen::Keygen),
    /// Change the key of an encrypted store
    Rekey(rekey::Rekey),
}

const EXAMPLES: &str = "\
Getting started:
  export ENGRAMS_STORE=~/memory.engrams     or give -s DIR each time
  engrams ingest ~/data                     the directory becomes the tree `data` of version 1
  engrams ingest ~/data -m 'new figures'    version 2: only what changed is read
  engrams log                               which versions there are
  engrams ls data/reports                   what is in the newest
  engrams cat data/a.csv --version 1        a file as it was
  engrams find b.csv                        which stored files are most like this one
  engrams extract data -o /tmp/restored     the newest version back, exactly

Exit status: 0 done, 1 failed, 2 wrong usage, 3 done except for what standard error names.
Paths in a store are relative: the tree's name, then the path in it. With --json, a path that is not \
UTF-8 is shown with \\xNN for its other bytes, and given exactly, in hexadecimal, as `path_bytes`.";
