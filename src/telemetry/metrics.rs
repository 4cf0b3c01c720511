//! From a node's status to its metrics. The status is all that they are made
//! of, so a scrape costs what a status costs: O(segments), never O(objects).

use std::collections::BTreeMap;

use standfast_proto::v1;
use v1::{Role, RoleChangeKind};

use super::catalog as m;
use super::exposition::Exposition;
use super::histogram::coarser;
use super::stock;

/// All metrics of this status.
#[must_use]
pub fn exposition(status: &v1::NodeStatus) -> Exposition {
    let mut out = Exposition::default();
    identity(status, &mut out);
    pipeline(status, &mut out);
    replication(status, &mut out);
    if let Some(traffic) = &status.traffic {
        writes(traffic, &mut out);
    }
    readiness(status, &mut out);
    automation(status, &mut out);
    security(status, &mut out);
    role_changes(status, &mut out);
    if let Some(store) = &status.store {
        state(store, &mut out);
    }
    health(status, &mut out);
    stock::add(status, &mut out);
    out
}

fn identity(status: &v1::NodeStatus, out: &mut Exposition) {
    if let Some(id) = &status.identity {
        out.count(&m::BUILD_INFO, &[&id.version, &id.build], 1);
        out.put(&m::PROCESS_START, &[], id.started_unix_us as f64 / 1e6);
    }
    let Some(l) = &status.leadership else { return };
    let role = match l.role() {
        Role::Primary => "primary",
        Role::Standby => "standby",
        Role::Candidate => "candidate",
        Role::Offline | Role::Unspecified => "offline",
    };
    out.one_of(&m::NODE_ROLE, m::ROLES, |r| r == role);
    out.known(&m::EPOCH, &[], l.max_epoch.or(l.epoch));
    let mode = match l.ack_mode() {
        v1::AckMode::Sync => "sync",
        v1::AckMode::Async => "async",
        v1::AckMode::Unspecified => return,
    };
    out.one_of(&m::ACK_MODE, &["sync", "async"], |m| m == mode);
}

fn pipeline(status: &v1::NodeStatus, out: &mut Exposition) {
    if let Some(p) = &status.positions {
        let is_primary = status.upstream.is_none();
        out.known(&m::SEQ, &["assigned"], Some(p.tail).filter(|_| is_primary).or(p.primary_tail));
        out.known(&m::SEQ, &["sent"], p.sent);
        out.known(&m::SEQ, &["committed"], p.commit);
        out.known(&m::SEQ, &["received"], p.received);
        out.count(&m::SEQ, &["applied"], p.applied);
        out.known(&m::SEQ, &["verified"], p.verified);
        out.count(&m::STOCK_LAST_SEQ, &[], p.tail.saturating_sub(1));
        if !is_primary {
            out.count(&m::STOCK_APPLIED_SEQ, &[], p.applied.saturating_sub(1));
        }
        out.count(&m::LOG_OLDEST_SEQ, &[], p.trim);
    }
    if let Some(log) = &status.log {
        out.count(&m::LOG_ENTRIES, &[], log.entries);
        out.count(&m::LOG_ENTRIES_LIMIT, &[], log.max_entries);
        out.count(&m::LOG_BYTES, &[], log.bytes);
        out.count(&m::LOG_LIMIT_BYTES, &[], log.max_bytes);
        out.count(&m::LOG_APPENDED_TOTAL, &[], log.appended_entries);
    }
}

/// Lag, contact and link of one pair, as the node that tells sees it.
fn link(
    standby: &str,
    up: bool,
    lag: Option<&v1::Lag>,
    contact_age_ms: Option<u64>,
    taken_us: i64,
    out: &mut Exposition,
) {
    let by = [standby];
    out.known(&m::LAG_ENTRIES, &by, lag.and_then(|l| l.entries));
    out.known(&m::LAG_BYTES, &by, lag.and_then(|l| l.bytes));
    if let Some(age_us) = lag.and_then(|l| l.age_us) {
        out.put(&m::LAG_SECONDS, &by, age_us as f64 / 1e6);
    }
    out.count(&m::LINK_UP, &by, u64::from(up));
    if let Some(age_ms) = contact_age_ms {
        out.put(&m::LAST_CONTACT, &by, taken_us as f64 / 1e6 - age_ms as f64 / 1e3);
    }
}

fn replication(status: &v1::NodeStatus, out: &mut Exposition) {
    let taken_us = status.taken.as_ref().map_or(0, |t| t.unix_us);
    for p in &status.standbys {
        let up = p.link() == v1::LinkState::Up;
        link(&p.node, up, p.lag.as_ref(), p.contact_age_ms, taken_us, out);
        let whole = p.quarantined == Some(0);
        out.count(&m::STANDBY_PROMOTABLE, &[&p.node], u64::from(up && p.in_sync && whole));
        out.times(&m::REPLICATION_ACK, &[&p.node], p.ack_time.as_ref());
        full_sync(&p.node, p.progress.as_ref(), out);
    }
    if let (Some(u), Some(me)) = (&status.upstream, &status.identity) {
        let flows = [Some(v1::StreamState::Streaming.into()), Some(v1::StreamState::CatchingUp.into())];
        let up = u.link() == v1::LinkState::Up && flows.contains(&u.stream);
        link(&me.node, up, u.lag.as_ref(), u.contact_age_ms, taken_us, out);
        out.known(&m::STOCK_LAG, &[], u.lag.as_ref().and_then(|l| l.entries));
        out.times(&m::HEARTBEAT_GAP, &[], u.heartbeat_gap.as_ref());
        out.known(&m::FULL_SYNCS, &[], u.full_syncs);
        full_sync(&me.node, u.progress.as_ref(), out);
    }
    out.known(&m::IN_SYNC_COPIES, &[], status.in_sync.as_ref().map(|s| s.members.len() as u64));
    if let Some(v) = &status.verification {
        verification(v, status.upstream.is_some(), out);
    }
    out.known(&m::QUARANTINED_TOTAL, &[], status.entries_set_aside);
    out.known(&m::QUARANTINED, &[], status.quarantine.as_ref().map(|q| q.count));
    if let Some(rights) = &status.rights {
        out.count(&m::MAY_ANSWER, &[], u64::from(rights.may_answer));
    }
}

fn full_sync(standby: &str, progress: Option<&v1::Progress>, out: &mut Exposition) {
    // Replaying what came since is counted in entries; its lag tells that.
    let progress = progress.filter(|p| p.unit == "homes");
    if let Some((done, total)) = progress.and_then(|p| Some((p.done, p.total.filter(|t| *t > 0)?))) {
        out.put(&m::FULL_SYNC_PROGRESS, &[standby], done as f64 / total as f64);
    }
}

fn verification(v: &v1::Verification, is_standby: bool, out: &mut Exposition) {
    out.known(&m::VERIFY_LAG, &[], v.lag_entries);
    if let Some(age_ms) = v.last_success_age_ms {
        out.put(&m::VERIFY_AGE, &[], age_ms as f64 / 1e3);
    }
    out.known(&m::VERIFY_PAUSED, &[], is_standby.then(|| u64::from(v.paused)));
    out.known(&m::VERIFY_KEYS, &[], v.mismatched_keys);
    let families =
        [(&m::VERIFY_RANGES, &v.ranges), (&m::VERIFY_MISMATCHES, &v.mismatches), (&m::REPAIRS, &v.repairs)];
    for (metric, counters) in families {
        for counter in counters {
            out.count(metric, &[&counter.label], counter.value);
        }
    }
    out.known(&m::MEMORY_INTACT, &[], v.recount_equal.map(u64::from));
}

/// Calls that change the state; the others read.
const CHANGING: &[&str] = &[
    "mount_segment",
    "re_mount_segment",
    "unmount_segment",
    "graceful_unmount_segment",
    "put_start",
    "upsert_start",
    "put_end",
    "put_revoke",
    "remove",
    "remove_by_regex",
    "remove_all",
    "batch_replica_clear",
    "copy_start",
    "copy_end",
    "copy_revoke",
    "move_start",
    "move_end",
    "move_revoke",
    "create_copy_task",
    "create_move_task",
    "fetch_tasks",
    "mark_task_to_complete",
];

/// Bounds of the stages of writes: fewer than are counted, because each of them is a series for every call and stage.
const WRITE_BOUNDS_US: &[u64] = &[50, 250, 1_000, 5_000, 25_000, 500_000];

fn writes(traffic: &v1::Traffic, out: &mut Exposition) {
    // The doors of one call are summed.
    let mut requests: BTreeMap<&str, u64> = BTreeMap::new();
    let mut elements: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for call in &traffic.calls {
        *requests.entry(&call.call).or_default() += call.requests;
        for counter in &call.elements {
            *elements.entry((&call.call, &counter.label)).or_default() += counter.value;
        }
    }
    for stage in &traffic.write_stages {
        let time = stage.time.as_ref().map(|time| coarser(time, WRITE_BOUNDS_US));
        out.times(&m::WRITE_DURATION, &[&stage.call, &stage.stage], time.as_ref());
    }
    for (class, times) in durations(traffic) {
        out.times(&m::CALL_DURATION, &[class], Some(&times));
    }
    for (call, n) in requests {
        out.count(&m::CALLS_TOTAL, &[call], n);
    }
    for ((call, result), n) in &elements {
        let metric = if CHANGING.contains(call) { &m::WRITES_TOTAL } else { &m::READS_TOTAL };
        out.count(metric, &[call, result], *n);
    }
    let gets = |result| elements.get(&("get_replica_list", result)).copied().unwrap_or(0);
    out.count(&m::STOCK_GETS, &[], gets("ok") + gets("error"));
    out.count(&m::STOCK_VALID_GETS, &[], gets("ok"));
    out.count(&m::STOCK_MEM_HITS, &[], gets("ok"));
    out.known(&m::REFUSED_TOTAL, &[], traffic.refused);
    out.known(&m::UNKNOWN_TOTAL, &[], traffic.unknown_outcomes);
    out.known(&m::ALLOCATION_FAILURES, &[], traffic.allocation_failures);
    out.known(&m::PENDING_REPLIES, &[], traffic.pending_replies);
    out.known(&m::STOCK_PENDING, &[], traffic.pending_replies);
}

/// How long calls took: those that change the state, and the others.
fn durations(traffic: &v1::Traffic) -> BTreeMap<&'static str, v1::Histogram> {
    let mut sums: BTreeMap<&str, v1::Histogram> = BTreeMap::new();
    for call in &traffic.calls {
        let Some(time) = &call.time else { continue };
        let class = if CHANGING.contains(&&*call.call) { "write" } else { "read" };
        match sums.get_mut(class) {
            None => drop(sums.insert(class, time.clone())),
            Some(sum) => {
                sum.sum_us += time.sum_us;
                sum.counts.iter_mut().zip(&time.counts).for_each(|(sum, count)| *sum += count);
            }
        }
    }
    sums
}

fn readiness(status: &v1::NodeStatus, out: &mut Exposition) {
    let Some(rehearsal) = &status.rehearsal else { return };
    let promotable = match rehearsal.verdict() {
        v1::Verdict::Yes => Some(1),
        v1::Verdict::No => Some(0),
        v1::Verdict::Unknown | v1::Verdict::Unspecified => None,
    };
    out.known(&m::PROMOTABLE, &[], promotable);
    if let Some(age_ms) = rehearsal.age_ms {
        out.put(&m::REHEARSAL_AGE, &[], age_ms as f64 / 1e3);
    }
    if let Some(plan) = &rehearsal.plan {
        out.known(&m::REHEARSAL_KEYS, &[], plan.keys);
        out.known(&m::REHEARSAL_BYTES, &[], plan.bytes);
    }
    let code = |r: &v1::Reason| m::REASONS.iter().copied().find(|c| *c == r.code).unwrap_or("other");
    out.one_of(&m::PROMOTABLE_REASON, m::REASONS, |c| rehearsal.reasons.iter().any(|r| code(r) == c));
}

fn automation(status: &v1::NodeStatus, out: &mut Exposition) {
    let Some(a) = &status.automation else { return };
    out.count(&m::PAUSED, &[], u64::from(a.pause.is_some()));
    if let Some(pause) = &a.pause {
        out.put(&m::PAUSE_LEFT, &[], pause.remaining_ms as f64 / 1e3);
    }
    out.count(&m::FLAPS, &[], a.recent.into());
    out.count(&m::FLAPPING, &[], u64::from(a.stopped_remaining_ms.is_some()));
}

fn security(status: &v1::NodeStatus, out: &mut Exposition) {
    let Some(s) = &status.security else { return };
    let open = s.exposed && !s.token && !s.client_certificates;
    out.count(&m::PORT_OPEN, &[], u64::from(open));
    if let Some(until) = s.certificate_until_unix_us {
        out.put(&m::CERTIFICATE_UNTIL, &[], until as f64 / 1e6);
    }
}

fn role_changes(status: &v1::NodeStatus, out: &mut Exposition) {
    for kind in m::CHANGES {
        for (result, succeeded) in [("ok", true), ("failed", false)] {
            for (drill, is_drill) in [("no", false), ("yes", true)] {
                let of_kind = |c: &&v1::RoleChangeCount| {
                    change_word(c.kind()) == *kind && c.succeeded == succeeded && c.drill == is_drill
                };
                let count = status.role_changes.iter().filter(of_kind).map(|c| c.count).sum();
                out.count(&m::FAILOVERS_TOTAL, &[kind, result, drill], count);
            }
        }
    }
    let me = status.identity.as_ref().map_or("", |identity| &*identity.node);
    let mut own = status.history.iter().rev().filter(|row| row.to_node == me && row.epoch > 0);
    let Some(last) = own.next() else { return };
    out.put(&m::FAILOVER_AT, &[], last.started_unix_us as f64 / 1e6);
    if let Some(us) = last.outage_us {
        out.put(&m::FAILOVER_RTO, &[], us as f64 / 1e6);
    }
    if let Some(lost) = &last.lost {
        out.known(&m::FAILOVER_RPO, &[], lost.entries);
        out.known(&m::FAILOVER_RPO_BYTES, &[], lost.bytes);
        out.known(&m::FAILOVER_RPO_KEYS, &[], lost.keys);
        if let Some(us) = lost.age_us {
            out.put(&m::FAILOVER_RPO_SECONDS, &[], us as f64 / 1e6);
        }
    }
    let mut phases: BTreeMap<&str, u64> = BTreeMap::new();
    for phase in &last.phases {
        let word = m::PHASES.iter().copied().find(|p| *p == phase.name).unwrap_or("other");
        *phases.entry(word).or_default() += phase.duration_us;
    }
    for (phase, us) in phases {
        out.put(&m::FAILOVER_PHASE, &[phase], us as f64 / 1e6);
    }
}

fn change_word(kind: RoleChangeKind) -> &'static str {
    match kind {
        RoleChangeKind::Bootstrap => "bootstrap",
        RoleChangeKind::Switchover => "switchover",
        RoleChangeKind::Failover => "failover",
        RoleChangeKind::Forced => "forced",
        RoleChangeKind::Unspecified => "",
    }
}

fn state(store: &v1::Store, out: &mut Exposition) {
    out.count(&m::OBJECTS, &[], store.objects);
    out.known(&m::ALLOCATED_BYTES, &[], store.used_bytes);
    out.count(&m::CAPACITY_BYTES, &[], store.capacity_bytes);
    if let Some(clients) = &store.clients {
        out.known(&m::CLIENTS, &["ok"], clients.ok);
        out.known(&m::CLIENTS, &["needing_remount"], clients.needing_remount);
    }
    for state in m::SEGMENT_STATES {
        let count = store.segment_list.iter().filter(|s| s.state == *state).count();
        out.count(&m::SEGMENTS, &[state], count as u64);
    }
}

fn health(status: &v1::NodeStatus, out: &mut Exposition) {
    out.known(&m::EVENTS_TOTAL, &[], status.events.last().map(|e| e.number).or(Some(0)));
    if let Some(t) = &status.tracing {
        out.count(&m::SPANS_EXPORTED, &[], t.spans_exported);
        out.count(&m::SPANS_DROPPED, &["queue_full"], t.dropped_queue_full);
        out.count(&m::SPANS_DROPPED, &["refused"], t.dropped_refused);
    }
    if let Some(n) = &status.notifications {
        out.count(&m::NOTIFICATIONS, &["ok"], n.sent);
        out.count(&m::NOTIFICATIONS, &["failed"], n.failed);
    }
    if let Some(taken) = &status.taken {
        out.put(&m::CLOCK, &[], taken.unix_us as f64 / 1e6);
    }
    if let Some(c) = &status.coordinator {
        out.known(&m::ARBITER_UP, &[], c.up.map(u64::from));
        out.times(&m::ARBITER_LATENCY, &[], c.call_time.as_ref());
    }
    let Some(h) = &status.health else { return };
    for part in &h.memory {
        out.count(&m::MEMORY, &[&part.label], part.value);
    }
    out.times(&m::LOCK_HOLD, &[], h.lock_hold.as_ref());
    out.times(&m::LOOP_DELAY, &[], h.loop_delay.as_ref());
    if let Some(us) = h.cpu_us {
        out.put(&m::PROCESS_CPU, &[], us as f64 / 1e6);
    }
    out.known(&m::PROCESS_RESIDENT, &[], h.resident_bytes);
    out.known(&m::PROCESS_FDS, &[], h.open_files);
    out.known(&m::PROCESS_MAX_FDS, &[], h.open_files_limit);
    out.known(&m::MEMORY_LIMIT, &[], h.memory_limit_bytes);
    out.known(&m::PROCESS_THREADS, &[], h.threads);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_knows_is_not_told_as_no() {
        let told = |verdict: v1::Verdict| {
            let rehearsal = v1::Rehearsal { verdict: verdict.into(), ..v1::Rehearsal::default() };
            exposition(&v1::NodeStatus { rehearsal: Some(rehearsal), ..v1::NodeStatus::default() }).render()
        };
        assert!(told(v1::Verdict::Yes).contains("standfast_promotable 1\n"));
        assert!(told(v1::Verdict::No).contains("standfast_promotable 0\n"));
        assert!(
            !told(v1::Verdict::Unknown).contains("standfast_promotable "),
            "not 0: it would page somebody"
        );
    }

    #[test]
    fn what_a_role_change_lost_is_told_in_every_unit_that_is_known() {
        let lost = v1::Loss { entries: Some(3), bytes: None, age_us: Some(250_000), keys: Some(2) };
        let row =
            v1::RoleChange { to_node: "b".into(), epoch: 2, lost: Some(lost), ..v1::RoleChange::default() };
        let me = v1::Identity { node: "b".into(), build: "debug".into(), ..v1::Identity::default() };
        let status = v1::NodeStatus { identity: Some(me), history: vec![row], ..v1::NodeStatus::default() };
        let text = exposition(&status).render();
        for line in ["entries 3", "seconds 0.25", "keys 2"] {
            assert!(text.contains(&format!("standfast_failover_rpo_{line}\n")), "{line}: {text}");
        }
        assert!(!text.contains("standfast_failover_rpo_bytes"), "{text}");
    }

    /// What a healthy pair of processes cannot show.
    #[test]
    fn a_hole_shows_and_takes_the_standby_out() {
        let peer = v1::Peer {
            node: "b".into(),
            link: v1::LinkState::Up.into(),
            in_sync: true,
            quarantined: Some(1),
            ..v1::Peer::default()
        };
        let quarantine = v1::Quarantine { count: 1, ..v1::Quarantine::default() };
        let unit = "homes".to_owned();
        let progress =
            |done, total| Some(v1::Progress { done, total, unit: unit.clone(), ..v1::Progress::default() });
        let copying = |node: &str, done, total| v1::Peer {
            node: node.into(),
            progress: progress(done, total),
            ..v1::Peer::default()
        };
        let status = v1::NodeStatus {
            standbys: vec![peer, copying("c", 256, Some(1024)), copying("d", 3, None)],
            quarantine: Some(quarantine),
            ..v1::NodeStatus::default()
        };
        let text = exposition(&status).render();
        assert!(text.contains("standfast_quarantined_entries 1\n"), "{text}");
        assert!(text.contains("standfast_full_sync_progress_ratio{standby=\"c\"} 0.25\n"), "{text}");
        assert!(!text.contains("standfast_full_sync_progress_ratio{standby=\"d\"}"), "{text}");
        assert!(text.contains("standfast_standby_promotable{standby=\"b\"} 0\n"), "{text}");
    }

    #[test]
    fn a_node_that_has_not_started_tells_nothing_that_it_does_not_know() {
        let text = exposition(&v1::NodeStatus::default()).render();
        let known: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
        assert!(
            known
                .iter()
                .all(|l| l.starts_with("standfast_failovers_total") || *l == "standfast_events_total 0")
        );
    }
}
