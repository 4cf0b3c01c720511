//! A cluster made up for tests, and an operator in front of it.

use standfast_proto::v1::{
    AckMode, ClientCounts, Counter, Event, Identity, InSyncCopy, InSyncSet, Lag, Leadership, LinkState, Log,
    Loss, Mismatch, NodeStatus, Peer, Phase, Positions, PromotionPlan, Reason, Rehearsal, Rights, Role,
    RoleChange, RoleChangeKind, SegmentStatus, Severity, StatusUpdate, Store, StreamState, Timestamp,
    Upstream, Verdict, Verification,
};

use crate::act::Forecast;
use crate::deed::Deed;
use crate::look::Look;
use crate::model::{Model, Setup};
use crate::msg::{Effect, Key, Msg};
use crate::time::Time;
use crate::update::update;
use crate::view::screen;

/// 2026-11-23 12:00:00 UTC.
pub(crate) const NOON: u64 = 1_795_435_200_000;

pub(crate) fn node(name: &str, role: Role, epoch: u64, tail: u64, at: u64) -> NodeStatus {
    NodeStatus {
        taken: Some(Timestamp { unix_us: (NOON + at) as i64 * 1000, boot_us: at * 1000 }),
        identity: Some(Identity {
            cluster: "kv".into(),
            node: name.into(),
            copy: format!("{name:0>32}"),
            ..Identity::default()
        }),
        leadership: Some(Leadership {
            role: role.into(),
            epoch: Some(epoch),
            max_epoch: Some(epoch),
            ack_mode: AckMode::Sync.into(),
            ..Leadership::default()
        }),
        positions: Some(Positions { tail, applied: tail, ..Positions::default() }),
        store: Some(Store {
            objects: tail / 2,
            used_bytes: Some(3 << 20),
            capacity_bytes: 64 << 20,
            allocatable_bytes: Some(61 << 20),
            segments: 2,
            clients: Some(ClientCounts { known: Some(2), ok: Some(1), needing_remount: Some(1) }),
            segment_list: (1..=2).map(segment).collect(),
            ..Store::default()
        }),
        ..NodeStatus::default()
    }
}

fn segment(nr: u64) -> SegmentStatus {
    SegmentStatus {
        id: format!("{nr}-0"),
        name: format!("host-{nr}:12345"),
        protocol: "tcp".into(),
        client: format!("{nr}-7"),
        size_bytes: 32 << 20,
        used_bytes: Some(nr << 20),
        state: if nr == 1 { "ok" } else { "held" }.into(),
        client_away_ms: (nr == 2).then_some(4_200),
        ..SegmentStatus::default()
    }
}

/// A primary with these standbys in sync, each `behind` entries.
pub(crate) fn primary(name: &str, epoch: u64, tail: u64, at: u64, standbys: &[(&str, u64)]) -> NodeStatus {
    let copy = |name: &str| InSyncCopy { copy: format!("{name:0>32}"), node: name.into(), silent: false };
    let members = std::iter::once(name).chain(standbys.iter().map(|(name, _)| *name)).map(copy);
    let peer = |(name, behind): &(&str, u64)| Peer {
        node: (*name).into(),
        copy: Some(format!("{name:0>32}")),
        link: LinkState::Up.into(),
        stream: Some(StreamState::Streaming.into()),
        in_sync: true,
        sent: Some(tail),
        received: Some(tail - behind),
        applied: Some(tail - behind),
        matched: Some(tail - behind),
        lag: Some(Lag { entries: Some(*behind), bytes: None, age_us: Some(behind * 1000) }),
        contact_age_ms: Some(12),
        grant_remaining_ms: Some(480),
        ..Peer::default()
    };
    NodeStatus {
        standbys: standbys.iter().map(peer).collect(),
        in_sync: Some(InSyncSet { members: members.collect(), ..InSyncSet::default() }),
        log: Some(Log {
            entries: tail - 1,
            bytes: tail * 300,
            max_entries: 1_000_000,
            max_bytes: 1 << 30,
            ..Log::default()
        }),
        rights: Some(Rights { may_answer: true, reason: "granted".into(), ..Rights::default() }),
        ..node(name, Role::Primary, epoch, tail, at)
    }
}

/// A copy that is right, and was wrong once.
fn verified(at: u64, through: u64) -> Verification {
    let counter = |label: &str, value| Counter { label: label.into(), value };
    let found = (NOON + at) as i64 * 1000;
    Verification {
        verified: Some(through),
        last_success_age_ms: Some(800),
        last_run_duration_ms: Some(12),
        lag_entries: Some(40),
        homes_equal: Some(1025),
        homes_unequal: Some(0),
        homes_inconclusive: Some(0),
        mismatched_keys: Some(0),
        ranges: vec![counter("equal", 8200), counter("unequal", 1), counter("inconclusive", 3)],
        mismatches: vec![counter("missing", 0), counter("field", 1)],
        repairs: vec![counter("repaired", 1), counter("digest", 0)],
        recent: vec![Mismatch {
            home: 412,
            key: Some(b"default/model/layer-7".to_vec().into()),
            kind: "field".into(),
            text: "size 4096 here, 4097 on the primary".into(),
            found_unix_us: found,
            repaired_unix_us: Some(found + 1_400),
            seq: Some(871),
        }],
        recount_age_ms: Some(4_000),
        recount_equal: Some(true),
        ..Verification::default()
    }
}

/// A standby that may be promoted.
pub(crate) fn standby(name: &str, epoch: u64, tail: u64, at: u64) -> NodeStatus {
    let plan = PromotionPlan {
        keys: Some(tail / 2),
        bytes: Some(3 << 20),
        segments: Some(2),
        applied: Some(tail),
        serve_in_ms: Some(480),
        loss: Some(Loss { entries: Some(0), ..Loss::default() }),
        ..PromotionPlan::default()
    };
    NodeStatus {
        rehearsal: Some(Rehearsal { verdict: Verdict::Yes.into(), plan: Some(plan), ..Rehearsal::default() }),
        upstream: Some(Upstream {
            link: LinkState::Up.into(),
            stream: Some(StreamState::Streaming.into()),
            lag: Some(Lag { entries: Some(0), bytes: None, age_us: Some(0) }),
            contact_age_ms: Some(20),
            ..Upstream::default()
        }),
        verification: Some(verified(0, tail.saturating_sub(40))),
        ..node(name, Role::Standby, epoch, tail, at)
    }
}

/// The same, refusing.
pub(crate) fn refusing(mut status: NodeStatus, text: &str) -> NodeStatus {
    let reason =
        Reason { code: "not_in_sync".into(), text: text.into(), cure: "standfast status --watch".into() };
    if let Some(rehearsal) = &mut status.rehearsal {
        rehearsal.verdict = Verdict::No.into();
        rehearsal.reasons = vec![reason];
    }
    status
}

pub(crate) fn event(number: u64, at: u64, severity: Severity, text: &str) -> Event {
    Event {
        number,
        at_unix_us: (NOON + at) as i64 * 1000,
        severity: severity.into(),
        code: "test".into(),
        text: text.into(),
        ..Event::default()
    }
}

/// A failover from a to b whose phases leave 30 ms of the outage unexplained.
pub(crate) fn failover(epoch: u64, at: u64) -> RoleChange {
    let phase = |name: &str, start_us, duration_us| Phase { name: name.into(), start_us, duration_us };
    RoleChange {
        epoch,
        previous_epoch: Some(epoch - 1),
        kind: RoleChangeKind::Failover.into(),
        cause: "operator".into(),
        reason: "rack 3 is down".into(),
        actor: "ana@ops".into(),
        from_node: Some("a".into()),
        to_node: "b".into(),
        started_unix_us: (NOON + at) as i64 * 1000,
        phases: vec![phase("fence", 0, 470_000), phase("promote", 470_000, 100_000)],
        outage_us: Some(600_000),
        lost: Some(Loss { entries: Some(0), keys: Some(0), ..Loss::default() }),
        at_risk: Some(Loss { entries: Some(3), ..Loss::default() }),
        succeeded: Some(true),
        ..RoleChange::default()
    }
}

/// A console and the time in front of it.
pub(crate) struct Bench {
    pub(crate) model: Model,
    /// Milliseconds after [`NOON`].
    pub(crate) at: u64,
}

impl Bench {
    pub(crate) fn new(allow_actions: bool) -> Self {
        Self::asking(allow_actions, &["h:1", "h:2"])
    }

    pub(crate) fn asking(allow_actions: bool, connect: &[&str]) -> Self {
        let connect = connect.iter().map(|addr| (*addr).to_owned()).collect();
        let setup =
            Setup { connect, look: Look::default(), rate_ms: 1000, allow_actions, ..Setup::default() };
        Self { model: Model::new(&setup, Time(NOON)), at: 0 }
    }

    pub(crate) fn take(&mut self, msg: Msg) -> Vec<Effect> {
        update(&mut self.model, Time(NOON + self.at), msg)
    }

    /// Time passes, seen by the console.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.at += ms;
        self.take(Msg::Tick);
    }

    pub(crate) fn said(&mut self, addr: &str, status: NodeStatus) -> Vec<Effect> {
        let update = StatusUpdate { number: 1, interval_ms: 1000, status: Some(status) };
        self.take(Msg::Said { addr: addr.into(), update: Box::new(update) })
    }

    pub(crate) fn lost(&mut self, addr: &str, why: &str) {
        self.take(Msg::Lost { addr: addr.into(), why: why.into(), attempts: 1, retry_in_ms: 100 });
    }

    /// A dry run has come back.
    pub(crate) fn planned(&mut self, deed: Deed, addr: &str, reply: Result<Forecast, String>) {
        self.take(Msg::Planned { deed, addr: addr.into(), reply });
    }

    pub(crate) fn key(&mut self, key: Key) -> Vec<Effect> {
        self.take(Msg::Key(key))
    }

    /// Types characters.
    pub(crate) fn keys(&mut self, typed: &str) -> Vec<Effect> {
        typed.chars().flat_map(|c| self.key(Key::Char(c))).collect()
    }

    /// A pair that writes for `seconds`; the standby's lag grows to `lag` and shrinks again.
    pub(crate) fn pair_for(&mut self, seconds: u64, lag: u64) {
        for second in 0..seconds {
            let at = self.at + if second > 0 { 1000 } else { 0 };
            let tail = 1000 + at / 10 + second % 7 * 20;
            let behind = lag * (second % 10) / 9;
            let mut a = primary("a", 1, tail, at, &[("b", behind)]);
            if second == 0 {
                a.events = vec![
                    event(1, self.at, Severity::Warning, "primary in epoch 1: started as the first primary"),
                    event(2, self.at + 300, Severity::Info, "b joined the in-sync set"),
                ];
            }
            let mut b = standby("b", 1, tail - behind, at);
            b.events = if second == 0 {
                vec![event(1, self.at + 200, Severity::Info, "a streams from 1 in epoch 1")]
            } else {
                Vec::new()
            };
            if second > 0 {
                self.pass(1000);
            }
            self.said("h:1", a);
            self.said("h:2", b);
        }
    }

    pub(crate) fn screen(&mut self, columns: u16, rows: u16) -> String {
        self.take(Msg::Resize(columns, rows));
        screen::text(&self.model)
    }
}
