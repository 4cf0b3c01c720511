//! Damage planted in real processes is found, named and repaired; a damaged
//! primary is said to be one.

use standfast_proto::v1;

use crate::node::{Node, end, refusal, segment, start};

const KINDS: [&str; 8] =
    ["missing", "extra", "field", "segment", "client", "in-flight", "order", "flipped-bit"];
const QUICK: &str = "--enable-lab --verify-cycle-ms 500 --verify-recount-ms 1000";

fn verification(s: &v1::NodeStatus) -> v1::Verification {
    s.verification.clone().unwrap_or_default()
}

async fn filled(flags: &str) -> (Node, Node) {
    let (a, b) = Node::pair(flags).await;
    let mut client = a.master().await;
    for id in 1..=2 {
        client.mount_segment(segment(id, 1 << 20)).await.expect("mounted");
    }
    let keys = ["a", "b", "c", "d"];
    let mut request = start(&keys);
    request.config = Some(v1::ReplicateConfig { replica_num: 2, ..v1::ReplicateConfig::default() });
    let started = client.put_start(request).await.expect("started").into_inner();
    assert!(started.results.iter().all(|r| r.error.is_none()), "{started:?}");
    client.put_end(end(&["a", "b", "c"])).await.expect("ended");
    let tail = a.status(false).await.positions.map(|p| p.tail);
    b.until("verified to the end", |s| s.positions.as_ref().is_some_and(|p| p.verified == tail)).await;
    (a, b)
}

async fn corrupt(node: &Node, kind: &str) -> Vec<u8> {
    let request = v1::LabCorruptRequest { kind: kind.into(), pick: 77, count: 1 };
    let reply = node.admin().await.lab_corrupt(request).await.expect("damaged").into_inner();
    reply.names.first().expect("there is one of this kind").to_vec()
}

#[tokio::test]
async fn each_kind_of_damage_of_a_standby_is_found_named_and_repaired() {
    let (a, b) = filled(QUICK).await;
    for (i, kind) in KINDS.into_iter().enumerate() {
        let name = corrupt(&b, kind).await;
        let found = b
            .until(kind, |s| {
                let v = verification(s);
                v.recent.len() > i && v.recent.iter().all(|m| m.repaired_unix_us.is_some())
            })
            .await;
        let newest = verification(&found).recent.last().cloned().expect("found");
        assert_eq!(newest.key.as_deref(), Some(&*name), "{kind}: {newest:?}");
        let (ours, theirs) = b.compared_with(&a).await;
        assert_eq!((&ours.digest, &ours.recount), (&theirs.digest, &theirs.recount), "{kind} is repaired");
        assert_eq!(ours.digest, ours.recount);
    }
    let status = b.status(false).await;
    assert_eq!(verification(&status).recent.len(), KINDS.len(), "no false alarm");
    let codes: Vec<&str> = status.events.iter().map(|e| e.code.as_str()).collect();
    assert!(codes.contains(&"verify_mismatch") && codes.contains(&"verify_repaired"), "{codes:?}");
}

#[tokio::test]
async fn a_damaged_primary_is_said_to_be_one_and_an_operator_chooses() {
    for kind in KINDS {
        let (a, b) = filled(QUICK).await;
        let name = corrupt(&a, kind).await;
        let is_named =
            |s: &v1::NodeStatus| verification(s).recent.iter().any(|m| m.key.as_deref() == Some(&*name));
        let found = b.until(kind, is_named).await;
        let recent = verification(&found).recent;
        assert!(recent.iter().all(|m| m.repaired_unix_us.is_none()), "{kind}: {recent:?} {:?}", found.events);
        a.until("said by the primary", |s| verification(s).recount_equal == Some(false)).await;
        assert!(a.status(false).await.events.iter().any(|e| e.code == "primary_damaged"), "{kind}");
        let accept =
            v1::VerifyNowRequest { action: v1::VerifyAction::AcceptPrimary.into(), actor: "test".into() };
        let reply = a.admin().await.verify_now(accept).await.expect("answered").into_inner();
        if ["extra", "in-flight"].contains(&kind) {
            // Bytes would have two owners, or be handed out a second time.
            assert!(!reply.accepted && reply.reasons[0].code == "memory_misfit", "{kind}: {reply:?}");
            assert!(
                verification(&b.status(false).await).mismatched_keys > Some(0),
                "{kind}: nothing is taken over"
            );
            continue;
        }
        assert_eq!((reply.accepted, reply.affected), (true, Some(1)), "{kind}");
        b.until("equal to what the operator chose", |s| verification(s).mismatched_keys == Some(0)).await;
    }
}

#[tokio::test]
async fn without_the_lab_nothing_is_damaged_and_orders_need_the_right_role() {
    let (a, b) = Node::pair("").await;
    let request = v1::LabCorruptRequest { kind: "field".into(), pick: 0, count: 1 };
    let (_, refused) = refusal(a.admin().await.lab_corrupt(request).await);
    assert!(refused.text.contains("--enable-lab"), "{refused:?}");
    let order = |action: v1::VerifyAction| v1::VerifyNowRequest { action: action.into(), actor: "t".into() };
    for (node, action) in [(&a, v1::VerifyAction::Run), (&b, v1::VerifyAction::AcceptPrimary)] {
        let reply = node.admin().await.verify_now(order(action)).await.expect("answered").into_inner();
        assert!(!reply.accepted && reply.reasons[0].code == "wrong_role", "{reply:?}");
    }
    let run = b.admin().await.verify_now(order(v1::VerifyAction::Run)).await.expect("answered").into_inner();
    assert_eq!((run.accepted, run.affected), (true, Some(1025)));
}
