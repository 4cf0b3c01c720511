//! Everything that the console knows and shows.

use std::collections::BTreeSet;
use std::sync::Arc;

use standfast_proto::v1::TraceOrder;

use crate::act::Act;
use crate::bindings::{Action, When};
use crate::deed::{Deed, Fault};
use crate::filter::Filter;
use crate::findings::Since;
use crate::frame::Frame;
use crate::history::History;
use crate::journal::Journal;
use crate::keys::Keys;
use crate::listing::Listing;
use crate::look::{Look, Tone};
use crate::msg::Recorded;
use crate::page::{About, Sort};
use crate::replay::Replay;
use crate::time::Time;
use crate::trace::Lookup;
use crate::view::VIEWS;

/// Nodes watched at most: a hint that lies must not send us around for ever.
pub(crate) const NODES_MAX: usize = 32;
/// Ranges of the graphs, in milliseconds; `z` goes round.
pub(crate) const RANGES: [u64; 4] = [60_000, 300_000, 900_000, 3_600_000];
/// How often nodes may be asked, in milliseconds.
pub const RATES: std::ops::RangeInclusive<u64> = 100..=60_000;
/// How long a notice stays.
const NOTICE_MS: u64 = 10_000;

/// What lies over the view.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Dialog {
    /// Nothing.
    #[default]
    None,
    /// The keys and commands, from this row on.
    Help(usize),
    /// A line that is being typed.
    Prompt { kind: Prompt, text: String },
    /// A page of the runbook, from this row on.
    Runbook { name: String, text: String, row: usize },
    /// An act on the cluster.
    Act(Box<Act>),
}

/// What the line being typed is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prompt {
    Filter,
    Command,
}

/// A sentence to the operator that goes by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) wall: Time,
    pub(crate) tone: Tone,
    pub(crate) text: String,
}

/// How one view is looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gaze {
    pub(crate) scroll: usize,
    pub(crate) filter: Filter,
    pub(crate) sort: Option<Sort>,
    pub(crate) selected: Option<About>,
}

/// What a console holds of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retained {
    /// Frames for time travel and graphs.
    pub frames: usize,
    /// Size on the wire of the statuses in them.
    pub bytes: usize,
    /// Events of all nodes.
    pub events: usize,
}

/// What the console starts with.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Addresses to ask first.
    pub connect: Vec<String>,
    /// Theme, glyphs, environment.
    pub look: Look,
    /// Milliseconds between updates.
    pub rate_ms: u64,
    /// Whether the operator may act.
    pub allow_actions: bool,
    /// Whether the cluster may be damaged, to see what comes of it.
    pub lab: bool,
    /// Which key does what.
    pub keys: Keys,
    /// Whether the mouse is listened to. Selecting text is then the terminal's Shift and mouse.
    pub mouse: bool,
    /// Where the runbook is published, for links of a terminal that has them. `None` = no links.
    pub runbooks: Option<String>,
}

/// The state of the console.
#[derive(Debug, Clone)]
pub struct Model {
    /// The console's clock; in a replay the recording's.
    pub(crate) now: Time,
    /// The wall clock, also in a replay.
    pub(crate) wall: Time,
    /// What is known now.
    pub(crate) live: Frame,
    /// The frame shown instead, while the screen is held.
    pub(crate) hold: Option<Frame>,
    pub(crate) history: History,
    pub(crate) journal: Journal,
    pub(crate) since: Since,
    /// Index into [`VIEWS`].
    pub(crate) view: usize,
    pub(crate) gazes: Vec<Gaze>,
    pub(crate) dialog: Dialog,
    pub(crate) notice: Option<Notice>,
    pub(crate) look: Look,
    pub(crate) range_ms: u64,
    pub(crate) rate_ms: u64,
    pub(crate) allow_actions: bool,
    pub(crate) lab: bool,
    pub(crate) keys: Arc<Keys>,
    pub(crate) mouse: bool,
    pub(crate) runbooks: Option<Arc<str>>,
    pub(crate) replay: Option<Replay>,
    pub(crate) recorded: Option<Recorded>,
    /// The write that was looked up last.
    pub(crate) trace: Option<Lookup>,
    /// The end of the log, and the slowest writes.
    pub(crate) newest: Listing,
    pub(crate) slowest: Listing,
    /// Columns and rows.
    pub(crate) size: (u16, u16),
    /// Other addresses of nodes that are known already.
    pub(crate) aliases: BTreeSet<String>,
}

/// In front of a cluster to play with.
fn greeting(keys: &Keys) -> String {
    let key = |deed| keys.of(Action::Deed(deed));
    let (kill, corrupt, repair) = (key(Deed::Drill(Fault::Kill)), key(Deed::Corrupt), key(Deed::Repair));
    format!(
        "Yours to play with: {kill} kills the primary, {corrupt} damages the standby, {repair} repairs it"
    )
}

impl Model {
    /// A console that knows nothing yet.
    #[must_use]
    pub fn new(setup: &Setup, now: Time) -> Self {
        let nodes = setup.connect.iter().take(NODES_MAX);
        let greeting =
            setup.lab.then(|| Notice { wall: now, tone: Tone::Focus, text: greeting(&setup.keys) });
        let nodes = nodes.map(|addr| crate::frame::Node::new(addr.as_str().into(), setup.rate_ms)).collect();
        Self {
            now,
            wall: now,
            live: Frame { at: now, nodes },
            hold: None,
            history: History::default(),
            journal: Journal::default(),
            since: Since::default(),
            view: 0,
            gazes: vec![Gaze::default(); VIEWS.len()],
            dialog: Dialog::None,
            notice: greeting,
            look: setup.look,
            range_ms: RANGES[0],
            rate_ms: setup.rate_ms,
            allow_actions: setup.allow_actions,
            lab: setup.lab,
            keys: Arc::new(setup.keys.clone()),
            mouse: setup.mouse,
            runbooks: setup.runbooks.as_deref().map(Arc::from),
            replay: None,
            recorded: None,
            trace: None,
            newest: Listing::new(TraceOrder::Newest),
            slowest: Listing::new(TraceOrder::Slowest),
            size: (80, 24),
            aliases: BTreeSet::new(),
        }
    }

    /// A console that shows a recording.
    #[must_use]
    pub fn replaying(setup: &Setup, replay: Replay, wall: Time) -> Self {
        let setup = Setup { connect: Vec::new(), allow_actions: false, lab: false, ..setup.clone() };
        let at = replay.at();
        Self { wall, replay: Some(replay), ..Self::new(&setup, at) }
    }

    /// The frame on the screen.
    #[must_use]
    pub(crate) fn shown(&self) -> &Frame {
        self.hold.as_ref().unwrap_or(&self.live)
    }

    /// How much of the past is kept: each of these is bounded.
    #[must_use]
    pub fn retained(&self) -> Retained {
        Retained { frames: self.history.len(), bytes: self.history.bytes(), events: self.journal.len() }
    }

    /// Whether every node has answered, or failed to.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.live.nodes.iter().all(|node| node.link != crate::frame::Link::Connecting)
    }

    /// Addresses of the nodes that answer.
    pub(crate) fn answering(&self) -> Vec<String> {
        let fresh = self.live.nodes.iter().filter(|node| node.is_fresh(self.live.at));
        fresh.map(|node| node.addr.to_string()).collect()
    }

    /// Shows the view of that name.
    pub(crate) fn show(&mut self, name: &str) {
        self.view = VIEWS.iter().position(|view| view.name == name).unwrap_or(self.view);
    }

    pub(crate) fn gaze(&self) -> &Gaze {
        &self.gazes[self.view]
    }

    pub(crate) fn gaze_mut(&mut self) -> &mut Gaze {
        &mut self.gazes[self.view]
    }

    /// Whether rows of the table of keys are in force.
    pub(crate) fn holds(&self, when: When) -> bool {
        match when {
            When::Always => true,
            When::Acting => self.allow_actions,
            When::Lab => self.allow_actions && self.lab,
            When::Replay => self.replay.is_some(),
        }
    }

    pub(crate) fn say(&mut self, tone: Tone, text: impl Into<String>) {
        self.notice = Some(Notice { wall: self.wall, tone, text: text.into() });
    }

    /// The notice, while it is recent.
    pub(crate) fn notice(&self) -> Option<&Notice> {
        self.notice.as_ref().filter(|notice| self.wall.since(notice.wall) < NOTICE_MS)
    }
}
