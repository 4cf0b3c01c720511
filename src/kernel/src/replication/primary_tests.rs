use std::time::Duration;

use super::*;
use crate::oplog::codec::Prepared;
use crate::oplog::{LogLimits, Op};
use crate::replication::{Degrade, ReplicationTimes, ShipConfig, VerifyConfig};
use crate::store::CopySession;
use crate::types::{AckMode, WallTime};

/// A primary of epoch 3 whose log holds epoch 1 up to seq 4 and epoch 3 from 5
/// to 6, driven with times in milliseconds. Its heartbeat is 100, the grant 500.
struct Bench {
    primary: Primary,
    log: OpLogManager,
    now: u64,
}

fn bench() -> Bench {
    bench_over(OpLogManager::new(LogLimits::default()))
}

/// A primary with this copy of the state, and its settings: sync, without verification.
pub(super) fn given(copy: u128, degrade: Degrade) -> (Identity, ReplicationConfig) {
    let me = Identity {
        cluster: "test".parse().expect("a name"),
        node: node("p"),
        copy: CopyId(copy),
        address: "p:1".into(),
    };
    let config = ReplicationConfig {
        times: ReplicationTimes::default(),
        ack: AckMode::Sync,
        read_ttl_max: Duration::from_secs(10),
        verify: VerifyConfig { enabled: false, ..VerifyConfig::default() },
        ship: ShipConfig::default(),
        loss: LossBound::default(),
        degrade,
    };
    (me, config)
}

fn bench_over(log: OpLogManager) -> Bench {
    append(&log, 1, 4);
    append(&log, 3, 2);
    let start = PrimaryStart { epoch: Epoch(3), serve_at: ms(1000), now: ms(0), keeping: Keeping::Manual };
    let (me, config) = given(100, Degrade::Available);
    let store = Arc::new(MetadataStore::new(&me.cluster));
    Bench { primary: Primary::new(me, config, store, log.clone(), start), log, now: 1000 }
}

fn append(log: &OpLogManager, epoch: u64, n: usize) {
    for _ in 0..n {
        let op = Op::TermStart { node: "p".into(), copy: CopyId(100) };
        let _ = log.append(Epoch(epoch), Prepared::new(Epoch(epoch), WallTime(0), op.place(), &op));
    }
}

fn short_log() -> OpLogManager {
    OpLogManager::new(LogLimits { entries: 100, bytes: usize::MAX, ..LogLimits::default() })
}

fn session(number: u64) -> CopySession {
    CopySession { epoch: Epoch(3), number }
}

fn trimmed(conn: u64, trim: Seq) -> String {
    let why = "the entries that it lacks are trimmed away: the primary's log starts at";
    format!("{conn} welcome e3 p 100 FullSync({why} {trim})")
}

const fn ms(n: u64) -> Instant {
    Instant(n * 1_000_000)
}

fn node(name: &str) -> NodeId {
    name.parse().expect("a name")
}

/// A standby that holds entry 6 and has seen epoch 3.
fn hello(name: &str, copy: u128) -> Hello {
    Hello {
        cluster: "test".into(),
        node: node(name),
        copy: CopyId(copy),
        last: Some(LogPos::new(Epoch(3), Seq(6))),
        quarantined: false,
        unsealed: None,
        max_epoch: Epoch(3),
        version: PROTOCOL_VERSION,
        shard_hash: shard_hash(),
        address: format!("{name}:1"),
    }
}

fn ack(copy: u128, matched: u64, token: u64) -> Ack {
    Ack {
        copy: CopyId(copy),
        epoch: Epoch(3),
        matched: Seq(matched),
        token: ms(token).0,
        grant_us: 500_000,
        quarantined: 0,
        sealed: true,
    }
}

fn says_hello(conn: u64, hello: Hello) -> PrimaryEvent {
    PrimaryEvent::Frame(ConnId(conn), StandbyFrame::Hello(hello))
}

fn acks(conn: u64, ack: Ack) -> PrimaryEvent {
    PrimaryEvent::Frame(ConnId(conn), StandbyFrame::Ack(ack))
}

fn start(start: &Start) -> String {
    match start {
        Start::FullSync(why) => format!("FullSync({why})"),
        other => format!("{other:?}"),
    }
}

/// An action as one line.
fn line(action: &PrimaryAction) -> String {
    let millis = |i: Instant| if i == Instant::MAX { "max".into() } else { (i.0 / 1_000_000).to_string() };
    match action {
        PrimaryAction::Send(c, PrimaryFrame::Welcome(w)) => {
            format!("{} welcome e{} {} {} {}", c.0, w.epoch, w.node, w.copy.0, start(&w.start))
        }
        PrimaryAction::Send(c, PrimaryFrame::Beacons(_) | PrimaryFrame::Verified(_)) => {
            format!("{} verify", c.0)
        }
        PrimaryAction::Send(c, PrimaryFrame::Batch(f)) => {
            let what = if f.batch.count == 0 {
                "beat".into()
            } else {
                format!("entries {}..{}", f.batch.first(), f.batch.end())
            };
            let record = f.record.as_ref().map_or(String::new(), |r| {
                let names: Vec<_> = r.members.iter().map(|(copy, n)| format!("{n}/{}", copy.0)).collect();
                format!(" record {} [{}]", r.revision, names.join(" "))
            });
            let token = f.token / 1_000_000;
            format!("{} {what} e{} @{token} commit {} tail {}{record}", c.0, f.epoch, f.commit, f.tail)
        }
        PrimaryAction::SendCopy(c, CopyFrame::Welcome(w)) => {
            format!("{} copy welcome e{} {}", c.0, w.epoch, start(&w.start))
        }
        PrimaryAction::SendCopy(..) => "more than a welcome".into(),
        PrimaryAction::Copy(c, node, _) => format!("{} copy to {node}", c.0),
        PrimaryAction::Close(c, why) => format!("{} close: {why}", c.0),
        PrimaryAction::Propose(isr) => {
            let copies: Vec<_> = isr.members.iter().map(|m| m.copy.0.to_string()).collect();
            format!("propose [{}]", copies.join(" "))
        }
        PrimaryAction::Gate(g) => {
            format!(
                "gate e{} {}..{} commit {}",
                g.epoch,
                millis(g.serve_at),
                millis(g.rights_until),
                g.commit
            )
        }
        PrimaryAction::StepDown(e) => format!("step down: e{e}"),
        PrimaryAction::Membership(n, copy, true) => format!("joined {n}/{}", copy.0),
        PrimaryAction::Membership(n, copy, false) => format!("left {n}/{}", copy.0),
        PrimaryAction::Silent(n, copy, silent) => format!("{n}/{} silent {silent}", copy.0),
        PrimaryAction::Damaged(home, damaged) => format!("{home} damaged {damaged}"),
        PrimaryAction::Detached(n, was) => format!("detached {n} {} told {}", was.was_member, was.told),
    }
}

impl Bench {
    /// Hands in one event at `at` ms; the actions as lines.
    fn on(&mut self, at: u64, event: PrimaryEvent) -> Vec<String> {
        assert!(at >= self.now, "time goes on");
        self.now = at;
        let mut out = Vec::new();
        self.primary.on(ms(at), event, &mut out);
        out.iter().map(line).collect()
    }

    fn check(&mut self, at: u64, event: PrimaryEvent, want: &[&str]) {
        assert_eq!(self.on(at, event), want);
    }

    /// Standby `name` connects on `conn` and is admitted, with a grant until `at` + 500.
    fn join(&mut self, at: u64, conn: u64, name: &str, copy: u128) {
        self.on(at, says_hello(conn, hello(name, copy)));
        let tail = self.log.tail().0;
        self.on(at, acks(conn, ack(copy, 7, at)));
        let said = self.on(at, acks(conn, ack(copy, tail, at)));
        let view = self.primary.view(ms(at));
        assert!(view.members().contains(&(node(name), CopyId(copy))), "{name} was not admitted: {said:?}");
    }

    fn gate(&self) -> (Instant, u64) {
        let g = self.primary.gate();
        (g.rights_until, g.commit.0)
    }
}

#[test]
fn alone_everything_is_committed_at_once() {
    let mut b = bench();
    b.check(1000, PrimaryEvent::Tick, &["gate e3 1000..max commit 7"]);
    append(&b.log, 3, 2);
    b.check(1001, PrimaryEvent::Appended, &["gate e3 1000..max commit 9"]);
    b.check(1002, PrimaryEvent::Tick, &[]);
    assert_eq!((b.primary.epoch(), b.primary.deadline()), (Epoch(3), None));
}

#[test]
fn a_standby_is_greeted_streamed_to_admitted_and_told() {
    let mut b = bench();
    b.on(1000, PrimaryEvent::Tick);
    let at_2 = Hello { last: Some(LogPos::new(Epoch(1), Seq(2))), ..hello("s", 1) };
    b.check(
        1010,
        says_hello(7, at_2),
        &[
            "7 welcome e3 p 100 Stream(Seq(3))",
            "7 beat e3 @1010 commit 7 tail 7 record 1 [p/100]",
            "7 entries 3..7 e3 @1010 commit 7 tail 7",
        ],
    );
    b.check(1020, acks(7, ack(1, 3, 1010)), &[]);
    b.check(
        1030,
        acks(7, ack(1, 7, 1010)),
        &[
            "joined s/1",
            "7 beat e3 @1030 commit 7 tail 7 record 2 [p/100 s/1]",
            "gate e3 1000..1510 commit 7",
        ],
    );
    b.check(1040, acks(7, ack(1, 7, 1030)), &["gate e3 1000..1530 commit 7"]);
    append(&b.log, 3, 1);
    b.check(1050, PrimaryEvent::Appended, &["7 entries 7..8 e3 @1050 commit 7 tail 8"]);
    b.check(1060, acks(7, ack(1, 8, 1050)), &["gate e3 1000..1550 commit 8"]);
}

#[test]
fn handshakes_that_get_no_stream() {
    let pos = |e, s| Some(LogPos::new(Epoch(e), Seq(s)));
    let cases: &[(&str, Hello)] = &[
        ("FullSync(its last entry is not in the primary's log)", Hello { last: pos(2, 5), ..hello("s", 1) }),
        ("FullSync(its last entry is not in the primary's log)", Hello { last: pos(3, 4), ..hello("s", 1) }),
        ("FullSync(its last entry is not in the primary's log)", Hello { last: pos(3, 7), ..hello("s", 1) }),
        ("FullSync(it has quarantined entries)", Hello { last: None, quarantined: true, ..hello("s", 1) }),
        (
            "FullSync(its homes are not one prefix of the log, and the copying that they are from is over)",
            Hello { last: None, unsealed: Some((session(1), LogPos::NONE)), ..hello("s", 1) },
        ),
        ("Refused(Cluster(\"test\"))", Hello { cluster: "other".into(), ..hello("s", 1) }),
        ("Refused(Version)", Hello { version: PROTOCOL_VERSION + 1, ..hello("s", 1) }),
        ("Refused(Version)", Hello { shard_hash: shard_hash() ^ 1, ..hello("s", 1) }),
    ];
    for (start, hello) in cases {
        let mut b = bench();
        b.on(1000, PrimaryEvent::Tick);
        let welcome = format!("7 welcome e3 p 100 {start}");
        b.check(1010, says_hello(7, hello.clone()), &[&welcome, "7 close: not streamed to"]);
        assert!(b.primary.view(ms(1010)).peers.is_empty());
        b.check(1020, acks(7, ack(1, 7, 0)), &[]);
    }
}

#[test]
fn an_empty_copy_streams_from_the_first_entry() {
    let mut b = bench();
    let said = b.on(1000, says_hello(7, Hello { last: Some(LogPos::NONE), ..hello("s", 1) }));
    assert_eq!(said[0], "7 welcome e3 p 100 Stream(Seq(1))");
    assert_eq!(said[2], "7 entries 1..7 e3 @1000 commit 7 tail 7");
}

#[test]
fn what_is_trimmed_away_needs_a_full_sync() {
    let mut b = bench_over(short_log());
    append(&b.log, 3, 20_000);
    let trim = b.log.marks().trim;
    assert!(trim > Seq(7), "trimmed: {trim}");
    let said = b.on(1000, says_hello(7, hello("s", 1)));
    assert_eq!(said[0], trimmed(7, trim));
    let last = Some(LogPos::new(Epoch(3), Seq(trim.0 - 1)));
    let said = b.on(1000, says_hello(8, Hello { last, ..hello("s", 1) }));
    assert_eq!(said[0], format!("8 welcome e3 p 100 Stream(Seq({trim}))"));
}

#[test]
fn a_standby_that_falls_behind_the_trim_is_told_so() {
    let mut b = bench_over(short_log());
    b.on(1000, says_hello(8, hello("t", 2)));
    append(&b.log, 3, 20_000);
    let said = b.on(1003, PrimaryEvent::Appended);
    assert!(said.contains(&trimmed(8, b.log.marks().trim)), "{said:?}");
    assert!(said.contains(&"8 close: fell behind the log's trim".into()), "{said:?}");
}

#[test]
fn the_log_is_never_trimmed_past_an_in_sync_standby() {
    let mut b = bench_over(short_log());
    b.join(1000, 7, "s", 1);
    b.on(1001, PrimaryEvent::Closed(ConnId(7)));
    append(&b.log, 3, 20_000);
    b.on(1003, PrimaryEvent::Appended);
    assert!(b.log.marks().trim <= Seq(7) && b.log.marks().is_over);
    let absent: Vec<_> = b.primary.view(ms(1003)).absent.into_iter().map(|a| (a.node, a.copy)).collect();
    assert_eq!(absent, [(node("s"), CopyId(1))]);
    let said = b.on(1004, says_hello(8, hello("s", 1)));
    assert_eq!(said[0], "8 welcome e3 p 100 Stream(Seq(7))");
    // A member that diverged cannot be replaced before it is taken off the record.
    let diverged = Hello { last: Some(LogPos::new(Epoch(2), Seq(5))), ..hello("s", 1) };
    let said = b.on(1005, says_hello(9, diverged));
    assert_eq!(said[0], "9 welcome e3 p 100 Refused(OnRecord)");
    b.on(1006, PrimaryEvent::Detach(node("s")));
    assert!(!b.log.marks().is_over && b.log.marks().trim > Seq(10_000), "trimmed at once");
}

fn asks(conn: u64, copy: u128, resume: Option<(CopySession, crate::replication::HomeSet)>) -> PrimaryEvent {
    let hello = Hello { last: Some(LogPos::NONE), ..hello("s", copy) };
    PrimaryEvent::CopyAsked(ConnId(conn), Box::new(CopyRequest { hello, resume }))
}

#[test]
fn a_copying_pins_the_log_goes_on_after_a_cut_and_ends_with_the_admission() {
    let limits = LogLimits { entries: 25_000, ..LogLimits::default() };
    let mut b = bench_over(OpLogManager::new(limits));
    b.check(
        1000,
        asks(7, 1, None),
        &["7 copy welcome e3 Copy(1)", "7 copy to s", "gate e3 1000..max commit 7"],
    );
    append(&b.log, 3, 20_000);
    let view = b.primary.view(ms(1000));
    assert_eq!((view.copies.len(), view.copies[0].connected), (1, true));
    // The connection is cut; the same copying goes on with the homes that are left.
    b.on(2000, PrimaryEvent::Closed(ConnId(7)));
    let mut has = crate::replication::HomeSet::default();
    has.insert(HomeId::SEGMENTS);
    let said = b.on(3000, asks(8, 1, Some((session(1), has.clone()))));
    assert_eq!(said[..2], ["8 copy welcome e3 Copy(1)", "8 copy to s"]);
    let over = "9 copy welcome e3 FullSync(its homes are not one prefix of the log, and the copying that they are from is over)";
    let said = b.on(3000, asks(9, 2, Some((session(1), has))));
    assert_eq!(said[..2], [over, "9 close: the copying is over"], "that of another copy");
    assert_eq!(b.log.marks().pinned_at, Some(Seq(7)), "where the copying began");
    // All homes are there; replay begins behind the entry at which the copying began.
    let unsealed = Some((session(1), LogPos::new(Epoch(3), Seq(6))));
    let said = b.on(3010, says_hello(10, Hello { last: None, unsealed, ..hello("s", 1) }));
    assert_eq!(said[0], "10 welcome e3 p 100 Stream(Seq(7))");
    assert_eq!(b.primary.view(ms(3010)).peers[0].state, PeerState::Sealing);
    let tail = b.log.tail().0;
    let mut matched = 7;
    while matched < tail {
        let end = b.primary.view(ms(3010)).peers[0].sent.0;
        b.on(3010, acks(10, Ack { sealed: end == tail, ..ack(1, end, 3010) }));
        assert!(end > matched, "the stream goes on");
        matched = end;
    }
    let view = b.primary.view(ms(3010));
    assert_eq!(
        (view.members().len(), view.copies.len()),
        (1, 0),
        "sealed, admitted, and no copying any more"
    );
}

#[test]
fn an_unsealed_copy_is_not_admitted() {
    let mut b = bench();
    b.on(1000, says_hello(7, hello("s", 1)));
    b.on(1001, acks(7, Ack { sealed: false, ..ack(1, 7, 1000) }));
    assert!(b.primary.view(ms(1001)).members().is_empty());
}

#[test]
fn a_copying_without_a_standby_is_given_up_and_its_pin_goes() {
    let mut b = bench_over(short_log());
    b.on(1000, asks(7, 1, None));
    b.on(1000, PrimaryEvent::Closed(ConnId(7)));
    let patience = limits::COPY_PATIENCE.as_millis() as u64;
    assert_eq!(b.primary.deadline(), Some(ms(1000 + patience)));
    b.on(999 + patience, PrimaryEvent::Tick);
    assert_eq!(b.log.marks().pinned_at, Some(Seq(7)));
    b.on(1000 + patience, PrimaryEvent::Tick);
    assert_eq!((b.log.marks().pinned_at, b.primary.deadline()), (None, None));
}

#[test]
fn a_copying_is_given_up_when_the_log_reaches_its_bound() {
    let mut b = bench_over(OpLogManager::new(LogLimits { bytes: 1 << 20, ..LogLimits::default() }));
    b.on(1000, asks(7, 1, None));
    append(&b.log, 3, 20_000);
    let said = b.on(1001, PrimaryEvent::Appended);
    assert!(said.contains(&format!("7 close: {COPY_ABORTED}")), "{said:?}");
    assert!(!b.primary.gate().admission.full, "no write is refused because of it");
    assert!(!b.log.marks().is_over, "and the log is within its bound again");
}

#[test]
fn only_so_many_standbys_are_served_and_a_known_one_may_reconnect() {
    let mut b = bench();
    for i in 0..limits::STANDBYS_MAX as u64 {
        b.on(1000, says_hello(i, hello(&format!("s{i}"), u128::from(i))));
    }
    let said = b.on(1000, says_hello(99, hello("one-more", 99)));
    assert_eq!(said[0], "99 welcome e3 p 100 Refused(TooMany)");
    assert_eq!(b.primary.view(ms(1000)).peers.len(), limits::STANDBYS_MAX);
    let said = b.on(1000, says_hello(50, hello("s3", 3)));
    assert_eq!(said[..2], ["50 welcome e3 p 100 Stream(Seq(7))", "3 close: connected anew"]);
}

/// A node of another cluster knows nothing about ours: neither its epoch nor its name counts.
#[test]
fn a_stranger_changes_nothing() {
    for change in [
        |h: &mut Hello| h.cluster = "other".into(),
        |h: &mut Hello| h.version += 1,
        |h: &mut Hello| h.shard_hash ^= 1,
    ] {
        let mut b = bench();
        b.join(1000, 7, "s", 1);
        let mut stranger = hello("s", 2);
        change(&mut stranger);
        let said = b.on(1010, says_hello(8, stranger));
        assert!(said[0].contains("Refused"), "{said:?}");
        assert_eq!(said[1..], ["8 close: not streamed to"]);
        assert_eq!(b.primary.view(ms(1010)).members(), [(node("s"), CopyId(1))]);
        assert_eq!(b.primary.view(ms(1010)).peers.len(), 1);
    }
    let mut b = bench();
    let stranger = Hello { cluster: "other".into(), max_epoch: Epoch(9), ..hello("s", 2) };
    let said = b.on(1010, says_hello(8, stranger));
    assert_eq!(said[0], "8 welcome e3 p 100 Refused(Cluster(\"test\"))");
    assert!(!said.iter().any(|s| s.starts_with("step down")), "{said:?}");
}

#[test]
fn a_higher_epoch_in_a_hello_or_an_ack_ends_the_term() {
    let mut b = bench();
    b.on(1000, PrimaryEvent::Tick);
    let newer = Hello { max_epoch: Epoch(4), ..hello("s", 1) };
    b.check(1000, says_hello(7, newer), &["7 welcome e3 p 100 Refused(Deposed)", "step down: e4"]);
    b.check(1001, acks(8, Ack { epoch: Epoch(5), ..ack(1, 7, 0) }), &["step down: e5"]);
}

/// PROTOCOL I3: the committed prefix and a live grant, both.
#[test]
fn admission_needs_the_committed_prefix_a_live_grant_and_no_quarantine() {
    let cases = [
        (ack(1, 6, 1010), false, "one entry short"),
        (ack(1, 7, 1010), true, "holds it all"),
        (ack(1, 7, 520), false, "its grant ends right now"),
        (Ack { grant_us: 0, ..ack(1, 7, 1010) }, false, "no grant"),
        (Ack { grant_us: 10_001, ..ack(1, 7, 1010) }, true, "a short grant that lives"),
        (Ack { quarantined: 1, ..ack(1, 7, 1010) }, false, "set an entry aside"),
    ];
    for (ack, joins, why) in cases {
        let mut b = bench();
        let behind = Hello { last: Some(LogPos::new(Epoch(1), Seq(4))), ..hello("s", 1) };
        b.on(1010, says_hello(7, behind));
        let said = b.on(1020, acks(7, ack));
        assert_eq!(said.contains(&"joined s/1".into()), joins, "{why}: {said:?}");
        assert_eq!(b.primary.view(ms(1020)).members().len(), usize::from(joins), "{why}");
    }
}

#[test]
fn what_a_standby_says_in_its_hello_admits_nobody() {
    let mut b = bench();
    b.on(1000, says_hello(7, hello("s", 1)));
    assert!(b.primary.view(ms(1000)).members().is_empty());
    assert_eq!(b.gate(), (Instant::MAX, 7));
}

/// PROTOCOL I1: commit is what all members hold.
#[test]
fn commit_is_the_least_of_all_members_and_never_goes_back() {
    let mut b = bench();
    b.join(1000, 1, "s", 1);
    b.join(1000, 2, "t", 2);
    append(&b.log, 3, 5);
    b.on(1001, PrimaryEvent::Appended);
    assert_eq!(b.gate().1, 7);
    b.on(1002, acks(1, ack(1, 12, 1001)));
    assert_eq!(b.gate().1, 7, "one of two is not enough");
    b.on(1003, acks(2, ack(2, 9, 1001)));
    assert_eq!(b.gate().1, 9);
    b.on(1004, acks(2, ack(2, 8, 1001)));
    assert_eq!(b.gate().1, 9, "a late ack takes nothing back");
    b.on(1005, acks(2, ack(2, 12, 1001)));
    assert_eq!(b.gate().1, 12);
    b.on(1006, says_hello(3, hello("u", 3)));
    b.on(1007, acks(3, ack(3, 11, 1006)));
    assert_eq!(b.gate().1, 12, "who is not a member does not count");
}

/// Manual is strict: a member that is away blocks writes and rights until it is detached.
#[test]
fn a_member_that_goes_away_blocks_until_it_is_detached() {
    let mut b = bench();
    b.join(1000, 1, "s", 1);
    append(&b.log, 3, 1);
    b.on(1010, PrimaryEvent::Closed(ConnId(1)));
    append(&b.log, 3, 1);
    b.on(1020, PrimaryEvent::Appended);
    assert_eq!(b.gate(), (ms(1500), 7));
    assert!(!b.primary.gate().may_answer(ms(1500)), "its grant is over");
    let view = b.primary.view(ms(1020));
    assert_eq!((view.absent.len(), view.members().len(), view.peers.len()), (1, 1, 0));
    b.check(1600, PrimaryEvent::Detach(node("nobody")), &["detached nobody false told false"]);
    b.check(
        1700,
        PrimaryEvent::Detach(node("s")),
        &["left s/1", "gate e3 1000..max commit 9", "detached s true told false"],
    );
    b.check(1800, PrimaryEvent::Detach(node("s")), &["detached s false told false"]);
}

#[test]
fn the_same_copy_that_comes_back_is_still_a_member() {
    let mut b = bench();
    b.join(1000, 1, "s", 1);
    b.on(1010, PrimaryEvent::Closed(ConnId(1)));
    append(&b.log, 3, 1);
    b.on(1020, PrimaryEvent::Appended);
    let said = b.on(1700, says_hello(2, hello("s", 1)));
    assert_eq!(said[2], "2 entries 7..8 e3 @1700 commit 7 tail 8");
    b.check(1710, acks(2, ack(1, 8, 1700)), &["gate e3 1000..2200 commit 8"]);
}

#[test]
fn detach_tells_a_connected_standby_and_the_others() {
    let mut b = bench();
    b.join(1000, 1, "s", 1);
    b.join(1000, 2, "t", 2);
    b.check(
        1050,
        PrimaryEvent::Detach(node("s")),
        &[
            "left s/1",
            "1 welcome e3 p 100 Refused(Detached)",
            "1 close: detached by an operator",
            "2 beat e3 @1050 commit 7 tail 7 record 4 [p/100 t/2]",
            "detached s true told true",
        ],
    );
}

/// PROTOCOL I8b: the process that held the former copy is gone.
#[test]
fn a_node_that_comes_back_with_a_new_copy_replaces_its_former_one() {
    let mut b = bench();
    b.join(1000, 1, "s", 1);
    b.join(1000, 2, "t", 2);
    append(&b.log, 3, 1);
    b.on(1010, PrimaryEvent::Appended);
    b.on(1011, acks(2, ack(2, 8, 1010)));
    assert_eq!(b.gate().1, 7);
    let said = b.on(1020, says_hello(3, Hello { last: Some(LogPos::NONE), ..hello("s", 9) }));
    assert_eq!(said[..2], ["3 welcome e3 p 100 Stream(Seq(1))", "1 close: connected anew"]);
    assert_eq!(b.primary.view(ms(1020)).members().len(), 2, "a Hello may be late: it proves nothing yet");
    assert_eq!(b.gate().1, 7);
    b.on(1021, acks(3, ack(9, 1, 1020)));
    assert_eq!(b.primary.view(ms(1021)).members(), [(node("t"), CopyId(2))], "its answer does");
    assert_eq!(b.gate().1, 8, "what the former copy held back is committed");
    b.on(1021, acks(1, ack(1, 8, 1010)));
    assert_eq!(b.primary.view(ms(1021)).members().len(), 1, "its old connection is dead");
}

/// PROTOCOL G1: a grant counts from when the primary sent what it answers.
#[test]
fn grants_count_from_the_token_and_only_grow() {
    let mut b = bench();
    b.join(1000, 1, "s", 1);
    b.on(1100, PrimaryEvent::Tick);
    b.on(1200, PrimaryEvent::Tick);
    b.on(1390, acks(1, ack(1, 7, 1100)));
    assert_eq!(b.gate().0, ms(1600), "not from the receipt");
    b.on(1391, acks(1, ack(1, 7, 1000)));
    assert_eq!(b.gate().0, ms(1600), "an older one shortens nothing");
    b.on(1392, acks(1, Ack { grant_us: 450_000, ..ack(1, 7, 1200) }));
    assert_eq!(b.gate().0, ms(1650), "the standby's own length counts");
    let view = b.primary.view(ms(1392));
    assert_eq!(
        (view.peers[0].grant_left, view.peers[0].last_contact),
        (Duration::from_millis(258), Duration::ZERO)
    );
    b.on(1393, acks(1, Ack { grant_us: u64::MAX, ..ack(1, 7, 1391) }));
    assert!(b.primary.gate().rights_until >= ms(1650), "an absurd length does not wrap");
}

#[test]
fn rights_end_with_the_first_grant_that_ends() {
    let mut b = bench();
    b.join(1000, 1, "s", 1);
    b.join(1100, 2, "t", 2);
    assert_eq!(b.gate().0, ms(1500));
    b.on(1200, PrimaryEvent::Tick);
    b.on(1210, acks(1, ack(1, 7, 1200)));
    assert_eq!(b.gate().0, ms(1600));
}

#[test]
fn acknowledgements_of_what_was_not_sent_end_the_connection() {
    let cases = [
        Ack { matched: Seq(8), ..ack(1, 7, 1000) },
        Ack { matched: Seq(u64::MAX), ..ack(1, 7, 1000) },
        Ack { epoch: Epoch(2), ..ack(1, 7, 1000) },
        Ack { copy: CopyId(2), ..ack(1, 7, 1000) },
        Ack { token: ms(1001).0, ..ack(1, 7, 1000) },
        Ack { token: u64::MAX, ..ack(1, 7, 1000) },
    ];
    for bad in cases {
        let mut b = bench();
        b.join(1000, 1, "s", 1);
        append(&b.log, 3, 1);
        let gate = b.gate();
        let text = format!("{bad:?}");
        let said = b.on(1010, acks(1, bad));
        assert_eq!(said, ["1 close: acknowledged what it was not sent"], "{text}");
        assert_eq!((b.gate(), b.primary.view(ms(1010)).absent.len()), (gate, 1));
    }
}

#[test]
fn frames_on_unknown_connections_are_nobody_s() {
    let mut b = bench();
    b.on(1000, PrimaryEvent::Tick);
    b.check(1001, acks(9, ack(1, 7, 0)), &[]);
    b.check(1002, PrimaryEvent::Closed(ConnId(9)), &[]);
}

#[test]
fn no_more_than_the_window_is_under_way() {
    let mut b = bench();
    b.on(1000, says_hello(1, hello("s", 1)));
    let window = limits::SHIP_WINDOW_ENTRIES;
    append(&b.log, 3, window as usize + 5000);
    b.on(1001, PrimaryEvent::Appended);
    let sent = |b: &Bench| b.primary.view(ms(b.now)).peers[0].sent.0;
    assert_eq!(sent(&b), 7 + window);
    assert_eq!(b.on(1002, PrimaryEvent::Appended), [""; 0]);
    b.on(1003, acks(1, ack(1, 7 + 3, 1001)));
    assert_eq!(sent(&b), 10 + window, "the window moves with the acknowledgements");
    b.on(1004, acks(1, ack(1, 10 + window, 1001)));
    assert_eq!(sent(&b), b.log.tail().0);
}

/// What comes while many batches are under way is gathered into larger ones.
#[test]
fn no_more_than_so_many_batches_are_under_way() {
    let mut b = bench();
    b.on(1000, says_hello(1, hello("s", 1)));
    let frames = limits::SHIP_WINDOW_FRAMES as u64;
    for i in 0..frames + 10 {
        append(&b.log, 3, 1);
        b.on(1001 + i, PrimaryEvent::Appended);
    }
    let peer = |b: &Bench| b.primary.view(ms(b.now)).peers.remove(0);
    assert_eq!(peer(&b).sent, Seq(7 + frames));
    assert_eq!(peer(&b).behind_for, Some(Duration::from_millis(frames + 9)));
    let said = b.on(1200, acks(1, ack(1, 7 + 2, 1001)));
    let gathered = format!("1 entries {}..{}", 7 + frames, 17 + frames);
    assert_eq!(said.iter().filter(|s| s.contains(&gathered)).count(), 1, "{said:?}");
    assert_eq!((peer(&b).sent, peer(&b).behind_for), (b.log.tail(), Some(Duration::from_millis(197))));
    b.on(1210, acks(1, ack(1, 17 + frames, 1200)));
    assert_eq!(peer(&b).behind_for, Some(Duration::ZERO), "all is acknowledged");
}

#[test]
fn heartbeats_fill_silence_and_nothing_else() {
    let mut b = bench();
    b.on(1000, says_hello(1, hello("s", 1)));
    assert_eq!(b.primary.deadline(), Some(ms(1100)));
    b.check(1099, PrimaryEvent::Tick, &[]);
    b.check(1100, PrimaryEvent::Tick, &["1 beat e3 @1100 commit 7 tail 7"]);
    append(&b.log, 3, 1);
    let said = b.on(1150, PrimaryEvent::Appended);
    assert_eq!(said[0], "1 entries 7..8 e3 @1150 commit 7 tail 8");
    assert_eq!(b.primary.deadline(), Some(ms(1250)));
    assert_eq!(b.on(1249, PrimaryEvent::Tick), [""; 0]);
    b.on(1260, PrimaryEvent::Closed(ConnId(1)));
    assert_eq!(b.primary.deadline(), None);
}

#[test]
fn the_record_is_told_once_to_each_and_again_after_each_change() {
    let mut b = bench();
    b.join(1000, 1, "s", 1);
    b.join(1000, 2, "t", 2);
    let quiet = b.on(1100, PrimaryEvent::Tick);
    assert_eq!(quiet.len(), 2);
    assert!(quiet.iter().all(|s| !s.contains("record")), "{quiet:?}");
    b.on(1110, PrimaryEvent::Closed(ConnId(1)));
    let said = b.on(1120, PrimaryEvent::Detach(node("s")));
    assert_eq!(said.iter().filter(|s| s.contains("record 4 [p/100 t/2]")).count(), 1, "{said:?}");
    assert_eq!(b.primary.view(ms(1120)).record.revision, 4);
}

#[test]
fn states_of_a_peer() {
    let mut b = bench();
    let state = |b: &Bench| b.primary.view(ms(b.now)).peers[0].state;
    b.on(1000, says_hello(1, Hello { last: Some(LogPos::NONE), ..hello("s", 1) }));
    assert_eq!(state(&b), PeerState::CatchingUp);
    b.on(1001, acks(1, Ack { grant_us: 0, ..ack(1, 7, 1000) }));
    assert_eq!(state(&b), PeerState::Streaming, "at the tail");
    b.on(1002, acks(1, ack(1, 7, 1000)));
    append(&b.log, 3, 1);
    assert_eq!(state(&b), PeerState::Streaming, "a member");
    b.on(1003, acks(1, Ack { quarantined: 2, ..ack(1, 7, 1000) }));
    assert_eq!(state(&b), PeerState::Quarantined);
    let peer = &b.primary.view(ms(1003)).peers[0];
    assert_eq!((peer.quarantined, peer.in_sync, peer.acked, peer.address.as_str()), (2, true, Seq(7), "s:1"));
}

/// A bench with other settings than the usual ones.
fn bench_as(change: impl FnOnce(&mut ReplicationConfig)) -> Bench {
    let mut b = bench();
    change(&mut b.primary.config);
    b
}

#[test]
fn a_batch_that_is_not_full_lingers_for_more() {
    let linger = Duration::from_millis(3);
    let mut b = bench_as(|c| c.ship = ShipConfig { batch_entries: 4, linger, ..ShipConfig::default() });
    b.join(1000, 7, "s", 1);
    append(&b.log, 3, 2);
    b.check(1010, PrimaryEvent::Appended, &[]);
    assert_eq!(b.primary.deadline(), Some(ms(1013)));
    append(&b.log, 3, 1);
    b.check(1012, PrimaryEvent::Appended, &[]);
    b.check(1013, PrimaryEvent::Tick, &["7 entries 7..10 e3 @1013 commit 7 tail 10"]);
    append(&b.log, 3, 5);
    let full = ["7 entries 10..14 e3 @1014 commit 7 tail 15"];
    b.check(1014, PrimaryEvent::Appended, &full);
    b.check(1017, PrimaryEvent::Tick, &["7 entries 14..15 e3 @1017 commit 7 tail 15"]);
}

#[test]
fn nothing_lingers_while_the_window_is_full() {
    let ship = ShipConfig { batch_entries: 4, window_entries: 2, linger: Duration::from_millis(3) };
    let mut b = bench_as(|c| c.ship = ship);
    b.join(1000, 7, "s", 1);
    append(&b.log, 3, 3);
    b.on(1010, PrimaryEvent::Appended);
    b.check(1013, PrimaryEvent::Tick, &["7 entries 7..9 e3 @1013 commit 7 tail 10"]);
    assert!(b.primary.deadline().is_some_and(|d| d > ms(1050)), "only the heartbeat is due");
}

#[test]
fn in_async_mode_writes_wait_for_a_member_that_lacks_too_much() {
    let loss = LossBound { entries: 10, age: Duration::from_millis(200) };
    let mut b = bench_as(|c| (c.ack, c.loss) = (AckMode::Async, loss));
    assert_eq!(b.primary.gate().admission, Admission::OPEN, "nobody to lose it from");
    b.join(1000, 7, "s", 1);
    append(&b.log, 3, 4);
    b.on(1010, PrimaryEvent::Appended);
    let want = Admission { tail_max: Seq(17), until: ms(1210), ..Admission::OPEN };
    assert_eq!(b.primary.gate().admission, want);
    b.on(1020, acks(7, ack(1, 11, 1010)));
    let want = Admission { tail_max: Seq(21), until: Instant::MAX, ..want };
    assert_eq!(b.primary.gate().admission, want);
}
