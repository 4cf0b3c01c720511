//! The standby's side of replication: dial, greet, apply, acknowledge.

mod full_sync;
mod place;

use std::sync::Arc;
use std::time::Duration;

use super::ages::Ages;
use super::applier::{OpLogApplier, Quarantined};
use super::catch_up::{CatchUp, CatchUpView};
use super::frames::{
    Ack, BatchFrame, CopyFrame, CopyRequest, Hello, InSyncRecord, PrimaryFrame, StandbyFrame, Start,
    StreamRefusal, Welcome,
};
use super::primary::shard_hash;
use super::receive::Receive;
use super::verify::{Soundness, Standing, VerificationClient, VerifyNote};
use super::view::{LinkView, StandbyView};
use super::{Identity, PROTOCOL_VERSION, ReplicationConfig};
use crate::lab::Sabotage;
use crate::machine::Machine;
use crate::oplog::{OpLogManager, split_entries};
use crate::store::MetadataStore;
use crate::types::{AckMode, CopyId, Epoch, Instant, NodeId, Seq, limits, up};

/// What can happen to a standby.
#[derive(Debug)]
pub enum StandbyEvent {
    /// The dialled connection is open.
    LinkUp,
    /// The connection ended, or could not be opened.
    LinkDown(String),
    /// The primary said something.
    Frame(PrimaryFrame),
    /// The primary sent part of a copy of its state.
    Copy(CopyFrame),
    /// No more acknowledgements or grants: this node is a candidate (PROTOCOL T2).
    StopGranting,
    /// Follow whoever leads, from now on: dial anew.
    Follow,
    /// Throw the copy away and begin with an empty one, which nobody fills:
    /// an operator starts this node empty (PROTOCOL T4).
    Discard,
    /// Time has passed.
    Tick,
}

/// What a standby wants done.
#[derive(Debug)]
pub enum StandbyAction {
    /// Connect to the primary.
    Dial,
    /// Connect to the primary and ask it for a copy of its state.
    Fetch(Box<CopyRequest>),
    /// Send this.
    Send(StandbyFrame),
    /// End the connection.
    Hangup(String),
    /// An entry was set aside; this copy is not in sync from here on.
    Quarantined(Quarantined),
    /// The stream started at this seq.
    Streaming(NodeId, Epoch, Seq),
    /// The stream was not given, because.
    NotStreamed(String),
    /// The copy was in the in-sync set and is so no longer, although it is streamed to; with numbers.
    LostPlace(String),
    /// Entries of the own log that the primary does not have, as a sentence:
    /// they are about to be discarded.
    Diverged(String),
    /// The copy was discarded; what follows is another one.
    Discarded {
        /// The copy that is gone.
        old: CopyId,
        /// The one that begins.
        new: CopyId,
        /// Why.
        why: String,
    },
    /// The homes form one prefix of the log again, up to this seq.
    Sealed(Seq),
    /// Verification has something to say.
    Verify(VerifyNote),
}

/// What a standby starts from.
#[derive(Debug)]
pub struct StandbyStart {
    /// Highest epoch seen by this node.
    pub max_epoch: Epoch,
    /// Its own last promise to an earlier primary (PROTOCOL G2, G3).
    pub right_end: Instant,
    /// Now.
    pub now: Instant,
    /// Planted fault, where the lab is enabled.
    pub sabotage: Option<Sabotage>,
}

/// The machine.
#[derive(Debug)]
pub struct Standby {
    me: Identity,
    config: ReplicationConfig,
    log: OpLogManager,
    applier: OpLogApplier,
    receive: Receive,
    verify: VerificationClient,
    link: Link,
    failures: u32,
    /// Copies in a row whose homes did not fit together.
    misfits: u32,
    max_epoch: Epoch,
    /// Which copy holds the highest epoch.
    holder: Option<(Epoch, NodeId, CopyId)>,
    granting: bool,
    right_end: Instant,
    heard: Option<Instant>,
    /// When a primary last spoke as one.
    led_at: Option<Instant>,
    /// When a frame last showed that nothing was missing here.
    equal_at: Option<Instant>,
    primary: Option<Progress>,
    /// Since the stream began.
    catch_up: Option<CatchUp>,
    /// Of what the primary has, since the stream began.
    ages: Option<Ages>,
    /// When the primary was heard to have fallen silent for a hand-over, and how long it had let no write in then.
    silence: Option<(Instant, Duration)>,
    /// The in-sync set, as last heard from the holder of the highest epoch.
    record: Option<InSyncRecord>,
    quarantine: Vec<Quarantined>,
    why_not: Option<String>,
    /// The last greeting was refused for the version that this node speaks.
    version_refused: bool,
    /// Batch that the mutant AckReceived has acknowledged and not applied.
    unapplied: Option<BatchFrame>,
}

#[derive(Debug, Clone, Copy)]
enum Link {
    Down {
        retry_at: Instant,
    },
    Dialing,
    Greeting {
        since: Instant,
    },
    /// Homes are asked for, or come in.
    Copying {
        since: Instant,
    },
    Streaming {
        epoch: Epoch,
    },
}

/// What the primary last said about itself.
#[derive(Debug, Clone, Copy)]
struct Progress {
    tail: Seq,
    commit: Seq,
}

impl Standby {
    /// Begins to follow, going on at the end of this log.
    #[must_use]
    pub fn new(
        me: Identity,
        config: ReplicationConfig,
        store: Arc<MetadataStore>,
        log: OpLogManager,
        start: &StandbyStart,
    ) -> Self {
        Self {
            applier: OpLogApplier::new(Arc::clone(&store), log.clone(), start.sabotage),
            verify: VerificationClient::new(config.verify, Arc::clone(&store), me.copy, start.now),
            receive: Receive::new(store, log.clone()),
            me,
            config,
            log,
            link: Link::Down { retry_at: start.now },
            failures: 0,
            misfits: 0,
            max_epoch: start.max_epoch,
            holder: None,
            granting: true,
            right_end: start.right_end,
            heard: None,
            led_at: None,
            equal_at: None,
            primary: None,
            catch_up: None,
            ages: None,
            silence: None,
            record: None,
            quarantine: Vec::new(),
            why_not: None,
            version_refused: false,
            unapplied: None,
        }
    }

    /// Highest epoch seen.
    #[must_use]
    pub fn max_epoch(&self) -> Epoch {
        self.max_epoch
    }

    /// Learns that an epoch was begun. A later primary may have gone on without
    /// this copy, so what an earlier one said about the in-sync set is void.
    pub fn saw(&mut self, epoch: Epoch) {
        if epoch > self.max_epoch {
            self.max_epoch = epoch;
            if !mutant!(StaleRecord) {
                self.record = None;
            }
        }
    }

    /// End of its last promise: until then another primary may speak.
    #[must_use]
    pub fn right_end(&self) -> Instant {
        self.right_end
    }

    /// True when the primary last counted this copy as in sync.
    #[must_use]
    pub fn in_sync(&self) -> bool {
        let on_record = self.record.as_ref().is_some_and(|r| r.holds(self.me.copy));
        on_record && self.quarantine.is_empty() && self.receive.is_sealed()
    }

    /// Which copy of the state it holds.
    #[must_use]
    pub fn copy(&self) -> CopyId {
        self.me.copy
    }

    /// Whether its homes form one prefix of its log (PROTOCOL S6).
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.receive.is_sealed() && !self.verify.is_raw()
    }

    /// How far its full sync is, as a sentence; `None` when its homes form one
    /// prefix of the log.
    #[must_use]
    pub fn unsealed(&self, now: Instant) -> Option<String> {
        if self.verify.is_raw() {
            return Some("differences from the primary are being repaired".into());
        }
        let view = self.receive.view(now).filter(|_| !self.receive.is_sealed())?;
        Some(format!("{} ({} of {} homes)", view.what, view.done, view.total))
    }

    /// When a primary last spoke as one: not when a node said that it is none.
    #[must_use]
    pub fn led_at(&self) -> Option<Instant> {
        self.led_at
    }

    /// The copy that was last followed.
    #[must_use]
    pub fn holder_copy(&self) -> Option<CopyId> {
        self.holder.as_ref().map(|(_, _, copy)| *copy)
    }

    /// Why this copy cannot serve; `None` when it can.
    #[must_use]
    pub fn unfit(&self) -> Option<String> {
        if !self.is_sealed() {
            return Some("a full sync runs: the state is not whole".to_owned());
        }
        let bad = self.quarantine.first()?;
        Some(format!("entry {} is quarantined: this copy has a hole", bad.seq))
    }

    /// What verification says for and against this copy.
    #[must_use]
    pub fn soundness(&self, now: Instant) -> Soundness {
        self.verify.soundness(now)
    }

    /// Epoch of the primary that it follows, or followed last.
    #[must_use]
    pub fn followed_epoch(&self) -> Option<Epoch> {
        self.holder.as_ref().map(|(epoch, _, _)| *epoch)
    }

    /// The primary refused it for its version.
    #[must_use]
    pub fn is_version_refused(&self) -> bool {
        self.version_refused
    }

    /// Entries set aside.
    #[must_use]
    pub fn quarantine(&self) -> &[Quarantined] {
        &self.quarantine
    }

    /// Longest read lease that the primary may have granted (PROTOCOL A3).
    #[must_use]
    pub fn read_ttl_max(&self) -> Duration {
        let own = self.config.read_ttl_max;
        self.record.as_ref().map_or(own, |r| r.read_ttl_max.max(own))
    }

    /// When the primary acknowledges, as last heard; without word, as configured here.
    #[must_use]
    pub fn ack_on_record(&self) -> AckMode {
        self.record.as_ref().map_or(self.config.ack, |r| r.ack)
    }

    /// The primary's commit, as last heard.
    #[must_use]
    pub fn commit_known(&self) -> Seq {
        self.primary.map_or(Seq::FIRST, |p| p.commit)
    }

    /// When the primary was heard to have fallen silent for a hand-over, and how
    /// long it had let no write in then; `None`: it was not heard to (PROTOCOL T7).
    #[must_use]
    pub fn silence(&self) -> Option<(Instant, Duration)> {
        self.silence
    }

    /// What operators see.
    #[must_use]
    pub fn view(&self, now: Instant) -> StandbyView {
        let link = match self.link {
            Link::Down { retry_at } => LinkView::Down { retry_in: retry_at.since(now) },
            Link::Dialing => LinkView::Dialing,
            Link::Greeting { .. } => LinkView::Greeting,
            Link::Copying { .. } => LinkView::Copying,
            Link::Streaming { .. } => LinkView::Streaming,
        };
        StandbyView {
            link,
            primary: self.holder.as_ref().map(|(_, node, _)| node.clone()),
            applied: self.applier.applied(),
            primary_tail: self.primary.map(|p| p.tail),
            commit_known: self.primary.map(|p| p.commit),
            in_sync: self.in_sync(),
            record: self.record.clone(),
            last_contact: self.heard.map(|at| now.since(at)),
            last_led: self.led_at.map(|at| now.since(at)),
            behind_for: self.behind_for(now),
            equal_for: self.equal_at.map(|at| now.since(at)),
            promise_left: self.right_end.since(now),
            failures: self.failures,
            why_not: self.why_not.clone(),
            quarantine: self.quarantine.clone(),
            full_sync: self.receive.view(now),
            catch_up: self.catching_up(now),
            full_syncs: self.receive.sealed_copies(),
            verify: self.verify.view(now),
        }
    }

    fn behind_for(&self, now: Instant) -> Option<Duration> {
        let Link::Streaming { .. } = self.link else { return None };
        self.ages.as_ref()?.behind_for(now, self.applier.applied(), self.primary?.tail)
    }

    fn catching_up(&self, now: Instant) -> Option<CatchUpView> {
        let Link::Streaming { .. } = self.link else { return None };
        self.catch_up?.view(now, self.applier.applied(), self.primary?.tail)
    }

    fn greet(&mut self, now: Instant, out: &mut Vec<StandbyAction>) {
        // A fetch says all it has to say with its request.
        if matches!(self.link, Link::Copying { .. }) {
            return;
        }
        self.link = Link::Greeting { since: now };
        out.push(StandbyAction::Send(StandbyFrame::Hello(self.hello())));
    }

    fn hello(&self) -> Hello {
        let unsealed = self.receive.unsealed().filter(|_| !mutant!(UnsealedResume));
        let is_prefix = self.quarantine.is_empty() && unsealed.is_none();
        Hello {
            cluster: self.me.cluster.to_string(),
            node: self.me.node.clone(),
            copy: self.me.copy,
            last: is_prefix.then(|| self.log.last()),
            quarantined: !self.quarantine.is_empty(),
            unsealed,
            max_epoch: self.max_epoch,
            version: PROTOCOL_VERSION,
            shard_hash: shard_hash(),
            address: self.me.address.clone(),
        }
    }

    fn welcome(&mut self, now: Instant, w: Welcome, out: &mut Vec<StandbyAction>) {
        if !matches!(self.link, Link::Greeting { .. } | Link::Streaming { .. }) {
            return;
        }
        self.heard = Some(now);
        self.version_refused = matches!(w.start, Start::Refused(StreamRefusal::Version));
        if let Err(why) = self.adopt(&w) {
            return self.blocked(now, why, out);
        }
        match w.start {
            Start::Stream(from) if from == self.applier.applied() || mutant!(NoLogmatch) => {
                self.link = Link::Streaming { epoch: w.epoch };
                (self.catch_up, self.ages) = (None, None);
                self.led_at = Some(now);
                self.failures = 0;
                self.why_not = None;
                out.push(StandbyAction::Streaming(w.node, w.epoch, from));
            }
            Start::Stream(from) => {
                let why =
                    format!("the primary would stream from {from}, but {} is due", self.applier.applied());
                self.blocked(now, why, out);
            }
            Start::FullSync(why) => self.replace(now, why, out),
            Start::Copy(_) => self.blocked(now, "homes were offered on a stream of entries".into(), out),
            Start::Refused(why) => self.refused(now, &why, out),
        }
    }

    /// Learns the sender's epoch; refuses a lower one, and a second holder of the same.
    fn adopt(&mut self, w: &Welcome) -> Result<(), String> {
        match w.start {
            Start::Refused(StreamRefusal::Cluster(_)) => return Ok(()),
            Start::Refused(StreamRefusal::NotPrimary) => {
                self.saw(w.epoch);
                return Ok(());
            }
            Start::Refused(_) | Start::Stream(_) | Start::FullSync(_) | Start::Copy(_) => {}
        }
        if w.epoch < self.max_epoch {
            return Err(format!("{} is at epoch {}, but epoch {} was seen", w.node, w.epoch, self.max_epoch));
        }
        let known = self.holder.as_ref().filter(|(e, _, _)| *e == w.epoch);
        if let Some((_, node, copy)) = known.filter(|(_, _, copy)| *copy != w.copy) {
            return Err(format!(
                "epoch {} belongs to copy {copy} of {node}, not to {} of {}",
                w.epoch, w.copy, w.node
            ));
        }
        if known.is_none() {
            self.record = None;
        }
        self.max_epoch = w.epoch;
        self.holder = Some((w.epoch, w.node.clone(), w.copy));
        Ok(())
    }

    fn blocked(&mut self, now: Instant, why: String, out: &mut Vec<StandbyAction>) {
        if self.why_not.as_deref() != Some(&why) {
            out.push(StandbyAction::NotStreamed(why.clone()));
        }
        self.why_not = Some(why.clone());
        self.down(now);
        out.push(StandbyAction::Hangup(why));
    }

    fn link_down(&mut self, now: Instant, why: String, out: &mut Vec<StandbyAction>) {
        match self.link {
            Link::Down { .. } => return,
            Link::Streaming { .. } => {
                out.push(StandbyAction::NotStreamed(format!("lost the primary: {why}")));
            }
            Link::Dialing | Link::Greeting { .. } | Link::Copying { .. } => {}
        }
        self.why_not = Some(why);
        self.down(now);
    }

    fn down(&mut self, now: Instant) {
        self.verify.disconnected(now);
        self.link = Link::Down { retry_at: now.plus(backoff(self.failures, self.me.copy)) };
        self.failures = self.failures.saturating_add(1);
    }

    fn batch(&mut self, now: Instant, frame: BatchFrame, out: &mut Vec<StandbyAction>) {
        let Link::Streaming { epoch } = self.link else { return };
        if frame.epoch != epoch {
            return self.blocked(
                now,
                format!("a frame of epoch {} on a stream of epoch {epoch}", frame.epoch),
                out,
            );
        }
        if epoch < self.max_epoch {
            let why = format!("follows epoch {epoch}, but epoch {} was seen", self.max_epoch);
            return self.blocked(now, why, out);
        }
        (self.heard, self.led_at) = (Some(now), Some(now));
        self.primary = Some(Progress { tail: frame.tail, commit: frame.commit });
        self.catch_up.get_or_insert(CatchUp::begin(now, self.applier.applied(), frame.tail));
        self.silence = frame.drained.map(|drained| self.silence.unwrap_or((now, drained)));
        self.heed_record(now, &frame, out);
        let token = frame.token;
        let received = frame.batch.end();
        let continues = frame.batch.count == 0 || self.log.contains(frame.batch.prev) || mutant!(NoLogmatch);
        if !continues {
            let why =
                format!("a batch after {}, but the last entry is {}", frame.batch.prev, self.log.last());
            return self.blocked(now, why, out);
        }
        let tail = frame.tail;
        let matched = if mutant!(AckReceived) {
            if let Some(earlier) = self.unapplied.replace(frame) {
                self.apply(now, &earlier, out);
            }
            received.max(self.applier.applied())
        } else {
            self.apply(now, &frame, out);
            self.applier.applied()
        };
        if !matches!(self.link, Link::Streaming { .. }) {
            return;
        }
        self.ages.get_or_insert(Ages::from(tail)).note(now, tail, self.applier.applied());
        if self.applier.applied() >= tail {
            self.equal_at = Some(now);
        }
        self.acknowledge(now, epoch, matched, token, out);
    }

    fn apply(&mut self, now: Instant, frame: &BatchFrame, out: &mut Vec<StandbyAction>) {
        for entry in split_entries(&frame.batch.entries) {
            if !self.quarantine.is_empty() || self.receive.wants_homes() {
                return;
            }
            let due = self.applier.applied();
            let applied = match entry {
                Ok(bytes) if self.receive.is_replaying() => {
                    let replayed = self.applier.replay(bytes);
                    // With this very entry the homes may have become a prefix.
                    self.seal(now, out);
                    replayed
                }
                // What joins the homes is behind them while they are repaired.
                Ok(bytes) if self.verify.is_raw() => self.applier.replay(bytes),
                Ok(bytes) => self.applier.apply(bytes),
                Err(e) => Err(Quarantined { seq: due, key: None, reason: e.into() }),
            };
            if let Err(bad) = applied {
                out.push(StandbyAction::Quarantined(bad.clone()));
                self.quarantine.push(bad);
            } else if self.verify.waits_for().is_some_and(|seq| seq <= due.0) {
                self.verify.applied(now, due);
            }
        }
    }

    /// The epoch that it follows, while what it holds can be compared.
    fn comparable(&self) -> Option<Epoch> {
        match self.link {
            Link::Streaming { epoch } if self.quarantine.is_empty() && self.receive.is_sealed() => {
                Some(epoch)
            }
            Link::Streaming { .. }
            | Link::Down { .. }
            | Link::Dialing
            | Link::Greeting { .. }
            | Link::Copying { .. } => None,
        }
    }

    /// Looks for differences, asks about them, repairs them.
    fn verify(&mut self, now: Instant, out: &mut Vec<StandbyAction>) {
        let applied = self.applier.applied();
        let tail = self.primary.map_or(applied, |p| p.tail);
        let standing = Standing { whole: self.receive.is_sealed(), stream: self.comparable(), applied, tail };
        let request = self.verify.work(now, standing);
        out.extend(self.verify.take_notes().into_iter().map(StandbyAction::Verify));
        out.extend(request.map(|r| StandbyAction::Send(StandbyFrame::Verify(r))));
    }

    fn verify_frame(&mut self, now: Instant, frame: PrimaryFrame) {
        let Some(epoch) = self.comparable() else { return };
        self.heard = Some(now);
        let applied = self.applier.applied();
        match frame {
            PrimaryFrame::Beacons(frame) if frame.epoch == epoch => {
                self.verify.beacons(now, &frame, applied);
            }
            PrimaryFrame::Verified(answer) if answer.epoch == epoch => {
                self.verify.answer(now, answer, applied);
            }
            PrimaryFrame::Beacons(_)
            | PrimaryFrame::Verified(_)
            | PrimaryFrame::Welcome(_)
            | PrimaryFrame::Batch(_) => {}
        }
    }

    /// An operator wants all homes compared now.
    pub fn verify_all(&mut self, now: Instant) {
        self.verify.check_all(now);
    }

    /// An operator wants what is known to differ overwritten from the primary;
    /// how many items are known.
    pub fn repair_all(&mut self, now: Instant) -> u64 {
        self.verify.repair_all(now)
    }

    /// Each acknowledgement is a promise (PROTOCOL G2): until `right_end` this
    /// node lets no other primary speak.
    fn acknowledge(
        &mut self,
        now: Instant,
        epoch: Epoch,
        matched: Seq,
        token: u64,
        out: &mut Vec<StandbyAction>,
    ) {
        if !self.granting {
            return;
        }
        let quarantined = self.quarantine.len() as u32;
        // A copy with a hole promises nothing: the primary refuses calls rather
        // than take writes that can never be committed (PROTOCOL I10).
        let sealed = self.receive.is_sealed();
        let whole = quarantined == 0 && sealed;
        let grant = if whole { self.config.times.grant } else { Duration::ZERO };
        if whole {
            self.right_end = self.right_end.max(now.plus(up(grant)));
        }
        let grant_us = grant.as_micros() as u64;
        let ack = Ack { copy: self.me.copy, epoch, matched, token, grant_us, quarantined, sealed };
        out.push(StandbyAction::Send(StandbyFrame::Ack(ack)));
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<StandbyAction>) {
        match self.link {
            Link::Down { retry_at } if self.granting && now >= retry_at => {
                if self.receive.wants_homes() {
                    self.link = Link::Copying { since: now };
                    let request = CopyRequest { hello: self.hello(), resume: self.receive.resume() };
                    out.push(StandbyAction::Fetch(Box::new(request)));
                } else {
                    self.link = Link::Dialing;
                    out.push(StandbyAction::Dial);
                }
            }
            Link::Greeting { .. } | Link::Copying { .. } | Link::Streaming { .. }
                if self.silent_at().is_some_and(|at| now >= at) =>
            {
                if matches!(self.link, Link::Streaming { .. }) {
                    out.push(StandbyAction::NotStreamed("lost the primary: it fell silent".into()));
                }
                self.why_not = Some("the primary fell silent".into());
                self.down(now);
                out.push(StandbyAction::Hangup("the primary fell silent".into()));
            }
            Link::Down { .. }
            | Link::Dialing
            | Link::Greeting { .. }
            | Link::Copying { .. }
            | Link::Streaming { .. } => {}
        }
    }

    /// When a primary that goes on saying nothing is dialled anew.
    fn silent_at(&self) -> Option<Instant> {
        let heard = match self.link {
            Link::Greeting { since } => Some(since),
            Link::Copying { since } => self.heard.max(Some(since)),
            Link::Streaming { .. } => self.heard,
            Link::Down { .. } | Link::Dialing => None,
        };
        heard.map(|at| at.plus(self.config.times.heartbeat * 10))
    }
}

impl Machine for Standby {
    type Event = StandbyEvent;
    type Action = StandbyAction;

    fn on(&mut self, now: Instant, event: StandbyEvent, out: &mut Vec<StandbyAction>) {
        match event {
            StandbyEvent::LinkUp => self.greet(now, out),
            StandbyEvent::LinkDown(why) => self.link_down(now, why, out),
            StandbyEvent::Frame(PrimaryFrame::Welcome(w)) => self.welcome(now, w, out),
            StandbyEvent::Frame(PrimaryFrame::Batch(frame)) => self.batch(now, frame, out),
            StandbyEvent::Frame(frame @ (PrimaryFrame::Beacons(_) | PrimaryFrame::Verified(_))) => {
                self.verify_frame(now, frame);
            }
            StandbyEvent::Copy(frame) => self.copy_frame(now, frame, out),
            StandbyEvent::StopGranting => {
                self.granting = false;
                self.down(now);
                out.push(StandbyAction::Hangup("candidate for promotion".into()));
            }
            StandbyEvent::Follow => {
                (self.granting, self.failures, self.misfits) = (true, 0, 0);
                // What the former primary said of its homes is no word of the next one's.
                self.verify.followed(now);
                self.silence = None;
                self.link = Link::Down { retry_at: now };
                out.push(StandbyAction::Hangup("follows whoever leads".into()));
            }
            StandbyEvent::Discard => self.discard(now, out),
            StandbyEvent::Tick => self.tick(now, out),
        }
        self.verify(now, out);
    }

    fn deadline(&self) -> Option<Instant> {
        match self.link {
            Link::Down { retry_at } => self.granting.then_some(retry_at),
            Link::Dialing | Link::Greeting { .. } | Link::Copying { .. } | Link::Streaming { .. } => {
                self.silent_at()
            }
        }
    }
}

/// Pause before the next dial: doubles up to a maximum, and is spread by up to
/// a quarter so that standbys do not dial in step.
#[must_use]
fn backoff(failures: u32, copy: CopyId) -> Duration {
    let doubled = limits::DIAL_BACKOFF_MIN.saturating_mul(1 << failures.min(16));
    let capped = doubled.min(limits::DIAL_BACKOFF_MAX);
    let spread = (copy.0 as u64).wrapping_add(u64::from(failures)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
    capped - capped.mul_f64(spread as f64 / 65_536.0 / 4.0)
}

#[cfg(test)]
#[path = "standby_tests.rs"]
mod tests;
