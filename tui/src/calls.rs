//! The calls that ask once and the calls that act, and what came of them in sentences.

use std::time::Duration;

use standfast_proto::v1::admin_client::AdminClient;
use standfast_proto::v1::recorder_client::RecorderClient;
use standfast_proto::v1::{
    AutomationReply, DetachReply, DetachRequest, GetTraceRequest, LabCorruptReply, LabCorruptRequest,
    ListTracesRequest, PauseRequest, PromoteReply, PromoteRequest, Reason, Refusal, ResumeRequest,
    SwitchoverReply, SwitchoverRequest, TraceOrder, VerifyAction, VerifyNowReply, VerifyNowRequest,
    WriteTrace,
};
use tokio::time::timeout;
use tonic::{Code, Response, Status};

use crate::act::{Confirmed, Forecast};
use crate::conn::{open, sentence};
use crate::deed::Deed;
use crate::format::{micros, millis, number, plural};
use crate::msg::Outcome;

/// For a promotion: the node waits out its last promise, which is seconds at most.
const ADMIN_LIMIT: Duration = Duration::from_secs(10);

/// A pause ends by itself: `standfast pause` knows other lengths.
const PAUSE_MS: u64 = 3_600_000;

/// What a deed would come to. Changes nothing.
///
/// # Errors
/// A sentence that says why nobody knows.
pub(crate) async fn plan(
    deed: Deed,
    addr: &str,
    target: &str,
    actor: &str,
    reason: &str,
) -> Result<Forecast, String> {
    let channel = open(addr).await?;
    let mut admin = AdminClient::new(channel);
    let (actor, reason) = (actor.to_owned(), reason.to_owned());
    let forecast = if deed == Deed::Switchover {
        let request = SwitchoverRequest { to: target.to_owned(), actor, reason, dry_run: true };
        within(admin.switchover(request)).await.map(|reply| Forecast {
            accepted: reply.accepted,
            reasons: reply.reasons,
            plan: None,
            to: reply.to,
        })
    } else {
        let request =
            PromoteRequest { actor, reason, dry_run: true, start_empty: false, accept_loss_entries: None };
        within(admin.promote(request)).await.map(|reply| Forecast {
            accepted: reply.accepted,
            reasons: reply.reasons,
            plan: reply.plan,
            to: None,
        })
    };
    forecast.map_err(|status| unknown_call(&status).unwrap_or_else(|| sentence(&status)))
}

/// What the node's flight recorder knows of the write `seq`.
///
/// # Errors
/// A sentence that says why nobody knows.
pub(crate) async fn trace(addr: &str, seq: u64) -> Result<Box<WriteTrace>, String> {
    let channel = open(addr).await?;
    let answer = within(RecorderClient::new(channel).get_trace(GetTraceRequest { seq })).await;
    answer.map(Box::new).map_err(|status| sentence(&status))
}

/// Many writes that the node's flight recorder knows.
///
/// # Errors
/// A sentence that says why nobody knows.
pub(crate) async fn list(addr: &str, order: TraceOrder, limit: u32) -> Result<Vec<WriteTrace>, String> {
    let channel = open(addr).await?;
    let request = ListTracesRequest { order: order.into(), limit };
    let answer = within(RecorderClient::new(channel).list_traces(request)).await;
    answer
        .map(|reply| reply.traces)
        .map_err(|status| unknown_call(&status).unwrap_or_else(|| sentence(&status)))
}

/// Does what was confirmed, and says what became of it.
pub(crate) async fn act(confirmed: &Confirmed, actor: &str) -> Outcome {
    let channel = match open(confirmed.addr()).await {
        Ok(channel) => channel,
        // Nothing was sent.
        Err(why) => {
            let text = format!("{} cannot be reached: {why}", confirmed.addr());
            let cure = format!("standfast status --connect {}", confirmed.addr());
            return Outcome::Refused(vec![Reason { code: "unreachable".to_owned(), text, cure }]);
        }
    };
    let (actor, reason) = (actor.to_owned(), confirmed.reason().to_owned());
    let target = confirmed.target();
    let mut admin = AdminClient::new(channel);
    let done = match confirmed.deed() {
        Deed::Switchover => {
            let request = SwitchoverRequest { to: target.to_owned(), actor, reason, dry_run: false };
            within(admin.switchover(request)).await.map(handed_over)
        }
        Deed::Failover => {
            let request = PromoteRequest {
                actor,
                reason,
                dry_run: false,
                start_empty: false,
                accept_loss_entries: None,
            };
            within(admin.promote(request)).await.map(|reply| promoted(target, reply))
        }
        Deed::Detach => {
            let request = DetachRequest { node: target.to_owned(), actor, reason };
            within(admin.detach(request)).await.map(|reply| detached(target, reply))
        }
        Deed::Repair => {
            let request = VerifyNowRequest { action: VerifyAction::Repair.into(), actor };
            within(admin.verify_now(request)).await.map(|reply| repairing(target, reply))
        }
        Deed::Corrupt => {
            let request = LabCorruptRequest { kind: "flipped-bit".to_owned(), pick: picked(), count: 1 };
            within(admin.lab_corrupt(request)).await.map(|reply| corrupted(target, &reply))
        }
        Deed::Pause => {
            let request = PauseRequest { length_ms: PAUSE_MS, actor, reason };
            within(admin.pause(request)).await.map(automated)
        }
        Deed::Resume => within(admin.resume(ResumeRequest { actor, reason })).await.map(automated),
        Deed::Drill(_) => return nobody_drills(),
    };
    done.unwrap_or_else(|status| of_failure(&status, confirmed.addr()))
}

/// A drill takes somebody on the machine of the node.
pub(crate) fn nobody_drills() -> Outcome {
    let text = "this console cannot strike processes".to_owned();
    let cure = "standfast drill kill, on the machine of the node".to_owned();
    Outcome::Refused(vec![Reason { code: "no_drills".to_owned(), text, cure }])
}

fn handed_over(reply: SwitchoverReply) -> Outcome {
    if !reply.accepted {
        return Outcome::Refused(reply.reasons);
    }
    let to = reply.to.as_deref().unwrap_or("?");
    let mut said = vec![format!("{to} is the primary of epoch {}.", number(reply.epoch))];
    if !reply.phases.is_empty() {
        let phases = reply.phases.iter().map(|p| format!("{} {}", p.name, micros(Some(p.duration_us))));
        said.push(format!("On the former primary: {}.", phases.collect::<Vec<_>>().join(", ")));
    }
    said.push(ROW.to_owned());
    Outcome::Done(said)
}

const ROW: &str = "View 5 has its row: phases, outage, loss.";

fn promoted(target: &str, reply: PromoteReply) -> Outcome {
    if !reply.accepted {
        return Outcome::Refused(reply.reasons);
    }
    Outcome::Done(vec![format!("{target} is the primary of epoch {}.", number(reply.epoch)), ROW.to_owned()])
}

fn detached(target: &str, reply: DetachReply) -> Outcome {
    if !reply.accepted {
        return Outcome::Refused(reply.reasons);
    }
    let members = reply.in_sync.iter().flat_map(|set| &set.members);
    let names: Vec<&str> = members.map(|member| &*member.node).collect();
    let told = if reply.told { "has been told" } else { "could not be told" };
    Outcome::Done(vec![format!("{target} is detached and {told}. In sync: {}.", names.join(", "))])
}

fn repairing(target: &str, reply: VerifyNowReply) -> Outcome {
    if !reply.accepted {
        return Outcome::Refused(reply.reasons);
    }
    let items = reply.affected.map_or_else(|| "? items".to_owned(), |n| plural(n as usize, "item"));
    Outcome::Done(vec![
        format!("{target} overwrites {items} from the primary."),
        "View 4 shows what comes of it.".to_owned(),
    ])
}

/// How automatic failover stands after a pause or its end.
fn automated(reply: AutomationReply) -> Outcome {
    if !reply.accepted {
        return Outcome::Refused(reply.reasons);
    }
    let now = reply.automation.unwrap_or_default();
    Outcome::Done(vec![match (&now.pause, now.suspended) {
        (Some(pause), _) => {
            format!("No node takes over by itself for {}.", millis(Some(pause.remaining_ms)))
        }
        (None, true) => format!("No node takes over by itself: {}.", now.reason),
        (None, false) => "Standbys take over by themselves again.".to_owned(),
    }])
}

fn corrupted(target: &str, reply: &LabCorruptReply) -> Outcome {
    if reply.names.is_empty() {
        let text = format!("{target} stores no object that could be damaged");
        return Outcome::Refused(vec![Reason { code: "nothing".into(), text, cure: String::new() }]);
    }
    let names = reply.names.iter().map(|name| String::from_utf8_lossy(name).into_owned());
    Outcome::Done(vec![
        format!("A bit is flipped in {target}'s memory: {}.", names.collect::<Vec<_>>().join(", ")),
        "View 4 shows when it is found; :repair undoes it.".to_owned(),
    ])
}

/// Any object.
fn picked() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    // Keyed anew for each process and each state: chance enough to choose an object.
    RandomState::new().hash_one(0)
}

/// Only a node's own word can state that nothing was done; a status of the transport leaves the outcome unknown.
fn of_failure(status: &Status, addr: &str) -> Outcome {
    if let Some(text) = unknown_call(status) {
        let cure = format!("standfast status --connect {addr}");
        return Outcome::Refused(vec![Reason { code: "unknown_call".to_owned(), text, cure }]);
    }
    match Refusal::from_status(status) {
        Some(refusal) if refusal.nothing_was_done() => {
            let code = refusal.code().as_str_name().trim_start_matches("REFUSAL_CODE_").to_lowercase();
            Outcome::Refused(vec![Reason { code, text: refusal.text, cure: refusal.cure }])
        }
        _ => Outcome::Unknown { why: sentence(status), cure: format!("standfast status --connect {addr}") },
    }
}

/// A node of another version may not know a call; it has done nothing then.
fn unknown_call(status: &Status) -> Option<String> {
    (status.code() == Code::Unimplemented && Refusal::from_status(status).is_none())
        .then(|| "the node does not know this call: it runs another version".to_owned())
}

async fn within<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
    match timeout(ADMIN_LIMIT, call).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!("no answer within {} ms", ADMIN_LIMIT.as_millis()))),
    }
}

#[cfg(test)]
mod tests {
    use standfast_proto::v1::{Automation, Pause, RefusalCode};

    use super::*;

    #[test]
    fn only_a_refusal_can_say_that_nothing_was_done() {
        let refused = of_failure(&Refusal::new(RefusalCode::NotPrimary, "no").into(), "h:1");
        assert!(
            matches!(&refused, Outcome::Refused(reasons) if reasons[0].code == "not_primary"),
            "{refused:?}"
        );
        for status in [
            Refusal::new(RefusalCode::OutcomeUnknown, "why").into(),
            Status::unavailable("reset"),
            Status::deadline_exceeded(""),
        ] {
            assert!(matches!(of_failure(&status, "h:1"), Outcome::Unknown { .. }), "{status}");
        }
    }

    #[test]
    fn a_call_that_a_node_does_not_know_is_said_and_nothing_was_done() {
        let outcome = of_failure(&Status::unimplemented(""), "h:1");
        assert!(
            outcome.sentence().contains("refused, nothing was changed. the node does not know this call")
        );
    }

    #[test]
    fn a_pause_says_how_long_it_lasts() {
        let reply = |pause, suspended| AutomationReply {
            accepted: true,
            automation: Some(Automation {
                pause,
                suspended,
                reason: "too many".into(),
                ..Automation::default()
            }),
            ..AutomationReply::default()
        };
        let pause = Pause { remaining_ms: 3_600_000, ..Pause::default() };
        assert!(automated(reply(Some(pause), true)).sentence().contains("for 1h00m"));
        assert!(automated(reply(None, true)).sentence().contains("too many"), "the limit still holds");
        assert!(automated(reply(None, false)).sentence().contains("by themselves again"));
    }

    #[test]
    fn what_was_done_is_said_and_a_refusal_keeps_its_reasons() {
        let reply =
            SwitchoverReply { accepted: true, epoch: Some(3), to: Some("b".into()), ..Default::default() };
        assert!(handed_over(reply).sentence().starts_with("done. b is the primary of epoch 3."));
        let reasons = vec![Reason { text: "it lags".into(), ..Reason::default() }];
        let refused = handed_over(SwitchoverReply { reasons, ..Default::default() });
        assert_eq!(refused.sentence(), "refused, nothing was changed. it lags");
        let reply = VerifyNowReply { accepted: true, affected: None, ..Default::default() };
        assert!(repairing("b", reply).sentence().contains("b overwrites ? items"), "unknown is no 0");
        assert!(matches!(corrupted("b", &LabCorruptReply::default()), Outcome::Refused(_)));
    }
}
