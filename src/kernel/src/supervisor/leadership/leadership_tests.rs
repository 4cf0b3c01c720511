use super::*;
use crate::coordination::{RecordStore, change_isr, renew, takeover};
use crate::types::up;

const HB: u64 = 100;
const TAKEOVER: u64 = 400;

fn ms(n: u64) -> Instant {
    Instant(n * 1_000_000)
}

/// A machine and the coordinator that it speaks to.
struct Bench {
    machine: Leadership,
    facts: LeadershipFacts,
    store: RecordStore<Key, Value>,
    /// Transactions that nobody has carried out yet.
    sent: Vec<(CallId, Transaction)>,
    /// Rehearsals, which change nothing, apart from them.
    rehearsals: Vec<(CallId, Transaction)>,
}

fn config(node: &str, mooncake: Option<&str>) -> LeadershipConfig {
    LeadershipConfig {
        node: node.parse().expect("valid"),
        address: format!("{node}:2"),
        mooncake: mooncake.map(str::to_owned),
        times: LeadershipTimes::default(),
        ack: AckMode::Sync,
        read_ttl_max: Duration::from_secs(10),
        cold_start: true,
        flaps: FlapLimit::OFF,
        seed: 1,
    }
}

/// Node `b`, copy 2, a standby that has heard nothing.
fn bench(store: RecordStore<Key, Value>) -> Bench {
    let facts = LeadershipFacts {
        role: Role::Standby,
        copy: CopyId(2),
        max_epoch: Epoch(0),
        unfit: None,
        is_blank: false,
        gone: std::collections::BTreeSet::new(),
        heard: None,
        refused: false,
        listening: false,
    };
    Bench {
        machine: Leadership::new(config("b", Some("b:1"))),
        facts,
        store,
        sent: Vec::new(),
        rehearsals: Vec::new(),
    }
}

/// Copy 1 of node `a` leads; the copies are in sync.
fn led_by_a(copies: &[u128]) -> RecordStore<Key, Value> {
    let mut store = RecordStore::default();
    let mut a = Leadership::new(config("a", None));
    let mut out = Vec::new();
    let facts = LeadershipFacts { copy: CopyId(1), ..bench(RecordStore::default()).facts };
    let nothing = store.read(&Key::GROUND);
    a.on(ms(1), WallTime(0), LeadershipEvent::Seen(nothing), &facts, &mut out);
    for action in out {
        if let LeadershipAction::Transact(_, txn) = action {
            store.apply(&txn).expect("no key twice");
        }
    }
    let mut isr = match store.records().get(&Key::Isr).map(|r| r.value.clone()) {
        Some(Value::Isr(isr)) => isr,
        other => unreachable!("founded: {other:?}"),
    };
    for copy in copies.iter().filter(|c| **c != 1) {
        let node = "b".parse().expect("valid");
        isr.members.push(IsrMember { copy: CopyId(*copy), node, address: "b:2".into() });
    }
    isr.members.retain(|m| copies.contains(&m.copy.0));
    let base = base(&store);
    store.apply(&change_isr(base, isr)).expect("no key twice");
    store
}

fn base(store: &RecordStore<Key, Value>) -> crate::coordination::Base {
    let modified = |key| store.records().get(&key).map(|r| r.modified).unwrap_or_default();
    crate::coordination::Base { epoch: modified(Key::Epoch), isr: modified(Key::Isr) }
}

fn is_rehearsal(txn: &Transaction) -> bool {
    let of = |put: &crate::coordination::Put<Key, Value>| {
        matches!(put, crate::coordination::Put::Set(Key::Rehearsal(_), _))
    };
    txn.then.iter().all(of)
}

impl Bench {
    fn on(&mut self, at: u64, event: LeadershipEvent) -> Vec<String> {
        let mut out = Vec::new();
        self.machine.on(ms(at), WallTime(0), event, &self.facts, &mut out);
        out.retain(|action| match action {
            LeadershipAction::Transact(id, txn) if is_rehearsal(txn) => {
                self.rehearsals.push((*id, txn.clone()));
                false
            }
            _ => true,
        });
        out.iter().map(|action| self.line(action)).collect()
    }

    fn line(&mut self, action: &LeadershipAction) -> String {
        match action {
            LeadershipAction::Transact(id, txn) => {
                self.sent.push((*id, txn.clone()));
                let keys = txn.then.iter().map(|put| match put {
                    crate::coordination::Put::Set(key, _) => format!("{key:?}"),
                    crate::coordination::Put::Delete(key) => format!("no {key:?}"),
                });
                let keys = keys.map(|k| k.split('(').next().unwrap_or_default().to_owned());
                format!("transact {}", keys.collect::<Vec<_>>().join(" "))
            }
            LeadershipAction::Read => "read".into(),
            LeadershipAction::Stand(why) => format!("stand: {why}"),
            LeadershipAction::GiveUp(_, Certainty::Known) => "give up".into(),
            LeadershipAction::GiveUp(_, Certainty::Unknown) => "give up, not known".into(),
            LeadershipAction::Declined(why) => format!("declined: {why}"),
            LeadershipAction::Lead(term) => {
                format!(
                    "lead e{} {} lease {}",
                    term.epoch,
                    term.cause.as_str(),
                    term.lease_until.0 / 1_000_000
                )
            }
            LeadershipAction::StepDown(epoch) => format!("step down e{epoch}"),
            LeadershipAction::Follow(node, address) => format!("follow {node} at {address}"),
            LeadershipAction::AskAfter(address) => format!("ask after {address}"),
            LeadershipAction::Confirmed(isr) => format!("confirmed {}", isr.members.len()),
            LeadershipAction::Reconfirm => "reconfirm".into(),
            LeadershipAction::Lease(until) => format!("lease {}", until.0 / 1_000_000),
            LeadershipAction::Published(_) => "published".into(),
            LeadershipAction::HandedOver(Ok(epoch)) => format!("handed over e{epoch}"),
            LeadershipAction::HandedOver(Err(_)) => "not handed over".into(),
            LeadershipAction::Warn(code, _) => format!("warn {code}"),
            LeadershipAction::Automated(answer) => format!("{answer:?}"),
            LeadershipAction::Automation(_, news) => {
                format!("news {}", format!("{news:?}").split('(').next().unwrap_or_default())
            }
        }
    }

    fn see(&mut self, at: u64) -> Vec<String> {
        let read = self.store.read(&Key::GROUND);
        self.on(at, LeadershipEvent::Seen(read))
    }

    /// A backup of the coordinator is restored, and others write what this node does not look at until the
    /// revisions that were seen are reached again.
    fn restore(&mut self, backup: RecordStore<Key, Value>) {
        self.store = backup;
        for n in 0..3 {
            let foreign = crate::coordination::Put::Set(Key::MasterView, Value::MasterView(format!("x:{n}")));
            let txn = Transaction { compares: Vec::new(), then: vec![foreign], or_else: Vec::new() };
            self.store.apply(&txn).expect("no key twice");
        }
    }

    /// Carries out the oldest transaction and tells how it ended.
    fn answer(&mut self, at: u64) -> Vec<String> {
        let (id, txn) = self.sent.remove(0);
        let outcome = self.store.apply(&txn).expect("no key twice");
        self.on(at, LeadershipEvent::Done(id, outcome))
    }

    /// The oldest transaction gets no answer; it is returned, and may still be done.
    fn lose(&mut self, at: u64) -> (Transaction, Vec<String>) {
        let (id, txn) = self.sent.remove(0);
        (txn, self.on(at, LeadershipEvent::Done(id, TransactionOutcome::Unknown("no answer".into()))))
    }

    fn knows_of_a(&mut self) {
        self.facts.max_epoch = base(&self.store).epoch.epoch();
    }
}

#[test]
fn the_first_node_founds_its_cluster() {
    let mut b = bench(RecordStore::default());
    assert_eq!(b.on(1, LeadershipEvent::Tick), [""; 0], "not before the record was read");
    assert_eq!(b.see(10), ["stand: no node leads this cluster yet", "transact Epoch Alive History Isr"]);
    b.facts.role = Role::Candidate;
    assert_eq!(b.answer(20), ["lead e2 bootstrap lease 3010"], "the lease counts from before it was sent");
}

#[test]
fn a_node_that_knows_an_epoch_founds_no_second_cluster() {
    let mut b = bench(RecordStore::default());
    b.facts.max_epoch = Epoch(7);
    assert_eq!(b.see(10), ["warn coordinator_lost_records"]);
    assert_eq!(b.see(20), [""; 0], "said once");
    assert!(b.machine.waiting().is_some_and(|w| w.contains("revision above 7")), "{:?}", b.machine.waiting());
}

#[test]
fn a_silent_holder_is_replaced_and_a_heard_one_is_not() {
    let mut b = bench(led_by_a(&[1, 2]));
    assert_eq!(b.see(10), ["step down e2", "follow a at a:2"]);
    b.knows_of_a();
    b.facts.heard = Some(ms(100));
    assert_eq!(b.on(200, LeadershipEvent::Tick), [""; 0]);
    assert_eq!(b.machine.deadline(&b.facts), Some(ms(300)), "it is woken every heartbeat at least");
    for at in [300, 400, 499] {
        assert_eq!(b.on(at, LeadershipEvent::Tick), [""; 0], "{at}");
    }
    assert_eq!(b.machine.deadline(&b.facts), Some(ms(100 + TAKEOVER)));
    assert_eq!(
        b.on(500, LeadershipEvent::Tick),
        ["stand: a has been silent for 400 ms", "transact Epoch Alive History"]
    );
    b.facts.role = Role::Candidate;
    assert_eq!(b.answer(505), ["lead e4 failover lease 3500"]);
}

#[test]
fn what_speaks_against_a_takeover_is_a_sentence() {
    type Change = fn(&mut LeadershipFacts);
    let cases: [(&[u128], Change, &str); 4] = [
        (&[1], |_| (), "not in the in-sync set"),
        (&[1, 2], |f| f.unfit = Some("entry 7 is quarantined".into()), "entry 7 is quarantined"),
        (&[1, 2], |f| f.heard = Some(ms(999)), "a is heard"),
        (&[1, 2], |f| f.max_epoch = Epoch(99), "epoch 99 was seen, but the record is of epoch 2"),
    ];
    for (isr, change, sentence) in cases {
        let mut b = bench(led_by_a(isr));
        b.see(10);
        b.knows_of_a();
        b.facts.refused = true;
        if sentence == "a is heard" {
            b.facts.refused = false;
        }
        change(&mut b.facts);
        for at in (100..=1_000).step_by(HB as usize) {
            assert_eq!(b.on(at, LeadershipEvent::Tick), [""; 0], "{sentence}");
        }
        assert!(b.machine.waiting().is_some_and(|w| w.contains(sentence)), "{:?}", b.machine.waiting());
    }
}

#[test]
fn a_refused_stream_is_evidence_at_once_and_an_operator_needs_none() {
    let mut b = bench(led_by_a(&[1, 2]));
    b.see(10);
    b.knows_of_a();
    (b.facts.heard, b.facts.refused) = (Some(ms(20)), true);
    assert_eq!(b.on(30, LeadershipEvent::Tick)[0], "stand: a has closed its stream and refuses a new one");
    let mut b = bench(led_by_a(&[1, 2]));
    b.see(10);
    b.knows_of_a();
    b.facts.heard = Some(ms(20));
    let wish = LeadershipEvent::TakeOver { actor: "op".into(), reason: "rack moves".into() };
    assert_eq!(b.on(30, wish), ["stand: rack moves", "transact Epoch Alive History"]);
}

#[test]
fn the_oldest_change_of_the_holder_goes_when_there_are_too_many() {
    let mut b = holder();
    let history = b.machine.own_history(EpochCause::Bootstrap, "why", "who", WallTime(0));
    let id = |n| HistoryId { previous: Epoch(n), nonce: n };
    for n in 1..=1_000 {
        let then = vec![crate::coordination::Put::Set(Key::History(id(n)), Value::History(history.clone()))];
        let txn = Transaction { compares: Vec::new(), then, or_else: Vec::new() };
        b.store.apply(&txn).expect("no key twice");
    }
    let keys: Vec<Key> = b.store.records().keys().filter(|k| matches!(k, Key::History(_))).cloned().collect();
    assert_eq!(keys.len(), 1_001, "with that of its founding");
    let listed = b.store.read(&keys);
    b.on(30, LeadershipEvent::Seen(listed));
    b.sent.clear();
    if let Some(holding) = &mut b.machine.holding {
        holding.history = id(5_000);
    }
    b.machine.record_history(history);
    assert_eq!(b.on(40, LeadershipEvent::Tick), ["transact History no History"]);
    b.answer(50);
    assert!(!b.store.records().contains_key(&keys[0]), "the oldest");
    assert_eq!(b.store.records().keys().filter(|k| matches!(k, Key::History(_))).count(), 1_001);
}

/// Later, nobody would know that it is still wanted, and the holder may be well.
#[test]
fn an_operators_wish_is_followed_at_once_or_never() {
    let mut b = bench(led_by_a(&[1, 2]));
    b.see(10);
    b.knows_of_a();
    (b.facts.heard, b.facts.unfit) = (Some(ms(20)), Some("a full sync runs".into()));
    let wish = || LeadershipEvent::TakeOver { actor: "op".into(), reason: "rack moves".into() };
    assert_eq!(b.on(30, wish()), ["declined: a full sync runs"]);
    (b.facts.heard, b.facts.unfit) = (Some(ms(100)), None);
    assert_eq!(b.on(110, LeadershipEvent::Tick), [""; 0], "a is heard, and what speaks against it is over");
    b.facts.max_epoch = Epoch(99);
    assert!(b.on(120, wish())[0].starts_with("declined: epoch 99 was seen"));
    b.knows_of_a();
    b.facts.heard = Some(ms(125));
    assert_eq!(b.on(130, LeadershipEvent::Tick), [""; 0]);
    assert_eq!(b.on(140, wish()), ["stand: rack moves", "transact Epoch Alive History"]);
}

/// PROTOCOL T1: whoever slept does not judge others by what it did not hear.
#[test]
fn an_own_stall_is_no_silence_of_others() {
    let mut b = bench(led_by_a(&[1, 2]));
    b.see(10);
    b.knows_of_a();
    b.facts.heard = Some(ms(20));
    assert_eq!(b.on(100, LeadershipEvent::Tick), [""; 0]);
    assert_eq!(b.on(5_000, LeadershipEvent::Tick), [""; 0], "it was asleep itself");
    for at in (5_100..5_400).step_by(HB as usize) {
        assert_eq!(b.on(at, LeadershipEvent::Tick), [""; 0], "{at}");
    }
    assert_eq!(b.on(5_400, LeadershipEvent::Tick).len(), 2, "but a has really gone");
}

#[test]
fn the_loser_learns_who_leads_and_follows() {
    let mut b = bench(led_by_a(&[1, 2]));
    b.see(10);
    b.knows_of_a();
    b.facts.refused = true;
    assert_eq!(b.on(20, LeadershipEvent::Tick).len(), 2);
    b.facts.role = Role::Candidate;
    // Meanwhile a has renewed nothing but its set: the takeover compares that, too.
    let isr = match &b.store.records()[&Key::Isr].value {
        Value::Isr(isr) => isr.clone(),
        other => unreachable!("{other:?}"),
    };
    let base = base(&b.store);
    b.store.apply(&change_isr(base, isr)).expect("no key twice");
    assert_eq!(b.answer(30), ["give up"]);
    b.facts.role = Role::Standby;
    assert_eq!(b.on(60, LeadershipEvent::Tick), [""; 0], "not at once again");
    assert_eq!(b.on(140, LeadershipEvent::Tick).len(), 2, "but soon, on what is on record now");
    b.facts.role = Role::Candidate;
    assert_eq!(b.answer(150).len(), 1);
}

/// PROTOCOL C1, C2: no answer is not a no.
#[test]
fn a_takeover_without_an_answer_may_make_it_the_holder_later() {
    let mut b = bench(led_by_a(&[1, 2]));
    b.see(10);
    b.knows_of_a();
    b.facts.refused = true;
    b.on(20, LeadershipEvent::Tick);
    b.facts.role = Role::Candidate;
    let (late, said) = b.lose(1_020);
    assert_eq!(said, ["read", "give up, not known"]);
    (b.facts.role, b.facts.refused) = (Role::Standby, false);
    b.store.apply(&late).expect("no key twice");
    assert_eq!(b.see(1_100), ["lead e4 failover lease 0"], "a lease is counted from what was answered only");
}

#[test]
fn a_record_that_names_a_copy_of_the_past_is_not_this_node() {
    let mut b = bench(led_by_a(&[1, 2]));
    b.see(10);
    b.knows_of_a();
    b.facts.refused = true;
    b.on(20, LeadershipEvent::Tick);
    b.facts.role = Role::Candidate;
    let (late, _) = b.lose(1_020);
    // It has discarded its state meanwhile.
    (b.facts.role, b.facts.refused, b.facts.copy) = (Role::Standby, false, CopyId(22));
    b.store.apply(&late).expect("no key twice");
    assert_eq!(b.see(1_100), ["step down e4", "follow b at b:2"]);
}

/// A holder, node `b`, that founded its cluster.
fn holder() -> Bench {
    let mut b = bench(RecordStore::default());
    b.see(10);
    b.facts.role = Role::Candidate;
    b.answer(20);
    (b.facts.role, b.facts.max_epoch) = (Role::Primary, base(&b.store).epoch.epoch());
    b
}

#[test]
fn a_renewal_extends_the_lease_from_before_it_was_sent_and_only_when_it_is_answered() {
    let mut b = holder();
    assert_eq!(b.on(100, LeadershipEvent::Tick), ["transact Alive"]);
    assert_eq!(b.on(300, LeadershipEvent::Tick), [""; 0]);
    assert_eq!(b.answer(350), ["lease 3100"]);
    assert_eq!(b.on(600, LeadershipEvent::Tick), ["transact Alive"]);
    let (_, said) = b.lose(1_600);
    assert_eq!(said, ["read", "transact Alive"], "no lease of it; the next one is due");
}

fn with_member(b: &Bench, copy: u128) -> IsrRecord {
    let mut isr = b.machine.view().in_sync().expect("on record").clone();
    isr.members.push(IsrMember {
        copy: CopyId(copy),
        node: "c".parse().expect("valid"),
        address: "c:2".into(),
    });
    isr
}

/// PROTOCOL I9: the same again until it is known; then what is on record is known.
#[test]
fn a_proposal_is_repeated_until_its_end_is_known() {
    let mut b = holder();
    let wanted = with_member(&b, 3);
    let said = b.on(30, LeadershipEvent::Propose(wanted));
    assert_eq!(said, ["transact Alive", "transact Isr"]);
    assert_eq!(b.answer(35), ["lease 3030"]);
    let (late, said) = b.lose(1_030);
    assert_eq!(said, ["read", "transact Alive"]);
    b.answer(1_040);
    // It was done all the same; the repetition finds another set on record, which is its own.
    b.store.apply(&late).expect("no key twice");
    assert_eq!(b.on(1_140, LeadershipEvent::Tick), ["transact Isr"]);
    assert_eq!(b.answer(1_150), ["confirmed 2"]);
    assert_eq!(b.on(1_200, LeadershipEvent::Tick), [""; 0]);
}

/// PROTOCOL C1, C4: what a coordinator refuses that has lost its records may be done once they are back.
#[test]
fn a_refusal_by_a_coordinator_that_has_gone_back_is_no_answer() {
    let mut b = holder();
    let wanted = with_member(&b, 3);
    b.on(30, LeadershipEvent::Propose(wanted));
    b.answer(35);
    let (late, _) = b.lose(1_030);
    b.answer(1_040);
    let truth = std::mem::take(&mut b.store);
    assert_eq!(b.on(1_140, LeadershipEvent::Tick), ["transact Isr"]);
    assert_eq!(
        b.answer(1_150),
        ["warn coordinator_lost_records", "read"],
        "not that there is no third member"
    );
    assert_eq!(b.see(1_160), [""; 0], "said once");
    assert!(b.machine.away().is_some_and(|why| why.contains("records are lost")), "{:?}", b.machine.away());
    // A backup that the revision was raised for shows who led before: that is not believed either.
    b.facts.max_epoch = Epoch(500);
    b.store = RecordStore::restored(Revision(1_000), truth.records().clone());
    assert_eq!(b.see(1_170), [""; 0]);
    assert!(b.machine.away().is_some(), "epoch 500 was seen");
    b.facts.max_epoch = base(&b.store).epoch.epoch();
    b.store.apply(&late).expect("no key twice");
    assert_eq!(b.on(1_250, LeadershipEvent::Tick), ["transact Isr"]);
    assert_eq!(b.answer(1_260), ["confirmed 2"]);
    assert_eq!(b.machine.away(), None);
}

#[test]
fn a_holder_steps_down_when_any_of_its_transactions_finds_another_epoch() {
    let mut b = holder();
    b.on(100, LeadershipEvent::Tick);
    let base = base(&b.store);
    let other = EpochRecord { copy: CopyId(9), ..b.machine.view().holder().expect("itself").clone() };
    let history =
        match b.store.records().iter().find(|(k, _)| matches!(k, Key::History(_))).map(|(_, r)| &r.value) {
            Some(Value::History(history)) => history.clone(),
            other => unreachable!("{other:?}"),
        };
    b.store.apply(&takeover(base, None, None, other, history)).expect("no key twice");
    assert_eq!(b.answer(110), ["step down e3", "follow b at b:2"]);
    // And what it would have renewed is not renewed any more.
    b.facts.role = Role::Standby;
    assert!(b.store.apply(&renew(base.epoch, 9)).is_ok_and(|o| matches!(o, Outcome::CompareFailed(_))));
}

/// PROTOCOL 1, T1: the machine may have stopped without its clock.
#[test]
fn what_was_asked_before_a_doubt_proves_no_lease_and_silence_counts_anew() {
    let mut b = holder();
    assert_eq!(b.on(30, LeadershipEvent::Tick), ["transact Alive"]);
    b.machine.doubt(ms(40));
    assert_eq!(b.answer(45), ["transact Alive"], "nobody knows how long ago it was asked: asked again");
    assert_eq!(b.answer(50), ["lease 3045"]);

    let mut b = bench(led_by_a(&[1, 2]));
    b.knows_of_a();
    b.facts.heard = Some(ms(20));
    b.see(30);
    for at in (80..=380).step_by(50) {
        b.on(at, LeadershipEvent::Tick);
    }
    b.machine.doubt(ms(400));
    let waits = |b: &mut Bench, at| b.on(at, LeadershipEvent::Tick).is_empty();
    assert!((430..800).step_by(50).all(|at| waits(&mut b, at)), "a may have spoken meanwhile");
    assert!(!waits(&mut b, 400 + TAKEOVER), "a whole wait is over");
}

#[test]
fn clients_are_sent_here_once_they_can_connect() {
    let mut b = holder();
    assert_eq!(b.on(30, LeadershipEvent::Tick), ["transact Alive"]);
    b.answer(31);
    b.facts.listening = true;
    assert_eq!(b.on(40, LeadershipEvent::Tick), ["transact MasterView"]);
    assert_eq!(b.answer(45), ["published"]);
    assert_eq!(b.on(50, LeadershipEvent::Tick), [""; 0], "once");
    // Somebody has removed the key: it is noticed, and put there again.
    let epoch = base(&b.store).epoch;
    let created = b.store.records()[&Key::MasterView].created;
    b.store.apply(&crate::coordination::retire_view(epoch, created)).expect("no key twice");
    assert_eq!(b.see(60), ["transact MasterView"]);
    assert_eq!(b.answer(65), ["published"]);
}

#[test]
fn a_takeover_is_rehearsed_on_the_records_as_they_are() {
    use crate::supervisor::CoordinatorProof;
    let mut b = bench(led_by_a(&[1, 2]));
    b.knows_of_a();
    (b.facts.heard, b.facts.unfit) = (Some(ms(100)), Some("a full sync runs".into()));
    b.see(100);
    assert!(b.rehearsals.is_empty(), "not while this copy could not serve");
    b.facts.unfit = None;
    b.on(110, LeadershipEvent::Tick);
    let (id, txn) = b.rehearsals.remove(0);
    assert!(matches!(b.machine.rehearsal(ms(110)), CoordinatorProof::Unknown(_)), "asked, not answered");
    let before = base(&b.store);
    let outcome = b.store.apply(&txn).expect("no key twice");
    b.on(120, LeadershipEvent::Done(id, outcome));
    assert_eq!(base(&b.store), before, "neither epoch nor in-sync set was written");
    let accepted = |m: &Leadership, at| matches!(m.rehearsal(ms(at)), CoordinatorProof::Accepted(_));
    assert!(accepted(&b.machine, 130));
    // A change of the records voids it, and is rehearsed on at once.
    let mut isr = b.machine.view().in_sync().cloned().expect("read");
    isr.min_insync = 1;
    b.store.apply(&change_isr(before, isr)).expect("no key twice");
    b.facts.heard = Some(ms(140));
    b.see(140);
    assert!(!accepted(&b.machine, 140));
    let (id, _) = b.rehearsals.remove(0);
    b.on(150, LeadershipEvent::Done(id, TransactionOutcome::Unknown("no answer".into())));
    let CoordinatorProof::Unknown(why) = b.machine.rehearsal(ms(150)) else { unreachable!("not answered") };
    assert!(why.contains("no answer"), "{why}");
}

/// Node `b`, copy 2, leads; copy 3 of node `c` is in sync.
fn leading_b() -> Bench {
    let mut b = bench(RecordStore::default());
    b.see(10);
    b.facts.role = Role::Candidate;
    b.answer(20);
    b.facts.role = Role::Primary;
    b.facts.max_epoch = b.machine.view().recorded_epoch();
    let mut isr = b.machine.view().in_sync().cloned().expect("founded");
    isr.members.push(member_c());
    let base = base(&b.store);
    b.store.apply(&change_isr(base, isr)).expect("no key twice");
    b.see(30);
    b.sent.clear();
    b
}

fn member_c() -> IsrMember {
    IsrMember { copy: CopyId(3), node: "c".parse().expect("valid"), address: "c:2".into() }
}

fn to_c(dry_run: bool) -> LeadershipEvent {
    let (actor, reason) = ("me".to_owned(), "why".to_owned());
    LeadershipEvent::HandOver(Box::new(HandOverOrder { to: member_c(), actor, reason, dry_run }))
}

#[test]
fn a_hand_over_names_the_target_and_the_holder_steps_down() {
    let mut b = leading_b();
    let sent = b.on(40, to_c(false));
    assert_eq!(sent, ["transact Epoch Alive History"]);
    let done = b.answer(50);
    let epoch = b.machine.view().recorded_epoch();
    assert_eq!(
        done,
        [format!("handed over e{epoch}"), format!("step down e{epoch}"), "follow c at c:2".to_owned()]
    );
    let holder = b.machine.view().holder().expect("on record");
    assert!(holder.quiet && holder.copy == CopyId(3) && holder.cause == EpochCause::Switchover);
}

#[test]
fn a_hand_over_without_an_answer_is_taken_back_before_the_holder_speaks_again() {
    let mut b = leading_b();
    b.on(40, to_c(false));
    let (late, answer) = b.lose(60);
    assert_eq!(answer, ["read"], "neither done nor refused: silent until that is known");
    let again = b.on(200, LeadershipEvent::Tick);
    assert!(again.contains(&"transact Isr".to_owned()), "{again:?}");
    b.sent.retain(|(_, txn)| matches!(txn.then[..], [crate::coordination::Put::Set(Key::Isr, _)]));
    assert_eq!(b.answer(210), ["not handed over"]);
    let outcome = b.store.apply(&late).expect("no key twice");
    assert!(matches!(outcome, Outcome::CompareFailed(_)), "it can never happen: {outcome:?}");
}

#[test]
fn a_late_hand_over_that_was_done_is_learned_from_the_taking_back() {
    let mut b = leading_b();
    b.on(40, to_c(false));
    let (late, _) = b.lose(60);
    b.on(200, LeadershipEvent::Tick);
    b.store.apply(&late).expect("no key twice");
    b.sent.retain(|(_, txn)| matches!(txn.then[..], [crate::coordination::Put::Set(Key::Isr, _)]));
    let learned = b.answer(210);
    let epoch = b.machine.view().recorded_epoch();
    assert_eq!(learned, [format!("step down e{epoch}"), "follow c at c:2".to_owned()], "it never spoke");
}

#[test]
fn a_dry_hand_over_asks_the_coordinator_and_changes_nothing() {
    let mut b = leading_b();
    let before = base(&b.store);
    assert_eq!(b.on(40, to_c(true)), [""; 0], "a rehearsal");
    let (id, txn) = b.rehearsals.remove(0);
    let outcome = b.store.apply(&txn).expect("no key twice");
    assert_eq!(b.on(50, LeadershipEvent::Done(id, outcome)), ["handed over e0"]);
    assert_eq!(base(&b.store), before);
    let stranger = IsrMember { copy: CopyId(9), ..member_c() };
    let LeadershipEvent::HandOver(mut order) = to_c(true) else { unreachable!("just made") };
    order.to = stranger;
    assert_eq!(b.on(60, LeadershipEvent::HandOver(order)), ["not handed over"], "it is not on record");
}

/// Node `a` led with copy 1, copy 2 of node `b` was in sync; both died, and `b` is back with copy 7.
fn returned_b() -> Bench {
    let mut b = bench(led_by_a(&[1, 2]));
    b.knows_of_a();
    (b.facts.copy, b.facts.is_blank) = (CopyId(7), true);
    b.see(100);
    b
}

#[test]
fn the_cluster_starts_empty_only_when_every_copy_on_record_is_gone_and_the_lease_is_over() {
    let late = 101 + up(LeadershipTimes::default().lease).as_millis() as u64;
    let mut b = returned_b();
    assert_eq!(b.on(late + 1_000, LeadershipEvent::Tick), [""; 0], "a may live, cut off");
    assert!(b.machine.waiting().is_some_and(|why| why.contains("may still have them")));
    b.facts.gone.insert(CopyId(9));
    assert_eq!(b.on(late + 1_100, LeadershipEvent::Tick), [""; 0], "of a it is another one");

    let mut b = returned_b();
    b.facts.gone.insert(CopyId(1));
    assert_eq!(b.on(late - 1, LeadershipEvent::Tick), [""; 0], "the lease");
    let started = b.on(late, LeadershipEvent::Tick);
    assert_eq!(started[0], "warn cold_start");
    assert_eq!(started[2], "transact Epoch Alive History Isr");
    b.facts.role = Role::Candidate;
    let led = b.answer(late + 10);
    assert!(led[0].contains("cold_start"), "{led:?}");
    assert_eq!(b.machine.view().in_sync().map(|isr| isr.members.len()), Some(1));

    let mut b = returned_b();
    b.facts.gone.insert(CopyId(1));
    b.facts.is_blank = false;
    assert_eq!(b.on(late, LeadershipEvent::Tick), [""; 0], "what it holds is of nobody knows when");
}

#[test]
fn a_holder_that_is_gone_leads_to_the_members_that_may_not_be() {
    let mut b = returned_b();
    b.facts.gone.insert(CopyId(1));
    let mut isr = b.machine.view().in_sync().cloned().expect("read");
    isr.members.push(member_c());
    let base = base(&b.store);
    b.store.apply(&change_isr(base, isr)).expect("no key twice");
    assert_eq!(b.see(200), ["ask after c:2"]);
    assert_eq!(b.on(300, LeadershipEvent::Tick), [""; 0], "not all the time");
}

#[test]
fn an_operator_may_not_force_what_may_still_be_alive() {
    let late = 101 + up(LeadershipTimes::default().lease).as_millis() as u64;
    let mut b = bench(led_by_a(&[1, 2]));
    b.knows_of_a();
    b.see(100);
    let code = |b: &Bench, at| b.machine.may_force(ms(at), &b.facts).map_err(|(code, _)| code);
    b.facts.copy = CopyId(7);
    assert_eq!(code(&b, late - 1), Err("holder_alive"));
    assert_eq!(code(&b, late), Ok(()));
    let (actor, reason) = ("me".to_owned(), "both hosts burnt".to_owned());
    let sent = b.on(late, LeadershipEvent::Force { actor, reason });
    assert_eq!(sent, ["warn forced_failover", "stand: both hosts burnt", "transact Epoch Alive History Isr"]);
}

#[path = "automation_tests.rs"]
mod automation;

#[path = "amnesia_tests.rs"]
mod amnesia;
