//! Whether the copies are proved equal. What nobody has compared is unknown, and not ok.

use standfast_proto::v1::{NodeStatus, Role, Verification};

use super::super::exit::Exit;
use super::super::status::{Seen, Survey};

/// What was found, and why it is not ok.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) exit: Exit,
    /// Sentences; empty when all is well.
    pub(super) reasons: Vec<String>,
}

impl Judged {
    /// `ok`, `bad` or `unknown`.
    pub(super) fn word(&self) -> &'static str {
        match self.exit {
            Exit::Ok => "ok",
            Exit::Unknown => "unknown",
            Exit::Bad | Exit::Usage | Exit::Unreachable => "bad",
        }
    }
}

/// What differs beats what is unknown; only copies that were all compared, and differ nowhere, are ok.
pub(super) fn judge(found: &Survey) -> Judged {
    let wrong: Vec<String> = found.answered().flat_map(|(seen, status)| wrong(seen, status)).collect();
    if !wrong.is_empty() {
        return Judged { exit: Exit::Bad, reasons: wrong };
    }
    let unknown = unknown(found);
    let exit = if unknown.is_empty() { Exit::Ok } else { Exit::Unknown };
    Judged { exit, reasons: unknown }
}

/// True for a node that is known to differ, or whose memory is damaged.
pub(super) fn is_bad(v: &Verification) -> bool {
    v.mismatched_keys.is_some_and(|n| n > 0)
        || v.homes_unequal.is_some_and(|n| n > 0)
        || v.recount_equal == Some(false)
}

fn wrong(seen: &Seen, status: &NodeStatus) -> Vec<String> {
    let Some(v) = status.verification.as_ref().filter(|v| is_bad(v)) else { return Vec::new() };
    let name = seen.name();
    let differ = [(v.homes_unequal, "homes"), (v.mismatched_keys, "keys")].into_iter();
    let differ = differ.filter_map(|(n, what)| Some((n.filter(|n| *n > 0)?, what)));
    let damaged =
        (v.recount_equal == Some(false)).then(|| format!("{name}: memory is not what its digests say"));
    differ.map(|(n, what)| format!("{name}: {n} {what} differ")).chain(damaged).collect()
}

/// What is not proved. A node that does not answer may be a standby; one that is about to lead still is a copy.
fn unknown(found: &Survey) -> Vec<String> {
    let mut reasons = Vec::new();
    let mut copies = 0;
    for seen in found.nodes.iter().filter(|seen| seen.role() != Role::Primary) {
        let name = seen.name();
        match &seen.answer {
            Err(why) => reasons.push(format!("{name} gives no answer: {why}")),
            Ok(status) => {
                copies += 1;
                reasons.extend(unproved(status.verification.as_ref()).map(|why| format!("{name}: {why}")));
            }
        }
    }
    if copies == 0 {
        reasons.insert(0, "no standby answers: there is nothing to compare with".to_owned());
    }
    reasons
}

/// Why a copy is not proved equal, although nothing is known to differ.
fn unproved(v: Option<&Verification>) -> Option<String> {
    let Some(v) = v else { return Some("it says nothing about verification".to_owned()) };
    if v.paused {
        return Some(format!("nothing is compared now: {}", why_paused(v)));
    }
    if v.homes_inconclusive.is_some_and(|n| n > 0) {
        return Some("something speaks against a home, and it is being looked at".to_owned());
    }
    let proved = v.verified.is_some() && v.last_success_age_ms.is_some();
    (!proved).then(|| "not every home has been compared yet".to_owned())
}

/// Why a node pauses; an older one does not say.
pub(super) fn why_paused(v: &Verification) -> &str {
    v.paused_reason.as_deref().unwrap_or("it does not say why")
}

#[cfg(test)]
mod tests {
    use standfast_proto::v1::{Identity, Leadership};
    use tokio::time::Instant;

    use super::*;

    fn node(name: &str, role: Role, verification: Option<Verification>) -> Result<NodeStatus, String> {
        Ok(NodeStatus {
            identity: Some(Identity { node: name.into(), ..Identity::default() }),
            leadership: Some(Leadership { role: role.into(), ..Leadership::default() }),
            verification,
            ..NodeStatus::default()
        })
    }

    fn primary() -> Result<NodeStatus, String> {
        node("a", Role::Primary, Some(Verification { recount_equal: Some(true), ..Verification::default() }))
    }

    /// A standby that is proved equal, but for this.
    fn standby(change: impl FnOnce(&mut Verification)) -> Result<NodeStatus, String> {
        let mut proved = Verification {
            verified: Some(9),
            last_success_age_ms: Some(100),
            homes_unequal: Some(0),
            mismatched_keys: Some(0),
            ..Verification::default()
        };
        change(&mut proved);
        node("b", Role::Standby, Some(proved))
    }

    fn judged(answers: Vec<Result<NodeStatus, String>>) -> (&'static str, Exit, String) {
        let nodes = answers.into_iter().enumerate().map(|(i, answer)| Seen {
            addr: format!("h:{i}"),
            answer: answer.map(Box::new),
            at: Instant::now(),
            lost: None,
        });
        let judged = judge(&Survey { nodes: nodes.collect() });
        (judged.word(), judged.exit, judged.reasons.join("; "))
    }

    #[test]
    fn copies_that_were_all_compared_and_differ_nowhere_are_ok() {
        assert_eq!(judged(vec![primary(), standby(|_| {})]), ("ok", Exit::Ok, String::new()));
    }

    #[test]
    fn each_thing_that_nobody_has_compared_is_unknown() {
        let paused = |v: &mut Verification| {
            (v.paused, v.paused_reason) = (true, Some("verification is switched off".into()));
        };
        for (answers, reason) in [
            (vec![primary()], "no standby answers"),
            (vec![primary(), Err("refused".to_owned())], "h:1 gives no answer: refused"),
            (vec![primary(), standby(|_| {}), Err("refused".to_owned())], "h:2 gives no answer: refused"),
            (vec![primary(), node("b", Role::Standby, None)], "b: it says nothing about verification"),
            (vec![primary(), node("b", Role::Candidate, None)], "b: it says nothing about verification"),
            (vec![primary(), standby(paused)], "b: nothing is compared now: verification is switched off"),
            (vec![primary(), standby(|v| v.paused = true)], "it does not say why"),
            (vec![primary(), standby(|v| v.verified = None)], "b: not every home"),
            (vec![primary(), standby(|v| v.last_success_age_ms = None)], "b: not every home"),
            // A second standby is no proof of the first.
            (vec![primary(), standby(|_| {}), standby(paused)], "switched off"),
        ] {
            let (word, exit, text) = judged(answers);
            assert_eq!((word, exit), ("unknown", Exit::Unknown), "{reason}");
            assert!(text.contains(reason), "{text}");
        }
    }

    #[test]
    fn what_differs_is_bad_also_where_something_is_unknown() {
        for (answer, reason) in [
            (standby(|v| v.mismatched_keys = Some(2)), "b: 2 keys differ"),
            (standby(|v| v.homes_unequal = Some(1)), "b: 1 homes differ"),
            (standby(|v| v.recount_equal = Some(false)), "b: memory is not what its digests say"),
            (standby(|v| (v.paused, v.mismatched_keys) = (true, Some(1))), "b: 1 keys differ"),
        ] {
            let (word, exit, text) = judged(vec![primary(), answer, Err("refused".to_owned())]);
            assert_eq!((word, exit), ("bad", Exit::Bad), "{reason}");
            assert_eq!(text, reason);
        }
    }
}
