//! The nearest rows of a matrix: a scan in blocks, and a bounded heap in the caller's buffer.

use crate::Level;

/// Rows measured between looks at the distances, which stay in the first-level cache (4 KiB of stack).
const ROWS_AT_ONCE: usize = 1024;

/// As many at once in a matrix of that many rows or more (128 KiB of stack). The processor finds out anew what to read ahead in
/// each block: with 1,024 rows a scan reaches four fifths of the memory's speed, with 4,096 nineteen twentieths.
const MANY_ROWS_AT_ONCE: usize = 32 * 1024;

/// Distances looked at together: all of them are usually too far.
const LOOK: usize = 32;

/// A row of a matrix and its distance from a query. The nearer is the lesser; of equally near rows, the
/// one that comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Neighbour {
    /// The Hamming distance in bits.
    pub distance: u32,
    /// The row, counted from 0.
    pub row: usize,
}

impl Level {
    /// Finds the rows of a contiguous matrix that are nearest to `query`: as many as `nearest` has room
    /// for, or all rows if they are fewer. Returns them in order, nearest first; of equally near rows,
    /// those that come first are preferred. What `nearest` held before does not matter.
    ///
    /// The scan is exhaustive and exact. A row costs its reading; only one nearer than the worst of
    /// those found so far is looked at again, which for rows in no particular order happens about
    /// `k * ln(rows / k)` times, each at the price of `log k`.
    ///
    /// ```
    /// use engrams_kernels::{Level, Neighbour};
    /// let matrix = [0b0111, 0, 0b1111, 0b0011, 0b0101];
    /// let mut buffer = [Neighbour::default(); 3];
    /// let found = Level::detect().nearest(&[0b0111], &matrix, &mut buffer);
    /// assert_eq!(found.iter().map(|n| (n.row, n.distance)).collect::<Vec<_>>(), [(0, 0), (2, 1), (3, 1)]);
    /// ```
    ///
    /// # Panics
    ///
    /// If `matrix` is not a whole number of rows of `query.len()` words, or if a row has 2^26 words or more.
    pub fn nearest<'a>(self, query: &[u64], matrix: &[u64], nearest: &'a mut [Neighbour]) -> &'a [Neighbour] {
        // Without room nothing gets in.
        let bound = if nearest.is_empty() { 0 } else { u32::MAX };
        let mut found = Found { rows: nearest, len: 0, bound };
        self.scan_rows(query, matrix, |first, distances| {
            for (look, distances) in distances.chunks(LOOK).enumerate() {
                found.look(distances, first + look * LOOK);
            }
        });
        found.sorted()
    }

    /// Measures the Hamming distance of each row of a contiguous matrix from `query`, and gives the distances to `look`:
    /// those of many rows at a time, in order, with the number of the first of these rows, counted from 0.
    ///
    /// ```
    /// use engrams_kernels::Level;
    /// let mut all = Vec::new();
    /// Level::detect().scan_rows(&[0b0111], &[0b0111, 0, 0b1111], |first, distances| {
    ///     assert_eq!(first, all.len());
    ///     all.extend_from_slice(distances);
    /// });
    /// assert_eq!(all, [0, 3, 1]);
    /// ```
    ///
    /// # Panics
    ///
    /// If `matrix` is not a whole number of rows of `query.len()` words, or if a row has 2^26 words or more.
    pub fn scan_rows(self, query: &[u64], matrix: &[u64], look: impl FnMut(usize, &[u32])) {
        let words = query.len();
        assert!(
            matrix.len().checked_rem(words).unwrap_or(matrix.len()) == 0,
            "a matrix of {} words is not made of rows of {words} words",
            matrix.len()
        );
        match matrix.len().checked_div(words).unwrap_or(0) {
            0 => {}
            1..MANY_ROWS_AT_ONCE => scan_blocks::<ROWS_AT_ONCE>(self, query, matrix, look),
            _ => scan_blocks::<MANY_ROWS_AT_ONCE>(self, query, matrix, look),
        }
    }
}

/// Measures `AT_ONCE` rows after each other; their distances are on the stack, which the other size is not to take too.
#[inline(never)]
fn scan_blocks<const AT_ONCE: usize>(
    level: Level,
    query: &[u64],
    matrix: &[u64],
    mut look: impl FnMut(usize, &[u32]),
) {
    let words = query.len();
    let mut distances = [0; AT_ONCE];
    for (block, rows) in matrix.chunks(words * AT_ONCE).enumerate() {
        let distances = &mut distances[..rows.len() / words];
        level.hamming_rows(query, rows, distances);
        look(block * AT_ONCE, distances);
    }
}

/// The nearest rows so far: in any order while there is room, then a heap with the worst at its root.
struct Found<'a> {
    rows: &'a mut [Neighbour],
    len: usize,
    /// Only what is nearer than this can still get in: rows come in ascending order, so the later of two
    /// equally near ones is the worse.
    bound: u32,
}

impl<'a> Found<'a> {
    #[inline]
    fn look(&mut self, distances: &[u32], first: usize) {
        // Without a branch for each distance, hence several at once.
        let bound = self.bound;
        if distances.iter().fold(false, |near, distance| near | (*distance < bound)) {
            self.take(distances, first);
        }
    }

    #[cold]
    fn take(&mut self, distances: &[u32], first: usize) {
        for (row, distance) in (first..).zip(distances) {
            if *distance < self.bound {
                self.insert(Neighbour { distance: *distance, row });
            }
        }
    }

    fn insert(&mut self, neighbour: Neighbour) {
        if self.len < self.rows.len() {
            self.rows[self.len] = neighbour;
            self.len += 1;
            if self.len < self.rows.len() {
                return;
            }
            // Descending order is a heap.
            self.rows.sort_unstable_by(|a, b| b.cmp(a));
        } else {
            self.replace_worst(neighbour);
        }
        self.bound = self.rows[0].distance;
    }

    /// Puts a nearer row in place of the root, and lets it sink to where it belongs.
    fn replace_worst(&mut self, neighbour: Neighbour) {
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let Some(mut worse) = self.rows.get(left).map(|_| left) else { break };
            if self.rows.get(right).is_some_and(|row| *row > self.rows[left]) {
                worse = right;
            }
            if self.rows[worse] < neighbour {
                break;
            }
            self.rows[at] = self.rows[worse];
            at = worse;
        }
        self.rows[at] = neighbour;
    }

    fn sorted(self) -> &'a [Neighbour] {
        let found = &mut self.rows[..self.len];
        found.sort_unstable();
        found
    }
}
