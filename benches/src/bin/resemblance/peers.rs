//! ssdeep and TLSH, asked for the same queries: each hashes all files and all queries, and compares every pair.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::corpus::Corpus;
use crate::queries::Query;

/// For each query, by its number, the files that the tool finds most alike; several when they are equally so.
#[derive(Default)]
pub(crate) struct Peers {
    pub(crate) ssdeep: HashMap<usize, Vec<usize>>,
    pub(crate) tlsh: HashMap<usize, Vec<usize>>,
}

/// A TLSH distance above this is no match: the usual limit of its authors for files that are alike.
const TLSH: &str = r#"
import sys, tlsh, os
stored, queries, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
def digests(folder):
    for name in sorted(os.listdir(folder), key=int):
        h = tlsh.Tlsh()
        h.update(open(os.path.join(folder, name), 'rb').read())
        try:
            h.final()
            if h.hexdigest() not in ('', 'TNULL'):
                yield name, h
        except ValueError:
            pass
known = list(digests(stored))
for name, query in digests(queries):
    best, ties = limit + 1, []
    for other, h in known:
        d = query.diff(h)
        if d < best:
            best, ties = d, [other]
        elif d == best and d <= limit:
            ties.append(other)
    print(name, *ties)
"#;
const TLSH_LIMIT: &str = "150";

impl Peers {
    pub(crate) fn ask(
        corpus: &Corpus,
        queries: &[Query],
        scratch: &Path,
        ssdeep: &str,
        python: &str,
    ) -> Outcome<Self> {
        let (stored, asked) = (scratch.join("stored"), scratch.join("queries"));
        write(&stored, corpus.stored.iter().map(|file| &file.content[..]))?;
        write(&asked, queries.iter().map(|query| &query.bytes[..]))?;
        let tlsh =
            Command::new(python).args(["-c", TLSH]).args([&stored, &asked]).arg(TLSH_LIMIT).output()?;
        if !tlsh.status.success() {
            return Err(format!("TLSH failed: {}", String::from_utf8_lossy(&tlsh.stderr)).into());
        }
        let mut answers = HashMap::new();
        for line in String::from_utf8(tlsh.stdout)?.lines() {
            let mut numbers = line.split(' ').map(str::parse::<usize>);
            if let Some(query) = numbers.next() {
                answers.insert(query?, numbers.collect::<Result<_, _>>()?);
            }
        }
        Ok(Self { ssdeep: with_ssdeep(ssdeep, scratch)?, tlsh: answers })
    }
}

fn write<'a>(folder: &Path, contents: impl Iterator<Item = &'a [u8]>) -> Outcome<()> {
    fs::create_dir_all(folder)?;
    for (number, content) in contents.enumerate() {
        fs::write(folder.join(number.to_string()), content)?;
    }
    Ok(())
}

fn with_ssdeep(ssdeep: &str, scratch: &Path) -> Outcome<HashMap<usize, Vec<usize>>> {
    for folder in ["stored", "queries"] {
        let hashes = Command::new(ssdeep).args(["-s", "-b", "-r", folder]).current_dir(scratch).output()?;
        fs::write(scratch.join(folder).with_extension("ssdeep"), hashes.stdout)?;
    }
    let matched = Command::new(ssdeep)
        .args(["-s", "-c", "-k", "stored.ssdeep", "queries.ssdeep"])
        .current_dir(scratch)
        .output()?;
    let mut best: HashMap<usize, (u32, Vec<usize>)> = HashMap::new();
    for line in String::from_utf8(matched.stdout)?.lines() {
        // "queries.ssdeep:12","stored.ssdeep:345",97
        let fields: Vec<&str> = line.split(',').map(|field| field.trim_matches('"')).collect();
        let [query, file, score] = fields[..] else { return Err(format!("ssdeep says `{line}`").into()) };
        let number = |field: &str| field.rsplit([':', '/']).next().unwrap_or_default().parse::<usize>();
        let (query, file, score) = (number(query)?, number(file)?, score.parse::<u32>()?);
        let entry = best.entry(query).or_default();
        if score > entry.0 {
            *entry = (score, Vec::new());
        }
        if score == entry.0 && score > 0 {
            entry.1.push(file);
        }
    }
    Ok(best.into_iter().map(|(query, (_, files))| (query, files)).collect())
}
