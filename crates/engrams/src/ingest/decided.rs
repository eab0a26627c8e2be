//! What is left of a group when it is decided: what files are assembled from, without the bytes.

use engrams_core::Gear;
use engrams_store::Trace;
use engrams_store::tree::Piece;

use super::group::{Event, Group};

/// What happens next, in the order of the stream.
pub(crate) enum Step {
    /// The open file, if there is one, goes on with this piece. Without a trace when nobody looked for features.
    Piece(Piece, Option<Trace>),
    Event(Event),
}

/// The steps of a group; `ids` are its chunks'. Takes the group's events.
pub(crate) fn steps(gear: &Gear, group: &mut Group, ids: &[u64]) -> Vec<Step> {
    let mut events = std::mem::take(&mut group.events).into_iter().peekable();
    let mut steps = Vec::with_capacity(ids.len() + events.len());
    for (chunk, &id) in group.chunks.iter().zip(ids) {
        let mut at = chunk.bytes.start;
        let piece = |from: usize, until: usize| {
            let piece =
                Piece { chunk: id, start: (from - chunk.bytes.start) as u32, len: (until - from) as u32 };
            let trace = chunk.name.is_none().then(|| group.trace_of(gear, chunk, piece));
            (until > from).then_some(Step::Piece(piece, trace))
        };
        while let Some((offset, event)) = events.next_if(|(offset, _)| *offset <= chunk.bytes.end) {
            steps.extend(piece(at, offset));
            at = offset;
            steps.push(Step::Event(event));
        }
        steps.extend(piece(at, chunk.bytes.end));
    }
    steps.extend(events.map(|(_, event)| Step::Event(event)));
    steps
}
