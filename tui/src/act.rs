//! Acting on the cluster: target, dry run, the cluster's name typed, outcome. Nothing is done without a [`Confirmed`],
//! and only this file can make one.

use standfast_proto::v1::{Event, PromotionPlan, Reason, Role, Severity};

use crate::deed::{Deed, Dry};
use crate::frame::{Frame, Node};
use crate::judge::{answers, differs, objection};
use crate::msg::{Effect, Key, Outcome};
use crate::time::Time;

/// What was typed is never longer than this.
const TYPED_MAX: usize = 200;

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

    /// Name of the node that it is about.
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

    /// What was done and what came of it, for the record.
    #[must_use]
    pub(crate) fn event(&self, wall: Time, outcome: &Outcome) -> Event {
        let severity = match outcome {
            Outcome::Done(_) => Severity::Info,
            Outcome::Refused(_) | Outcome::Unknown { .. } => Severity::Critical,
        };
        Event {
            at_unix_us: i64::try_from(wall.0.saturating_mul(1000)).unwrap_or(i64::MAX),
            severity: severity.into(),
            code: "acted".to_owned(),
            text: format!(
                "{} {}: {} Reason given: {}",
                self.deed.word(),
                self.target,
                outcome.sentence(),
                self.reason
            ),
            ..Event::default()
        }
    }
}

/// What a dry run said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Forecast {
    /// It would be done.
    pub accepted: bool,
    /// Why not.
    pub reasons: Vec<Reason>,
    /// What the new primary would serve, where that was asked.
    pub plan: Option<PromotionPlan>,
    /// Who would lead, where that was asked.
    pub to: Option<String>,
}

/// How far the dialog has come.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stage {
    /// Which node?
    Choosing { names: Vec<String>, at: usize },
    /// The dry run is under way.
    Asking,
    /// What would happen, and the name as typed so far. No forecast = there is no dry run of this.
    Confirm { forecast: Option<Box<Forecast>>, typed: String, wrong: bool },
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
    /// Whom the dry run asks, and whom the act.
    asked: String,
    addr: String,
    pub(crate) stage: Stage,
}

type Begun = Result<(Act, Vec<Effect>), String>;

impl Act {
    /// Begins with the node `target`, or with the choice where there are several.
    ///
    /// # Errors
    /// Why that cannot be begun.
    pub(crate) fn begin(deed: Deed, frame: &Frame, target: &str, reason: &str) -> Begun {
        let cluster = frame.cluster().ok_or("no node has said which cluster it belongs to")?;
        let names: Vec<String> =
            if target.is_empty() { candidates(deed, frame) } else { vec![target.to_owned()] };
        let reason = if reason.is_empty() { "asked in the console" } else { reason };
        let act = Self {
            deed,
            target: names.first().cloned().ok_or_else(|| nobody(deed).to_owned())?,
            cluster: cluster.to_owned(),
            reason: reason.to_owned(),
            asked: String::new(),
            addr: String::new(),
            stage: Stage::Asking,
        };
        if names.len() > 1 {
            return Ok((Self { stage: Stage::Choosing { names, at: 0 }, ..act }, Vec::new()));
        }
        act.chosen(frame)
    }

    /// The target is known: asks for the dry run, where there is one.
    fn chosen(mut self, frame: &Frame) -> Begun {
        let target = || {
            let node = frame.find(&self.target).filter(|node| node.is_fresh(frame.at));
            node.ok_or_else(|| format!("{} does not answer", self.target))
        };
        let primary = || {
            let node = frame.primary().filter(|node| node.is_fresh(frame.at));
            node.ok_or_else(|| format!("no primary answers: only a primary can {}", self.deed.word()))
        };
        let asked = match self.deed {
            Deed::Failover => {
                let node = target()?;
                objection(node, &frame.nodes).map_or(Ok(()), |objection| Err(objection.text))?;
                node
            }
            Deed::Switchover | Deed::Detach => primary()?,
            Deed::Repair | Deed::Corrupt | Deed::Drill(_) | Deed::Pause | Deed::Resume => target()?,
        };
        self.addr = asked.addr.to_string();
        self.asked = match self.deed.dry() {
            Dry::None => return Ok((self.confirming(None), Vec::new())),
            // A standby that is struck takes nobody's place.
            Dry::Survivor if asked.role() != Role::Primary => return Ok((self.confirming(None), Vec::new())),
            Dry::Survivor => survivor(frame)?,
            Dry::Asked => self.addr.clone(),
        };
        self.stage = Stage::Asking;
        let (deed, addr) = (self.deed, self.asked.clone());
        let (target, reason) = (self.target.clone(), self.reason.clone());
        Ok((self, vec![Effect::Plan { deed, addr, target, reason }]))
    }

    fn confirming(self, forecast: Option<Box<Forecast>>) -> Self {
        Self { stage: Stage::Confirm { forecast, typed: String::new(), wrong: false }, ..self }
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
    pub(crate) fn planned(&mut self, deed: Deed, addr: &str, reply: Result<Forecast, String>) {
        if self.stage != Stage::Asking || deed != self.deed || addr != self.asked {
            return;
        }
        self.stage = match reply {
            Ok(forecast) if forecast.accepted => {
                Stage::Confirm { forecast: Some(Box::new(forecast)), typed: String::new(), wrong: false }
            }
            Ok(forecast) => Stage::Ended(Outcome::Refused(forecast.reasons)),
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
    let fresh = || frame.nodes.iter().filter(|node| node.is_fresh(frame.at));
    let named = |nodes: Vec<&Node>| nodes.into_iter().map(|node| node.name().to_owned()).collect();
    let standbys = || fresh().filter(|node| node.role() == Role::Standby);
    match deed {
        Deed::Failover | Deed::Corrupt => named(standbys().collect()),
        Deed::Repair => named(standbys().filter(|node| node.status().is_some_and(differs)).collect()),
        Deed::Switchover | Deed::Detach => {
            let primary = frame.primary().and_then(Node::status);
            primary.into_iter().flat_map(|s| &s.standbys).map(|peer| peer.node.clone()).collect()
        }
        // Any node puts it on record; one that answers will do.
        Deed::Pause | Deed::Resume => {
            let answering = frame.primary().into_iter().chain(frame.nodes.iter());
            named(answering.filter(|node| node.is_fresh(frame.at)).take(1).collect())
        }
        Deed::Drill(_) => named(frame.primary().filter(|node| node.is_fresh(frame.at)).into_iter().collect()),
    }
}

/// Why there is nobody whom the deed could be about.
fn nobody(deed: Deed) -> &'static str {
    match deed {
        Deed::Repair => "no copy is known to differ: there is nothing to repair",
        Deed::Drill(_) => "no primary answers",
        Deed::Pause | Deed::Resume => "no node answers",
        Deed::Failover | Deed::Switchover | Deed::Detach | Deed::Corrupt => {
            "no standby is known to the nodes that answer"
        }
    }
}

/// Address of the standby that would take the struck primary's place.
fn survivor(frame: &Frame) -> Result<String, String> {
    let answers = answers(frame);
    let node = answers.target.as_deref().filter(|_| answers.safe == Some(true)).and_then(|to| frame.find(to));
    let node = node.ok_or_else(|| format!("not struck: no standby could take over. {}", answers.reason))?;
    Ok(node.addr.to_string())
}
