use bytes::Bytes;

use super::*;
use crate::api::{EndItem, PutItem, ReplicaType, ReplicateConfig, Request, Response};
use crate::oplog::Batch;
use crate::replication::{
    Ack, BatchFrame, FullSyncReason, Hello, InSyncRecord, ReplicationTimes, VerifyConfig,
};
use crate::types::{AckMode, ClientId, KeyHash, LogPos, SegmentId, SegmentSpec, Seq, up};

const GRANT: Duration = Duration::from_millis(500);
const TTL: Duration = Duration::from_secs(10);

/// One node, driven with times in milliseconds.
struct Bench {
    node: Node,
    served: Option<Arc<Master>>,
}

fn config(name: &str, bootstrap: bool) -> NodeConfig {
    let times = ReplicationTimes { grant: GRANT, ..ReplicationTimes::default() };
    NodeConfig {
        me: Identity {
            cluster: "test".parse().expect("a name"),
            node: name_of(name),
            copy: CopyId(u128::from(name.as_bytes()[0])),
            address: format!("{name}:1"),
        },
        replication: ReplicationConfig {
            times,
            ack: AckMode::Sync,
            read_ttl_max: TTL,
            verify: VerifyConfig { enabled: false, ..VerifyConfig::default() },
            ship: crate::replication::ShipConfig::default(),
            loss: crate::replication::LossBound::default(),
            degrade: crate::replication::Degrade::Available,
        },
        master: MasterConfig::default(),
        log: LogLimits::default(),
        bootstrap,
        has_peer: true,
        seed: 1,
        sabotage: None,
        leadership: None,
    }
}

fn name_of(name: &str) -> NodeId {
    name.parse().expect("a name")
}

const fn ms(n: u64) -> Instant {
    Instant(n * 1_000_000)
}

/// Copy id of the node `name`.
fn copy(name: &str) -> CopyId {
    config(name, false).me.copy
}

/// A node that has just started, without a past.
fn fresh(bootstrap: bool) -> Bench {
    let mut b = Bench { node: Node::new(config("n", bootstrap)), served: None };
    b.on(1000, NodeEvent::Start(WallTime(1)));
    b
}

/// A standby that `p`, primary of epoch 3, counts as in sync; its last promise was given at 1000 ms.
fn standby() -> Bench {
    let mut b = fresh(false);
    b.on(1000, tick());
    b.on(1000, NodeEvent::LinkUp);
    b.on(1000, welcome(3, Start::Stream(Seq(1))));
    b.on(1000, beat(3, &["p", "n"]));
    assert!(b.node.verdict(ms(1000)).is_yes());
    b
}

/// A standby that was asked to take over at 1100 ms.
fn candidate() -> Bench {
    let mut b = standby();
    b.on(1100, promote(false));
    b
}

fn tick() -> NodeEvent {
    NodeEvent::Tick(WallTime(2))
}

fn welcome(epoch: u64, start: Start) -> NodeEvent {
    let (node, copy) = (name_of("p"), copy("p"));
    NodeEvent::Link(PrimaryFrame::Welcome(Welcome { epoch: Epoch(epoch), node, copy, start }))
}

/// A heartbeat of `p`, which tells who is in sync.
fn beat(epoch: u64, members: &[&str]) -> NodeEvent {
    let record = InSyncRecord {
        revision: 2,
        members: members.iter().map(|m| (copy(m), name_of(m))).collect(),
        silent: Vec::new(),
        min_insync: 0,
        ack: AckMode::Sync,
        read_ttl_max: TTL * 2,
    };
    let batch = Batch { prev: LogPos::NONE, count: 0, entries: Bytes::new() };
    let (epoch, commit, tail) = (Epoch(epoch), Seq(1), Seq(4));
    let frame = BatchFrame {
        epoch,
        batch,
        token: 0,
        commit,
        tail,
        trim: Seq(1),
        record: Some(record),
        drained: None,
    };
    NodeEvent::Link(PrimaryFrame::Batch(frame))
}

fn hello(cluster: &str, max_epoch: u64) -> NodeEvent {
    let h = KeyHash::of(b"default\0standfast");
    let hello = Hello {
        cluster: cluster.into(),
        node: name_of("s"),
        copy: copy("s"),
        last: Some(LogPos::NONE),
        quarantined: false,
        unsealed: None,
        max_epoch: Epoch(max_epoch),
        version: PROTOCOL_VERSION,
        shard_hash: h.map ^ h.home.index() as u64,
        address: "s:1".into(),
    };
    NodeEvent::Peer(ConnId(7), StandbyFrame::Hello(hello))
}

fn ack(epoch: u64, matched: u64) -> NodeEvent {
    let ack = Ack {
        copy: copy("s"),
        epoch: Epoch(epoch),
        matched: Seq(matched),
        token: ms(1000).0,
        grant_us: 500_000,
        quarantined: 0,
        sealed: true,
    };
    NodeEvent::Peer(ConnId(7), StandbyFrame::Ack(ack))
}

fn promote(dry_run: bool) -> NodeEvent {
    NodeEvent::Promote(PromoteCall { request: 5, actor: "op".into(), reason: "test".into(), dry_run })
}

fn detach(node: &str) -> NodeEvent {
    NodeEvent::Detach { request: 6, node: name_of(node), actor: "op".into() }
}

/// An action as one line.
fn line(action: &NodeAction) -> String {
    match action {
        NodeAction::Dial => "dial".into(),
        NodeAction::Fetch(_) => "fetch".into(),
        NodeAction::SendCopy(c, _) => format!("{} copy frame", c.0),
        NodeAction::Copy(c, _) => format!("{} copy", c.0),
        NodeAction::Send(StandbyFrame::Hello(h)) => format!("hello max e{}", h.max_epoch),
        NodeAction::Send(StandbyFrame::Ack(a)) => format!("ack {}", a.matched),
        NodeAction::Send(StandbyFrame::Verify(r)) => format!("verify {:?}", r.ask),
        NodeAction::SendPeer(c, PrimaryFrame::Beacons(_) | PrimaryFrame::Verified(_)) => {
            format!("{} verify", c.0)
        }
        NodeAction::Hangup => "hang up".into(),
        NodeAction::SendPeer(c, PrimaryFrame::Welcome(w)) => {
            format!("{} welcome e{} {:?}", c.0, w.epoch, w.start)
        }
        NodeAction::SendPeer(c, PrimaryFrame::Batch(f)) => format!("{} batch +{}", c.0, f.batch.count),
        NodeAction::ClosePeer(c) => format!("{} close", c.0),
        NodeAction::Serve(m) => format!("serve e{}", m.epoch()),
        NodeAction::Gate(g) => format!("gate e{} commit {}", g.epoch, g.commit),
        NodeAction::StopServing => "stop serving".into(),
        NodeAction::Promoted(r, verdict, change) => {
            let codes: Vec<_> = verdict.reasons.iter().map(|r| r.code).collect();
            let epoch = change.as_ref().map(|c| c.epoch.0);
            format!("promoted #{r} {codes:?} {epoch:?}")
        }
        NodeAction::Operated(r, done) => {
            let codes: Vec<_> = done.verdict.reasons.iter().map(|r| r.code).collect();
            format!("operated #{r} {codes:?}")
        }
        NodeAction::Detached(r, was) => format!("detached #{r} {:?}", was.map(|d| d.was_member)),
        NodeAction::Happened(h) => h.code.into(),
        NodeAction::Changed(c) => format!("changed {} e{}", c.kind, c.epoch),
        NodeAction::Transact(..)
        | NodeAction::ReadRecords
        | NodeAction::Follow(_)
        | NodeAction::Noted(_)
        | NodeAction::Published(_) => "of the coordinator".into(),
    }
}

impl Bench {
    fn on(&mut self, at: u64, event: NodeEvent) -> Vec<String> {
        let mut out = Vec::new();
        self.node.on(ms(at), event, &mut out);
        for action in &out {
            match action {
                NodeAction::Serve(m) => self.served = Some(Arc::clone(m)),
                NodeAction::StopServing => self.served = None,
                _ => {}
            }
        }
        assert_eq!(self.served.is_some(), self.node.role() == Role::Primary, "only a primary serves");
        out.iter().map(line).collect()
    }

    fn check(&mut self, at: u64, event: NodeEvent, want: &[&str]) {
        assert_eq!(self.on(at, event), want);
    }

    /// Role and highest epoch.
    fn is(&self) -> (Role, u64) {
        (self.node.role(), self.node.max_epoch().0)
    }

    fn call(&self, at: u64, request: &Request) -> Response {
        self.served.as_ref().expect("a primary").execute(ms(at), WallTime(3), request).response
    }

    /// Lends memory and stores an object under `key`.
    fn put(&self, at: u64, key: &'static str) {
        let segment = SegmentSpec {
            id: SegmentId::default(),
            name: "host".into(),
            base: 4096,
            size: 1 << 20,
            te_endpoint: "host:1".into(),
            protocol: "tcp".into(),
            host_id: String::new(),
        };
        let client = ClientId::default();
        self.call(at, &Request::MountSegment { client, segment });
        let config = ReplicateConfig::default();
        let items = vec![PutItem { key: Bytes::from_static(key.as_bytes()), size: 8 }];
        self.call(at, &Request::PutStart { client, config, items });
        let items = vec![EndItem { key: Bytes::from_static(key.as_bytes()), checksum: None }];
        assert_eq!(
            self.call(at, &Request::PutEnd { client, items, replica_type: ReplicaType::All }),
            Response::PutEnd(vec![Ok(())])
        );
    }
}

#[test]
fn bootstrap_leads_epoch_1_at_once() {
    let mut b = Bench { node: Node::new(config("n", true)), served: None };
    assert_eq!((b.is(), b.node.view(ms(0)).reason.as_str()), ((Role::Standby, 0), "just started"));
    b.check(
        1000,
        NodeEvent::Start(WallTime(1)),
        &["serve e1", "gate e1 commit 1", "role_changed", "changed bootstrap e1", "gate e1 commit 2"],
    );
    assert_eq!(b.is(), (Role::Primary, 1));
    let view = b.node.view(ms(1000));
    assert_eq!((view.hold_until, view.log.tail, view.epoch), (Some(ms(1000)), Seq(2), Epoch(1)));
    assert_eq!((b.node.identity().node.as_str(), b.node.log().tail()), ("n", Seq(2)));
    assert_eq!(b.node.store().segments().read().term(), Epoch(1));
    b.put(1001, "k");
    b.check(1001, NodeEvent::Appended, &["gate e1 commit 5"]);
}

#[test]
fn a_start_begins_a_first_term_only_once() {
    let mut b = fresh(true);
    b.check(1001, NodeEvent::Start(WallTime(1)), &[]);
    b.on(1002, hello("test", 4));
    assert_eq!(b.is(), (Role::Standby, 4));
    b.check(1003, NodeEvent::Start(WallTime(1)), &[]);
    assert_eq!(b.is(), (Role::Standby, 4), "a second start begins no epoch");
}

#[test]
fn without_bootstrap_it_follows() {
    let mut b = Bench { node: Node::new(config("n", false)), served: None };
    b.check(1000, NodeEvent::Start(WallTime(1)), &[]);
    b.check(1000, tick(), &["dial"]);
    b.check(1001, NodeEvent::LinkUp, &["hello max e0"]);
    b.check(1002, welcome(3, Start::Stream(Seq(1))), &["streaming"]);
    b.check(1003, beat(3, &["p", "n"]), &["ack 1"]);
    assert_eq!((b.is(), b.node.view(ms(1003)).reason.as_str()), ((Role::Standby, 3), "follows p in epoch 3"));
    let mut alone =
        Bench { node: Node::new(NodeConfig { has_peer: false, ..config("n", false) }), served: None };
    alone.check(1000, tick(), &[]);
    assert_eq!(alone.node.deadline(), None, "nobody to dial");
}

#[test]
fn promotion_is_refused_with_every_reason() {
    let mut b = fresh(false);
    b.check(1000, promote(false), &["promoted #5 [\"never_streamed\"] None"]);
    b.on(1000, tick());
    b.on(1000, NodeEvent::LinkUp);
    b.on(1000, welcome(3, Start::Stream(Seq(1))));
    b.check(1001, promote(false), &["promoted #5 [\"not_in_sync\"] None"]);
    b.on(1002, beat(3, &["p"]));
    b.check(1003, promote(false), &["promoted #5 [\"not_in_sync\"] None"]);
    b.on(1004, beat(3, &["p", "n"]));
    let damaged = Batch { prev: LogPos::NONE, count: 1, entries: Bytes::from_static(&[9; 50]) };
    let (epoch, commit, tail) = (Epoch(3), Seq(1), Seq(2));
    let frame = BatchFrame {
        epoch,
        batch: damaged,
        token: 0,
        commit,
        tail,
        trim: Seq(1),
        record: None,
        drained: None,
    };
    b.check(1005, NodeEvent::Link(PrimaryFrame::Batch(frame)), &["quarantined", "ack 1"]);
    b.check(1006, promote(false), &["promoted #5 [\"not_in_sync\", \"quarantine\"] None"]);
    assert_eq!(b.is(), (Role::Standby, 3));
    let mut p = fresh(true);
    p.check(1001, promote(false), &["promoted #5 [\"not_standby\"] None"]);
    let mut c = candidate();
    c.check(1101, promote(false), &["promoted #5 [\"not_standby\"] None"]);
}

#[test]
fn a_dry_run_says_so_and_changes_nothing() {
    let mut b = standby();
    let before = format!("{:?}", b.node.view(ms(1100)));
    b.check(1100, promote(true), &["promoted #5 [] None"]);
    assert_eq!(format!("{:?}", b.node.view(ms(1100))), before);
    b.check(1101, beat(3, &["p", "n"]), &["ack 1"]);
}

/// PROTOCOL G4: the own last promise bounds every primary that needed it.
#[test]
fn a_promotion_waits_for_the_own_promise_then_leads_the_next_epoch() {
    let mut b = standby();
    let right_end = ms(1000).plus(up(GRANT));
    b.check(1100, promote(false), &["hang up", "role_changed"]);
    assert_eq!((b.is(), b.node.deadline()), ((Role::Candidate, 3), Some(right_end)));
    let mut out = Vec::new();
    b.node.on(Instant(right_end.0 - 1), tick(), &mut out);
    assert_eq!((b.node.role(), out.len()), (Role::Candidate, 0), "a moment too early");
    b.node.on(right_end, tick(), &mut out);
    let lines: Vec<_> = out.iter().map(line).collect();
    let want = [
        "serve e4",
        "gate e4 commit 1",
        "role_changed",
        "changed failover e4",
        "gate e4 commit 2",
        "promoted #5 [] Some(4)",
        "dial",
    ];
    assert_eq!((b.is(), lines), ((Role::Primary, 4), want.map(String::from).to_vec()));
    let view = b.node.view(right_end);
    assert_eq!(view.log.last, LogPos::new(Epoch(4), Seq(1)), "the first entry is the term record");
    assert_eq!(view.hold_until, Some(right_end.plus(up(TTL * 2))), "the longer lease of the two counts");
    let RoleView::Primary(p) = view.detail else { panic!("{:?}", view.detail) };
    assert_eq!(p.gate.serve_at, right_end);
    let Some(NodeAction::Changed(change)) = out.iter().find(|a| matches!(a, NodeAction::Changed(_))) else {
        panic!("no change")
    };
    let waited = right_end.since(ms(1100));
    assert_eq!(change.phases, [("fence", waited), ("promote", Duration::ZERO)]);
    assert_eq!(change.loss, Some(Loss { last_heard: Some(3), acknowledged: Some(0) }));
    assert_eq!((change.actor.as_str(), change.reason.as_str()), ("op", "test"));
}

#[test]
fn a_candidate_promises_nothing_more() {
    let mut b = candidate();
    let until = b.node.deadline();
    b.check(1101, beat(3, &["p", "n"]), &[]);
    b.check(1102, NodeEvent::LinkUp, &["hang up"]);
    b.check(1103, NodeEvent::LinkDown("cut".into()), &[]);
    assert_eq!((b.node.deadline(), b.is()), (until, (Role::Candidate, 3)));
}

#[test]
fn a_candidate_that_hears_of_a_higher_epoch_follows_again() {
    let mut b = candidate();
    b.check(1200, welcome(3, Start::Refused(StreamRefusal::NotPrimary)), &["hang up"]);
    assert_eq!(b.is(), (Role::Candidate, 3), "its own epoch is not higher");
    b.check(
        1200,
        hello("test", 4),
        &[
            "hang up",
            "promoted #5 [\"superseded\"] None",
            "role_changed",
            "7 welcome e4 Refused(NotPrimary)",
            "7 close",
        ],
    );
    assert_eq!(b.is(), (Role::Standby, 4));
    b.check(9000, promote(false), &["promoted #5 [\"never_streamed\"] None"]);
    let mut c = candidate();
    c.on(1200, welcome(5, Start::Stream(Seq(1))));
    assert_eq!(c.is(), (Role::Standby, 5));
}

/// PROTOCOL T5: stop at once, answer nothing that waits, keep the state.
#[test]
fn a_primary_that_sees_a_higher_epoch_steps_down_and_keeps_its_state() {
    let ways: [fn() -> NodeEvent; 3] =
        [|| hello("test", 2), || ack(2, 1), || welcome(2, Start::Refused(StreamRefusal::Version))];
    for way in ways {
        let mut b = fresh(true);
        b.put(1000, "k");
        let (state, marks) = (b.node.store().recount(), b.node.log().marks());
        let said = b.on(1001, way());
        let stop = said.iter().position(|s| s == "stop serving").expect("it stops");
        assert_eq!(said[stop + 1..], ["role_changed"], "nothing is said for the ended term: {said:?}");
        assert_eq!(b.is(), (Role::Standby, 2));
        assert_eq!((b.node.store().recount(), b.node.log().marks()), (state, marks));
        let view = b.node.view(ms(1001));
        assert!(view.reason.contains("epoch 2 was seen"), "{}", view.reason);
        let RoleView::Standby(s) = view.detail else { panic!("{:?}", view.detail) };
        assert!(!s.in_sync);
        b.check(1002, tick(), &["dial"]);
        b.check(1003, NodeEvent::LinkUp, &["hello max e2"]);
    }
}

/// PROTOCOL G3: it may have granted leases until the moment it stepped down.
#[test]
fn a_demoted_primary_s_promise_ends_no_earlier_than_its_demotion() {
    let mut b = fresh(true);
    b.on(5000, hello("test", 2));
    assert_eq!(b.node.right_end, ms(5000));
    let RoleView::Standby(s) = b.node.view(ms(4000)).detail else { panic!("a standby") };
    assert_eq!(s.promise_left, Duration::from_secs(1));
}

/// PROTOCOL S2, T5: an epoch seen anywhere counts everywhere.
#[test]
fn a_standby_that_hears_of_a_higher_epoch_leaves_the_lower_one() {
    let mut b = standby();
    b.check(1100, hello("test", 4), &["7 welcome e4 Refused(NotPrimary)", "7 close"]);
    b.check(1101, promote(false), &["promoted #5 [\"not_in_sync\"] None"]);
    b.on(1102, NodeEvent::LinkDown("cut".into()));
    b.on(5000, tick());
    b.check(5000, NodeEvent::LinkUp, &["hello max e4"]);
    b.check(5001, welcome(3, Start::Stream(Seq(1))), &["not_streamed", "hang up"]);
}

#[test]
fn what_another_cluster_says_changes_no_role_and_no_epoch() {
    let elsewhere = || Start::Refused(StreamRefusal::Cluster("other".into()));
    for (role, make) in [
        (Role::Standby, standby as fn() -> Bench),
        (Role::Candidate, candidate),
        (Role::Primary, || fresh(true)),
    ] {
        let mut b = make();
        let epoch = b.is().1;
        b.on(1200, hello("other", 9));
        b.on(1200, welcome(9, elsewhere()));
        assert_eq!(b.is(), (role, epoch));
    }
}

#[test]
fn a_primary_without_followers_asks_its_peer_now_and_then() {
    let mut b = fresh(true);
    b.check(1000, tick(), &["dial"]);
    b.check(1001, NodeEvent::LinkUp, &["hello max e1"]);
    b.check(1002, welcome(0, Start::Refused(StreamRefusal::NotPrimary)), &["hang up"]);
    b.check(1999, tick(), &[]);
    b.check(2000, tick(), &["dial"]);
    b.check(2001, NodeEvent::LinkDown("refused".into()), &[]);
    b.on(2500, hello("test", 1));
    assert!(!b.on(3500, tick()).contains(&"dial".into()), "somebody follows");
    b.on(3600, NodeEvent::PeerClosed(ConnId(7)));
    b.check(3700, tick(), &["dial"]);
}

#[test]
fn a_deposed_primary_learns_it_from_its_probe() {
    let mut b = fresh(true);
    b.on(1000, tick());
    b.on(1001, NodeEvent::LinkUp);
    b.check(
        1002,
        welcome(2, Start::Refused(StreamRefusal::Version)),
        &["hang up", "hang up", "stop serving", "role_changed"],
    );
    assert_eq!(b.is(), (Role::Standby, 2));
}

#[test]
fn detach_is_the_primary_s_business() {
    let mut b = fresh(true);
    b.check(1001, detach("s"), &["detach", "detached #6 Some(false)"]);
    b.on(1001, hello("test", 1));
    let said = b.on(1002, ack(1, 2));
    assert!(said.contains(&"isr_joined".into()), "{said:?}");
    let said = b.on(1003, detach("s"));
    let told = [
        "detach",
        "isr_left",
        "7 welcome e1 Refused(Detached)",
        "standby_closed",
        "7 close",
        "gate e1 commit 2",
        "detached #6 Some(true)",
    ];
    assert_eq!(said[..7], told, "answered last: whoever hears of it finds the gate open");
    for mut other in [standby(), candidate()] {
        other.check(1200, detach("p"), &["detached #6 None"]);
    }
}

/// A freed region may be handed out: nothing is freed without the right to answer.
#[test]
fn a_primary_frees_only_while_it_may_answer() {
    let mut b = fresh(true);
    b.put(1000, "k");
    let keys = vec![Bytes::from_static(b"k")];
    b.call(1000, &Request::ExistKey { keys: keys.clone() });
    b.call(1000, &Request::Remove { keys, force: true });
    b.on(1000, hello("test", 1));
    b.on(1000, ack(1, 6));
    assert_eq!(b.node.store().recount().limbo, 1);
    let rounds = |b: &mut Bench, from: u64| (0..40).for_each(|i| drop(b.on(from + 100 * i, tick())));
    rounds(&mut b, 20_000);
    assert_eq!(b.node.store().recount().limbo, 1, "the standby's grant is over");
    b.on(30_000, detach("s"));
    rounds(&mut b, 30_000);
    assert_eq!(b.node.store().recount().limbo, 0);
    assert!(b.node.deadline().is_some());
}

/// A driver sleeps until the deadline; one that stays in the past makes it spin.
#[test]
fn whoever_was_woken_at_its_deadline_has_a_later_one() {
    let blocked = || {
        let mut b = fresh(true);
        b.on(1000, hello("test", 1));
        b.on(1000, ack(1, 2));
        b.on(1000, NodeEvent::PeerClosed(ConnId(7)));
        b
    };
    for (name, make) in [
        ("standby", standby as fn() -> Bench),
        ("candidate", candidate),
        ("primary", || fresh(true)),
        ("primary without rights", blocked),
    ] {
        let (mut b, mut now) = (make(), ms(1200));
        for _ in 0..200 {
            let Some(due) = b.node.deadline() else { break };
            now = now.max(due);
            b.node.on(now, tick(), &mut Vec::new());
            b.node.on(now, NodeEvent::LinkDown("refused".into()), &mut Vec::new());
            assert!(b.node.deadline().is_none_or(|next| next > now), "{name}: woken again at {now}");
        }
    }
}

/// Each event in each role: what becomes of the role, and that nothing panics.
#[test]
fn every_event_in_every_role() {
    use Role::{Candidate as C, Primary as P, Standby as S};
    type Make = fn() -> NodeEvent;
    let not_primary = || welcome(1, Start::Refused(StreamRefusal::NotPrimary));
    // Role afterwards of: a standby in sync, a candidate, a bootstrapped primary.
    let table: &[(&str, Make, [Role; 3])] = &[
        ("start", || NodeEvent::Start(WallTime(1)), [S, C, P]),
        ("link up", || NodeEvent::LinkUp, [S, C, P]),
        ("link down", || NodeEvent::LinkDown("cut".into()), [S, C, P]),
        ("welcome, lower", not_primary, [S, C, P]),
        ("welcome, higher", || welcome(9, Start::Stream(Seq(1))), [S, S, S]),
        ("full sync", || welcome(9, Start::FullSync(FullSyncReason::Other("because".into()))), [S, S, S]),
        ("batch", || beat(3, &["p"]), [S, C, P]),
        ("batch of another epoch", || beat(8, &["p"]), [S, C, P]),
        ("hello", || hello("test", 1), [S, C, P]),
        ("hello, higher", || hello("test", 9), [S, S, S]),
        ("ack", || ack(1, 1), [S, C, P]),
        ("ack, higher", || ack(9, 1), [S, C, S]),
        ("peer closed", || NodeEvent::PeerClosed(ConnId(7)), [S, C, P]),
        ("appended", || NodeEvent::Appended, [S, C, P]),
        ("promote", || promote(false), [C, C, P]),
        ("promote, dry run", || promote(true), [S, C, P]),
        ("detach", || detach("n"), [S, C, P]),
        ("tick", tick, [S, C, P]),
    ];
    let roles: [fn() -> Bench; 3] = [standby, candidate, || fresh(true)];
    for (name, event, after) in table {
        for (make, want) in roles.iter().zip(after) {
            let mut b = make();
            let was = b.node.role();
            b.on(1200, event());
            assert_eq!(b.node.role(), *want, "{name} as {was}");
            assert!(b.node.max_epoch() >= make().node.max_epoch(), "{name} as {was}");
            b.on(1201, tick());
            b.on(60_000, tick());
        }
    }
}

#[test]
fn a_restarted_process_is_another_copy() {
    assert_eq!(copy_of_restart(CopyId(1), CopyId(2)), CopyId(2));
}

/// Carries actions between two nodes until nothing is under way. `cut` breaks all connections.
struct Pair {
    nodes: [Bench; 2],
    now: u64,
    cut: bool,
}

impl Pair {
    fn new() -> Self {
        let mut pair = Self {
            nodes: [("a", true), ("b", false)]
                .map(|(name, bootstrap)| Bench { node: Node::new(config(name, bootstrap)), served: None }),
            now: 1000,
            cut: false,
        };
        for i in 0..2 {
            pair.on(i, NodeEvent::Start(WallTime(1)));
        }
        pair
    }

    fn on(&mut self, i: usize, event: NodeEvent) {
        let mut queue = std::collections::VecDeque::from([(i, event)]);
        for _ in 0..10_000 {
            let Some((i, event)) = queue.pop_front() else { return };
            let (conn, other) = (ConnId(i as u64), 1 - i);
            let mut out = Vec::new();
            self.nodes[i].node.on(ms(self.now), event, &mut out);
            for action in out {
                let to = match action {
                    NodeAction::Dial if self.cut => Some((i, NodeEvent::LinkDown("refused".into()))),
                    NodeAction::Dial => Some((i, NodeEvent::LinkUp)),
                    NodeAction::Serve(m) => {
                        self.nodes[i].served = Some(m);
                        None
                    }
                    NodeAction::StopServing => {
                        self.nodes[i].served = None;
                        None
                    }
                    _ if self.cut => None,
                    NodeAction::Send(f) => Some((other, NodeEvent::Peer(conn, f))),
                    NodeAction::Hangup => Some((other, NodeEvent::PeerClosed(conn))),
                    NodeAction::SendPeer(_, f) => Some((other, NodeEvent::Link(f))),
                    NodeAction::Fetch(request) => Some((other, NodeEvent::CopyAsked(conn, request))),
                    NodeAction::SendCopy(_, f) => Some((other, NodeEvent::Copy(f))),
                    NodeAction::Copy(_, dump) => {
                        queue.extend(dump.map(|frame| (other, NodeEvent::Copy(frame))));
                        None
                    }
                    NodeAction::ClosePeer(_) => Some((other, NodeEvent::LinkDown("closed".into()))),
                    _ => None,
                };
                queue.extend(to);
            }
        }
        panic!("the nodes talk for ever");
    }

    fn run(&mut self, millis: u64) {
        for _ in 0..millis / 10 {
            self.now += 10;
            self.on(0, tick());
            self.on(1, tick());
        }
    }

    fn equal(&self) -> bool {
        let [a, b] = &self.nodes;
        let ends = |n: &Bench| (n.node.log().tail(), n.node.log().last());
        a.node.store().recount() == b.node.store().recount() && ends(a) == ends(b)
    }
}

/// Stream, fail over, write, meet again: the deposed primary follows and ends equal.
#[test]
fn two_nodes_change_roles_and_end_equal() {
    let mut p = Pair::new();
    p.run(100);
    p.nodes[0].put(p.now, "first");
    p.on(0, NodeEvent::Appended);
    p.run(100);
    assert!(p.equal() && p.nodes[1].node.verdict(ms(p.now)).is_yes());
    p.cut = true;
    p.on(0, NodeEvent::PeerClosed(ConnId(1)));
    p.on(1, NodeEvent::LinkDown("cut".into()));
    p.on(1, promote(false));
    p.run(1000);
    assert_eq!((p.nodes[0].is(), p.nodes[1].is()), ((Role::Primary, 1), (Role::Primary, 2)));
    let RoleView::Primary(old) = p.nodes[0].node.view(ms(p.now)).detail else { panic!("cut off") };
    assert!(!old.gate.may_answer(ms(p.now)), "the old one lost its rights before the new one led");
    p.nodes[1].put(p.now, "second");
    p.on(1, NodeEvent::Appended);
    p.cut = false;
    p.run(5000);
    assert_eq!((p.nodes[0].is(), p.nodes[1].is()), ((Role::Standby, 2), (Role::Primary, 2)));
    assert!(p.equal() && p.nodes[0].node.verdict(ms(p.now)).is_yes());
    assert_eq!(p.nodes[0].node.store().objects(), 2);
    p.on(0, promote(false));
    p.run(3000);
    assert_eq!((p.nodes[0].is(), p.nodes[1].is()), ((Role::Primary, 3), (Role::Standby, 3)));
    assert!(p.equal());
}

/// Writes on both sides of a cut: the deposed primary shows what it alone has,
/// discards its copy, is given the new primary's, and may be promoted again.
#[test]
fn a_deposed_primary_with_a_suffix_of_its_own_is_given_a_copy() {
    let mut p = Pair::new();
    p.run(100);
    p.nodes[0].put(p.now, "first");
    p.on(0, NodeEvent::Appended);
    p.run(100);
    p.cut = true;
    p.on(0, NodeEvent::PeerClosed(ConnId(1)));
    p.on(1, NodeEvent::LinkDown("cut".into()));
    p.nodes[0].put(p.now, "lost");
    p.on(1, promote(false));
    p.run(1000);
    p.nodes[1].put(p.now, "second");
    let old = p.nodes[0].node.identity().copy;
    p.cut = false;
    p.run(5000);
    assert_eq!((p.nodes[0].is(), p.nodes[1].is()), ((Role::Standby, 2), (Role::Primary, 2)));
    assert_eq!(p.nodes[0].node.store().recount(), p.nodes[1].node.store().recount());
    p.nodes[0].node.store().audit().expect("derived equals rebuild");
    assert!(p.nodes[0].node.verdict(ms(p.now)).is_yes());
    assert_eq!(p.nodes[0].node.identity().copy, old.successor(), "another copy has another name");
    let marks = p.nodes[0].node.log().marks();
    assert!(marks.trim > Seq::FIRST && marks.last == p.nodes[1].node.log().last(), "{marks:?}");
    p.on(0, promote(false));
    p.run(3000);
    assert_eq!((p.nodes[0].is(), p.nodes[1].is()), ((Role::Primary, 3), (Role::Standby, 3)));
    assert_eq!(p.nodes[0].node.store().recount(), p.nodes[1].node.store().recount());
}
