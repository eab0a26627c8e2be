//! Cut points and features do not depend on the pieces in which the bytes arrive, for any parameters.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use engrams::core::{ChunkParams, Chunking, Scanner, features_of};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    fixed: bool,
    /// Sizes, taken into their ranges.
    minimum: u16,
    average_log: u8,
    above: u16,
    /// Sizes of pieces; the last one repeats.
    pieces: Vec<u16>,
    /// Forced cuts, at most after so many bytes of the stream each.
    forced: Vec<u16>,
    /// How often the content is repeated, for inputs longer than the fuzzer likes to make.
    repeat: u8,
}

fn chunking(input: &Input) -> Chunking {
    let chunking = if input.fixed {
        Chunking::fixed(64 + usize::from(input.minimum))
    } else {
        let average = 256_usize << (input.average_log % 6);
        let minimum = 64 + usize::from(input.minimum) % (average - 64);
        ChunkParams::new(minimum, average, average + 1 + usize::from(input.above))
            .map(Chunking::ContentDefined)
    };
    chunking.expect("within the limits")
}

/// Lengths and features of the chunks of `data`, given in `pieces`, with forced cuts where `forced` says.
fn scan(chunking: Chunking, data: &[u8], pieces: &[u16], forced: &[usize]) -> Vec<(usize, Vec<u64>)> {
    let mut scanner = Scanner::new(chunking);
    let mut chunks = Vec::new();
    let mut end = |scanner: &mut Scanner| {
        let (len, mut features) = (scanner.len(), Vec::new());
        scanner.finish(&mut features);
        assert!(scanner.is_empty());
        chunks.push((len, features));
    };
    let last = pieces.last().copied().unwrap_or(u16::MAX);
    let mut sizes =
        pieces.iter().copied().chain(std::iter::repeat(last)).map(|size| usize::from(size).max(1));
    let mut forced = forced.iter().copied().peekable();
    let mut at = 0;
    while at < data.len() {
        let mut to = data.len().min(at + sizes.next().unwrap_or(1));
        if let Some(cut) = forced.peek() {
            to = to.min(*cut);
        }
        while at < to {
            match scanner.scan(&data[at..to]) {
                Some(taken) => {
                    assert!((1..=to - at).contains(&taken));
                    at += taken;
                    end(&mut scanner);
                }
                None => at = to,
            }
        }
        if forced.next_if_eq(&at).is_some() && !scanner.is_empty() {
            end(&mut scanner);
        }
    }
    if !scanner.is_empty() {
        end(&mut scanner);
    }
    chunks
}

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Unstructured::new(bytes);
    let Ok(input) = Input::arbitrary(&mut bytes) else { return };
    let data = bytes.take_rest().repeat(1 + usize::from(input.repeat % 16));
    let chunking = chunking(&input);
    let mut at = 0;
    let forced: Vec<usize> = input
        .forced
        .iter()
        .map(|by| {
            at += 1 + usize::from(*by);
            at
        })
        .collect();

    let whole = scan(chunking, &data, &[], &forced);
    assert_eq!(whole, scan(chunking, &data, &input.pieces, &forced), "pieces make a difference");

    let mut start = 0;
    for (index, (len, features)) in whole.iter().enumerate() {
        let end = start + len;
        let free = end != data.len() && !forced.contains(&end);
        assert!(*len <= chunking.maximum(), "chunk {index} is too long");
        assert!(*len >= chunking.minimum() || !free, "chunk {index} is too short");
        let mut alone = Vec::new();
        features_of(&data[start..end], &mut alone);
        assert_eq!(*features, alone, "features of chunk {index} depend on more than its bytes");
        start = end;
    }
    assert_eq!(start, data.len());
});
