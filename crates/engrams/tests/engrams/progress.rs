//! Fear: counters that go backwards or do not add up.

use engrams::{IngestOptions, StreamingIngester, StreamingProgress, Transaction};

use crate::common::{edit, fixed, ingest, noise, small_store, text};

fn assert_monotone(before: &StreamingProgress, now: &StreamingProgress) {
    let counters = |p: &StreamingProgress| {
        [
            p.bytes,
            p.bytes_decided,
            p.files,
            p.chunks,
            p.reused,
            p.recalled,
            p.verbatim,
            p.correction_bytes,
            p.correction_savings,
        ]
    };
    assert!(
        counters(before).iter().zip(counters(now)).all(|(before, now)| *before <= now),
        "{before:?} {now:?}"
    );
    assert!(before.elapsed <= now.elapsed);
    assert!(now.bytes_decided <= now.bytes);
}

#[test]
fn counters_never_go_back_and_chunks_are_reused_recalled_and_verbatim() {
    let (store, _) = small_store(1024);
    let mut bytes = text(300_000, 1);
    for round in 0..3 {
        let mut ingester = StreamingIngester::builder(&store).with_path("f").with_threads(2).build().unwrap();
        let mut before = ingester.progress();
        assert_eq!((before.bytes, before.chunks), (0, 0));
        for part in bytes.chunks(777) {
            ingester.ingest_bytes(part).unwrap();
            let now = ingester.progress();
            assert_monotone(&before, &now);
            assert_eq!(now.chunks, now.reused + now.recalled + now.verbatim, "while it runs: {now:?}");
            before = now;
        }
        let result = ingester.finalize().unwrap();
        assert_eq!(result.bytes, bytes.len() as u64);
        assert_eq!(result.chunks, result.reused + result.recalled + result.verbatim);
        assert!(result.chunks >= before.chunks);
        if round > 0 {
            assert!(result.recalled > 0 && result.reused > 0 && result.correction_bytes > 0, "{result:?}");
            assert!(result.correction_savings > result.correction_bytes, "{result:?}");
        }
        edit(&mut bytes, 60, round);
    }
    let stats = store.stats().unwrap();
    assert_eq!(stats.chunks, stats.recalled_chunks + stats.verbatim_chunks);
}

#[test]
fn a_transaction_counts_its_files_and_everything_after_a_sync() {
    let (store, _) = small_store(1024);
    let mut tx = Transaction::begin(&store, &IngestOptions::default()).unwrap();
    let (mut bytes, mut before) = (0, tx.progress());
    for file in 0..40_u64 {
        let content = noise(file as usize * 97, file);
        let summary = tx.put_file(format!("{file}").as_bytes(), fixed(), &mut &content[..]).unwrap();
        assert_eq!((summary.size, summary.hash), (content.len() as u64, *blake3::hash(&content).as_bytes()));
        bytes += content.len() as u64;
        assert_monotone(&before, &tx.progress());
        before = tx.progress();
        assert_eq!(before.bytes, bytes);
        if file % 10 == 9 {
            tx.sync().unwrap();
            before = tx.progress();
            assert_eq!((before.files, before.bytes_decided), (file + 1, bytes));
            assert_eq!(before.chunks, before.reused + before.recalled + before.verbatim);
        }
    }
    let result = tx.commit("").unwrap();
    assert_eq!((result.files, result.progress.files, result.progress.bytes), (40, 40, bytes));
    assert_eq!(store.head().unwrap().unwrap().bytes, bytes);
}

#[test]
fn the_same_stream_again_is_all_reused() {
    let (store, _) = small_store(1024);
    let bytes = noise(100_000, 1);
    ingest(&store, "f", &bytes);
    let again = ingest(&store, "elsewhere", &bytes);
    assert_eq!((again.reused, again.recalled, again.verbatim), (again.chunks, 0, 0));
}
