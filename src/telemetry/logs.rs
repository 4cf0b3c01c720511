//! Log lines on stderr: text or JSON, with a level that changes at run time, and
//! a limit for each place in the code that logs.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use standfast_kernel::types::Instant;
use std::time::Duration;
use tracing::callsite::Identifier;
use tracing::{Event, Metadata};
use tracing_subscriber::layer::{Context, Filter, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// Lines of one place in one window.
const LINES_MAX: u32 = 50;
const WINDOW: Duration = Duration::from_secs(1);

/// Changes the level of a process that runs.
#[derive(Clone)]
pub struct LogControl {
    handle: reload::Handle<EnvFilter, Registry>,
    suppressed: Arc<AtomicU64>,
}

/// A level that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no log level: expected error, warn, info, debug, trace or directives such as `info,standfast::shell=debug`: {1}"
)]
pub struct BadLevel(String, String);

impl LogControl {
    /// The level in force.
    #[must_use]
    pub fn level(&self) -> String {
        self.handle.with_current(ToString::to_string).unwrap_or_default()
    }

    /// Changes it.
    ///
    /// # Errors
    /// When the text is no level; nothing is changed then.
    pub fn set_level(&self, text: &str) -> Result<(), BadLevel> {
        let text = text.trim();
        let bad = |why: &dyn ToString| BadLevel(text.chars().take(80).collect(), why.to_string());
        // A bare word would be a target with the highest level: not what anybody means by a typing error.
        let known = ["error", "warn", "info", "debug", "trace", "off"];
        let is_level = |word: &str| word.contains('=') || known.contains(&word.to_ascii_lowercase().as_str());
        if text.is_empty() || !text.split(',').all(|word| is_level(word.trim())) {
            return Err(bad(&"no such level"));
        }
        let filter = EnvFilter::try_new(text).map_err(|e| bad(&e))?;
        self.handle.reload(filter).map_err(|e| bad(&e))
    }

    /// Lines that were not written because their place had written too many.
    #[must_use]
    pub fn suppressed(&self) -> u64 {
        self.suppressed.load(Ordering::Relaxed)
    }
}

/// Starts logging. The level comes from `STANDFAST_LOG`, `info` without it;
/// `now` is the process's clock.
pub fn init(json: bool, now: fn() -> Instant) -> LogControl {
    let filter = EnvFilter::try_from_env("STANDFAST_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let suppressed = Arc::new(AtomicU64::new(0));
    let limit = RateLimit { now, places: Mutex::default(), suppressed: Arc::clone(&suppressed) };
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = lines.with_ansi(std::io::stderr().is_terminal());
    let lines = if json { lines.json().flatten_event(true).boxed() } else { lines.compact().boxed() };
    // A second call, as in tests, keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(filter).with(lines.with_filter(limit)).try_init();
    LogControl { handle, suppressed }
}

/// Lets each place in the code write so many lines in a window.
struct RateLimit {
    now: fn() -> Instant,
    places: Mutex<HashMap<Identifier, Place>>,
    suppressed: Arc<AtomicU64>,
}

struct Place {
    since: Instant,
    lines: u32,
}

impl RateLimit {
    fn lets_pass(&self, place: Identifier) -> bool {
        let now = (self.now)();
        let mut places = self.places.lock();
        // As many entries as there are places in the code.
        let place = places.entry(place).or_insert(Place { since: now, lines: 0 });
        if now.since(place.since) >= WINDOW {
            *place = Place { since: now, lines: 0 };
        }
        place.lines += 1;
        let passes = place.lines <= LINES_MAX;
        if !passes {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
        }
        passes
    }
}

impl<S> Filter<S> for RateLimit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        self.lets_pass(event.metadata().callsite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static NOW: AtomicU64 = AtomicU64::new(0);

    #[test]
    fn one_place_is_limited_and_counted_and_others_are_not() {
        let now = || Instant(NOW.load(Ordering::Relaxed));
        let limit = RateLimit { now, places: Mutex::default(), suppressed: Arc::default() };
        let lines = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&lines);
        let suppressed = Arc::clone(&limit.suppressed);
        let count = CountLines(seen).with_filter(limit);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(count), || {
            let chatty = || tracing::warn!("again");
            (0..80).for_each(|_| chatty());
            assert_eq!((lines.load(Ordering::Relaxed), suppressed.load(Ordering::Relaxed)), (50, 30));
            tracing::warn!("another place");
            assert_eq!(lines.load(Ordering::Relaxed), 51);
            NOW.store(1_000_000_000, Ordering::Relaxed);
            chatty();
            assert_eq!((lines.load(Ordering::Relaxed), suppressed.load(Ordering::Relaxed)), (52, 30));
        });
    }

    struct CountLines(Arc<AtomicU64>);

    impl<S: tracing::Subscriber> Layer<S> for CountLines {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_level_is_read_and_anything_else_is_named() {
        let (_layer, handle) = reload::Layer::<EnvFilter, Registry>::new(EnvFilter::new("info"));
        let control = LogControl { handle, suppressed: Arc::default() };
        control.set_level("debug\n").expect("a level");
        assert_eq!(control.level(), "debug");
        control.set_level("warn,standfast::shell=trace").expect("directives");
        for bad in ["", "loud", "info,loud", "standfast=loud"] {
            let why = control.set_level(bad).expect_err(bad).to_string();
            assert!(why.contains(&format!("`{bad}`")) && why.contains("expected"), "{why}");
        }
        assert_eq!(control.level(), "standfast::shell=trace,warn");
    }
}
