//! Acting on the cluster: target, dry run, the cluster's name typed, outcome. Nothing is done without a [`Confirmed`],
//! and only this file can make one.

use standfast_proto::v1::{PromoteReply, PromotionPlan, Reason, Role};

use crate::frame::{Frame, Node};
use crate::msg::{Effect, Key, Outcome};

/// What was typed is never longer than this.
const TYPED_MAX: usize = 200;

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Makes a standby the primary.
    Failover,
    /// Takes a standby out of the in-sync set.
    Detach,
}

impl Deed {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Detach => "detach",
        }
    }
}

/// An act that the operator has confirmed by typing the cluster's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    deed: Deed,
    target: String,
    addr: String,
    reason: String,
}

impl Confirmed {
    /// What.
    #[must_use]
    pub fn deed(&self) -> Deed {
        self.deed
    }

    /// Name of the standby that it is about.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The node to ask.
    #[must_use]
    pub fn addr(&self) -> &str {
        &self.addr
    }

    /// Why, for audit and history.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// How far the dialog has come.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stage {
    /// Which standby?
    Choosing { names: Vec<String>, at: usize },
    /// The dry run is under way.
    Asking,
    /// What would happen, and the name as typed so far.
    Confirm { plan: Option<PromotionPlan>, typed: String, wrong: bool },
    /// Under way.
    Acting,
    /// Over.
    Ended(Outcome),
}

/// The dialog.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Act {
    pub(crate) deed: Deed,
    pub(crate) target: String,
    pub(crate) cluster: String,
    pub(crate) reason: String,
    addr: String,
    pub(crate) stage: Stage,
}

impl Act {
    /// Begins with the standby `target`, or with the choice where there are several.
    ///
    /// # Errors
    /// Why that cannot be begun.
    pub(crate) fn begin(
        deed: Deed,
        frame: &Frame,
        target: &str,
        reason: &str,
    ) -> Result<(Self, Vec<Effect>), String> {
        let cluster = frame.cluster().ok_or("no node has said which cluster it belongs to")?;
        let names: Vec<String> =
            if target.is_empty() { candidates(deed, frame) } else { vec![target.to_owned()] };
        let reason = if reason.is_empty() { "asked in the console" } else { reason };
        let act = Self {
            deed,
            target: names.first().cloned().ok_or("no standby is known to the nodes that answer")?,
            cluster: cluster.to_owned(),
            reason: reason.to_owned(),
            addr: String::new(),
            stage: Stage::Asking,
        };
        if names.len() > 1 {
            return Ok((Self { stage: Stage::Choosing { names, at: 0 }, ..act }, Vec::new()));
        }
        act.chosen(frame)
    }

    /// The target is known: asks for the dry run, where there is one.
    fn chosen(mut self, frame: &Frame) -> Result<(Self, Vec<Effect>), String> {
        match self.deed {
            Deed::Failover => {
                let node = frame.find(&self.target).filter(|node| node.is_fresh(frame.at));
                let node = node.ok_or_else(|| format!("{} does not answer", self.target))?;
                if let Some(why) = objection(frame, node) {
                    return Err(why);
                }
                self.addr = node.addr.to_string();
                self.stage = Stage::Asking;
                let effect = Effect::Plan { addr: self.addr.clone(), reason: self.reason.clone() };
                Ok((self, vec![effect]))
            }
            Deed::Detach => {
                let primary = frame.primary().filter(|node| node.is_fresh(frame.at));
                let primary = primary.ok_or("no primary answers: only a primary can detach a standby")?;
                self.addr = primary.addr.to_string();
                self.stage = Stage::Confirm { plan: None, typed: String::new(), wrong: false };
                Ok((self, Vec::new()))
            }
        }
    }

    /// Takes a key; `None` closes the dialog.
    ///
    /// # Errors
    /// Why the choice cannot be acted upon; the dialog closes, too.
    pub(crate) fn key(mut self, key: Key, frame: &Frame) -> Result<(Option<Self>, Vec<Effect>), String> {
        let waiting = matches!(self.stage, Stage::Acting);
        if key == Key::Esc && !waiting {
            return Ok((None, Vec::new()));
        }
        match &mut self.stage {
            Stage::Choosing { names, at } => match key {
                Key::Up => *at = at.saturating_sub(1),
                Key::Down => *at = (*at + 1).min(names.len() - 1),
                Key::Enter => {
                    self.target = names[*at].clone();
                    return self.chosen(frame).map(|(act, effects)| (Some(act), effects));
                }
                _ => {}
            },
            Stage::Confirm { typed, wrong, .. } => match key {
                Key::Char(c) if typed.len() < TYPED_MAX => typed.push(c),
                Key::Backspace => {
                    typed.pop();
                }
                Key::Enter if *typed == self.cluster => {
                    let Self { deed, target, addr, reason, .. } = self.clone();
                    self.stage = Stage::Acting;
                    return Ok((Some(self), vec![Effect::Act(Confirmed { deed, target, addr, reason })]));
                }
                Key::Enter => *wrong = true,
                _ => {}
            },
            Stage::Ended(_) if key == Key::Enter => return Ok((None, Vec::new())),
            Stage::Asking | Stage::Acting | Stage::Ended(_) => {}
        }
        Ok((Some(self), Vec::new()))
    }

    /// The dry run of the node at `addr` has come back. It may be one that was asked for before this dialog.
    pub(crate) fn planned(&mut self, addr: &str, reply: Result<PromoteReply, String>) {
        if self.stage != Stage::Asking || addr != self.addr {
            return;
        }
        self.stage = match reply {
            Ok(reply) if reply.accepted => {
                Stage::Confirm { plan: reply.plan, typed: String::new(), wrong: false }
            }
            Ok(reply) => Stage::Ended(Outcome::Refused(reply.reasons)),
            // A dry run changes nothing, whatever became of it.
            Err(why) => {
                let reason =
                    Reason { code: "dry_run_failed".into(), text: why, cure: "standfast status".into() };
                Stage::Ended(Outcome::Refused(vec![reason]))
            }
        };
    }

    /// The act has come back.
    pub(crate) fn acted(&mut self, outcome: Outcome) {
        self.stage = Stage::Ended(outcome);
    }
}

/// Whom the deed could be about.
fn candidates(deed: Deed, frame: &Frame) -> Vec<String> {
    match deed {
        Deed::Failover => {
            let fresh = frame.nodes.iter().filter(|node| node.is_fresh(frame.at));
            fresh.filter(|node| node.role() == Role::Standby).map(|node| node.name().to_owned()).collect()
        }
        Deed::Detach => {
            let primary = frame.primary().and_then(Node::status);
            primary.into_iter().flat_map(|s| &s.standbys).map(|peer| peer.node.clone()).collect()
        }
    }
}

/// Why this standby must not be promoted, whatever it says itself: a primary that it has never heard of leads.
fn objection(frame: &Frame, target: &Node) -> Option<String> {
    let known = target.max_epoch();
    let later = |node: &&Node| {
        node.role() == Role::Primary && node.cluster() == target.cluster() && node.epoch() > known
    };
    let leader = frame.nodes.iter().filter(later).max_by_key(|node| node.epoch())?;
    let number = crate::format::number;
    Some(format!(
        "{0} leads epoch {1}, but {2} knows of no epoch above {3}: promoting it would throw away what {0} has \
         acknowledged",
        leader.name(),
        number(leader.epoch()),
        target.name(),
        number(known)
    ))
}
