//! 6 Clients and segments: who has lent memory, how much of it is used, and who is away.

use ratatui::text::Line;
use standfast_proto::v1::{Histogram, SegmentStatus};

use super::parts::{flow, heading, pair, row_tone, table};
use super::{Drawn, Page, Scene};
use crate::format::{bytes, micros, millis, number};
use crate::frame::Node;
use crate::look::Tone;
use crate::page::{About, plain};
use crate::table::{Column, Row, left, right};

const COLUMNS: &[Column] = &[
    left("SEGMENT", 0, 12),
    left("STATE", 0, 5),
    right("SIZE", 0, 9),
    right("USED", 1, 9),
    right("SHARE", 3, 6),
    right("AWAY", 2, 4),
    left("PROTOCOL", 5, 8),
    left("CLIENT", 4, 8),
];

pub(super) fn page(scene: &Scene<'_>) -> Page {
    // The primary's word counts; without one, that of any node with a store.
    let has_store = |node: &&Node| node.status().is_some_and(|status| status.store.is_some());
    let source = scene.frame.primary().or_else(|| scene.frame.nodes.iter().find(has_store));
    let Some((node, store)) = source.and_then(|node| Some((node, node.status()?.store.as_ref()?))) else {
        let text = scene.look.paint(Tone::Unknown, "no node has said what it stores");
        return Page::saying(Line::from(text));
    };
    let mut head = Vec::new();
    if !node.is_fresh(scene.frame.at) {
        let text =
            format!("as of {} ago: {} does not answer", millis(node.age_ms(scene.frame.at)), node.name());
        head.push(Line::from(scene.look.paint(Tone::Stale, text)));
    }
    let clients = store.clients.unwrap_or_default();
    let known = |value: Option<u64>| if value.is_some() { Tone::Plain } else { Tone::Unknown };
    let away = clients.needing_remount;
    let mut pieces = vec![pair(scene.look, "clients", number(clients.known), known(clients.known))];
    pieces.push(pair(scene.look, "ok", number(clients.ok), known(clients.ok)));
    let tone = if away.is_some_and(|n| n > 0) { Tone::Warn } else { known(away) };
    pieces.push(pair(scene.look, "need to come back", number(away), tone));
    pieces.push(pair(
        scene.look,
        "unreadable objects",
        number(store.unreadable_objects),
        known(store.unreadable_objects),
    ));
    head.extend(flow(pieces, scene.columns));
    let mut pieces = vec![pair(scene.look, "objects", store.objects.to_string(), Tone::Plain)];
    pieces.push(pair(scene.look, "lent", bytes(Some(store.capacity_bytes)), Tone::Plain));
    pieces.push(pair(scene.look, "used", bytes(store.used_bytes), known(store.used_bytes)));
    pieces.push(pair(scene.look, "free now", bytes(store.allocatable_bytes), known(store.allocatable_bytes)));
    head.extend(flow(pieces, scene.columns));
    if let Some(eviction) = &store.eviction {
        let pieces = vec![
            pair(scene.look, "evicted", format!("{} objects", eviction.objects), Tone::Plain),
            pair(scene.look, "", bytes(Some(eviction.bytes)), Tone::Plain),
            pair(scene.look, "passes", eviction.passes.to_string(), Tone::Plain),
            pair(scene.look, "given up because of age", eviction.discarded.to_string(), Tone::Plain),
        ];
        head.extend(flow(pieces, scene.columns));
    }
    if let Some(time) = &store.reattach_time {
        let mut pieces = vec![pair(scene.look, "back after a promotion within", String::new(), Tone::Plain)];
        for share in [50, 95, 99] {
            let at_most = quantile(time, share);
            pieces.push(pair(scene.look, &format!("{share} %"), micros(at_most), known(at_most)));
        }
        head.extend(flow(pieces, scene.columns));
    }
    head.push(Line::default());
    head.push(heading(scene, &format!("SEGMENTS {} of {}", store.segment_list.len(), store.segments)));
    let whole = row_tone(scene, node);
    let rows = store.segment_list.iter().map(|of| Row { whole, ..segment(of) });
    let rows: Vec<Row> = rows.filter(|row| scene.filter.shows(&row.text())).collect();
    let (header, rows) = table(scene, COLUMNS, rows);
    let mut head: Vec<Drawn> = plain(head).collect();
    head.push(header);
    Page { head, rows }
}

fn segment(segment: &SegmentStatus) -> Row {
    let plain = |text: String| (text, Tone::Plain);
    let share = segment.used_bytes.map(|used| used as f64 * 100.0 / segment.size_bytes.max(1) as f64);
    let tone = match &*segment.state {
        "ok" => Tone::Ok,
        "" => Tone::Unknown,
        _ => Tone::Warn,
    };
    let state = if segment.state.is_empty() { "?" } else { &segment.state };
    // Absent = the client is not known to be away.
    let away = segment.client_away_ms.map_or_else(|| "-".to_owned(), |ms| millis(Some(ms)));
    Row::new(vec![
        plain(segment.name.clone()),
        (state.to_owned(), tone),
        plain(bytes(Some(segment.size_bytes))),
        plain(bytes(segment.used_bytes)),
        plain(share.map_or_else(|| "?".to_owned(), |share| format!("{share:.1} %"))),
        plain(away),
        plain(segment.protocol.clone()),
        plain(segment.client.clone()),
    ])
    .about(About::Segment(segment.name.clone()))
}

/// The bound below which `share` per cent of the counts lie. `None` = there are none, or it is above all bounds.
fn quantile(histogram: &Histogram, share: u64) -> Option<u64> {
    let total: u64 = histogram.counts.iter().sum();
    let mut sum = 0;
    for (bound, count) in histogram.bounds_us.iter().zip(&histogram.counts) {
        sum += count;
        if total > 0 && sum * 100 >= total * share {
            return Some(*bound);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_of_nothing_is_unknown() {
        let histogram = |counts: &[u64]| Histogram {
            bounds_us: vec![10, 100],
            counts: counts.to_vec(),
            ..Histogram::default()
        };
        assert_eq!(quantile(&histogram(&[0, 0, 0]), 50), None);
        assert_eq!(quantile(&histogram(&[5, 5, 0]), 50), Some(10));
        assert_eq!(quantile(&histogram(&[5, 5, 0]), 95), Some(100));
        assert_eq!(quantile(&histogram(&[0, 0, 9]), 50), None, "above every bound");
    }
}
