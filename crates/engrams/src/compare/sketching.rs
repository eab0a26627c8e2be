//! Sketches without a store: of readers, of files and directories, and of engram files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use engrams_core::{Sketch, Sketcher};
use engrams_store::{Error, Result};

const BUFFER: usize = 256 << 10;

/// The sketch of all that `reader` gives, in constant memory: that of a stored file with this content.
///
/// # Errors
/// What the reader returns.
///
/// ```
/// use engrams::core::Sketch;
/// let text = b"the quick brown fox jumps over the lazy dog".repeat(1000);
/// assert_eq!(engrams::sketch_reader(&mut &text[..])?, Sketch::of_bytes(&text));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn sketch_reader(reader: &mut dyn Read) -> io::Result<Sketch> {
    let mut sketcher = Sketcher::new();
    push_all(&mut sketcher, reader)?;
    Ok(sketcher.finish())
}

/// The sketch of a file, or the sum of all regular files in a directory: that of the same tree in a store. Symbolic links
/// are not followed below `path`.
///
/// # Errors
/// `Io`, naming the path that can't be read.
pub fn sketch_path(path: &Path) -> Result<Sketch> {
    let mut sketcher = Sketcher::new();
    let failed = |path: &Path, error| Error::io(format_args!("reading {}", path.display()), error);
    let mut pending = vec![path.to_owned()];
    while let Some(path) = pending.pop() {
        let is_top = pending.is_empty();
        let metadata = if is_top { path.metadata() } else { path.symlink_metadata() };
        let metadata = metadata.map_err(|error| failed(&path, error))?;
        if metadata.is_dir() {
            for entry in path.read_dir().map_err(|error| failed(&path, error))? {
                pending.push(entry.map_err(|error| failed(&path, error))?.path());
            }
        } else if metadata.is_file() {
            let mut file = File::open(&path).map_err(|error| failed(&path, error))?;
            push_all(&mut sketcher, &mut file).map_err(|error| failed(&path, error))?;
            sketcher.end_file();
        }
    }
    Ok(sketcher.finish())
}

/// Reads an engram file, as [`Sketch::to_bytes`] writes it. No more than such a file can have is read.
///
/// # Errors
/// What the reader returns; `InvalidData` when the bytes are not a whole engram file.
pub fn read_sketch(reader: &mut dyn Read) -> io::Result<Sketch> {
    let mut bytes = Vec::new();
    reader.take(Sketch::MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Sketch::from_bytes(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn push_all(sketcher: &mut Sketcher, reader: &mut dyn Read) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => sketcher.push(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
