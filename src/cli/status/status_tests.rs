use std::time::Duration;

use standfast_proto::v1::{
    Finding, Identity, InSyncCopy, InSyncSet, Lag, Leadership, LinkState, NodeStatus, Peer, Positions,
    Quarantine, QuarantinedEntry, Reason, Rehearsal, Role, Severity, Store, StreamState, Upstream, Verdict,
    Verification,
};
use tokio::time::Instant;

use super::super::exit::Exit;
use super::judge::{self, problems};
use super::{Seen, Survey, json, render};

fn node(name: &str, role: Role, epoch: u64) -> NodeStatus {
    NodeStatus {
        identity: Some(Identity {
            cluster: "kv".into(),
            node: name.into(),
            copy: format!("{name:0>32}"),
            ..Identity::default()
        }),
        leadership: Some(Leadership { role: role.into(), epoch: Some(epoch), ..Leadership::default() }),
        positions: Some(Positions { tail: 101, applied: 101, ..Positions::default() }),
        store: Some(Store { digest: Some("d1".into()), digest_at: Some(101), ..Store::default() }),
        ..NodeStatus::default()
    }
}

fn primary() -> NodeStatus {
    let copy = |name: &str| InSyncCopy { copy: format!("{name:0>32}"), node: name.into(), silent: false };
    NodeStatus {
        in_sync: Some(InSyncSet { members: vec![copy("a"), copy("b")], ..InSyncSet::default() }),
        standbys: vec![Peer {
            node: "b".into(),
            link: LinkState::Up.into(),
            stream: Some(StreamState::Streaming.into()),
            in_sync: true,
            sent: Some(101),
            ..Peer::default()
        }],
        ..node("a", Role::Primary, 1)
    }
}

fn standby() -> NodeStatus {
    NodeStatus {
        rehearsal: Some(Rehearsal { verdict: Verdict::Yes.into(), ..Rehearsal::default() }),
        upstream: Some(Upstream {
            link: LinkState::Up.into(),
            lag: Some(Lag { entries: Some(3), bytes: None, age_us: Some(12_000) }),
            contact_age_ms: Some(40),
            ..Upstream::default()
        }),
        ..node("b", Role::Standby, 1)
    }
}

fn survey_of(answers: Vec<Result<NodeStatus, &str>>) -> Survey {
    let nodes = answers.into_iter().enumerate().map(|(i, answer)| Seen {
        addr: format!("h:{i}"),
        answer: answer.map(Box::new).map_err(str::to_owned),
        at: Instant::now(),
        lost: None,
    });
    Survey { nodes: nodes.collect() }
}

fn judged(answers: Vec<Result<NodeStatus, &str>>) -> (Exit, String) {
    let survey = survey_of(answers);
    let found = problems(&survey, Some(&survey));
    let texts: Vec<String> = found.iter().map(standfast_tui::Found::sentence).collect();
    (judge::exit(&survey, &found), texts.join("\n"))
}

#[test]
fn a_healthy_pair_is_ok() {
    assert_eq!(judged(vec![Ok(primary()), Ok(standby())]), (Exit::Ok, String::new()));
}

#[test]
fn each_thing_that_is_wrong_is_named() {
    let peer = |change: fn(&mut Peer)| {
        let mut status = primary();
        change(&mut status.standbys[0]);
        status
    };
    let on_standby = |change: fn(&mut NodeStatus)| {
        let mut status = standby();
        change(&mut status);
        status
    };
    for (answers, exit, text) in [
        (vec![], Exit::Unreachable, ""),
        (vec![Err("refused")], Exit::Unreachable, "h:0: gives no answer: refused"),
        (vec![Ok(primary()), Ok(standby()), Err("refused")], Exit::Bad, "h:2: gives no answer: refused"),
        (vec![Ok(standby())], Exit::Bad, "no primary answers"),
        (vec![Ok(primary()), Ok(node("c", Role::Primary, 2))], Exit::Bad, "a (epoch 1), c (epoch 2)"),
        (vec![Ok(peer(|p| p.link = LinkState::Down.into()))], Exit::Bad, "b: is not connected"),
        (
            vec![Ok(peer(|p| p.stream = Some(StreamState::CatchingUp.into())))],
            Exit::Bad,
            "b: is connected but does not stream",
        ),
        (vec![Ok(peer(|p| p.in_sync = false))], Exit::Bad, "b: streams but is not in sync"),
        (
            vec![Ok(primary()), Ok(on_standby(|s| s.rehearsal = None))],
            Exit::Bad,
            "may not be promotable: unknown",
        ),
        (
            vec![
                Ok(primary()),
                Ok(on_standby(|s| s.quarantine = Some(Quarantine { count: 2, entries: vec![] }))),
            ],
            Exit::Bad,
            "b: has set aside entries (2)",
        ),
        (
            vec![
                Ok(primary()),
                Ok(on_standby(|s| {
                    let severity = Severity::Warning.into();
                    s.findings =
                        vec![Finding { text: "clock jumped".into(), severity, ..Finding::default() }];
                })),
            ],
            Exit::Bad,
            "b: clock jumped",
        ),
    ] {
        let (got, texts) = judged(answers);
        assert_eq!(got, exit, "{texts}");
        assert!(texts.contains(text), "{texts:?} lacks {text:?}");
    }
}

#[test]
fn a_refusal_of_the_rehearsal_keeps_its_cure() {
    let mut status = standby();
    let reason = Reason { code: "x".into(), text: "not in sync".into(), cure: "standfast wait".into() };
    status.rehearsal =
        Some(Rehearsal { verdict: Verdict::No.into(), reasons: vec![reason], ..Rehearsal::default() });
    let found = problems(&survey_of(vec![Ok(primary()), Ok(status)]), None);
    assert_eq!((found.len(), &*found[0].cure), (1, "standfast wait"));
}

#[test]
fn what_is_set_aside_is_named_and_critical_whatever_the_rehearsal_says_of_it() {
    let mut status = standby();
    let reason = Reason { code: "quarantine".into(), text: "a hole".into(), cure: "detach b".into() };
    status.rehearsal =
        Some(Rehearsal { verdict: Verdict::No.into(), reasons: vec![reason], ..Rehearsal::default() });
    let entry = QuarantinedEntry { seq: 7, text: "no such key".into(), ..QuarantinedEntry::default() };
    status.quarantine = Some(Quarantine { count: 1, entries: vec![entry] });
    let found = problems(&survey_of(vec![Ok(primary()), Ok(status)]), None);
    let said = (found.len(), &*found[0].text, found[0].severity, &*found[0].cure);
    let named = "has set aside entries (1): entry 7, no such key";
    assert_eq!(said, (1, named, Severity::Critical, "detach b"));
}

#[test]
fn digests_count_only_where_both_copies_stood_still() {
    let with = |at, digest: &str| {
        let mut status = standby();
        status.store = Some(Store { digest: Some(digest.into()), digest_at: Some(at), ..Store::default() });
        survey_of(vec![Ok(primary()), Ok(status)])
    };
    let differ = |survey: &Survey, before: Option<&Survey>| {
        problems(survey, before)
            .iter()
            .any(|problem| problem.sentence() == "a: differs from b at position 101")
    };
    let (unequal, elsewhere) = (with(101, "d2"), with(100, "d2"));
    assert!(differ(&unequal, Some(&unequal)));
    assert!(!differ(&unequal, None), "one reading proves nothing");
    assert!(!differ(&unequal, Some(&elsewhere)), "entries were applied meanwhile");
    assert!(!differ(&elsewhere, Some(&elsewhere)), "unequal positions are inconclusive");
    assert!(!differ(&with(101, "d1"), Some(&with(101, "d1"))));
}

#[test]
fn the_largest_values_fit_80_columns() {
    let (mut a, mut b) = (primary(), standby());
    for status in [&mut a, &mut b] {
        let identity = status.identity.as_mut().expect("has one");
        identity.node = "a-node-with-a-very-long-name".into();
        identity.cluster = "c".repeat(128);
        status.positions = Some(Positions {
            tail: u64::MAX,
            applied: u64::MAX,
            commit: Some(u64::MAX),
            ..Positions::default()
        });
    }
    a.standbys[0] = Peer {
        node: "n".repeat(128),
        reason: Some("because ".repeat(30)),
        sent: Some(u64::MAX),
        received: Some(u64::MAX),
        applied: Some(u64::MAX),
        contact_age_ms: Some(u64::MAX),
        ..Peer::default()
    };
    b.upstream = Some(Upstream {
        lag: Some(Lag { entries: Some(u64::MAX), bytes: None, age_us: Some(u64::MAX) }),
        contact_age_ms: Some(u64::MAX),
        ..Upstream::default()
    });
    let survey = survey_of(vec![Ok(a), Ok(b), Err("x".repeat(200).leak())]);
    let found = problems(&survey, None);
    assert!(!found.is_empty());
    for line in render::block(&survey, &found, Instant::now()) {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn the_table_shows_what_is_known_and_marks_what_is_not() {
    let survey = survey_of(vec![Ok(primary()), Ok(standby())]);
    let lines = render::block(&survey, &[], Instant::now());
    let cells = |line: usize| lines[line].split_whitespace().collect::<Vec<_>>();
    assert_eq!(cells(1), ["NODE", "ROLE", "EPOCH", "TAIL", "APPLIED", "LAG", "ISR", "PROMO", "CONTACT"]);
    assert_eq!(cells(2), ["a", "primary", "1", "101", "101", "-", "yes", "-", "-"]);
    assert_eq!(cells(3), ["b", "standby", "1", "101", "101", "3", "/", "12", "ms", "yes", "yes", "40", "ms"]);
    assert_eq!(lines[4], "a > b tail 101 sent 101 received ? applied ? verified ? commit ? contact ?");
    assert_eq!(lines[5], "OK: nothing is known to be wrong");
}

#[test]
fn a_lost_node_keeps_its_last_answer_which_becomes_stale() {
    let mut known = survey_of(vec![Ok(primary()), Ok(standby())]);
    known.refresh(survey_of(vec![Err("refused"), Ok(standby())]));
    let lost = known.find("a").expect("is still known");
    assert_eq!((lost.role(), lost.lost.as_deref()), (Role::Primary, Some("refused")));
    let lines = render::block(&known, &[], lost.at + Duration::from_secs(9));
    assert!(lines.iter().any(|line| line.contains("stale: 9.0 s ago; refused")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("a         (primary)")), "{lines:?}");
    known.refresh(survey_of(vec![Ok(primary()), Ok(standby())]));
    assert!(known.nodes.iter().all(|seen| seen.lost.is_none()), "it is back");
}

#[test]
fn the_line_says_null_where_nothing_is_known() {
    let survey = survey_of(vec![Ok(primary()), Ok(standby()), Err("refused")]);
    let line = json::line(&survey, &problems(&survey, None));
    assert_eq!((line["schema"].as_u64(), line["verdict"].as_str()), (Some(1), Some("degraded")));
    let nodes = &line["nodes"];
    assert_eq!(nodes[0]["standbys"][0]["stream"], "streaming");
    assert!(nodes[0]["standbys"][0]["applied"].is_null() && nodes[0]["lag"]["entries"].is_null());
    assert_eq!(
        (nodes[1]["lag"]["entries"].as_u64(), nodes[1]["lag"]["seconds"].as_f64()),
        (Some(3), Some(0.012))
    );
    assert_eq!((nodes[2]["addr"].as_str(), nodes[2]["error"].as_str()), (Some("h:2"), Some("refused")));
    let nobody = survey_of(vec![Err("refused")]);
    assert_eq!(json::line(&nobody, &problems(&nobody, None))["verdict"], "unreachable");
}

#[test]
fn the_line_says_whether_and_why_nothing_is_compared() {
    let told = |node: NodeStatus, verification| {
        let status = NodeStatus { verification, ..node };
        let node = json::line(&survey_of(vec![Ok(status)]), &[])["nodes"][0].clone();
        (
            node["verification_paused"].as_bool(),
            node["verification_paused_reason"].as_str().map(str::to_owned),
        )
    };
    let why = Some("verification is switched off".to_owned());
    let paused = Verification { paused: true, paused_reason: why.clone(), ..Verification::default() };
    assert_eq!(told(standby(), None), (None, None));
    assert_eq!(told(standby(), Some(Verification::default())), (Some(false), None));
    assert_eq!(told(standby(), Some(paused)), (Some(true), why));
    assert_eq!(told(primary(), Some(Verification::default())), (None, None), "a primary compares nothing");
}
