//! Progress bars: on standard error, and only when a person is looking.

use std::fmt::Display;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::warn;

/// A bar, or nothing where nobody would see it.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Bytes so far, without a known end.
    pub(crate) fn bytes() -> Self {
        Self::new(None, "{spinner} {bytes:>10} {bytes_per_sec:>12}  {wide_msg}")
    }

    /// So many of `total` things.
    pub(crate) fn steps(total: u64) -> Self {
        Self::new(Some(total), "{bar:30} {pos}/{len}  {wide_msg}")
    }

    fn new(total: Option<u64>, template: &str) -> Self {
        // Off a terminal, indicatif draws nothing on standard error.
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self(bar)
    }

    /// More of what is counted.
    pub(crate) fn add(&self, count: u64) {
        self.0.inc(count);
    }

    /// Where it stands.
    pub(crate) fn set(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    /// What is being done; `text` is made only when it is seen.
    pub(crate) fn say(&self, text: impl FnOnce() -> String) {
        if !self.0.is_hidden() {
            self.0.set_message(text());
        }
    }

    /// A line on standard error that the bar does not run through.
    pub(crate) fn warn(&self, text: &dyn Display) {
        self.0.suspend(|| warn(text));
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
