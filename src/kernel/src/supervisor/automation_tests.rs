use super::*;
use crate::coordination::{
    AutomationRecord, EpochCause, EpochRecord, Key, Reading, Revision, Value, Versioned,
};
use crate::types::{CopyId, Epoch, Instant};

const S: u64 = 1_000_000;
const LIMIT: FlapLimit = FlapLimit { changes: 3, window: Duration::from_secs(600) };

/// Automatic changes at these seconds, each of which ended the epoch of the same index; and a word.
fn view(at: &[u64], word: Option<(Option<u64>, u64)>) -> RecordView {
    let automatic = at.iter().enumerate();
    let automatic =
        automatic.map(|(n, s)| AutomaticChange { previous: Epoch(n as u64), at: WallTime(s * S) }).collect();
    let epoch = EpochRecord {
        holder: "a".parse().expect("valid"),
        copy: CopyId(1),
        address: "a:1".into(),
        mooncake: None,
        cause: EpochCause::Failover,
        actor: "supervisor".into(),
        reason: "gone".into(),
        nonce: 1,
        quiet: false,
        previous: Epoch(1),
        automatic,
    };
    let record = |value| Versioned { created: Revision(2), modified: Revision(9), value };
    let word = word.map(|(until, acknowledged)| {
        record(Value::Automation(AutomationRecord {
            paused_until: until.map(|s| WallTime(s * S)),
            acknowledged: Epoch(acknowledged),
            actor: "op@host".into(),
            reason: "new kernel".into(),
            at: WallTime(5 * S),
        }))
    });
    let records = vec![(Key::Epoch, Some(record(Value::Epoch(epoch)))), (Key::Automation, word)];
    let mut view = RecordView::default();
    view.learn(Instant(1), &Reading { at: Revision(9), records });
    view
}

fn suspended(at: &[u64], word: Option<(Option<u64>, u64)>, now: u64) -> Option<(&'static str, String)> {
    Automation::of(&view(at, word), LIMIT, WallTime(now * S)).suspended()
}

#[test]
fn a_pause_holds_until_its_time_and_names_who_and_why() {
    let (code, text) = suspended(&[], Some((Some(100), 0)), 40).expect("paused");
    assert_eq!(code, "paused");
    let sentence = "automatic failover is paused by op@host for another 60 s: new kernel; `standfast resume`";
    assert!(text.starts_with(sentence), "{text}");
    assert_eq!(suspended(&[], Some((Some(100), 0)), 99).map(|(code, _)| code), Some("paused"));
    assert_eq!(suspended(&[], Some((Some(100), 0)), 100), None, "it ends by itself");
    assert_eq!(suspended(&[], Some((None, 0)), 40), None);
    assert_eq!(suspended(&[], None, 40), None);
}

#[test]
fn three_in_ten_minutes_are_too_many_until_the_window_has_passed() {
    assert_eq!(suspended(&[100, 200], None, 201), None);
    let (code, text) = suspended(&[100, 200, 300], None, 301).expect("too many");
    assert_eq!(code, "flapping");
    assert!(
        text.starts_with("3 automatic failovers within 600 s are too many, the next is in 6 min"),
        "{text}"
    );
    assert!(text.contains("`standfast resume` acknowledges them"), "{text}");
    assert!(suspended(&[100, 200, 300], None, 699).is_some());
    assert_eq!(suspended(&[100, 200, 300], None, 700), None, "the first is out of the window");
    // Of four the second has to leave it.
    assert!(suspended(&[100, 200, 300, 650], None, 799).is_some());
    assert_eq!(suspended(&[100, 200, 300, 650], None, 800), None);
}

#[test]
fn what_is_acknowledged_counts_no_more_and_what_comes_after_does() {
    let seen = |word, now| {
        let a = Automation::of(&view(&[100, 200, 300], word), LIMIT, WallTime(now * S));
        (a.recent, a.stopped_until.is_some())
    };
    assert_eq!(seen(None, 301), (3, true));
    assert_eq!(seen(Some((None, 2)), 301), (1, false), "the third ended epoch 2, after the word");
    assert_eq!(seen(Some((None, 3)), 301), (0, false));
    let off = Automation::of(&view(&[100, 200, 300], None), FlapLimit::OFF, WallTime(301 * S));
    assert_eq!((off.recent, off.suspended()), (0, None));
}
