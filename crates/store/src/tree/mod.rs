//! Trees: the paths of a version, sorted, in immutable pages that versions share.

mod builder;
mod entry;
mod merge;
mod page;
mod reader;

pub(crate) use builder::{Changes, after, apply, build};
pub use entry::{Attributes, Content, Entry, FileNode, MAX_PATH_BYTES, Node, Piece, Timestamp, check_path};
pub use merge::EachChange;
pub(crate) use merge::{Merge, difference, difference_past, merge};
pub(crate) use page::{Totals, TreePage, decode as decode_page, get_pieces, put_pieces};
pub use reader::Tree;
pub(crate) use reader::TreeRoot;
