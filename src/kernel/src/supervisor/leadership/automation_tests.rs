//! Pauses, and too many takeovers, as transcripts. Wall time is the machine's time here.

use super::*;
use crate::coordination::Put;

const TOO_MANY: FlapLimit = FlapLimit { changes: 2, window: Duration::from_secs(600) };

impl Bench {
    fn at(&mut self, at: u64, event: LeadershipEvent) -> Vec<String> {
        let (mut out, wall) = (Vec::new(), WallTime(at * 1_000));
        self.machine.on(ms(at), wall, event, &self.facts, &mut out);
        out.retain(|action| !matches!(action, LeadershipAction::Transact(_, txn) if is_rehearsal(txn)));
        out.iter().map(|action| self.line(action)).collect()
    }

    fn order(&mut self, at: u64, pause: Option<u64>) -> Vec<String> {
        let pause = pause.map(Duration::from_secs);
        let order = AutomationOrder { pause, actor: "op".into(), reason: "new kernel".into() };
        self.at(at, LeadershipEvent::Automation(Box::new(order)))
    }

    fn reply(&mut self, at: u64) -> Vec<String> {
        let (id, txn) = self.sent.remove(0);
        let outcome = self.store.apply(&txn).expect("no key twice");
        self.at(at, LeadershipEvent::Done(id, outcome))
    }

    fn look(&mut self, at: u64) -> Vec<String> {
        let read = self.store.read(&Key::GROUND);
        self.at(at, LeadershipEvent::Seen(read))
    }
}

/// Node `b` follows `a`, which does not answer.
fn deserted() -> Bench {
    let mut b = bench(led_by_a(&[1, 2]));
    b.look(10);
    b.knows_of_a();
    b.facts.refused = true;
    b
}

#[test]
fn nobody_takes_over_by_itself_while_it_is_paused_and_an_operator_still_can() {
    let mut b = deserted();
    b.facts.refused = false;
    b.facts.heard = Some(ms(10));
    assert_eq!(b.order(20, Some(60)), ["transact Automation"]);
    assert_eq!(
        b.order(21, Some(60)),
        [r#"Refused("busy", "another order about automatic failover is under way")"#]
    );
    assert_eq!(b.reply(30), ["Done", "news Paused"]);
    for at in (100..=5_000).step_by(HB as usize) {
        assert_eq!(b.at(at, LeadershipEvent::Tick), [""; 0], "{at}");
    }
    assert!(b.machine.waiting().is_some_and(|w| w.contains("paused by op for another 56 s: new kernel")));
    let wish = LeadershipEvent::TakeOver { actor: "op".into(), reason: "rack moves".into() };
    assert_eq!(b.at(5_100, wish), ["stand: rack moves", "transact Epoch Alive History"]);
}

#[test]
fn a_pause_ends_by_itself_at_its_time_and_says_so() {
    let mut b = deserted();
    b.facts.refused = false;
    b.facts.heard = Some(ms(10));
    b.order(20, Some(2));
    b.reply(30);
    for at in (100..2_020).step_by(HB as usize) {
        assert_eq!(b.at(at, LeadershipEvent::Tick), [""; 0], "{at}");
    }
    let said = b.at(2_020, LeadershipEvent::Tick);
    assert_eq!(said[0], "news PauseOver");
    assert!(said[1].starts_with("stand: a has been silent for"), "{said:?}");
}

#[test]
fn a_resume_ends_it_at_once_and_one_too_many_is_refused() {
    let mut b = deserted();
    b.facts.refused = false;
    b.facts.heard = Some(ms(10));
    let idle = "automatic failover is not paused, and there is nothing to acknowledge";
    assert_eq!(b.order(20, None), [format!("Refused(\"nothing_to_resume\", \"{idle}\")")]);
    b.order(30, Some(60));
    b.reply(40);
    assert_eq!(b.order(50, None), ["transact Automation"]);
    b.facts.heard = Some(ms(55));
    assert_eq!(b.reply(60), ["Done", "news Resumed"]);
}

/// The pause is on record before this node hears of it: its takeover compares that record.
#[test]
fn a_pause_that_was_not_heard_of_yet_counts_all_the_same() {
    let mut b = deserted();
    assert_eq!(b.at(20, LeadershipEvent::Tick).len(), 2, "it stands");
    b.facts.role = Role::Candidate;
    let paused = crate::coordination::AutomationRecord {
        paused_until: Some(WallTime(60_000_000)),
        acknowledged: Epoch(0),
        actor: "op".into(),
        reason: "new kernel".into(),
        at: WallTime(20_000),
    };
    let pause = crate::coordination::set_automation(Revision::NONE, paused);
    b.store.apply(&pause).expect("no key twice");
    assert_eq!(b.reply(30), ["give up", "news Paused"]);
    b.facts.role = Role::Standby;
    for at in (100..=5_000).step_by(HB as usize) {
        assert_eq!(b.at(at, LeadershipEvent::Tick), [""; 0], "{at}");
    }
    // Whoever starts later hears of it, and says so.
    let mut later = bench(b.store.clone());
    assert!(later.look(6_000).contains(&"news Paused".to_owned()));
}

#[test]
fn an_answer_that_did_not_come_is_unknown_and_a_quicker_operator_wins() {
    let mut b = deserted();
    (b.facts.refused, b.facts.heard) = (false, Some(ms(10)));
    b.order(20, Some(60));
    let (late, said) = b.lose(30);
    assert_eq!(said, ["read", r#"Unknown("the coordinator has not answered: no answer")"#]);
    b.order(40, Some(120));
    b.store.apply(&late).expect("no key twice");
    assert!(b.reply(50)[0].starts_with("Refused(\"changed_meanwhile\""));
}

/// Two takeovers within the window, and the third waits for an operator, or for the window.
#[test]
fn too_many_takeovers_are_followed_by_none_until_somebody_acknowledges() {
    let mut b = bench(led_by_a(&[1, 2]));
    b.machine.config.flaps = TOO_MANY;
    let mut at = 10;
    for round in 1..=2 {
        b.look(at);
        b.knows_of_a();
        (b.facts.role, b.facts.refused) = (Role::Standby, true);
        let said = b.at(at + 10, LeadershipEvent::Tick);
        assert_eq!(
            said,
            ["stand: a has closed its stream and refuses a new one", "transact Epoch Alive History"]
        );
        b.facts.role = Role::Candidate;
        let said = b.reply(at + 20);
        assert_eq!(said.contains(&"warn flapping".to_owned()), round == 2, "{said:?}");
        b.facts.max_epoch = base(&b.store).epoch.epoch();
        // a takes it back by a switchover, which is nobody's decision but the operator's.
        give_to_a(&mut b);
        at += 1_000;
    }
    b.look(at);
    b.knows_of_a();
    (b.facts.role, b.facts.refused) = (Role::Standby, true);
    for at in (at..at + 3_000).step_by(HB as usize) {
        assert_eq!(b.at(at, LeadershipEvent::Tick), [""; 0], "{at}");
    }
    let waiting = b.machine.waiting().expect("it says why").to_owned();
    assert!(waiting.contains("2 automatic failovers within 600 s are too many"), "{waiting}");
    b.facts.refused = false;
    b.facts.heard = Some(ms(at + 3_000));
    assert_eq!(b.order(at + 3_000, None), ["transact Automation"]);
    assert_eq!(b.reply(at + 3_010), ["Done", "news Resumed", "warn flapping_over"]);
    b.facts.refused = true;
    assert_eq!(b.at(at + 3_100, LeadershipEvent::Tick).len(), 2, "and it takes over again");
}

/// Copy 1 of `a` is the holder again, as a hand-over would make it.
fn give_to_a(b: &mut Bench) {
    let Some(Value::Epoch(mut record)) = b.store.records().get(&Key::Epoch).map(|r| r.value.clone()) else {
        unreachable!("somebody leads")
    };
    record.previous = base(&b.store).epoch.epoch();
    (record.holder, record.copy, record.nonce) = ("a".parse().expect("valid"), CopyId(1), record.nonce + 1);
    let put = vec![Put::Set(Key::Epoch, Value::Epoch(record))];
    b.store.apply(&Transaction { compares: vec![], then: put, or_else: vec![] }).expect("one key");
}
