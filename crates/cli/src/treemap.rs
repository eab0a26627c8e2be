//! Areas in a rectangle: a squarified treemap (Bruls, Huizing and van Wijk 2000) of a tree of names.
//!
//! It knows weights, not what they measure, and draws nothing.

use std::collections::BTreeMap;

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rect {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// A directory, or a leaf with a number of the caller's.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) weight: f64,
    pub(crate) leaf: Option<usize>,
    children: BTreeMap<Vec<u8>, Node>,
}

/// What is to be drawn, outermost first.
#[derive(Debug)]
pub(crate) enum Area {
    /// A directory with a strip for its name (as seen from the directory around it) above its content.
    Directory { path: Vec<u8>, name: Vec<u8>, rect: Rect },
    /// A leaf.
    Leaf { number: usize, rect: Rect },
    /// Leaves too small to be drawn each: how many.
    Rest { count: usize, rect: Rect },
}

/// Height of the strip with a directory's name.
pub(crate) const STRIP: f64 = 16.0;
/// Nothing smaller is drawn by itself, in square units.
const SMALLEST: f64 = 4.0;

impl Node {
    /// Adds a leaf at a path.
    pub(crate) fn add(&mut self, path: &[u8], number: usize, weight: f64) {
        let mut node = self;
        node.weight += weight;
        for name in path.split(|byte| *byte == b'/') {
            node = node.children.entry(name.to_vec()).or_default();
            node.weight += weight;
        }
        node.leaf = Some(number);
    }

    fn leaves(&self) -> usize {
        // Paths are as deep as they are long, 4,095 bytes at most: recursion ends.
        usize::from(self.leaf.is_some()) + self.children.values().map(Self::leaves).sum::<usize>()
    }

    /// Divides the rectangle among everything in this directory.
    pub(crate) fn layout(&self, rect: Rect) -> Vec<Area> {
        let mut areas = Vec::new();
        self.place(&[], rect, &mut areas);
        areas
    }

    fn place(&self, path: &[u8], rect: Rect, areas: &mut Vec<Area>) {
        let mut children: Vec<(&Vec<u8>, &Self)> =
            self.children.iter().filter(|(_, child)| child.weight > 0.0).collect();
        children.sort_by(|(a_name, a), (b_name, b)| b.weight.total_cmp(&a.weight).then(a_name.cmp(b_name)));
        let scale = rect.width * rect.height / self.weight.max(f64::MIN_POSITIVE);
        let drawn = children.iter().take_while(|(_, child)| child.weight * scale >= SMALLEST).count();
        let (children, rest) = children.split_at(drawn);
        let rest_weight: f64 = rest.iter().map(|(_, child)| child.weight).sum();
        let mut weights: Vec<f64> = children.iter().map(|(_, child)| child.weight).collect();
        // The rest may weigh more than the smallest that is drawn; it comes last all the same.
        weights.push(rest_weight);
        let rects = squarify(&weights, rect);
        for ((name, child), rect) in children.iter().zip(&rects) {
            if let Some(number) = child.leaf {
                areas.push(Area::Leaf { number, rect: *rect });
                continue;
            }
            // A directory with nothing but a directory in it is one name with it.
            let (mut path, mut name, mut child) = (join(path, name), (*name).clone(), *child);
            while let (1, Some((next, only))) = (child.children.len(), child.children.iter().next()) {
                if only.leaf.is_some() {
                    break;
                }
                (path, name) = (join(&path, next), join(&name, next));
                child = only;
            }
            areas.push(Area::Directory { path: path.clone(), name, rect: *rect });
            child.place(&path, inside(*rect), areas);
        }
        if rest_weight > 0.0
            && let Some(rect) = rects.last()
        {
            areas.push(Area::Rest { count: rest.iter().map(|(_, child)| child.leaves()).sum(), rect: *rect });
        }
    }
}

fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() }
}

/// Where a directory's content goes: below its name, if there is room for one.
fn inside(rect: Rect) -> Rect {
    let margin = if rect.width.min(rect.height) > 24.0 { 2.0 } else { 0.0 };
    let strip = if is_titled(rect) { STRIP } else { margin };
    Rect {
        x: rect.x + margin,
        y: rect.y + strip,
        width: (rect.width - 2.0 * margin).max(0.0),
        height: (rect.height - strip - margin).max(0.0),
    }
}

/// There is room for a directory's name.
pub(crate) fn is_titled(rect: Rect) -> bool {
    rect.width >= 48.0 && rect.height >= 40.0
}

/// A rectangle for each weight (descending, but for the last), side by side in rows whose members are as square as can be.
fn squarify(weights: &[f64], rect: Rect) -> Vec<Rect> {
    let total: f64 = weights.iter().sum();
    let mut rects = Vec::with_capacity(weights.len());
    if total <= 0.0 || rect.width <= 0.0 || rect.height <= 0.0 {
        return weights.iter().map(|_| Rect { width: 0.0, height: 0.0, ..rect }).collect();
    }
    let scale = rect.width * rect.height / total;
    let areas: Vec<f64> = weights.iter().map(|weight| weight * scale).collect();
    let (mut free, mut rest) = (rect, &areas[..]);
    while !rest.is_empty() {
        let side = free.width.min(free.height);
        let mut row = 1;
        while row < rest.len() && worst(&rest[..=row], side) <= worst(&rest[..row], side) {
            row += 1;
        }
        let (row, after) = rest.split_at(row);
        let sum: f64 = row.iter().sum();
        let depth = if side > 0.0 { sum / side } else { 0.0 };
        let mut at = 0.0;
        for area in row {
            let length = if depth > 0.0 { area / depth } else { 0.0 };
            rects.push(if free.width >= free.height {
                Rect { x: free.x, y: free.y + at, width: depth, height: length }
            } else {
                Rect { x: free.x + at, y: free.y, width: length, height: depth }
            });
            at += length;
        }
        if free.width >= free.height {
            free = Rect { x: free.x + depth, width: (free.width - depth).max(0.0), ..free };
        } else {
            free = Rect { y: free.y + depth, height: (free.height - depth).max(0.0), ..free };
        }
        rest = after;
    }
    rects
}

/// The least square member of a row along a side: its longer edge over its shorter one.
fn worst(row: &[f64], side: f64) -> f64 {
    let sum: f64 = row.iter().sum();
    let (least, most) = row.iter().fold((f64::MAX, 0.0_f64), |(a, b), area| (a.min(*area), b.max(*area)));
    let (side, sum) = (side * side, sum * sum);
    (side * most / sum).max(sum / (side * least))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Rect = Rect { x: 0.0, y: 0.0, width: 600.0, height: 400.0 };

    #[test]
    fn areas_are_as_weights_and_fill_the_rectangle() {
        // The example of the paper.
        let weights = [6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0];
        let rects = squarify(&weights, WHOLE);
        for (rect, weight) in rects.iter().zip(weights) {
            assert!((rect.width * rect.height - weight * 10_000.0).abs() < 1e-6, "{rect:?}");
            assert!(rect.x >= 0.0 && rect.x + rect.width <= 600.0 + 1e-9);
            assert!(rect.y >= 0.0 && rect.y + rect.height <= 400.0 + 1e-9);
        }
        assert_eq!((rects[0].width, rects[0].height), (300.0, 200.0));
    }

    #[test]
    fn every_leaf_is_drawn_or_counted() {
        let mut root = Node::default();
        for number in 0..5000 {
            root.add(format!("a/b/{}/{number}", number % 7).as_bytes(), number, 1.0 + (number % 97) as f64);
        }
        root.add(b"c", 5000, 100_000.0);
        root.add(b"empty", 5001, 0.0);
        let areas = root.layout(WHOLE);
        let leaves: usize = areas
            .iter()
            .map(|area| match area {
                Area::Leaf { .. } => 1,
                Area::Rest { count, .. } => *count,
                Area::Directory { .. } => 0,
            })
            .sum();
        assert_eq!(leaves, 5001, "all but the empty one");
        assert!(areas.iter().any(|area| matches!(area, Area::Directory { path, .. } if path == b"a/b")));
    }
}
