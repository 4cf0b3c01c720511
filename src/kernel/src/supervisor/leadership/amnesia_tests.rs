//! A coordinator that has lost records.

use super::*;

/// PROTOCOL C4: a backup of the coordinator was restored, and caught up with the revision that was seen.
#[test]
fn records_that_went_back_are_neither_followed_nor_taken_over() {
    let mut b = misled();
    b.facts.heard = Some(ms(20));
    assert_eq!(b.see(30), ["warn coordinator_moved_back"]);
    for at in [500, 600, 5_000] {
        assert_eq!(
            b.on(at, LeadershipEvent::Tick),
            [""; 0],
            "a is silent, and nobody knows what is on record"
        );
    }
    let why = b.machine.waiting().expect("said").to_owned();
    assert!(why.contains("Alive was of revision") && why.contains("standfast resume"), "{why}");
    let wish = LeadershipEvent::TakeOver { actor: "op".into(), reason: "why".into() };
    assert_eq!(b.on(5_100, wish), [format!("declined: {why}")]);
    // An operator has looked after it: what is on record now is believed again.
    let resume = AutomationOrder { pause: None, actor: "op".into(), reason: "restored".into() };
    let done = b.on(5_200, LeadershipEvent::Automation(Box::new(resume)));
    assert!(b.machine.view.moved_back.is_none(), "{done:?}");
    let shown = b.store.records().get(&Key::Alive).expect("there").modified;
    assert_eq!(b.machine.view.alive.modified(), shown);
}

#[test]
fn a_holder_whose_records_went_back_gets_no_lease_and_no_word_of_them() {
    let mut b = holder();
    let backup = b.store.clone();
    b.on(100, LeadershipEvent::Tick);
    b.answer(101);
    b.on(110, LeadershipEvent::Propose(with_member(&b, 3)));
    b.restore(backup);
    assert_eq!(b.see(120), ["warn coordinator_moved_back"]);
    assert_eq!(b.answer(130), [""; 0], "that it is on record there proves nothing");
    assert_eq!(b.on(700, LeadershipEvent::Tick), [""; 0]);
    assert_eq!(b.machine.deadline(&b.facts), None);
    assert_eq!(b.on(710, to_c(false)), ["not handed over"]);
    // Believed again, they name the copies of the backup: the set that counts has to be there before anybody dies.
    let resume = AutomationOrder { pause: None, actor: "op".into(), reason: "restored".into() };
    let done = b.on(720, LeadershipEvent::Automation(Box::new(resume)));
    assert!(done.contains(&"reconfirm".to_owned()) && !done.contains(&"Done".to_owned()), "{done:?}");
    let mut said = Vec::new();
    while !b.sent.is_empty() {
        said.extend(b.answer(740));
    }
    assert!(said.contains(&"Done".to_owned()), "{said:?}");
}

/// Its answer proves nothing, and it may be done all the same: silent until the records are believed again.
#[test]
fn a_hand_over_that_meets_lost_records_is_known_after_an_operators_word() {
    let mut b = leading_b();
    let backup = b.store.clone();
    b.store.apply(&renew(base(&b.store).epoch, 9)).expect("no key twice");
    b.see(35);
    b.sent.clear();
    b.on(40, to_c(false));
    b.restore(backup);
    assert_eq!(b.see(45), ["warn coordinator_moved_back"]);
    assert_eq!(b.answer(50), [""; 0], "nobody is told that it was refused");
    assert!(b.machine.is_handing_over(), "it stays silent");
    let resume = AutomationOrder { pause: None, actor: "op".into(), reason: "restored".into() };
    let resumed = b.on(5_200, LeadershipEvent::Automation(Box::new(resume)));
    assert_eq!(resumed, ["Done", "step down e7", "follow c at c:2"], "it was done, as is seen now");
}

/// Copy 2 of node `b`, in sync; the record of the counter has gone back.
fn misled() -> Bench {
    let mut store = led_by_a(&[1, 2]);
    let backup = store.clone();
    store.apply(&renew(base(&store).epoch, 1)).expect("no key twice");
    let mut b = bench(store);
    b.see(10);
    b.knows_of_a();
    b.restore(backup);
    b
}

/// By records that are not believed nobody knows who may be alive (PROTOCOL C4, T4).
#[test]
fn an_operator_may_not_force_by_records_that_went_back() {
    let mut b = misled();
    assert_eq!(b.machine.disbelief(), None);
    b.see(30);
    let why = b.machine.disbelief().expect("it was seen");
    assert!(why.contains("standfast resume"), "what to do: {why}");
    let force = || LeadershipEvent::Force { actor: "op".into(), reason: "why".into() };
    assert_eq!(b.on(60_000, force()), [format!("declined: {why}")]);
    assert_eq!(b.on(60_100, LeadershipEvent::Tick), [""; 0], "it is forgotten");
}

/// PROTOCOL C1: what a coordinator refuses that has lost records may be done once they are back.
#[test]
fn a_takeover_that_meets_lost_records_may_still_happen() {
    let mut b = misled();
    b.facts.heard = Some(ms(20));
    let wish = LeadershipEvent::TakeOver { actor: "op".into(), reason: "why".into() };
    let sent = b.on(25, wish);
    assert!(sent[0].starts_with("stand"), "{sent:?}");
    b.facts.role = Role::Candidate;
    assert_eq!(b.see(30), ["warn coordinator_moved_back"]);
    assert_eq!(b.answer(40), ["give up, not known"]);
}
