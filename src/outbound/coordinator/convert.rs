//! Records as text, so that people can read them with etcd's own tools: JSON,
//! except the client key, whose form is Mooncake's.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use standfast_kernel::coordination::{
    AutomaticChange, AutomationRecord, EpochCause, EpochRecord, HistoryLoss, HistoryRecord, IsrMember,
    IsrRecord, Key, RehearsalRecord, Value,
};
use standfast_kernel::types::{AckMode, CopyId, Epoch, NodeId, WallTime};

/// Longest part of a bad value that an error repeats, in characters.
const SHOWN_MAX: usize = 200;

#[derive(Serialize, Deserialize)]
struct EpochText {
    holder: String,
    copy: String,
    address: String,
    mooncake: Option<String>,
    cause: String,
    actor: String,
    /// Not written by earlier versions.
    #[serde(default)]
    reason: String,
    nonce: String,
    quiet: bool,
    previous: u64,
    /// Not written by earlier versions.
    #[serde(default)]
    automatic: Vec<ChangeText>,
}

#[derive(Serialize, Deserialize)]
struct ChangeText {
    previous: u64,
    at_us: u64,
}

#[derive(Serialize, Deserialize)]
struct AutomationText {
    paused_until_us: Option<u64>,
    acknowledged: u64,
    actor: String,
    reason: String,
    at_us: u64,
}

#[derive(Serialize, Deserialize)]
struct IsrText {
    members: Vec<MemberText>,
    silent: Vec<String>,
    ack: String,
    min_insync: u32,
    read_ttl_max_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct MemberText {
    node: String,
    copy: String,
    address: String,
}

#[derive(Serialize, Deserialize)]
struct HistoryText {
    epoch: Option<u64>,
    node: String,
    cause: String,
    reason: String,
    actor: String,
    at_us: u64,
    phases: Vec<PhaseText>,
    loss: Option<LossText>,
}

#[derive(Serialize, Deserialize)]
struct PhaseText {
    name: String,
    us: u64,
}

#[derive(Serialize, Deserialize)]
struct LossText {
    entries_at_risk: Option<u64>,
    entries_lost: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct RehearsalText {
    copy: String,
    verdict: Option<bool>,
    reasons: Vec<String>,
    keys: Option<u64>,
    at_us: u64,
}

/// What is wrong with a value: what it shows, and what was expected.
#[derive(Debug)]
pub(super) struct BadText {
    pub(super) value: String,
    pub(super) expected: String,
}

/// The text of a record.
pub(super) fn to_text(value: &Value) -> String {
    match value {
        Value::Epoch(r) => json(&EpochText {
            holder: r.holder.to_string(),
            copy: r.copy.to_string(),
            address: r.address.clone(),
            mooncake: r.mooncake.clone(),
            cause: r.cause.as_str().to_owned(),
            actor: r.actor.clone(),
            reason: r.reason.clone(),
            nonce: format!("{:016x}", r.nonce),
            quiet: r.quiet,
            previous: r.previous.0,
            automatic: r
                .automatic
                .iter()
                .map(|c| ChangeText { previous: c.previous.0, at_us: c.at.0 })
                .collect(),
        }),
        Value::Automation(r) => json(&AutomationText {
            paused_until_us: r.paused_until.map(|at| at.0),
            acknowledged: r.acknowledged.0,
            actor: r.actor.clone(),
            reason: r.reason.clone(),
            at_us: r.at.0,
        }),
        Value::Isr(r) => json(&IsrText {
            members: r.members.iter().map(member_text).collect(),
            silent: r.silent.iter().map(ToString::to_string).collect(),
            ack: r.ack.to_string(),
            min_insync: r.min_insync,
            read_ttl_max_ms: r.read_ttl_max.as_millis() as u64,
        }),
        Value::Alive(n) => n.to_string(),
        Value::History(r) => json(&HistoryText {
            epoch: r.epoch.map(|e| e.0),
            node: r.node.to_string(),
            cause: r.cause.as_str().to_owned(),
            reason: r.reason.clone(),
            actor: r.actor.clone(),
            at_us: r.at.0,
            phases: r
                .phases
                .iter()
                .map(|(name, took)| PhaseText { name: name.clone(), us: took.as_micros() as u64 })
                .collect(),
            loss: r
                .loss
                .map(|l| LossText { entries_at_risk: l.entries_at_risk, entries_lost: l.entries_lost }),
        }),
        Value::Rehearsal(r) => json(&RehearsalText {
            copy: r.copy.to_string(),
            verdict: r.verdict,
            reasons: r.reasons.clone(),
            keys: r.keys,
            at_us: r.at.0,
        }),
        Value::MasterView(address) => address.clone(),
    }
}

/// Structures of text and numbers always have a JSON form.
fn json(text: &impl Serialize) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

fn member_text(m: &IsrMember) -> MemberText {
    MemberText { node: m.node.to_string(), copy: m.copy.to_string(), address: m.address.clone() }
}

/// Reads the text of the record with this key.
pub(super) fn from_text(key: &Key, bytes: &[u8]) -> Result<Value, BadText> {
    let read = || {
        let text = std::str::from_utf8(bytes).map_err(|_| "text".to_owned())?;
        match key {
            Key::Epoch => Ok(Value::Epoch(epoch(parse(text, "an epoch record")?)?)),
            Key::Isr => Ok(Value::Isr(isr(parse(text, "an in-sync set")?)?)),
            Key::Alive => text.parse().map(Value::Alive).map_err(|_| "a number".to_owned()),
            Key::Automation => {
                Ok(Value::Automation(automation(parse(text, "a word about automatic failover")?)))
            }
            Key::History(_) => Ok(Value::History(history(parse(text, "a history record")?)?)),
            Key::Rehearsal(_) => Ok(Value::Rehearsal(rehearsal(parse(text, "a rehearsal")?)?)),
            Key::MasterView => Ok(Value::MasterView(text.to_owned())),
        }
    };
    read().map_err(|expected| {
        let mut value: String = String::from_utf8_lossy(bytes).chars().take(SHOWN_MAX + 1).collect();
        if let Some((at, _)) = value.char_indices().nth(SHOWN_MAX) {
            value.truncate(at);
            value.push('…');
        }
        BadText { value, expected }
    })
}

fn parse<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|e| format!("{what} as JSON ({e})"))
}

fn epoch(t: EpochText) -> Result<EpochRecord, String> {
    Ok(EpochRecord {
        holder: node(&t.holder)?,
        copy: copy(&t.copy)?,
        address: t.address,
        mooncake: t.mooncake,
        cause: cause(&t.cause)?,
        actor: t.actor,
        reason: t.reason,
        nonce: u64::from_str_radix(&t.nonce, 16)
            .map_err(|_| "a nonce of 16 hexadecimal digits".to_owned())?,
        quiet: t.quiet,
        previous: Epoch(t.previous),
        automatic: t
            .automatic
            .iter()
            .map(|c| AutomaticChange { previous: Epoch(c.previous), at: WallTime(c.at_us) })
            .collect(),
    })
}

fn automation(t: AutomationText) -> AutomationRecord {
    AutomationRecord {
        paused_until: t.paused_until_us.map(WallTime),
        acknowledged: Epoch(t.acknowledged),
        actor: t.actor,
        reason: t.reason,
        at: WallTime(t.at_us),
    }
}

fn isr(t: IsrText) -> Result<IsrRecord, String> {
    let member = |m: MemberText| {
        Ok::<_, String>(IsrMember { copy: copy(&m.copy)?, node: node(&m.node)?, address: m.address })
    };
    Ok(IsrRecord {
        members: t.members.into_iter().map(member).collect::<Result<_, _>>()?,
        silent: t.silent.iter().map(|c| copy(c)).collect::<Result<_, _>>()?,
        ack: t.ack.parse::<AckMode>().map_err(|e| e.to_string())?,
        min_insync: t.min_insync,
        read_ttl_max: Duration::from_millis(t.read_ttl_max_ms),
    })
}

fn history(t: HistoryText) -> Result<HistoryRecord, String> {
    Ok(HistoryRecord {
        epoch: t.epoch.map(Epoch),
        node: node(&t.node)?,
        cause: cause(&t.cause)?,
        reason: t.reason,
        actor: t.actor,
        at: WallTime(t.at_us),
        phases: t.phases.into_iter().map(|p| (p.name, Duration::from_micros(p.us))).collect(),
        loss: t
            .loss
            .map(|l| HistoryLoss { entries_at_risk: l.entries_at_risk, entries_lost: l.entries_lost }),
    })
}

fn rehearsal(t: RehearsalText) -> Result<RehearsalRecord, String> {
    Ok(RehearsalRecord {
        copy: copy(&t.copy)?,
        verdict: t.verdict,
        reasons: t.reasons,
        keys: t.keys,
        at: WallTime(t.at_us),
    })
}

fn node(text: &str) -> Result<NodeId, String> {
    text.parse().map_err(|e| format!("a valid node name ({e})"))
}

fn copy(text: &str) -> Result<CopyId, String> {
    let digits = text.len() == 32;
    let parsed = u128::from_str_radix(text, 16).ok().filter(|_| digits);
    parsed.map(CopyId).ok_or_else(|| format!("a copy id of 32 hexadecimal digits, not `{text}`"))
}

fn cause(text: &str) -> Result<EpochCause, String> {
    let known = EpochCause::ALL.into_iter().find(|c| c.as_str() == text);
    known.ok_or_else(|| {
        let words: Vec<&str> = EpochCause::ALL.iter().map(|c| c.as_str()).collect();
        format!("a cause out of {}, not `{text}`", words.join(", "))
    })
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
