//! Sequences of hypervectors as one hypervector: n-grams, and items by position.
//!
//! A permutation marks the place; [`ItemMemory::cleanup`](crate::ItemMemory::cleanup) reads what is there. Both
//! encodings are those of Kanerva, *Hyperdimensional computing*, 2009.

use crate::{Bundler, Dimension, Hypervector};

/// The n-gram of the items: each permuted by how many come after it, all bound together.
///
/// `n_gram([a, b, c])` is `a.permute(2)` bound with `b.permute(1)` bound with `c`. It is unlike its items and unlike
/// the same ones in another order. Unbinding all but one of them gives that one exactly. The empty
/// n-gram is the zero vector.
///
/// # Panics
///
/// If one has another dimension.
#[must_use]
pub fn n_gram<'a>(dimension: Dimension, items: impl IntoIterator<Item = &'a Hypervector>) -> Hypervector {
    items.into_iter().fold(Hypervector::zero(dimension), |gram, item| gram.permute(1).bind(item))
}

/// The majority of all n-grams of `n` neighbouring items: sequences that share runs of `n` items are near,
/// wherever the runs are.
///
/// With `m` n-grams of which a share `s` is common, the similarity of two is near `2/pi * asin(s)`, as for
/// [`encode`](crate::encode). Shorter sequences than `n` have no n-gram, and `n` of 0 gives none.
///
/// ```
/// use engrams_core::{Dimension, Hypervector, n_grams};
/// let spell = |word: &str| {
///     let letters: Vec<_> = word.bytes().map(|b| Hypervector::from_feature(b.into(), Dimension::RECALL)).collect();
///     n_grams(Dimension::RECALL, &letters, 3)
/// };
/// assert!(spell("associative").similarity(&spell("dissociative")) > 0.5);
/// assert!(spell("associative").similarity(&spell("hypervector")) < 0.15);
/// ```
///
/// # Panics
///
/// If one has another dimension.
#[must_use]
pub fn n_grams(dimension: Dimension, items: &[Hypervector], n: usize) -> Hypervector {
    let mut bundler = Bundler::new(dimension);
    if n > 0 {
        items.windows(n).for_each(|window| bundler.add(&n_gram(dimension, window)));
    }
    bundler.majority()
}

/// The items by position: the majority of each, permuted by its position from 0.
///
/// [`item_at`] takes it apart. Holds at most `D` positions: then permutations come round. How many can be
/// read is [`capacity::cleanup_error`](crate::capacity::cleanup_error), with the number of items as its
/// `count`.
///
/// ```
/// use engrams_core::{Dimension, Hypervector, ItemMemory, item_at, sequence};
/// let mut letters = ItemMemory::new(Dimension::RECALL);
/// let items: Vec<_> = (b'a'..=b'z')
///     .map(|letter| {
///         let item = Hypervector::from_feature(letter.into(), Dimension::RECALL);
///         letters.insert(letter, &item);
///         item
///     })
///     .collect();
/// let word = sequence(Dimension::RECALL, "hebbian".bytes().map(|b| &items[usize::from(b - b'a')]));
/// let read: Vec<u8> = (0..7).map(|at| *letters.recall(&item_at(&word, at), 1)[0].label).collect();
/// assert_eq!(read, b"hebbian");
/// ```
///
/// # Panics
///
/// If one has another dimension.
#[must_use]
pub fn sequence<'a>(dimension: Dimension, items: impl IntoIterator<Item = &'a Hypervector>) -> Hypervector {
    let mut bundler = Bundler::new(dimension);
    for (position, item) in items.into_iter().enumerate() {
        bundler.add(&item.permute((position % dimension.bits()).cast_signed()));
    }
    bundler.majority()
}

/// Something near the item at a position of a [`sequence`], for cleanup.
#[must_use]
pub fn item_at(sequence: &Hypervector, position: usize) -> Hypervector {
    sequence.permute(-(position % sequence.dimension().bits()).cast_signed())
}
