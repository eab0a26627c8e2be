//! How well a search by example finds files of which parts were changed, cut or joined, beside ssdeep and TLSH: what
//! `cargo xtask resemblance` runs.
//!
//! `resemblance OUT.json SCRATCH QUERIES CHUNKS SSDEEP PYTHON HISTORY ROOT...` (SSDEEP `-`: without peers) ingests files below the roots into a store in SCRATCH,
//! makes QUERIES queries of each kind from them (fixed seeds), asks all three, judges each answer by the bytes, and
//! times a search among CHUNKS made-up chunks. HISTORY is a list of directories, with
//! commas between them: versions of one tree.

mod corpus;
mod history;
mod judge;
mod peers;
mod queries;
mod ranking;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use engrams::store::Superblock;
use engrams::{Attributes, EngramStore, IngestOptions, OpenOptions, Search, Transaction};
use engrams_benches::median;
use serde::Serialize;

use corpus::Corpus;
use judge::Judge;
use peers::Peers;
use queries::{Kind, Query};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

#[derive(Serialize)]
struct Report {
    files: usize,
    bytes: u64,
    held_out: usize,
    rows: Vec<Row>,
    indexes: Vec<Index>,
    strangers: Vec<String>,
    ranking: ranking::Timing,
    history: history::Cost,
}

/// One kind of query, and how often each tool found what it is from.
#[derive(Serialize, Default)]
struct Row {
    kind: String,
    queries: usize,
    /// Those with enough different bytes to say where they are from.
    informative: usize,
    engrams: usize,
    engrams_informative: usize,
    ssdeep: usize,
    tlsh: usize,
    /// Share of the true overlap that the reported ranges have, on average over queries that found something.
    range_recall: f64,
    /// Milliseconds for one query: ranking, confirming; medians.
    ranking_ms: f64,
    confirming_ms: f64,
}

/// What a search index costs.
#[derive(Serialize)]
struct Index {
    window: u32,
    novel_bytes: u64,
    entries: u64,
    bytes: u64,
    seconds_to_load: f64,
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [out, scratch, queries, chunks, ssdeep, python, versions, roots @ ..] = &arguments[..] else {
        return Err("usage: resemblance OUT.json SCRATCH QUERIES CHUNKS SSDEEP PYTHON HISTORY ROOT...".into());
    };
    let scratch = PathBuf::from(scratch);
    let count: usize = queries.parse()?;
    let corpus = Corpus::read(roots)?;
    eprintln!(
        "{} files of {} bytes, {} held out",
        corpus.stored.len(),
        corpus.bytes(),
        corpus.held_out.len()
    );
    let all = queries::make(&corpus, count);
    let peers = match ssdeep.as_str() {
        "-" => Peers::default(),
        _ => Peers::ask(&corpus, &all, &scratch, ssdeep, python)?,
    };
    eprintln!("peers have answered");
    let mut rows = Vec::new();
    let mut indexes = Vec::new();
    let mut strangers = Vec::new();
    for (window, kinds) in [(2048, &Kind::ALL[..]), (1024, &[Kind::Snippet1K][..])] {
        let (store, index) = ingest(&corpus, &scratch.join(format!("store-{window}")), window)?;
        indexes.push(index);
        for &kind in kinds {
            let row = ask(&corpus, &store, &all, kind, window, &peers, &mut strangers)?;
            eprintln!("{}", serde_json::to_string(&row)?);
            rows.push(row);
        }
        store.close()?;
    }
    let ranking = ranking::measure(&scratch.join("made-up"), chunks.parse()?)?;
    eprintln!("{}", serde_json::to_string(&ranking)?);
    let versions: Vec<&str> = versions.split(',').collect();
    let history = history::measure(&versions, &scratch)?;
    eprintln!("{}", serde_json::to_string(&history)?);
    let report = Report {
        files: corpus.stored.len(),
        bytes: corpus.bytes(),
        held_out: corpus.held_out.len(),
        rows,
        indexes,
        strangers,
        ranking,
        history,
    };
    std::fs::write(out, serde_json::to_string_pretty(&report)?)?;
    Ok(())
}

fn ingest(corpus: &Corpus, directory: &Path, window: u32) -> Outcome<(EngramStore, Index)> {
    let superblock = Superblock { search_window: window, ..Superblock::default() };
    let options = OpenOptions { superblock, ..OpenOptions::default() };
    let store = EngramStore::open_with(directory, &options, true)?;
    let mut transaction = Transaction::begin(&store, &IngestOptions::default())?;
    for file in &corpus.stored {
        transaction.put_file(file.name.as_bytes(), Attributes::default(), &mut &file.content[..])?;
    }
    transaction.commit("")?;
    let began = Instant::now();
    let view = store.search_view()?;
    let seconds_to_load = began.elapsed().as_secs_f64();
    let stats = store.stats()?;
    let index = Index {
        window,
        novel_bytes: stats.unique_bytes,
        entries: view.entries() as u64,
        bytes: stats.search_bytes,
        seconds_to_load,
    };
    Ok((store, index))
}

/// Asks the store for each query of a kind, and judges all answers.
fn ask(
    corpus: &Corpus,
    store: &EngramStore,
    all: &[Query],
    kind: Kind,
    window: u32,
    peers: &Peers,
    strangers: &mut Vec<String>,
) -> Outcome<Row> {
    let mut row = Row { kind: kind.label().to_owned(), ..Row::default() };
    if window != 2048 {
        row.kind += &format!(", windows of {window} bytes");
    }
    let (mut recall, mut recalled) = (0.0, 0usize);
    let (mut ranking, mut confirming) = (Vec::new(), Vec::new());
    for (at, query) in all.iter().enumerate().filter(|(_, query)| query.kind == kind) {
        let judge = Judge::new(corpus, query);
        let found = store.find(&query.bytes).with_k(1).run()?;
        ranking.push(found.ranking.as_secs_f64() * 1e3);
        confirming.push(found.confirming.as_secs_f64() * 1e3);
        row.queries += 1;
        let informative = query.is_informative();
        row.informative += usize::from(informative);
        let top = match found.matches.first() {
            Some(best) => {
                let name = std::str::from_utf8(&best.name.path)?;
                Some((corpus.place(name).ok_or("a file that was not stored was found")?, best))
            }
            None => None,
        };
        let hit = judge.is_hit(top.as_ref().map(|(place, _)| *place));
        if let Some((place, best)) = top {
            let truth = judge.overlap(place);
            judge::check_ranges(&query.bytes, &corpus.stored[place].content, &best.ranges)?;
            if truth.count > 0 {
                recall += truth.recall(&best.ranges);
                recalled += 1;
            }
            if query.sources.is_empty() {
                strangers.push(format!(
                    "{}: {} of {} bytes are in {}",
                    query.name,
                    best.bytes,
                    query.bytes.len(),
                    best.name.path.escape_ascii()
                ));
            }
        }
        if !hit && std::env::var_os("RESEMBLANCE_MISSES").is_some() {
            eprintln!(
                "miss: {} {} ({} bytes, informative {informative}): found {:?}",
                row.kind,
                query.name,
                query.bytes.len(),
                found.matches.first().map(|m| (m.name.path.escape_ascii().to_string(), m.containment))
            );
        }
        row.engrams += usize::from(hit);
        row.engrams_informative += usize::from(hit && informative);
        row.ssdeep += usize::from(judge.is_any_hit(peers.ssdeep.get(&at)));
        row.tlsh += usize::from(judge.is_any_hit(peers.tlsh.get(&at)));
    }
    row.range_recall = recall / recalled.max(1) as f64;
    row.ranking_ms = median(ranking);
    row.confirming_ms = median(confirming);
    Ok(row)
}
