//! Is this node well? One judgement for every door that is asked: HTTP probes,
//! gRPC health, the status line.

use std::sync::Arc;
use std::time::Duration;

use standfast_kernel::node::{NodeView, RoleView};
use standfast_kernel::replication::{LinkView, StandbyView};
use standfast_kernel::supervisor::Role;
use standfast_kernel::types::Instant;
use standfast_proto::v1;

use super::StatusBoard;

/// A node whose loop has published nothing for this long is stuck: it is to be
/// restarted. Its heartbeats stopped long before.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// True when this view is too old to say how things are.
pub(super) fn is_stuck(view: &NodeView, now: Instant) -> bool {
    now.since(view.at) > STUCK_AFTER
}

/// That, as a sentence.
pub(super) fn stuck(age: Duration) -> String {
    format!("the node's loop has been stuck for {} s", age.as_secs())
}

/// A judgement, with the sentence that explains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// True when the answer is yes.
    pub ok: bool,
    /// Why.
    pub text: String,
}

impl Judgement {
    fn new(ok: bool, text: impl Into<String>) -> Self {
        Self { ok, text: text.into() }
    }
}

/// How far a standby may be behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxLag {
    /// So many entries.
    Entries(u64),
    /// For so long.
    Age(Duration),
}

impl std::str::FromStr for MaxLag {
    type Err = String;

    /// `1000` entries, `500ms` or `2s`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("max_lag is `{text}`: expected entries (`1000`), `500ms` or `2s`");
        let (digits, millis) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
            (Some(digits), _) => (digits, Some(1)),
            (None, Some(digits)) => (digits, Some(1000)),
            (None, None) => (text, None),
        };
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        Ok(match millis {
            None => Self::Entries(number),
            Some(per) => Self::Age(Duration::from_millis(number.saturating_mul(per))),
        })
    }
}

impl StatusBoard {
    /// Should the process go on? No only when its loop is stuck.
    #[must_use]
    pub fn live(&self, now: Instant) -> Judgement {
        match self.view() {
            // Starting: the loop publishes within its first round.
            None => Judgement::new(true, "starting"),
            Some(view) if is_stuck(&view, now) => Judgement::new(false, stuck(now.since(view.at))),
            Some(_) => Judgement::new(true, "the node's loop runs"),
        }
    }

    /// The view, or why nothing can be said.
    fn fresh(&self, now: Instant) -> Result<Arc<NodeView>, Judgement> {
        match self.view() {
            None => Err(Judgement::new(false, "starting")),
            Some(view) if is_stuck(&view, now) => Err(Judgement::new(false, stuck(now.since(view.at)))),
            Some(view) => Ok(view),
        }
    }

    /// Does it do its part: answer as primary, or follow as standby?
    #[must_use]
    pub fn ready(&self, now: Instant) -> Judgement {
        let view = match self.fresh(now) {
            Ok(view) => view,
            Err(unknown) => return unknown,
        };
        match &view.detail {
            RoleView::Primary(_) => primary(&view, now),
            RoleView::Candidate(_) => Judgement::new(false, "waiting until its own last promise is over"),
            RoleView::Standby(s) if s.link == LinkView::Streaming => {
                Judgement::new(true, "follows its primary")
            }
            RoleView::Standby(s) => Judgement::new(false, not_following(s)),
        }
    }

    /// Is it the primary, and may it answer?
    #[must_use]
    pub fn primary(&self, now: Instant) -> Judgement {
        let view = match self.fresh(now) {
            Ok(view) => view,
            Err(unknown) => return unknown,
        };
        if view.role == Role::Primary {
            primary(&view, now)
        } else {
            Judgement::new(false, not_primary(&view))
        }
    }

    /// Is it a standby in sync that is at most so far behind?
    #[must_use]
    pub fn standby(&self, now: Instant, max_lag: Option<MaxLag>) -> Judgement {
        let view = match self.fresh(now) {
            Ok(view) => view,
            Err(unknown) => return unknown,
        };
        let RoleView::Standby(s) = &view.detail else {
            return Judgement::new(false, format!("this node is {}", view.role));
        };
        if s.link != LinkView::Streaming {
            return Judgement::new(false, not_following(s));
        }
        if !s.in_sync {
            return Judgement::new(false, "not in the in-sync set");
        }
        let v1::Lag { entries, age_us, .. } = self.own_lag(s);
        let age = age_us.map(Duration::from_micros);
        let within = match max_lag {
            None => true,
            Some(MaxLag::Entries(max)) => entries.is_some_and(|n| n <= max),
            Some(MaxLag::Age(max)) => age.is_some_and(|a| a <= max),
        };
        let behind = entries.map_or("an unknown number of".to_owned(), |n| n.to_string());
        Judgement::new(within, format!("in sync, {behind} entries behind"))
    }
}

fn primary(view: &NodeView, now: Instant) -> Judgement {
    let RoleView::Primary(p) = &view.detail else { return Judgement::new(false, not_primary(view)) };
    match p.gate.holds_answers(now) {
        None => Judgement::new(true, format!("primary in epoch {}", view.epoch)),
        Some(why) => Judgement::new(false, format!("primary without the right to answer: {why}")),
    }
}

fn not_primary(view: &NodeView) -> String {
    format!("this node is {}", view.role)
}

fn not_following(s: &StandbyView) -> String {
    match &s.why_not {
        Some(why) => format!("does not follow a primary: {why}"),
        None => "does not follow a primary yet".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_is_entries_or_a_time_and_anything_else_is_named() {
        let lag = |text: &str| text.parse::<MaxLag>();
        assert_eq!(lag("0"), Ok(MaxLag::Entries(0)));
        assert_eq!(lag("250ms"), Ok(MaxLag::Age(Duration::from_millis(250))));
        assert_eq!(lag("3s"), Ok(MaxLag::Age(Duration::from_secs(3))));
        for bad in ["", "s", "-1", "1m", "1.5s", "x"] {
            assert!(lag(bad).expect_err(bad).contains(&format!("`{bad}`")), "{bad}");
        }
    }
}
