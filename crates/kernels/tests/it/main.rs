//! One binary: every tier against a slow and obvious oracle, and the quality of expanded features.

mod oracle;
mod properties;
mod quality;
mod walsh;
