//! The operator's console: watch lag, judge whether one may fail over, and fail over, in a terminal.
//!
//! ```text
//! node tasks --Msg--> update(Model, time, Msg) -> Effects --> node tasks, admin calls, files
//!                        |
//!                        v
//!                     view functions of the Model --> lines --> terminal, text, JSON
//! ```
//!
//! The model changes in [`update()`] and nowhere else; it and the views are pure: no clock, no I/O. The screen never
//! waits for a node. What is unknown is `?`, what is old is dimmed and carries its age.

mod act;
mod backoff;
mod bindings;
mod calls;
mod command;
mod conn;
mod deed;
mod filter;
mod findings;
mod format;
mod frame;
mod history;
mod intake;
mod journal;
mod json;
mod judge;
mod keys;
mod listing;
mod look;
#[cfg(test)]
mod manual_tests;
mod model;
mod msg;
mod navigate;
#[cfg(test)]
mod navigate_tests;
mod page;
mod record;
mod recorder;
mod replay;
#[cfg(test)]
mod replay_tests;
mod run;
mod sighting;
mod table;
mod terminal;
#[cfg(test)]
mod testing;
mod time;
mod trace;
mod update;
#[cfg(test)]
mod update_tests;
mod view;

pub use act::{Confirmed, Forecast};
pub use deed::{Deed, Fault};
pub use findings::{Found, PAGES};
pub use json::{Health, health, line as json_line};
pub use judge::{Objection, verdict};
pub use keys::Keys;
pub use look::{Environment, Look, Theme};
pub use model::{Model, RATES, Retained, Setup};
pub use msg::{Effect, Key, Mouse, Msg, Outcome, Recorded};
pub use record::{BYTES_MAX as RECORD_BYTES_MAX, Mark, ReadError, Record, Recorder, Recording};
pub use replay::Replay;
pub use run::{Drilled, Drills, Options, RunError, Runbooks, headless, once, run};
pub use sighting::{Sighting, found, objection, seem_to_differ};
pub use time::Time;
pub use update::update;
pub use view::screen::text as screen_text;
