//! Where the demo says what it does: a line on stderr for each thing that happens.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

/// Progress of one run.
pub(super) struct Stage {
    began: Instant,
    /// The console has the terminal.
    quiet: AtomicBool,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), quiet: AtomicBool::new(false) }
    }

    /// Something happened.
    pub(super) fn say(&self, text: impl AsRef<str>) {
        if !self.quiet.load(Ordering::Relaxed) {
            // Nobody may read it; that changes nothing.
            let _ = writeln!(io::stderr(), "{:6.1} s  {}", self.began.elapsed().as_secs_f64(), text.as_ref());
        }
    }

    /// While a console has the terminal, nothing else may write on it.
    pub(super) fn is_quiet(&self, quiet: bool) {
        self.quiet.store(quiet, Ordering::Relaxed);
    }
}
