//! What operators order of a node that has a coordinator: switchover, abort.

use std::time::Duration;

use super::{Happening, Node, NodeAction, RoleState};
use crate::coordination::IsrMember;
use crate::replication::{Closing, PrimaryEvent};
use crate::supervisor::{HandOverOrder, LeadershipEvent, Reason, Verdict};
use crate::types::{Epoch, Instant, NodeId};

/// A target that does not get to the tail within this is not handed over to:
/// writes wait meanwhile.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// Once all is committed, the last answers have this long to leave.
const LINGER: Duration = Duration::from_millis(5);

/// An operator's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorCall {
    /// Names the caller in the answer.
    pub request: u64,
    /// Who asks, for the record.
    pub actor: String,
    /// Why, for the record.
    pub reason: String,
    /// What.
    pub order: Order,
}

/// What is ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Asked of the primary: another member of the in-sync set is to lead (PROTOCOL T7).
    Switchover {
        /// Which one; the one that is furthest, if none is named.
        to: Option<NodeId>,
        /// Only say whether it would be done.
        dry_run: bool,
    },
    /// Gives a switchover up, before its point of no return.
    Abort,
    /// Asked of any node: none takes over by itself for so long.
    Pause {
        /// How long.
        length: Duration,
    },
    /// Ends a pause, and acknowledges the automatic failovers so far.
    Resume,
    /// Asked of a standby: it leads although something is lost. A whole copy on
    /// record leads with what it has; any other starts empty, and the operator
    /// states that holder and members are stopped (PROTOCOL T4).
    ForceStart {
        /// At most so many acknowledged entries may be lost; `None`: whatever is.
        accept: Option<u64>,
        /// Only say whether it would be done.
        dry_run: bool,
    },
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operated {
    /// Done, or why not.
    pub verdict: Verdict,
    /// The node that leads by it, or would.
    pub node: Option<NodeId>,
    /// The epoch that it began.
    pub epoch: Option<Epoch>,
    /// Of a forced start: it leads with its state, and is not empty.
    pub keeps_state: bool,
    /// Its phases on this node, in order.
    pub phases: Vec<(&'static str, Duration)>,
}

/// A switchover under way.
#[derive(Debug)]
pub(super) struct Switching {
    call: OperatorCall,
    target: IsrMember,
    dry_run: bool,
    asked: Instant,
    /// When the target was first seen to hold everything.
    ready: Option<Instant>,
    /// When this node fell silent.
    drained: Option<Instant>,
}

impl Operated {
    /// Code of an order of which nobody knows what came.
    pub const UNKNOWN: &'static str = "outcome_unknown";

    pub(super) fn refused(code: &'static str, text: String) -> Self {
        let verdict = Verdict { reasons: vec![Reason { code, text }] };
        Self { verdict, node: None, epoch: None, keeps_state: false, phases: Vec::new() }
    }

    pub(super) fn done() -> Self {
        Self {
            verdict: Verdict { reasons: Vec::new() },
            node: None,
            epoch: None,
            keeps_state: false,
            phases: Vec::new(),
        }
    }
}

impl Node {
    pub(super) fn operate(&mut self, now: Instant, call: OperatorCall, out: &mut Vec<NodeAction>) {
        match call.order.clone() {
            Order::Switchover { to, dry_run } => self.switch_over(now, call, to.as_ref(), dry_run, out),
            Order::Abort => self.abort(now, &call, out),
            Order::Pause { length } => self.order_automation(now, call, Some(length), out),
            Order::Resume => self.order_automation(now, call, None, out),
            Order::ForceStart { dry_run, accept } => self.force_start(now, call, dry_run, accept, out),
        }
    }

    fn switch_over(
        &mut self,
        now: Instant,
        call: OperatorCall,
        to: Option<&NodeId>,
        dry_run: bool,
        out: &mut Vec<NodeAction>,
    ) {
        let target = match self.may_switch_over(now, to) {
            Ok(target) => target,
            Err((code, text)) => {
                return out.push(NodeAction::Operated(call.request, Operated::refused(code, text)));
            }
        };
        let text = format!("{} asked: {}; {} is to lead", call.actor, call.reason, target.node);
        self.switching = Some(Switching { call, target, dry_run, asked: now, ready: None, drained: None });
        if dry_run {
            return self.hand_over(now, out);
        }
        out.push(NodeAction::Happened(Happening::warning("switchover", text)));
        self.primary_event(now, PrimaryEvent::Close(Closing::Admission), out);
    }

    fn may_switch_over(
        &self,
        now: Instant,
        to: Option<&NodeId>,
    ) -> Result<IsrMember, (&'static str, String)> {
        let RoleState::Primary(primary, _) = &self.state else {
            return Err((
                "not_primary",
                format!("this node is {}: only the primary hands over", self.role()),
            ));
        };
        if let Some(s) = &self.switching {
            return Err(("busy", format!("a hand-over to {} is under way", s.target.node)));
        }
        let target = primary.hand_over_target(now, to)?;
        match self.leadership.as_ref().and_then(|l| l.away()) {
            Some(why) => Err(("coordinator_away", format!("the coordinator does not answer: {why}"))),
            None => Ok(target),
        }
    }

    /// Hands over once the target holds everything, or gives up.
    pub(super) fn review_switchover(&mut self, now: Instant, out: &mut Vec<NodeAction>) {
        let (Some(s), RoleState::Primary(primary, _)) = (&mut self.switching, &self.state) else { return };
        if s.dry_run || s.drained.is_some() {
            return;
        }
        s.ready = s.ready.filter(|_| primary.is_drained(s.target.copy));
        if s.ready.is_none() && primary.is_drained(s.target.copy) {
            s.ready = Some(now);
        }
        if s.ready.is_some_and(|since| now >= since.plus(LINGER)) {
            s.drained = Some(now);
            // From here on no answer leaves: the successor may speak at once (PROTOCOL G4).
            self.primary_event(now, PrimaryEvent::Close(Closing::Quiet), out);
            self.hand_over(now, out);
        } else if now >= s.asked.plus(DRAIN_MAX) {
            let text =
                format!("{} did not get to the tail within {} ms", s.target.node, DRAIN_MAX.as_millis());
            self.reopen(now, "drain_timeout", text, out);
        }
    }

    fn hand_over(&mut self, now: Instant, out: &mut Vec<NodeAction>) {
        let Some(s) = &self.switching else { return };
        let order = HandOverOrder {
            to: s.target.clone(),
            actor: s.call.actor.clone(),
            reason: s.call.reason.clone(),
            dry_run: s.dry_run,
        };
        let wall = self.wall;
        self.leadership_event(now, wall, LeadershipEvent::HandOver(Box::new(order)), out);
    }

    /// The hand-over is not done, and cannot be done any more: this node goes on.
    fn reopen(&mut self, now: Instant, code: &'static str, text: String, out: &mut Vec<NodeAction>) {
        let Some(s) = self.switching.take() else { return };
        if !s.dry_run {
            out.push(NodeAction::Happened(Happening::warning("switchover_given_up", text.clone())));
            self.primary_event(now, PrimaryEvent::Close(Closing::Open), out);
        }
        out.push(NodeAction::Operated(s.call.request, Operated::refused(code, text)));
    }

    pub(super) fn handed_over(
        &mut self,
        now: Instant,
        ended: Result<Epoch, String>,
        out: &mut Vec<NodeAction>,
    ) {
        match ended {
            Ok(epoch) => self.switched(now, epoch, out),
            Err(why) => self.reopen(now, "not_handed_over", why, out),
        }
    }

    fn switched(&mut self, now: Instant, epoch: Epoch, out: &mut Vec<NodeAction>) {
        let Some(s) = self.switching.take() else { return };
        let drained = s.drained.unwrap_or(now);
        let phases = vec![("drain", drained.since(s.asked)), ("hand_over", now.since(drained))];
        let done = Operated {
            node: Some(s.target.node),
            epoch: (!s.dry_run).then_some(epoch),
            phases: if s.dry_run { Vec::new() } else { phases },
            ..Operated::done()
        };
        out.push(NodeAction::Operated(s.call.request, done));
    }

    /// This primary steps down: by its own hand-over, or because somebody was quicker.
    pub(super) fn switchover_ends(&mut self, now: Instant, seen: Epoch, out: &mut Vec<NodeAction>) {
        let Some(s) = &self.switching else { return };
        let holder = self.leadership.as_ref().and_then(|l| l.view().holder());
        if holder.is_some_and(|h| h.copy == s.target.copy && h.quiet) {
            return self.switched(now, seen, out);
        }
        let request = s.call.request;
        self.switching = None;
        let text = format!("another node leads since epoch {seen}");
        out.push(NodeAction::Operated(request, Operated::refused("superseded", text)));
    }

    fn abort(&mut self, now: Instant, call: &OperatorCall, out: &mut Vec<NodeAction>) {
        let answer = match &self.switching {
            None => Operated::refused("nothing_to_abort", "no switchover is under way on this node".into()),
            Some(s) if s.drained.is_some() || s.dry_run => Operated::refused(
                "too_late",
                format!("the coordinator is being asked to make {} the holder", s.target.node),
            ),
            Some(_) => {
                self.reopen(now, "aborted", format!("{} gave it up: {}", call.actor, call.reason), out);
                Operated::done()
            }
        };
        out.push(NodeAction::Operated(call.request, answer));
    }

    /// This node leads: a forced start is answered.
    pub(super) fn forced(&mut self, epoch: Epoch, out: &mut Vec<NodeAction>) {
        let Some((call, keeps_state)) = self.forcing.take() else { return };
        let node = Some(self.config.me.node.clone());
        let done = Operated { node, epoch: Some(epoch), keeps_state, ..Operated::done() };
        out.push(NodeAction::Operated(call.request, done));
    }

    /// This node does not lead, or is not known to.
    pub(super) fn not_forced(&mut self, code: &'static str, why: &str, out: &mut Vec<NodeAction>) {
        if let Some((call, _)) = self.forcing.take() {
            let refused = Operated::refused(code, why.to_owned());
            out.push(NodeAction::Operated(call.request, refused));
        }
    }

    /// When a hand-over that does not get on is given up.
    pub(super) fn switchover_deadline(&self) -> Option<Instant> {
        let waits = self.switching.as_ref().filter(|s| !s.dry_run && s.drained.is_none());
        waits.map(|s| s.ready.map_or(s.asked.plus(DRAIN_MAX), |since| since.plus(LINGER)))
    }
}
