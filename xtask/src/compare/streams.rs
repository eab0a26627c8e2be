//! Streams that nothing can compress: against a plain copy, again when they are stored already, in memory of what size,
//! and while a store grows.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::measure::{Usage, measure, measure_fed};
use super::random::{self, Random};
use super::results::{Growth, Incompressible, Memory};
use crate::process::{self, Outcome};
use crate::tree::{self, Scratch};

/// What a measurement leaves free on the disk, for whoever else writes there.
const SPARE: u64 = 4 << 30;
const SEED: u64 = 1;

/// The binary and where it may work.
pub(crate) struct Bench<'a> {
    pub(crate) binary: &'a Path,
    pub(crate) scratch: &'a Path,
}

impl Bench<'_> {
    fn command(&self, store: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.binary);
        command.arg("-s").arg(store).args(arguments);
        command
    }

    fn place(&self) -> Outcome<Scratch> {
        Scratch::within(self.scratch, "stream").map_err(|error| at(self.scratch, &error))
    }

    /// Copies a file of random bytes and syncs it, ingests it into a new store, and ingests it again, read in full.
    pub(crate) fn incompressible(&self, bytes: u64, rounds: usize) -> Outcome<Incompressible> {
        self.need(bytes * 3)?;
        let place = self.place()?;
        let source = place.path().join("source");
        write_file(&source, |to| random::write(SEED, bytes, to))?;
        let mut seen = Incompressible { bytes, rounds, ..Incompressible::default() };
        for round in 1..=rounds {
            let work = Scratch::within(place.path(), "round").map_err(|error| at(place.path(), &error))?;
            settle()?;
            let copied = measure(&copy(&source, &work.path().join("copy")), work.path())?;
            remove(&work.path().join("copy"))?;
            settle()?;
            let store = work.path().join("store");
            let mut ingest = self.command(&store, &["ingest", "--as", "source", "--force-read"]);
            ingest.arg(&source);
            let first = measure(&ingest, work.path())?;
            let disk = size(&store)?;
            settle()?;
            let again = measure(&ingest, work.path())?;
            eprintln!(
                "   round {round} of {rounds}: copy {:.1} s, ingest {:.1} s, again {:.1} s",
                copied.seconds, first.seconds, again.seconds
            );
            if round == rounds {
                self.check(&store, "source", bytes, work.path())?;
            }
            seen.copy.push(copied);
            seen.first.push(first);
            seen.again.push(again);
            seen.disk_bytes.push(disk as f64);
        }
        Ok(seen)
    }

    /// Takes a stream from standard input, extracts it again and compares it.
    pub(crate) fn memory(&self, bytes: u64, rounds: usize) -> Outcome<Memory> {
        let mut seen = Memory { bytes, ..Memory::default() };
        if let Err(why) = self.need(bytes * 2) {
            eprintln!("   {}: left out: {why}", length(bytes));
            seen.skipped = Some(why);
            return Ok(seen);
        }
        for round in 1..=rounds {
            let place = self.place()?;
            let store = place.path().join("store");
            let ingest = self.command(&store, &["ingest", "-", "--as", "stream"]);
            let fed = measure_fed(&ingest, place.path(), |to| random::write(SEED, bytes, to))?;
            let extract = self.check(&store, "stream", bytes, place.path())?;
            eprintln!(
                "   round {round} of {rounds}: {}: peak {:.0} MiB in, {:.0} MiB out",
                length(bytes),
                fed.peak_bytes / f64::from(1 << 20),
                extract.peak_bytes / f64::from(1 << 20)
            );
            seen.ingest.push(fed);
            seen.extract.push(extract);
        }
        Ok(seen)
    }

    /// Adds new data to one store `count` times, half of it random, half of it lines of text.
    pub(crate) fn growth(&self, step_bytes: u64, count: u64) -> Outcome<Growth> {
        self.need(step_bytes * count + step_bytes)?;
        let place = self.place()?;
        let (store, source) = (place.path().join("store"), place.path().join("source"));
        let mut seen = Growth { step_bytes, ..Growth::default() };
        for step in 0..count {
            write_file(&source, |to| mixed(SEED + step, step_bytes, to))?;
            settle()?;
            let mut ingest = self.command(&store, &["ingest", "--as", &format!("step-{step}")]);
            ingest.arg(&source);
            let usage = measure(&ingest, place.path())?;
            eprintln!(
                "   step {} of {count}: {:.0} MB/s, peak {:.0} MiB",
                step + 1,
                step_bytes as f64 / 1e6 / usage.seconds,
                usage.peak_bytes / f64::from(1 << 20)
            );
            seen.steps.push(usage);
        }
        seen.disk_bytes = size(&store)?;
        Ok(seen)
    }

    /// Extracts a stream, measured, and compares every byte.
    fn check(&self, store: &Path, name: &str, bytes: u64, scratch: &Path) -> Outcome<Usage> {
        let into = Scratch::within(scratch, "extracted").map_err(|error| at(scratch, &error))?;
        let mut extract = self.command(store, &["extract", name, "-o"]);
        extract.arg(into.path());
        let usage = measure(&extract, scratch)?;
        let path = into.path().join(name);
        let same = File::open(&path).and_then(|mut file| random::is_stream(SEED, bytes, &mut file));
        match same.map_err(|error| at(&path, &error))? {
            true => Ok(usage),
            false => Err(format!("{} came out different from what went in", length(bytes))),
        }
    }

    /// Refuses what would fill the disk.
    fn need(&self, bytes: u64) -> Outcome {
        let free = free(self.scratch)?;
        if free >= bytes + SPARE {
            return Ok(());
        }
        Err(format!("it needs {} of free disk, and {} are there", length(bytes + SPARE), length(free)))
    }
}

fn copy(from: &Path, to: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "cp \"$1\" \"$2\" && sync \"$2\"", "sh"]).args([from, to]);
    command
}

/// Waits until what came before is on the disk: it is not to be paid for by what comes next.
fn settle() -> Outcome {
    process::read(&mut Command::new("sync")).map(drop)
}

fn write_file(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Outcome {
    let written = File::create(path).map(BufWriter::new).and_then(|mut file| {
        write(&mut file)?;
        file.flush()
    });
    written.map_err(|error| at(path, &error))
}

/// Stretches of 1 MiB, by turns random bytes and lines of numbers, no line twice.
fn mixed(seed: u64, bytes: u64, to: &mut impl io::Write) -> io::Result<()> {
    const STRETCH: usize = 1 << 20;
    let (mut random, mut buffer, mut left) = (Random::new(seed), Vec::with_capacity(STRETCH + 64), bytes);
    let mut is_text = false;
    while left > 0 {
        buffer.clear();
        if is_text {
            while buffer.len() < STRETCH {
                let (a, b) = (random.word(), random.word());
                writeln!(
                    buffer,
                    "{{\"key\": {}, \"value\": {}, \"kind\": \"row\"}}",
                    a % 1_000_000,
                    b >> 32
                )?;
            }
        } else {
            buffer.resize(STRETCH, 0);
            random.fill(&mut buffer);
        }
        let size = usize::try_from(left).map_or(STRETCH, |left| left.min(STRETCH));
        to.write_all(&buffer[..size])?;
        left -= size as u64;
        is_text = !is_text;
    }
    Ok(())
}

fn remove(path: &Path) -> Outcome {
    fs::remove_file(path).map_err(|error| at(path, &error))
}

fn size(store: &Path) -> Outcome<u64> {
    tree::size(store).map_err(|error| at(store, &error))
}

fn at(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// Free bytes where `dir` is.
fn free(dir: &Path) -> Outcome<u64> {
    let said = process::read(Command::new("df").args(["-B1", "--output=avail"]).arg(PathBuf::from(dir)))?;
    available(&said).ok_or_else(|| format!("df does not say what is free in {}: {said:?}", dir.display()))
}

fn available(said: &str) -> Option<u64> {
    said.lines().last()?.trim().parse().ok()
}

/// `64 MiB`, `1 GiB`, `1.5 GiB`.
pub(crate) fn length(bytes: u64) -> String {
    let (unit, name) = if bytes < 1 << 30 { (1_u64 << 20, "MiB") } else { (1 << 30, "GiB") };
    let number = format!("{:.2}", bytes as f64 / unit as f64);
    format!("{} {name}", number.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_for_people() {
        assert_eq!([64 << 20, 16 << 30, 3 << 29].map(length), ["64 MiB", "16 GiB", "1.5 GiB"]);
    }

    #[test]
    fn what_is_free_is_read_and_what_does_not_fit_is_refused() {
        assert_eq!(available("     Avail\n1234567\n"), Some(1_234_567));
        assert_eq!(available("Avail\n-\n"), None);
        let scratch = Scratch::new("free").unwrap();
        let bench = Bench { binary: Path::new("engrams"), scratch: scratch.path() };
        assert!(bench.need(u64::MAX / 2).unwrap_err().contains("free disk"));
        let skipped = bench.memory(1 << 60, 1).unwrap();
        assert!(skipped.skipped.is_some() && skipped.ingest.seconds.median().is_none());
    }

    #[test]
    fn mixed_data_is_half_text_and_never_the_same() {
        let made = |seed| {
            let mut bytes = Vec::new();
            mixed(seed, (5 << 20) / 2, &mut bytes).unwrap();
            bytes
        };
        let one = made(1);
        assert_eq!(one.len(), (5 << 20) / 2);
        let text = |from: usize| std::str::from_utf8(&one[from..from + (1 << 20)]).is_ok();
        assert!(!text(0) && text(1 << 20));
        assert_eq!(one, made(1));
        assert_ne!(one[1 << 20..2 << 20], made(2)[1 << 20..2 << 20]);
    }

    #[test]
    fn a_failing_binary_is_an_error_and_leaves_nothing_behind() {
        let scratch = Scratch::new("false").unwrap();
        let bench = Bench { binary: Path::new("false"), scratch: scratch.path() };
        assert!(bench.growth(1000, 1).is_err());
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
