//! How a term on record begins.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Node, NodeAction, NodeConfig, NodeEvent, Operated, OperatorCall, Order};
use crate::coordination::{
    EpochCause, EpochRecord, IsrMember, IsrRecord, Key, Outcome, Put, Records, Revision, Value, Versioned,
};
use crate::machine::Machine;
use crate::master::{Master, MasterTimes};
use crate::oplog::{Batch, LogLimits};
use crate::replication::{
    BatchFrame, Degrade, Identity, LossBound, PrimaryFrame, ReplicationConfig, ReplicationTimes, ShipConfig,
    Start, StreamRefusal, VerifyConfig, Welcome,
};
use crate::supervisor::{CallId, LeadershipConfig, LeadershipEvent, LeadershipTimes};
use crate::types::{AckMode, CopyId, Epoch, Instant, LogPos, NodeId, Seq, WallTime, up};

const TTL: Duration = Duration::from_secs(10);
const ME: CopyId = CopyId(1);

const fn ms(n: u64) -> Instant {
    Instant(n * 1_000_000)
}

fn name(text: &str) -> NodeId {
    text.parse().expect("a name")
}

fn node() -> Node {
    node_with(TTL)
}

/// One that is configured to grant read leases of that length.
fn node_with(read_ttl: Duration) -> Node {
    let me = Identity {
        cluster: "test".parse().expect("a name"),
        node: name("me"),
        copy: ME,
        address: "me:1".into(),
    };
    Node::new(NodeConfig {
        leadership: Some(LeadershipConfig {
            node: me.node.clone(),
            address: me.address.clone(),
            mooncake: None,
            times: LeadershipTimes::default(),
            ack: AckMode::Sync,
            read_ttl_max: read_ttl,
            cold_start: true,
            flaps: crate::supervisor::FlapLimit::OFF,
            seed: 1,
        }),
        me,
        replication: ReplicationConfig {
            times: ReplicationTimes::default(),
            ack: AckMode::Sync,
            read_ttl_max: read_ttl,
            verify: VerifyConfig { enabled: false, ..VerifyConfig::default() },
            ship: ShipConfig::default(),
            loss: LossBound::default(),
            degrade: Degrade::Strict { min_insync: 1 },
        },
        master: MasterTimes { read_ttl, ..MasterTimes::default() }.into(),
        log: LogLimits::default(),
        bootstrap: false,
        has_peer: true,
        seed: 1,
        sabotage: None,
    })
}

/// Both copies are on record, with these silent.
fn in_sync(silent: &[CopyId]) -> Value {
    let member = |copy, node: &str| IsrMember { copy, node: name(node), address: String::new() };
    Value::Isr(IsrRecord {
        members: vec![member(ME, "me"), member(CopyId(2), "other")],
        silent: silent.to_vec(),
        ack: AckMode::Sync,
        min_insync: 1,
        read_ttl_max: TTL,
    })
}

/// The record names this node; another one wrote it.
fn holder() -> Value {
    Value::Epoch(EpochRecord {
        holder: name("me"),
        copy: ME,
        address: "me:1".into(),
        mooncake: None,
        cause: EpochCause::Failover,
        actor: "test".into(),
        reason: "test".into(),
        nonce: 7,
        quiet: false,
        automatic: Vec::new(),
        previous: Epoch(3),
    })
}

fn seen(at: u64, records: &[(Key, u64, Value)]) -> NodeEvent {
    let versioned = |revision: u64, value: &Value| {
        let modified = Revision(revision);
        Versioned { created: modified, modified, value: value.clone() }
    };
    let found = |(key, revision, value): &(Key, u64, Value)| (key.clone(), Some(versioned(*revision, value)));
    let records = Records { at: Revision(at), records: records.iter().map(found).collect() };
    NodeEvent::Coordinator(WallTime(0), LeadershipEvent::Seen(records))
}

/// What comes of an event: the master that serves, and whether the records are read anew.
fn on(node: &mut Node, at: u64, event: NodeEvent) -> (Option<Arc<Master>>, bool) {
    let mut out = Vec::new();
    node.on(ms(at), event, &mut out);
    let read = out.iter().any(|action| matches!(action, NodeAction::ReadRecords));
    let master = out.into_iter().find_map(|action| match action {
        NodeAction::Serve(master) => Some(master),
        _ => None,
    });
    (master, read)
}

#[test]
fn a_lead_that_was_handed_over_waits_for_the_in_sync_set_of_its_epoch() {
    let mut node = node();
    let (master, _) = on(&mut node, 1_000, seen(5, &[(Key::Isr, 5, in_sync(&[]))]));
    assert!(master.is_none());
    let (master, read) = on(&mut node, 1_001, seen(9, &[(Key::Epoch, 9, holder())]));
    assert!(master.is_none() && read, "the set may have changed between 5 and 9");
    let (master, _) = on(&mut node, 1_002, seen(10, &[(Key::Isr, 5, in_sync(&[]))]));
    assert_eq!(master.expect("it has not").epoch(), Epoch(9));
}

#[test]
fn who_was_silent_on_record_holds_back_for_what_was_said_until_now() {
    let both = |silent: &[CopyId]| {
        let records = [(Key::Isr, 5, in_sync(silent)), (Key::Epoch, 9, holder())];
        on(&mut node(), 1_000, seen(10, &records)).0.expect("it leads").hold_until()
    };
    assert_eq!(both(&[]), Instant(0).plus(up(TTL)), "it granted nobody anything");
    assert_eq!(both(&[ME]), ms(1_000).plus(up(TTL)));
}

/// A transaction on the in-sync set that the node asks for.
fn asked(out: &[NodeAction]) -> Option<(CallId, IsrRecord)> {
    out.iter().find_map(|action| match action {
        NodeAction::Transact(id, txn) => txn.then.iter().find_map(|put| match put {
            Put::Set(Key::Isr, Value::Isr(isr)) => Some((*id, isr.clone())),
            _ => None,
        }),
        _ => None,
    })
}

#[test]
fn longer_leases_are_put_on_record_before_they_are_granted() {
    let longer = TTL * 6;
    let mut node = node_with(longer);
    let records = [(Key::Isr, 5, in_sync(&[])), (Key::Epoch, 9, holder())];
    let mut out = Vec::new();
    node.on(ms(1_000), seen(10, &records), &mut out);
    let master =
        out.iter().find_map(|a| if let NodeAction::Serve(m) = a { Some(Arc::clone(m)) } else { None });
    let master = master.expect("it leads");
    node.on(ms(1_001), NodeEvent::Tick(WallTime(0)), &mut out);
    let (id, isr) = asked(&out).expect("proposed");
    assert_eq!((isr.read_ttl_max, isr.members.len()), (longer, 2));
    assert_eq!(master.read_lease(), TTL, "a successor that knows the old record waits for that long only");
    let unknown = LeadershipEvent::Done(id, Outcome::Unknown("no answer".into()));
    node.on(ms(2_000), NodeEvent::Coordinator(WallTime(0), unknown), &mut out);
    assert_eq!(master.read_lease(), TTL, "nobody knows whether it is on record");
    out.clear();
    node.on(ms(2_200), NodeEvent::Tick(WallTime(0)), &mut out);
    let (id, _) = asked(&out).expect("proposed again");
    let done = LeadershipEvent::Done(id, Outcome::Committed(Revision(12)));
    node.on(ms(2_300), NodeEvent::Coordinator(WallTime(0), done), &mut out);
    assert_eq!(master.read_lease(), longer);
}

#[test]
fn what_earlier_primaries_may_have_granted_stays_on_record_and_is_waited_for() {
    let mut node = node_with(TTL / 2);
    let records = [(Key::Isr, 5, in_sync(&[])), (Key::Epoch, 9, holder())];
    let mut out = Vec::new();
    node.on(ms(1_000), seen(10, &records), &mut out);
    node.on(ms(1_001), NodeEvent::Tick(WallTime(0)), &mut out);
    assert!(asked(&out).is_none(), "it is on record already");
    let master = out.iter().find_map(|a| if let NodeAction::Serve(m) = a { Some(m) } else { None });
    let master = master.expect("it leads");
    assert_eq!((master.read_lease(), master.hold_until()), (TTL / 2, Instant(0).plus(up(TTL))));
}

/// A standby that was told of its place beside the other node, which leads epoch 9.
fn beside_a_holder() -> Node {
    let mut node = node();
    let Value::Epoch(mine) = holder() else { unreachable!("just made") };
    let other = EpochRecord { holder: name("other"), copy: CopyId(2), address: "other:1".into(), ..mine };
    let records =
        [(Key::Isr, 9, in_sync(&[])), (Key::Epoch, 9, Value::Epoch(other)), (Key::Alive, 9, Value::Alive(0))];
    node.on(ms(1_000), seen(10, &records), &mut Vec::new());
    node
}

fn welcome(start: Start) -> NodeEvent {
    let welcome = Welcome { epoch: Epoch(9), node: name("other"), copy: CopyId(2), start };
    NodeEvent::Link(PrimaryFrame::Welcome(welcome))
}

/// A heartbeat of the other node's; once it is silent, it says for how long it had let nothing in until then.
fn beat(drained: Option<Duration>) -> NodeEvent {
    let batch = Batch { prev: LogPos::NONE, count: 0, entries: bytes::Bytes::new() };
    let (epoch, first) = (Epoch(9), Seq::FIRST);
    let frame =
        BatchFrame { epoch, batch, token: 0, commit: first, tail: first, trim: first, record: None, drained };
    NodeEvent::Link(PrimaryFrame::Batch(frame))
}

/// Phases of a term that is handed over at 1,340 ms after these heartbeats.
fn phases_after(beats: &[(u64, Option<u64>)]) -> Vec<(&'static str, u128)> {
    let mut node = beside_a_holder();
    node.on(ms(1_300), NodeEvent::LinkUp, &mut Vec::new());
    node.on(ms(1_310), welcome(Start::Stream(Seq::FIRST)), &mut Vec::new());
    for (at, drained) in beats {
        node.on(ms(*at), beat(drained.map(Duration::from_millis)), &mut Vec::new());
    }
    let Value::Epoch(mine) = holder() else { unreachable!("just made") };
    let cause = EpochCause::Switchover;
    let handed = EpochRecord { quiet: true, cause, previous: Epoch(9), ..mine };
    let mut out = Vec::new();
    let records = [(Key::Isr, 9, in_sync(&[])), (Key::Epoch, 12, Value::Epoch(handed))];
    node.on(ms(1_340), seen(12, &records), &mut out);
    let change = out.into_iter().find_map(|action| match action {
        NodeAction::Changed(change) => Some(change),
        _ => None,
    });
    let phases = change.expect("it leads").phases;
    phases.into_iter().map(|(name, took)| (name, took.as_millis())).collect()
}

/// PROTOCOL T7: nobody answers from the moment on at which the former primary lets nothing in.
#[test]
fn a_hand_over_begins_where_the_former_primary_closed() {
    let own = [("take_over", 0), ("fence", 0)];
    let told = phases_after(&[(1_315, None), (1_320, Some(7)), (1_330, Some(7))]);
    assert_eq!(told, [&[("drain", 7), ("hand_over", 20)], &own[..]].concat(), "the first word of it counts");
    assert_eq!(phases_after(&[(1_315, None)]), own, "what was not heard is not known");
    assert_eq!(phases_after(&[(1_320, Some(7)), (1_330, None)]), own, "it had gone on meanwhile");
}

/// What is said of the clocks at a tick, and whether rights are doubted then, where that is news.
fn ticks(node: &mut Node, at: u64, wall_ms: u64) -> (bool, Option<bool>) {
    let mut out = Vec::new();
    node.on(ms(at), NodeEvent::Tick(WallTime(wall_ms * 1_000)), &mut out);
    let said = |a: &NodeAction| matches!(a, NodeAction::Happened(what) if what.code == "clock_leapt");
    let gate =
        out.iter().rev().find_map(|a| if let NodeAction::Gate(g) = a { Some(g.doubted) } else { None });
    (out.iter().any(said), gate)
}

/// PROTOCOL 1: a virtual machine that was paused counts on where it was, and its wall clock is set right.
#[test]
fn a_wall_clock_that_leaps_ahead_makes_rights_doubted() {
    let mut node = node();
    let records = [(Key::Isr, 5, in_sync(&[])), (Key::Epoch, 9, holder())];
    on(&mut node, 1_000, seen(10, &records));
    assert!(!ticks(&mut node, 1_010, 50_000).0, "nothing to compare it with");
    assert!(!ticks(&mut node, 1_060, 50_150).0, "less than a heartbeat");
    assert!(!ticks(&mut node, 1_110, 50_200).0);
    assert!(!ticks(&mut node, 1_160, 20_000).0, "set back: no machine runs ahead of time");
    assert_eq!(ticks(&mut node, 3_160, 22_200), (false, None), "clocks of different rates");
    assert_eq!(ticks(&mut node, 3_210, 32_000), (true, Some(true)));
    assert!(!ticks(&mut node, 3_260, 32_050).0, "said once");
}

/// The node is asked to lead by an operator who lets it do so.
fn force(node: &mut Node, at: u64, request: u64) -> Vec<NodeAction> {
    let order = Order::ForceStart { accept: None, dry_run: false };
    let call = OperatorCall { request, actor: "op".into(), reason: "why".into(), order };
    let mut out = Vec::new();
    node.on(ms(at), NodeEvent::Operate(call), &mut out);
    out
}

fn taken_over(out: &[NodeAction]) -> Option<CallId> {
    out.iter().find_map(|action| match action {
        NodeAction::Transact(id, txn) => {
            txn.then.iter().any(|put| matches!(put, Put::Set(Key::Epoch, _))).then_some(*id)
        }
        _ => None,
    })
}

fn answered(out: &[NodeAction]) -> Vec<(u64, &'static str)> {
    let answers = out.iter().filter_map(|action| match action {
        NodeAction::Operated(request, done) => Some((*request, done.verdict.reasons.first()?.code)),
        _ => None,
    });
    answers.collect()
}

#[test]
fn a_takeover_without_an_answer_is_neither_done_nor_refused() {
    let mut node = beside_a_holder();
    let id = taken_over(&force(&mut node, 1_010, 1)).expect("asked");
    assert_eq!(answered(&force(&mut node, 1_020, 2)), [(2, "busy")]);
    let mut out = Vec::new();
    let unknown = LeadershipEvent::Done(id, Outcome::Unknown("no answer".into()));
    node.on(ms(2_010), NodeEvent::Coordinator(WallTime(0), unknown), &mut out);
    assert_eq!(answered(&out), [(1, Operated::UNKNOWN)], "it may lead yet");
}

#[test]
fn who_refused_a_stream_and_opened_another_is_not_gone() {
    let mut node = beside_a_holder();
    node.on(ms(1_010), NodeEvent::LinkRefused("connection refused".into()), &mut Vec::new());
    assert!(node.leadership_facts().refused);
    node.on(ms(1_200), NodeEvent::LinkUp, &mut Vec::new());
    node.on(ms(1_210), welcome(Start::Refused(StreamRefusal::NotPrimary)), &mut Vec::new());
    assert!(node.leadership_facts().refused, "that it is none says nothing for it");
    node.on(ms(1_300), NodeEvent::LinkUp, &mut Vec::new());
    node.on(ms(1_310), welcome(Start::Stream(Seq::FIRST)), &mut Vec::new());
    assert!(!node.leadership_facts().refused);
}

#[test]
fn a_copy_is_gone_only_when_its_node_said_so_of_that_copy() {
    let mut node = beside_a_holder();
    let says = |node: &mut Node, at, copy| {
        let start = Start::Refused(StreamRefusal::NotPrimary);
        let welcome = Welcome { epoch: Epoch(9), node: name("other"), copy: CopyId(copy), start };
        node.on(ms(at), NodeEvent::Link(PrimaryFrame::Welcome(welcome)), &mut Vec::new());
        node.leadership_facts().gone
    };
    assert!(says(&mut node, 1_010, 2).is_empty(), "the very copy on record answers");
    assert_eq!(says(&mut node, 1_020, 8), [CopyId(2)].into());
    // It came back once more and was taken in: that copy lives.
    let Value::Isr(mut isr) = in_sync(&[]) else { unreachable!("just made") };
    isr.members[1].copy = CopyId(9);
    node.on(ms(1_030), seen(12, &[(Key::Isr, 12, Value::Isr(isr))]), &mut Vec::new());
    assert!(!node.leadership_facts().gone.contains(&CopyId(9)));
    assert!(says(&mut node, 1_040, 9).is_empty(), "and what is on no record is forgotten");
}
