//! Cut points and features do not depend on the pieces in which the bytes arrive, for any parameters.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use engrams::core::{ChunkParams, Chunking, Scanner, features_of};
use libfuzzer_sys::fuzz_target;

/// The sizes that are allowed: docs of `ChunkParams`.
const SMALLEST: usize = 64;
const LARGEST: usize = 64 << 20;
/// Averages are powers of two, the first this one.
const SMALLEST_AVERAGE: usize = 256;
const AVERAGES: u8 = 17;

/// Bytes of content, at most: more than a minute of inputs has the time for.
const LONGEST: usize = 1 << 20;

#[derive(Debug, Arbitrary)]
struct Input {
    fixed: bool,
    /// Sizes, taken into their ranges.
    minimum: Size,
    average_log: u8,
    maximum: Size,
    pieces: Pieces,
    /// Forced cuts, at most after so many bytes of the stream each.
    forced: Vec<u16>,
    /// How often the content is repeated, for inputs longer than the fuzzer likes to make: mostly up to 16 times.
    repeat: u8,
}

/// A size within some range, any of them.
#[derive(Debug, Arbitrary)]
enum Size {
    /// So far above the smallest.
    Low(u16),
    /// So far below the largest.
    High(u16),
    Any(u32),
}

/// How the bytes arrive.
#[derive(Debug, Arbitrary)]
enum Pieces {
    /// In pieces of these sizes; the last one repeats.
    Sizes(Vec<u16>),
    /// Cut in two at this place, and the pieces before and behind it by so many bytes each.
    At { place: u32, before: u16, behind: u16 },
    /// Byte by byte around every cut, so many bytes before and behind it, and whole in between.
    AroundCuts { reach: u8 },
}

impl Size {
    fn within(&self, smallest: usize, largest: usize) -> usize {
        let range = largest - smallest + 1;
        match *self {
            Self::Low(above) => smallest + usize::from(above) % range,
            Self::High(below) => largest - usize::from(below) % range,
            Self::Any(above) => smallest + above as usize % range,
        }
    }
}

impl Pieces {
    /// Where the bytes are split, ascending; `cuts`: where chunks end when they arrive whole.
    fn splits(&self, len: usize, cuts: &[usize]) -> Vec<usize> {
        let every = |from: usize, to: usize, size: u16| (from..to).step_by(usize::from(size).max(1)).skip(1);
        match self {
            Self::Sizes(sizes) => {
                let last = sizes.last().copied().unwrap_or(u16::MAX);
                let sizes = sizes.iter().copied().chain(std::iter::repeat(last));
                let mut at = 0;
                let ends = sizes.map(|size| {
                    at += usize::from(size).max(1);
                    at
                });
                ends.take_while(|end| *end < len).collect()
            }
            Self::At { place, before, behind } => {
                let place = *place as usize % (len + 1);
                every(0, place, *before).chain([place]).chain(every(place, len, *behind)).collect()
            }
            Self::AroundCuts { reach } => {
                let reach = usize::from(*reach);
                let around = cuts.iter().flat_map(|cut| cut.saturating_sub(reach)..=cut + reach);
                let mut splits: Vec<usize> = around.filter(|at| *at < len).collect();
                splits.sort_unstable();
                splits.dedup();
                splits
            }
        }
    }
}

fn chunking(input: &Input) -> Chunking {
    let chunking = if input.fixed {
        Chunking::fixed(input.minimum.within(SMALLEST, LARGEST))
    } else {
        let average = SMALLEST_AVERAGE << (input.average_log % AVERAGES);
        let minimum = input.minimum.within(SMALLEST, average - 1);
        let maximum = input.maximum.within(average + 1, LARGEST);
        ChunkParams::new(minimum, average, maximum).map(Chunking::ContentDefined)
    };
    chunking.expect("within the limits")
}

/// Lengths and features of the chunks of `data`, which arrives split at `splits`, with forced cuts where `forced` says.
fn scan(chunking: Chunking, data: &[u8], splits: &[usize], forced: &[usize]) -> Vec<(usize, Vec<u64>)> {
    let mut scanner = Scanner::new(chunking);
    let mut chunks = Vec::new();
    let mut end = |scanner: &mut Scanner| {
        let (len, mut features) = (scanner.len(), Vec::new());
        scanner.finish(&mut features);
        assert!(scanner.is_empty());
        chunks.push((len, features));
    };
    let mut splits = splits.iter().copied().chain([data.len()]);
    let mut forced = forced.iter().copied().peekable();
    let (mut at, mut split) = (0, 0);
    while at < data.len() {
        while split <= at {
            split = splits.next().unwrap_or(data.len());
        }
        let to = forced.peek().map_or(split, |cut| split.min(*cut));
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
    let once = bytes.take_rest();
    let times = 1 + usize::from(if input.repeat < 224 { input.repeat % 16 } else { input.repeat });
    let times = times.min(LONGEST / once.len().max(1) + 1);
    let data = once.repeat(times);
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
    let cuts: Vec<usize> = whole
        .iter()
        .scan(0, |end, (len, _)| {
            *end += len;
            Some(*end)
        })
        .collect();
    let splits = input.pieces.splits(data.len(), &cuts);
    assert_eq!(whole, scan(chunking, &data, &splits, &forced), "splits make a difference: {splits:?}");

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
