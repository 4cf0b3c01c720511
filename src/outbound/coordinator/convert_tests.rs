use standfast_kernel::coordination::HistoryId;

use super::*;

fn node(name: &str) -> NodeId {
    name.parse().expect("valid")
}

fn samples() -> Vec<(Key, Value, &'static str)> {
    let epoch = EpochRecord {
        holder: node("a"),
        copy: CopyId(0xab),
        address: "10.0.0.1:50052".into(),
        mooncake: None,
        cause: EpochCause::Failover,
        actor: "takeover".into(),
        nonce: 7,
        reason: "gone".into(),
        quiet: false,
        previous: Epoch(12),
        automatic: vec![AutomaticChange { previous: Epoch(12), at: WallTime(4) }],
    };
    let isr = IsrRecord {
        members: vec![IsrMember { copy: CopyId(0xab), node: node("a"), address: "h:1".into() }],
        silent: vec![CopyId(1)],
        ack: AckMode::Sync,
        min_insync: 1,
        read_ttl_max: Duration::from_secs(10),
    };
    let history = HistoryRecord {
        epoch: None,
        node: node("a"),
        cause: EpochCause::Bootstrap,
        reason: "new \"cluster\"".into(),
        actor: "x".into(),
        at: WallTime(5),
        phases: vec![("fence".into(), Duration::from_micros(1500))],
        loss: Some(HistoryLoss { entries_at_risk: Some(3), entries_lost: None }),
    };
    let rehearsal = RehearsalRecord {
        copy: CopyId(2),
        verdict: None,
        reasons: vec!["quarantine".into()],
        keys: Some(9),
        at: WallTime(6),
    };
    let id = HistoryId { previous: Epoch(1), nonce: 2 };
    vec![
        (
            Key::Epoch,
            Value::Epoch(epoch),
            r#"{"holder":"a","copy":"000000000000000000000000000000ab","address":"10.0.0.1:50052","mooncake":null,"cause":"failover","actor":"takeover","reason":"gone","nonce":"0000000000000007","quiet":false,"previous":12,"automatic":[{"previous":12,"at_us":4}]}"#,
        ),
        (
            Key::Isr,
            Value::Isr(isr),
            r#"{"members":[{"node":"a","copy":"000000000000000000000000000000ab","address":"h:1"}],"silent":["00000000000000000000000000000001"],"ack":"sync","min_insync":1,"read_ttl_max_ms":10000}"#,
        ),
        (Key::Alive, Value::Alive(41), "41"),
        (
            Key::Automation,
            Value::Automation(AutomationRecord {
                paused_until: Some(WallTime(9)),
                acknowledged: Epoch(3),
                actor: "op".into(),
                reason: "new kernel".into(),
                at: WallTime(8),
            }),
            r#"{"paused_until_us":9,"acknowledged":3,"actor":"op","reason":"new kernel","at_us":8}"#,
        ),
        (
            Key::History(id),
            Value::History(history),
            r#"{"epoch":null,"node":"a","cause":"bootstrap","reason":"new \"cluster\"","actor":"x","at_us":5,"phases":[{"name":"fence","us":1500}],"loss":{"entries_at_risk":3,"entries_lost":null}}"#,
        ),
        (
            Key::Rehearsal(node("b")),
            Value::Rehearsal(rehearsal),
            r#"{"copy":"00000000000000000000000000000002","verdict":null,"reasons":["quarantine"],"keys":9,"at_us":6}"#,
        ),
        (Key::MasterView, Value::MasterView("10.0.0.1:50051".into()), "10.0.0.1:50051"),
    ]
}

#[test]
fn records_are_readable_and_read_back() {
    for (key, value, text) in samples() {
        assert_eq!(to_text(&value), text);
        assert_eq!(from_text(&key, text.as_bytes()).expect("valid"), value);
    }
}

#[test]
fn a_later_version_may_add_a_field() {
    let text = r#"{"copy":"00000000000000000000000000000002","verdict":null,"reasons":[],"keys":9,"at_us":6,"more":1}"#;
    assert!(from_text(&Key::Rehearsal(node("b")), text.as_bytes()).is_ok());
}

#[test]
fn what_is_not_understood_is_named_with_what_was_expected() {
    let long = "x".repeat(1000);
    let epoch = to_text(&samples()[0].1);
    let cases: [(Key, &str, &str); 7] = [
        (Key::Alive, "soon", "a number"),
        (Key::Epoch, "{}", "missing field `holder`"),
        (Key::Epoch, &epoch.replace("00000000000000ab", "ab"), "32 hexadecimal digits"),
        (Key::Epoch, &epoch.replace("failover", "coup"), "bootstrap, failover, switchover"),
        (Key::Epoch, &epoch.replace("\"a\"", "\"a/b\""), "node name `a/b`"),
        (
            Key::Isr,
            r#"{"members":[],"silent":[],"ack":"maybe","min_insync":1,"read_ttl_max_ms":1}"#,
            "`sync` or `async`",
        ),
        (Key::Isr, &long, "an in-sync set as JSON"),
    ];
    for (key, text, expected) in cases {
        let bad = from_text(&key, text.as_bytes()).expect_err(text);
        assert!(bad.expected.contains(expected), "{}", bad.expected);
        assert!(bad.value.chars().count() <= SHOWN_MAX + 1);
        assert!(text.starts_with(bad.value.trim_end_matches('…')));
    }
    assert_eq!(from_text(&Key::Alive, &[0xff]).expect_err("no text").expected, "text");
}
