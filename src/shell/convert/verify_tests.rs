use proptest::prelude::*;
use prost::Message;
use standfast_kernel::types::{Epoch, Seq};

use super::*;

const LAST: LogPos = LogPos { epoch: Epoch(3), seq: 9 };
const MARK: HomeMark = HomeMark { last: LAST, digest: u128::MAX - 1 };

fn beacons() -> BeaconFrame {
    let home = |index| HomeId::from_index(index).expect("a home");
    let at = |index, mark, damaged| Beacon { home: home(index), mark, damaged };
    let blank = HomeMark { last: LogPos::NONE, digest: 0 };
    let beacons = vec![at(0, blank, false), at(1024, MARK, true)];
    BeaconFrame { epoch: Epoch(3), tail: Seq(10), beacons }
}

fn questions() -> Vec<VerificationRequest> {
    let home = HomeId::from_index(7).expect("a home");
    let entries = vec![VerificationEntry { prefix_hash: 5, checksum: 6 }];
    let sample = |at| VerificationAsk::Sample { home, at, range: (u64::MAX, 2), entries: entries.clone() };
    let asks = [
        VerificationAsk::Verified(Seq(4)),
        sample(LAST),
        sample(LogPos::NONE),
        VerificationAsk::Sums(HomeId::SEGMENTS),
        VerificationAsk::Image(home, 1 << 63),
    ];
    asks.map(|ask| VerificationRequest { id: 8, epoch: Epoch(3), applied: Seq(9), ask }).into()
}

fn answers() -> Vec<VerificationResponse> {
    let mismatch = |kind| MismatchEntry {
        prefix_hash: 5,
        kind,
        keys: vec![b"default\0k".to_vec()],
        checksum: (kind != DifferenceKind::Extra).then_some(6),
        data: vec![bytes::Bytes::from_static(b"image")],
    };
    let outcomes = [
        VerificationOutcome::Same,
        VerificationOutcome::Mismatches(DifferenceKind::ALL.map(mismatch).into()),
        VerificationOutcome::Sums(vec![1, u128::MAX]),
        VerificationOutcome::Image(3, vec![bytes::Bytes::from_static(b"chunk")]),
        VerificationOutcome::Inconclusive,
        VerificationOutcome::NeedFullSync("it follows epoch 2".into()),
    ];
    let answer = |outcome| VerificationResponse {
        id: 8,
        epoch: Epoch(3),
        home: HomeId::SEGMENTS,
        mark: MARK,
        damaged: true,
        outcome,
    };
    outcomes.map(answer).into()
}

#[test]
fn frames_of_verification_survive_the_wire() {
    assert_eq!(beacons_from_wire(beacons_to_wire(&beacons())), Ok(beacons()));
    for question in questions() {
        assert_eq!(question_from_wire(question_to_wire(question.clone())), Ok(question));
    }
    for answer in answers() {
        assert_eq!(answer_from_wire(answer_to_wire(answer.clone())), Ok(answer));
    }
}

/// A mark of a home, with one thing wrong in it.
fn mark(change: fn(&mut v1::HomeMark)) -> v1::HomeMark {
    let mut mark = mark_to_wire(HomeId::SEGMENTS, MARK, false);
    change(&mut mark);
    mark
}

fn beacon(change: fn(&mut v1::Beacons)) -> Result<BeaconFrame, BadValue> {
    let mut frame = beacons_to_wire(&beacons());
    change(&mut frame);
    beacons_from_wire(frame)
}

fn question(ask: A) -> Result<VerificationRequest, BadValue> {
    question_from_wire(v1::VerificationRequest { id: 1, epoch: 3, applied: 9, ask: Some(ask) })
}

fn answer(outcome: O) -> Result<VerificationResponse, BadValue> {
    let home = Some(mark(|_| {}));
    answer_from_wire(v1::VerificationResponse { id: 1, epoch: 3, home, outcome: Some(outcome) })
}

#[track_caller]
fn names<T: std::fmt::Debug>(result: Result<T, BadValue>, part: &str) {
    let error = result.expect_err(part).to_string();
    assert!(error.starts_with(part) && error.contains("is not valid: expected"), "{error}, not {part}");
}

#[test]
fn a_beacon_that_cannot_be_is_named() {
    names(beacon(|f| f.epoch = u64::MAX), "epoch `18446744073709551615`");
    names(beacon(|f| f.tail = 0), "tail `0`");
    names(beacon(|f| f.homes = vec![v1::HomeMark::default(); ITEMS_MAX + 1]), "beacons `4097`");
    names(beacon(|f| f.homes = vec![mark(|m| m.home = 1025)]), "home `1025`");
    names(beacon(|f| f.homes = vec![mark(|m| m.digest = b"short".to_vec().into())]), "digest `5`");
    let at = |epoch, seq| Some(v1::LogPos { epoch, seq });
    for (last, part) in [
        (at(3, 0), "position `0`"),
        (at(3, u64::MAX), "position `18446744073709551615`"),
        (at(u64::MAX, 9), "epoch `18446744073709551615`"),
    ] {
        let mut frame = beacons_to_wire(&beacons());
        frame.homes[1].last = last;
        names(beacons_from_wire(frame), part);
    }
}

#[test]
fn a_question_that_cannot_be_is_named() {
    let sample = |change: fn(&mut v1::SampleQuestion)| {
        let mut q = v1::SampleQuestion::default();
        change(&mut q);
        question(A::Sample(q))
    };
    let entry = |digest: &'static [u8]| v1::VerificationEntry { prefix_hash: 1, checksum: digest.into() };
    assert!(sample(|_| {}).is_ok(), "of a blank shard");
    names(question(A::Verified(0)), "verified `0`");
    names(question(A::Sums(u32::MAX)), "home `4294967295`");
    names(question(A::Image(v1::ImageQuestion { home: 1025, buckets: 1 })), "home `1025`");
    names(sample(|q| q.home = 2000), "home `2000`");
    names(sample(|q| q.at = Some(v1::LogPos { epoch: 1, seq: 0 })), "position `0`");
    names(sample(|q| q.entries = vec![v1::VerificationEntry::default(); ITEMS_MAX + 1]), "entries `4097`");
    let short = v1::SampleQuestion { entries: vec![entry(b"x")], ..v1::SampleQuestion::default() };
    names(question(A::Sample(short)), "digest `1`");
    names(question_from_wire(v1::VerificationRequest::default()), "verification request `empty`");
    let from_nowhere = v1::VerificationRequest { epoch: 1, ask: Some(A::Sums(1)), ..Default::default() };
    names(question_from_wire(from_nowhere), "applied `0`");
}

#[test]
fn an_answer_that_cannot_be_is_named() {
    let digest = |bytes: &'static [u8]| bytes::Bytes::from_static(bytes);
    let mismatches = |entries| answer(O::Mismatches(v1::Mismatches { entries }));
    let mismatch =
        |kind: &str, checksum| v1::MismatchEntry { kind: kind.into(), checksum, ..Default::default() };
    names(mismatches(vec![mismatch("other", None)]), "kind of mismatch `other`");
    names(mismatches(vec![mismatch("field", Some(digest(b"x")))]), "digest `1`");
    names(mismatches(vec![mismatch("field", None); ITEMS_MAX + 1]), "mismatches `4097`");
    names(answer(O::Sums(v1::BucketSums { sums: vec![digest(b"")] })), "digest `0`");
    names(answer(O::Sums(v1::BucketSums { sums: vec![digest(&[0; 16]); ITEMS_MAX + 1] })), "sums `4097`");
    let empty = v1::VerificationResponse::default();
    names(answer_from_wire(empty.clone()), "verification response `without home`");
    let silent = v1::VerificationResponse { home: Some(mark(|_| {})), ..empty };
    names(answer_from_wire(silent), "verification response `empty`");
}

/// What decodes is either named as bad, or means the same when it is sent on.
fn survives(bytes: &[u8]) {
    if let Ok(frame) = v1::Beacons::decode(bytes) {
        means_something(beacons_from_wire(frame), |f| beacons_from_wire(beacons_to_wire(f)));
    }
    if let Ok(request) = v1::VerificationRequest::decode(bytes) {
        means_something(question_from_wire(request), |q| question_from_wire(question_to_wire(q.clone())));
    }
    if let Ok(response) = v1::VerificationResponse::decode(bytes) {
        means_something(answer_from_wire(response), |a| answer_from_wire(answer_to_wire(a.clone())));
    }
}

fn means_something<T>(read: Result<T, BadValue>, again: impl Fn(&T) -> Result<T, BadValue>)
where
    T: std::fmt::Debug + PartialEq,
{
    match read {
        Ok(value) => assert_eq!(again(&value).as_ref(), Ok(&value)),
        Err(bad) => assert!(!bad.what.is_empty() && !bad.expected.is_empty(), "{bad:?}"),
    }
}

/// Sound frames as bytes.
fn encoded() -> Vec<Vec<u8>> {
    let questions = questions().into_iter().map(|q| question_to_wire(q).encode_to_vec());
    let answers = answers().into_iter().map(|a| answer_to_wire(a).encode_to_vec());
    std::iter::once(beacons_to_wire(&beacons()).encode_to_vec()).chain(questions).chain(answers).collect()
}

proptest! {
    #[test]
    fn no_bytes_lead_to_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survives(&bytes);
    }

    #[test]
    fn no_damaged_frame_leads_to_a_panic(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = which.get(&encoded()).clone();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        survives(&bytes);
        survives(&bytes[..cut.index(bytes.len())]);
    }
}
