//! Memory for what readers decode ahead of need, shared by all readers of a store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is left to be given out.
#[derive(Debug)]
pub(crate) struct Reserve(Arc<AtomicUsize>);

/// Bytes that its holder may fill; dropped, others may.
#[derive(Debug)]
pub struct Reserved {
    bytes: usize,
    reserve: Arc<AtomicUsize>,
}

impl Reserve {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// As much of `wanted` bytes as is left.
    pub(crate) fn take(&self, wanted: usize) -> Reserved {
        let mut bytes = 0;
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            bytes = wanted.min(left);
            Some(left - bytes)
        });
        Reserved { bytes: if taken.is_ok() { bytes } else { 0 }, reserve: Arc::clone(&self.0) }
    }
}

impl Reserved {
    /// How many bytes; 0 when nothing was left.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.reserve.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_given_out_than_there_is_and_what_is_dropped_is_given_again() {
        let reserve = Reserve::new(10);
        let (a, b, c) = (reserve.take(6), reserve.take(6), reserve.take(1));
        assert_eq!((a.bytes(), b.bytes(), c.bytes()), (6, 4, 0));
        drop(a);
        assert_eq!(reserve.take(9).bytes(), 6);
        drop((b, c));
        assert_eq!(reserve.take(usize::MAX).bytes(), 10);
    }
}
