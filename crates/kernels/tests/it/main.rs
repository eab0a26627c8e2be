//! One binary: every tier against a slow and obvious oracle, and the quality of expanded features.

mod gear;
mod oracle;
mod properties;
mod quality;
mod scan;
mod vectors;
mod walsh;
mod widths;
