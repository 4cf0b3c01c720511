//! Values as text: what people and configurations write, and what they read.

use super::*;

fn refused<T: std::str::FromStr<Err = BadValue> + std::fmt::Debug>(text: &str) -> String {
    text.parse::<T>().expect_err(text).to_string()
}

#[test]
fn what_is_written_is_read_again() {
    let uuid = Uuid { first: 7, second: u64::MAX };
    assert_eq!(uuid.to_string(), "7-18446744073709551615");
    assert_eq!(uuid.to_string().parse(), Ok(uuid));
    assert_eq!(
        (ClientId(uuid).to_string(), SegmentId(uuid).to_string()),
        (uuid.to_string(), uuid.to_string())
    );
    assert!(!uuid.is_nil() && Uuid::default().is_nil());
    for mode in [AckMode::Sync, AckMode::Async] {
        assert_eq!(mode.to_string().parse(), Ok(mode));
    }
    let task = TaskId(LogPos { epoch: Epoch(3), seq: 9 });
    assert_eq!((task.to_string().as_str(), TaskId::from(task.uuid())), ("3-9", task));
    assert!(TaskStatus::ALL.into_iter().all(|s| TaskStatus::from_code(s as u8) == Some(s)));
    assert_eq!(TaskStatus::from_code(4), None);
    let name: NodeId = "node-1.rack_2".parse().expect("a name");
    assert_eq!((name.to_string().as_str(), name.as_str()), ("node-1.rack_2", "node-1.rack_2"));
    assert_eq!(CopyId(0xff).to_string(), format!("{:032x}", 0xff));
    assert_ne!(CopyId(1).successor(), CopyId(1));
    assert_eq!(LogPos { epoch: Epoch(2), seq: 5 }.to_string(), "(2, 5)");
    assert_eq!(Instant(1_500_000_000).to_string(), "1.500000 s");
    assert_eq!(HomeId::SEGMENTS.to_string(), "segment table");
    assert_eq!(HomeId::from_index(limits::HOMES), None);
}

#[test]
fn what_is_no_value_is_named_with_what_was_expected() {
    let cases = [
        (refused::<Uuid>("7"), "`7`", "64-bit"),
        (refused::<Uuid>("7-x"), "`7-x`", "64-bit"),
        (refused::<Uuid>("-1-2"), "`-1-2`", "64-bit"),
        (refused::<AckMode>("fast"), "`fast`", "`sync` or `async`"),
        (refused::<NodeId>(""), "``", "1 to 128"),
        (refused::<ClusterId>("a b"), "`a b`", "1 to 128"),
        (refused::<NodeId>(&"x".repeat(129)), "xxx", "1 to 128"),
    ];
    for (said, value, expected) in cases {
        assert!(said.contains(value) && said.contains(expected), "{said}");
        assert!(said.len() < 250, "a long value is cut: {said}");
    }
}
