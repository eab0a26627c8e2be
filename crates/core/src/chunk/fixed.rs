//! Chunks of one fixed size: for streams whose changes never insert or delete.

use super::params::{LARGEST, SMALLEST, within};
use crate::ChunkParamsError;

/// Checks a fixed chunk size.
pub(super) fn validate(size: usize) -> Result<(), ChunkParamsError> {
    within("fixed size", size, SMALLEST, LARGEST)
}
