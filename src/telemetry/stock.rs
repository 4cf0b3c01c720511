//! The samples under the stock master's names (SEMANTICS 7.3), from a node's status.

use std::collections::BTreeMap;

use standfast_proto::v1;
use v1::{LinkState, Role, StreamState};

use super::catalog as m;
use super::exposition::Exposition;

/// All of them.
pub(super) fn add(status: &v1::NodeStatus, out: &mut Exposition) {
    let leads = status.leadership.as_ref().is_some_and(|l| l.role() == Role::Primary);
    if let Some(store) = &status.store {
        stored(store, leads, out);
    }
    if let Some(traffic) = &status.traffic {
        calls(traffic, out);
        out.known(&m::STOCK_NO_ROOM, &[], traffic.allocation_failures);
        out.count(&m::STOCK_STANDBY_STATE, &[], standby_state(status, leads));
        for metric in m::STOCK_OFF {
            out.count(metric, &[], 0);
        }
    }
}

/// What a stock standby shows is 0: it has no service. So do we, or sums over nodes would count everything twice.
fn stored(store: &v1::Store, leads: bool, out: &mut Exposition) {
    let served = |value: u64| if leads { value } else { 0 };
    out.count(&m::STOCK_KEYS, &[], served(store.objects));
    out.count(&m::STOCK_MEM_OBJECTS, &[], served(store.objects));
    out.known(&m::STOCK_ALLOCATED, &[], store.used_bytes.map(served).or((!leads).then_some(0)));
    out.count(&m::STOCK_CAPACITY, &[], served(store.capacity_bytes));
    let clients = store.clients.as_ref().and_then(|clients| clients.ok);
    out.known(&m::STOCK_CLIENTS, &[], clients.map(served).or((!leads).then_some(0)));
    if let Some(e) = &store.eviction {
        for (metric, mem, value) in [
            (&m::STOCK_EVICTIONS_TRIED, &m::STOCK_EVICTIONS_TRIED_MEM, e.passes),
            (&m::STOCK_EVICTIONS, &m::STOCK_EVICTIONS_MEM, e.successful_passes),
            (&m::STOCK_EVICTED_KEYS, &m::STOCK_EVICTED_KEYS_MEM, e.objects),
            (&m::STOCK_EVICTED_BYTES, &m::STOCK_EVICTED_BYTES_MEM, e.bytes),
        ] {
            out.count(metric, &[], value);
            out.count(mem, &[], value);
        }
        out.count(&m::STOCK_DISCARDED, &[], e.discarded);
        out.count(&m::STOCK_RELEASED, &[], e.released);
    }
    // Several mounts may share a name: one series a name.
    let mut named: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for s in store.segment_list.iter().filter(|_| leads) {
        let (used, size) = named.entry(&s.name).or_default();
        *used = used.saturating_add(s.used_bytes.unwrap_or(0));
        *size = size.saturating_add(s.size_bytes);
    }
    for (name, (used, size)) in named {
        out.count(&m::STOCK_SEGMENT_ALLOCATED, &[name], used);
        out.count(&m::STOCK_SEGMENT_CAPACITY, &[name], size);
    }
}

/// In the numbers of SEMANTICS 1.3.
fn standby_state(status: &v1::NodeStatus, leads: bool) -> u64 {
    let Some(upstream) = status.upstream.as_ref().filter(|_| !leads) else { return 0 };
    match (upstream.link(), upstream.stream()) {
        (LinkState::Up, StreamState::Streaming) => 3,
        (LinkState::Up, _) => 2,
        _ => 1,
    }
}

fn calls(traffic: &v1::Traffic, out: &mut Exposition) {
    for counted in &traffic.stock_calls {
        let call = m::STOCK_CALLS.iter().find(|c| c.op == counted.op && c.batch == counted.batch);
        for metric in call.map_or(&[][..], |c| c.metrics()) {
            let ends = |end: &str| metric.name.ends_with(end);
            let value = if ends("_requests_total") {
                counted.requests
            } else if ends("_failures_total") {
                counted.failures
            } else if ends("_partial_successes_total") {
                counted.partial_successes
            } else if ends("_failed_items_total") {
                counted.failed_items
            } else {
                counted.items
            };
            out.count(metric, &[], value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(role: Role) -> String {
        let store = v1::Store {
            objects: 7,
            used_bytes: Some(70),
            capacity_bytes: 100,
            segment_list: vec![v1::SegmentStatus {
                name: "h:1".into(),
                size_bytes: 100,
                ..Default::default()
            }],
            clients: Some(v1::ClientCounts { ok: Some(1), ..Default::default() }),
            ..Default::default()
        };
        let leadership = v1::Leadership { role: role.into(), ..Default::default() };
        let upstream = (role == Role::Standby).then(|| v1::Upstream {
            link: LinkState::Up.into(),
            stream: Some(StreamState::Streaming.into()),
            ..Default::default()
        });
        let status = v1::NodeStatus {
            store: Some(store),
            leadership: Some(leadership),
            traffic: Some(v1::Traffic::default()),
            upstream,
            ..Default::default()
        };
        let mut out = Exposition::default();
        add(&status, &mut out);
        out.render()
    }

    #[test]
    fn what_a_standby_stores_is_not_counted_twice() {
        let names =
            ["master_key_count", "mem_cache_nums_", "master_allocated_bytes", "master_total_capacity_bytes"];
        for (role, values, segments, state) in
            [(Role::Primary, [7, 7, 70, 100], true, 0), (Role::Standby, [0; 4], false, 3)]
        {
            let text = text(role);
            for (name, value) in names.iter().zip(values) {
                assert!(text.contains(&format!("\n{name} {value}\n")), "{role:?} {name}: {text}");
            }
            assert_eq!(text.contains("segment_allocated_bytes{"), segments, "{role:?}");
            assert!(text.contains(&format!("\nha_standby_state {state}\n")), "{role:?}: {text}");
            assert!(text.contains("\nmaster_promotion_in_flight 0\n"));
        }
    }
}
