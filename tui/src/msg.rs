//! What may happen to the console, and what it asks to be done.

use standfast_proto::v1::{Reason, StatusUpdate, TraceOrder, WriteTrace};

use crate::act::{Confirmed, Forecast};
use crate::deed::Deed;

/// A key, as far as the console knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A character, with shift already in it.
    Char(char),
    /// A character typed with Ctrl.
    Ctrl(char),
    /// Takes what was typed.
    Enter,
    /// Closes what is open.
    Esc,
    /// Takes back a character.
    Backspace,
    /// The next view.
    Tab,
    /// The view before.
    BackTab,
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// A screen up.
    PageUp,
    /// A screen down.
    PageDown,
    /// The first row.
    Home,
    /// The last row.
    End,
}

/// What the mouse does, in columns and rows of the screen from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mouse {
    /// The left button goes down.
    Click {
        /// From the left.
        column: u16,
        /// From the top.
        row: u16,
    },
    /// A notch up.
    WheelUp,
    /// A notch down.
    WheelDown,
}

/// Everything that changes the model.
#[derive(Debug, Clone)]
pub enum Msg {
    /// Time has passed.
    Tick,
    /// A key was pressed.
    Key(Key),
    /// The mouse did something.
    Mouse(Mouse),
    /// The terminal has so many columns and rows.
    Resize(u16, u16),
    /// A node sent its status.
    Said {
        /// Whom we asked.
        addr: String,
        /// What came.
        update: Box<StatusUpdate>,
    },
    /// The connection to a node failed or ended.
    Lost {
        /// Whom we asked.
        addr: String,
        /// A sentence.
        why: String,
        /// Failed attempts in a row.
        attempts: u32,
        /// Milliseconds until the next.
        retry_in_ms: u64,
    },
    /// What a dry run came to.
    Planned {
        /// What would be done.
        deed: Deed,
        /// Whom we asked.
        addr: String,
        /// An error says why nobody knows.
        reply: Result<Forecast, String>,
    },
    /// What an act came to.
    Acted {
        /// What was done.
        act: Confirmed,
        /// What came of it.
        outcome: Outcome,
    },
    /// What a node's flight recorder tells of one write.
    Traced {
        /// The write.
        seq: u64,
        /// Whom we asked.
        addr: String,
        /// An error says why nobody knows.
        answer: Result<Box<WriteTrace>, String>,
    },
    /// What a node's flight recorder lists.
    Listed {
        /// Of what.
        order: TraceOrder,
        /// Whom we asked.
        addr: String,
        /// An error says why nobody knows.
        answer: Result<Vec<WriteTrace>, String>,
    },
    /// A page of the runbook.
    Runbook {
        /// Its name.
        name: String,
        /// Absent = this program has no such page.
        text: Option<String>,
    },
    /// A file was written, or why not.
    Saved(Result<String, String>),
    /// The state of the recording, for the header.
    Recorded(Recorded),
}

/// How a recording goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Size of the file.
    pub bytes: u64,
    /// Messages that the disk was too slow for.
    pub dropped: u64,
    /// Writing has failed; nothing is recorded any more.
    pub failed: bool,
}

/// What became of an act.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was done: sentences that say what has changed.
    Done(Vec<String>),
    /// Nothing was done.
    Refused(Vec<Reason>),
    /// Nobody knows whether it took effect.
    Unknown {
        /// A sentence.
        why: String,
        /// The next command to type.
        cure: String,
    },
}

impl Outcome {
    /// All of it in a sentence, for the record.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Done(said) => format!("done. {}", said.join(" ")),
            Self::Refused(reasons) => {
                let texts: Vec<&str> = reasons.iter().map(|reason| &*reason.text).collect();
                format!("refused, nothing was changed. {}", texts.join("; "))
            }
            Self::Unknown { why, .. } => format!("unknown whether it took effect. {why}"),
        }
    }
}

/// What `update` asks the outside to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// End the console.
    Quit,
    /// Keep asking this address.
    Watch(String),
    /// Ask it no more.
    Forget(String),
    /// Ask all nodes at this interval, in milliseconds.
    Rate(u64),
    /// Ask what a deed would come to. Changes nothing.
    Plan {
        /// What would be done.
        deed: Deed,
        /// Whom to ask.
        addr: String,
        /// Name of the node that it is about.
        target: String,
        /// For the audit.
        reason: String,
    },
    /// Do what the operator has confirmed.
    Act(Confirmed),
    /// Ask the flight recorders of these nodes for one write.
    Trace {
        /// The write.
        seq: u64,
        /// Addresses.
        addrs: Vec<String>,
    },
    /// Ask the flight recorders of these nodes for many writes.
    List {
        /// Which.
        order: TraceOrder,
        /// Addresses.
        addrs: Vec<String>,
    },
    /// Look the page of that name up in the runbook.
    Runbook(String),
    /// Listen to the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Hand the screen to the terminal's clipboard.
    Copy,
    /// Write the screen as text.
    SaveText(String),
    /// Write the state as one line of JSON.
    SaveJson(String),
}
