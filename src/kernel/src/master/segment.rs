//! Lending memory, for the first time and again.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::Master;
use super::call::{Call, invalid};
use super::claims::Claims;
use crate::api::Refusal;
use crate::oplog::Op;
use crate::store::{Mount, SegmentTable};
use crate::types::{ClientId, Instant, MountUid, SegmentSpec, SegmentStatus, limits, up};

impl Call<'_> {
    pub(super) fn mount(&mut self, client: ClientId, segment: &SegmentSpec) -> Result<(), Refusal> {
        check_segment(segment)?;
        let mut table = self.master.store.segments().write();
        // A mount moves bytes into play: byte-critical (PROTOCOL A6).
        self.byte_critical = true;
        self.depend(table.mark().applied());
        if let Some(known) = table.client(client) {
            known.hear(self.now);
        }
        if let Some(known) = table.mounted(segment.id) {
            return already(known, client, segment);
        }
        check_room(&table, client, 1)?;
        self.lend(&mut table, client, &[segment], false);
        Ok(())
    }

    /// Once per client and epoch this also goes through for a client that an
    /// earlier primary found OK: what it lends and the table does not know is
    /// mounted (SEMANTICS H25).
    pub(super) fn remount(&mut self, client: ClientId, segments: &[SegmentSpec]) -> Result<(), Refusal> {
        segments.iter().try_for_each(check_segment)?;
        check_apart(segments)?;
        let epoch = self.master.epoch;
        let mut table = self.master.store.segments().write();
        self.byte_critical = true;
        self.depend(table.mark().applied());
        let mut missing = Vec::new();
        for segment in segments {
            match table.mounted(segment.id) {
                None => missing.push(segment),
                Some(m) if m.client == client && *m.segment == *segment => {}
                Some(_) => {
                    let expected = "a segment as its owner mounted it";
                    return Err(invalid("segment", &segment.id, expected));
                }
            }
        }
        if table.client(client).is_some_and(|c| c.ok && c.is_greeted(epoch)) {
            return Ok(());
        }
        check_room(&table, client, missing.len())?;
        self.lend(&mut table, client, &missing, true);
        let host = segments.iter().map(|s| s.host_id.as_str()).find(|h| !h.is_empty()).unwrap_or("");
        self.make_ok(&mut table, client, host);
        Ok(())
    }

    fn make_ok(&mut self, table: &mut SegmentTable, client: ClientId, host: &str) {
        let as_recorded = |ok: bool, recorded: &str| ok && (host.is_empty() || recorded == host);
        if !table.client(client).is_some_and(|c| as_recorded(c.ok, &c.host)) {
            let op = Op::ClientOk { client, host: Cow::Borrowed(host) };
            let pos = self.master.log_to_table(self.wall, table, &op);
            self.wrote(pos);
        }
        if let Some(known) = table.client(client) {
            known.greet(self.master.epoch);
            known.hear(self.now);
        }
        self.master.watch_clients_from(self.now);
    }

    /// Mounts segments that are not mounted and share no bytes. What claims some
    /// of the same bytes is an earlier life of the lender, and dead (SEMANTICS R11).
    ///
    /// One look at all mounts and departed ones, however many segments there are.
    fn lend(
        &mut self,
        table: &mut SegmentTable,
        client: ClientId,
        segments: &[&SegmentSpec],
        returned: bool,
    ) {
        if segments.is_empty() {
            return;
        }
        let master = self.master;
        let claims = Claims::of(segments);
        let replaced = table.mounts().filter(|m| claims.overlapping(&m.segment).next().is_some());
        for uid in replaced.map(|m| m.uid).collect::<Vec<_>>() {
            let pos = master.bury(self.now, self.wall, table, uid);
            self.wrote(pos);
        }
        let free_from = master.free_from(table, &claims, returned);
        for (segment, free_from) in segments.iter().zip(free_from) {
            let held = free_from > self.now && !mutant!(ColdNoHold);
            let op = Op::MountSegment { client, segment: Cow::Borrowed(segment), held };
            let pos = master.log_to_table(self.wall, table, &op);
            self.wrote(pos);
            if held {
                master.set_hold_due(table, MountUid(pos), free_from);
            }
        }
        if let Some(known) = table.client(client) {
            known.hear(self.now);
        }
        master.watch_clients_from(self.now);
    }
}

impl Master {
    /// From when on nobody can have a right on the bytes of each segment that is
    /// to be mounted, from an earlier life of its memory (SEMANTICS R13, H29).
    ///
    /// What this table once knew is on record as departed. A returned lender's
    /// memory that is not may belong to a state that was lost; rights given by
    /// that are over some time after this primary began.
    fn free_from(&self, table: &SegmentTable, claims: &Claims<'_>, returned: bool) -> Vec<Instant> {
        let segments = claims.segments;
        let (mut known, mut free_from) = (vec![false; segments.len()], vec![Instant(0); segments.len()]);
        for departed in table.departed() {
            for i in claims.claiming(&departed.segment) {
                known[i] |= *departed.segment == *segments[i];
                free_from[i] = free_from[i].max(self.hold_end_at(departed.due()));
            }
        }
        if returned {
            let lost = self.since.plus(self.right_max());
            known
                .iter()
                .zip(&mut free_from)
                .filter(|(known, _)| !**known)
                .for_each(|(_, at)| *at = lost.max(*at));
        }
        free_from
    }

    /// Longest time for which a right that was given once can last.
    pub(super) fn right_max(&self) -> std::time::Duration {
        up(self.times.read_ttl.max(self.lease_max()).max(self.times.put_release))
    }
}

/// Answer to a mount of a segment id that is mounted.
fn already(known: &Mount, client: ClientId, segment: &SegmentSpec) -> Result<(), Refusal> {
    if known.client != client || *known.segment != *segment {
        return Err(Refusal::SegmentAlreadyExists(segment.id));
    }
    match known.status() {
        SegmentStatus::Ok => Ok(()),
        SegmentStatus::GracefullyUnmounting => Err(Refusal::SegmentUnmounting(segment.id)),
    }
}

fn check_room(table: &SegmentTable, client: ClientId, more: usize) -> Result<(), Refusal> {
    let own = table.client(client).map_or(0, |c| c.mounts().len());
    if own.saturating_add(more) > limits::SEGMENTS_PER_CLIENT_MAX {
        return Err(Refusal::Full { what: "segments of one client", max: limits::SEGMENTS_PER_CLIENT_MAX });
    }
    let mounts = table.mounts().len() + table.departed().len();
    if mounts.saturating_add(more) > limits::MOUNTS_MAX {
        return Err(Refusal::Full { what: "segments", max: limits::MOUNTS_MAX });
    }
    if table.client(client).is_none() && table.clients().len() >= limits::CLIENTS_MAX {
        return Err(Refusal::Full { what: "clients", max: limits::CLIENTS_MAX });
    }
    Ok(())
}

/// One list may name a segment once, and no bytes twice.
fn check_apart(segments: &[SegmentSpec]) -> Result<(), Refusal> {
    let mut ids = BTreeSet::new();
    if let Some(twice) = segments.iter().find(|s| !ids.insert(s.id)) {
        return Err(invalid("segment", &twice.id, "each segment once"));
    }
    let mut sorted: Vec<&SegmentSpec> = segments.iter().collect();
    sorted.sort_unstable_by_key(|s| (&s.te_endpoint, s.base));
    match sorted.windows(2).find(|pair| pair[0].overlaps(pair[1])) {
        None => Ok(()),
        Some(pair) => Err(invalid("segment", &pair[1].id, "segments that share no bytes")),
    }
}

fn check_segment(s: &SegmentSpec) -> Result<(), Refusal> {
    if s.base == 0 {
        return Err(invalid("segment base", &s.base, "an address other than 0"));
    }
    if s.size == 0 || s.base.checked_add(s.size).is_none() {
        return Err(invalid("segment size", &s.size, "1 or more, ending below 2^64"));
    }
    for (what, text) in [
        ("segment name", &s.name),
        ("te_endpoint", &s.te_endpoint),
        ("protocol", &s.protocol),
        ("host_id", &s.host_id),
    ] {
        if text.len() > limits::ENDPOINT_BYTES_MAX {
            return Err(invalid(what, &text.len(), "at most 512 bytes"));
        }
    }
    if s.name.is_empty() {
        return Err(invalid("segment name", &"empty", "a name"));
    }
    Ok(())
}
