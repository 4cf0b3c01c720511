//! What a view says that is too old: the node's loop hangs, and nobody knows how things are now.

use std::time::Duration;

use standfast_proto::v1;

use super::ms;
use crate::shell::health::stuck;

/// Takes back what only a running loop can tell; what was is still told, and how old it is.
pub(super) fn take_back(status: &mut v1::NodeStatus, age: Duration) {
    let why = stuck(age);
    let older = |age_ms: &mut Option<u64>| *age_ms = age_ms.map(|past| past + ms(age));
    for peer in &mut status.standbys {
        (peer.link, peer.stream, peer.lag) = (v1::LinkState::Down.into(), None, None);
        peer.reason = Some(why.clone());
        (peer.grant_remaining_ms, peer.progress) = (None, None);
        older(&mut peer.contact_age_ms);
    }
    if let Some(upstream) = &mut status.upstream {
        (upstream.link, upstream.stream, upstream.lag) = (v1::LinkState::Down.into(), None, None);
        upstream.reason = Some(why.clone());
        (upstream.next_attempt_in_ms, upstream.grant_given_remaining_ms, upstream.progress) =
            (None, None, None);
        older(&mut upstream.contact_age_ms);
    }
    if let Some(rights) = &mut status.rights {
        *rights = v1::Rights { may_answer: false, reason: why.clone(), ..v1::Rights::default() };
    }
    if let Some(verification) = &mut status.verification {
        older(&mut verification.last_success_age_ms);
        older(&mut verification.recount_age_ms);
    }
    if let Some(rehearsal) = &mut status.rehearsal {
        rehearsal.verdict = v1::Verdict::No.into();
        let cure = "restart this node; its log says what held its loop up".to_owned();
        rehearsal.reasons = vec![v1::Reason { code: "stuck".to_owned(), text: why, cure }];
        older(&mut rehearsal.age_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_running_loop_can_tell_is_taken_back() {
        let lag = Some(v1::Lag { entries: Some(0), bytes: Some(0), age_us: Some(0) });
        let up = v1::LinkState::Up.into();
        let peer = v1::Peer {
            node: "b".to_owned(),
            link: up,
            lag,
            in_sync: true,
            quarantined: Some(0),
            contact_age_ms: Some(5),
            ..v1::Peer::default()
        };
        let mut status = v1::NodeStatus {
            standbys: vec![peer],
            upstream: Some(v1::Upstream { link: up, lag, ..v1::Upstream::default() }),
            rights: Some(v1::Rights { may_answer: true, remaining_ms: Some(400), ..v1::Rights::default() }),
            rehearsal: Some(v1::Rehearsal { verdict: v1::Verdict::Yes.into(), ..v1::Rehearsal::default() }),
            identity: Some(v1::Identity {
                node: "a".to_owned(),
                build: "debug".to_owned(),
                ..v1::Identity::default()
            }),
            ..v1::NodeStatus::default()
        };
        take_back(&mut status, Duration::from_secs(12));
        let peer = &status.standbys[0];
        assert_eq!((peer.link(), peer.lag, peer.contact_age_ms), (v1::LinkState::Down, None, Some(12_005)));
        assert!(peer.reason.as_ref().is_some_and(|why| why.contains("stuck for 12 s")), "{peer:?}");
        let rights = status.rights.clone().expect("there");
        assert!(!rights.may_answer && rights.remaining_ms.is_none() && rights.reason.contains("stuck"));
        let told = crate::telemetry::exposition(&status).render();
        for series in [
            "standfast_may_answer 0",
            "standfast_promotable 0",
            "standfast_standby_promotable{standby=\"b\"} 0",
        ] {
            assert!(told.lines().any(|line| line == series), "{series}: {told}");
        }
        assert!(told.contains("standfast_promotable_reason{code=\"stuck\"} 1"), "{told}");
        assert!(!told.lines().any(|line| line.starts_with("standfast_replication_lag")), "{told}");
    }
}
