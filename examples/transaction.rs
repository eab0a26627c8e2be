//! Several files in one version, and a second writer who is told: `cargo run -p engrams --example transaction
//! --no-default-features`.

use engrams::{Attributes, EngramStore, IngestOptions, StreamingIngester, Transaction};

fn main() -> engrams::Result<()> {
    let store = EngramStore::in_memory();
    let attributes = Attributes { mode: 0o644, ..Attributes::default() };

    let mut tx = Transaction::begin(&store, &IngestOptions::default())?;
    tx.put_directory(b"notes", Attributes { mode: 0o755, ..attributes.clone() })?;
    tx.put_file(b"notes/monday", attributes.clone(), &mut "rain".as_bytes())?;
    tx.put_file(b"notes/tuesday", attributes.clone(), &mut "sun".as_bytes())?;
    let published = tx.commit("two notes")?;
    assert_eq!((published.version, published.files), (1, 2));

    for entry in store.tree(None)?.entries(b"notes") {
        let entry = entry?;
        println!("{} {:?}", entry.path.escape_ascii(), entry.file().map(|file| file.size));
    }

    // Whoever expects a version that is no longer there is refused before anything is encoded.
    let mut tx = Transaction::begin(&store, &IngestOptions::default())?;
    tx.put_file(b"notes/monday", attributes, &mut "snow".as_bytes())?;
    tx.commit("it snowed")?;
    let late = StreamingIngester::builder(&store).with_path("notes/monday").with_expected_version(1).build();
    let Err(error) = late else { unreachable!("version 1 of the file is gone") };
    println!("{error}");
    assert_eq!(error.conflict().and_then(|conflict| conflict.found), Some(2));
    Ok(())
}
