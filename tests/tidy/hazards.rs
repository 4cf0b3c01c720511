//! H1 to H30 of SEMANTICS 9: each is a test named after it, or one that had a name before it was counted.

use std::collections::BTreeSet;

use crate::tree::Finding;

/// The last hazard.
const LAST: u32 = 30;

/// Hazards that a test of another name shows: in which file, and which one.
const ELSEWHERE: &[(u32, &str, &str)] = &[
    (7, "tests/it/failover.rs", "acknowledged_writes_survive_kill_9_in_sync_mode"),
    (9, "src/kernel/src/master/takeover_tests.rs", "inherited_objects_count_as_leased_until_the_hold_ends"),
    (
        11,
        "src/kernel/src/master/lenders_tests.rs",
        "r13_the_memory_of_a_returned_lender_waits_for_writers_and_readers",
    ),
    (14, "src/kernel/src/master/lenders_tests.rs", "r12_a_put_may_replace_what_only_absent_lenders_hold"),
    (
        15,
        "src/kernel/src/master/lenders_tests.rs",
        "r11_a_mount_over_known_memory_proves_the_old_incarnation_dead",
    ),
    (
        16,
        "src/kernel/src/master/lenders_tests.rs",
        "r11_a_mount_over_known_memory_proves_the_old_incarnation_dead",
    ),
    (18, "tests/it/failover.rs", "a_frozen_primary_answers_nothing_after_it_thaws"),
    (19, "src/kernel/src/replication/standby_tests.rs", "a_frame_of_another_epoch_hangs_up"),
    (
        20,
        "src/kernel/src/supervisor/leadership/leadership_tests.rs",
        "a_silent_holder_is_replaced_and_a_heard_one_is_not",
    ),
    (21, "tests/it/leadership.rs", "a_pair_goes_on_without_its_coordinator"),
    (
        22,
        "src/kernel/src/supervisor/leadership/leadership_tests.rs",
        "clients_are_sent_here_once_they_can_connect",
    ),
    (24, "src/kernel/src/master/takeover_tests.rs", "inherited_limbo_waits_again_at_full_length"),
    (
        25,
        "src/kernel/src/master/lenders_tests.rs",
        "need_remount_after_a_takeover_until_the_client_has_said_what_it_lends_and_nothing_waits_for_it",
    ),
    (
        26,
        "src/kernel/src/master/evict_tests.rs",
        "an_inherited_write_is_discarded_at_the_release_time_of_the_promotion",
    ),
    (28, "src/kernel/src/node/node_tests.rs", "promotion_is_refused_with_every_reason"),
    (
        30,
        "src/kernel/src/replication/verify/verify_tests.rs",
        "a_damaged_primary_is_named_and_nothing_is_taken_from_it_until_an_operator_says_so",
    ),
];

/// Hazards that nothing here can have, and why.
const STRUCK_OUT: &[(u32, &str)] =
    &[(17, "SEMANTICS 10: copies on disks are a feature that is off; no sweep touches any")];

/// Rules of 9.9 that are not built as written: why, and the test of what there is instead.
const REPLACED: &[(u32, &str, &str, &str)] = &[(
    10,
    "src/kernel/src/replication/standby_tests.rs",
    "r10_homes_that_overlap_make_no_copy_and_are_asked_for_ever_less_often",
    "R9 and PROTOCOL K6: nothing is restored from records of another form; a copy is the primary's own homes, \
     checked by their digests. Bytes with two owners are a bug of the primary. A copy that drops both would be \
     unequal, and repaired into the overlap again; so it is refused, said why, and asked for ever less often",
)];

/// Hazards without a test, and tests that are named and not there. `sources`: paths with their texts.
pub(crate) fn missing(sources: &[(&str, &str)]) -> Vec<Finding> {
    let named: BTreeSet<u32> = sources.iter().flat_map(|(_, text)| named(text)).collect();
    let finding = |hazard: u32, message: String| Finding::new("SEMANTICS 9", hazard as usize, message);
    let is_there = |(_, path, name): &&(u32, &str, &str)| {
        let word = format!("fn {name}(");
        sources.iter().any(|(at, text)| at == path && text.contains(&word))
    };
    let gone = ELSEWHERE.iter().filter(|entry| !is_there(entry));
    let gone = gone.map(|(hazard, path, name)| finding(*hazard, format!("{path} has no test {name}")));
    let instead = REPLACED.iter().filter(|(_, path, name, _)| {
        let word = format!("fn {name}(");
        !sources.iter().any(|(at, text)| at == path && text.contains(&word))
    });
    let instead = instead.map(|(rule, path, name, why)| {
        finding(*rule, format!("R{rule}: {path} has no test {name} for what there is instead: {why}"))
    });
    let elsewhere = |hazard: u32| ELSEWHERE.iter().any(|(h, ..)| *h == hazard);
    let struck = |hazard: u32| STRUCK_OUT.iter().any(|(h, _)| *h == hazard);
    let without = (1..=LAST).filter(|h| !named.contains(h) && !elsewhere(*h) && !struck(*h));
    let without = without.map(|h| finding(h, format!("no test is named `h{h:02}_...`")));
    let beyond = named.iter().filter(|h| **h > LAST || **h == 0);
    gone.chain(instead)
        .chain(without)
        .chain(beyond.map(|h| finding(*h, "is no hazard of section 9".to_owned())))
        .collect()
}

/// The hazards that functions of this text are named after: `fn h07_...`.
fn named(text: &str) -> Vec<u32> {
    let number = |line: &str| {
        let (_, name) = line.split_once("fn h")?;
        let (digits, _) = name.split_once('_')?;
        if digits.len() == 2 { digits.parse().ok() } else { None }
    };
    text.lines().filter_map(number).collect()
}

#[test]
fn a_hazard_without_a_test_is_found() {
    let other = |h: &u32| ELSEWHERE.iter().all(|(e, ..)| e != h) && STRUCK_OUT.iter().all(|(s, _)| s != h);
    let own: String = (1..=LAST).filter(other).map(|h| format!("fn h{h:02}_x() {{}}\n")).collect();
    let pointed: Vec<(&str, String)> =
        ELSEWHERE.iter().map(|(_, path, name)| (*path, format!("fn {name}() {{}}\n"))).collect();
    let replaced: Vec<(&str, String)> =
        REPLACED.iter().map(|(_, path, name, _)| (*path, format!("fn {name}() {{}}\n"))).collect();
    let mut all: Vec<(&str, &str)> = pointed.iter().map(|(path, text)| (*path, text.as_str())).collect();
    all.push(("own.rs", &own));
    assert_eq!(missing(&all).len(), REPLACED.len(), "what stands in for a rule is tested, too");
    all.pop();
    all.extend(replaced.iter().map(|(path, text)| (*path, text.as_str())));
    all.push(("own.rs", &own));
    assert_eq!(missing(&all), []);
    all.pop();
    let less = own.replace("fn h01_", "fn x01_");
    all.push(("own.rs", &less));
    assert_eq!(missing(&all).len(), 1);
    assert!(missing(&all[1..]).len() > 1, "a test that is pointed at and gone is found");
    all.push(("more.rs", "fn h31_x() {}"));
    assert_eq!(missing(&all).len(), 2);
}
