//! What a node's shell does: carries actions out, hands requests to the
//! master, keeps answers until the gate lets them go.

use standfast_kernel::api::{DEFAULT_TENANT, Refusal, Request, Response};
use standfast_kernel::machine::Machine;
use standfast_kernel::node::{Happening, NodeAction, NodeEvent, RoleChange};
use standfast_kernel::oplog::OpType;
use standfast_kernel::replication::Gate;
use standfast_kernel::supervisor::Role;
use standfast_kernel::types::{HomeId, KeyHash, LogPos, Seq, scoped_key};

use crate::client::{Answer, Reply, Req, key_number};
use crate::counters::Count;
use crate::host::{Process, Waiting};
use crate::invariants::{Invariant, Outcome};
use crate::net::Item;
use crate::trace::At;
use crate::world::{Event, World};

impl World {
    /// One event of one node, and all that follows from it at once.
    pub(crate) fn node_event(&mut self, i: usize, event: NodeEvent) -> Outcome {
        let now = self.now(i);
        let Some(process) = &mut self.hosts[i].process else { return Ok(()) };
        let before = process.node.max_epoch();
        let mut actions = Vec::new();
        process.node.on(now, event, &mut actions);
        let after = process.node.max_epoch();
        Invariant::EpochMonotonic
            .check(after >= before, || format!("n{i} forgot epoch {before} for {after}"))?;
        for action in actions {
            self.act(i, action)?;
        }
        self.follow_log(i)?;
        self.serves_announced(i)?;
        self.look_at_seal(i)?;
        self.release(i)?;
        self.schedule(i);
        self.eager(i)
    }

    fn act(&mut self, i: usize, action: NodeAction) -> Outcome {
        match action {
            NodeAction::Dial => self.dial(i, None),
            NodeAction::Fetch(request) => self.dial(i, Some(request)),
            NodeAction::SendCopy(conn, frame) => self.send_copy(conn.0, frame),
            NodeAction::Copy(conn, dump) => self.copy(i, conn.0, *dump),
            NodeAction::Send(frame) => {
                if let Some(id) = self.hosts[i].dialled {
                    self.push(id, crate::net::Way::ToAcceptor, Item::Up(frame));
                }
            }
            NodeAction::Hangup => self.hang_up(i),
            NodeAction::SendPeer(conn, frame) => self.send_peer(conn.0, frame),
            NodeAction::ClosePeer(conn) => self.close_peer(conn.0),
            NodeAction::Serve(master) => {
                if let Some(p) = &mut self.hosts[i].process {
                    p.master = Some(master);
                }
            }
            NodeAction::Gate(gate) => return self.gate(i, gate),
            NodeAction::StopServing => self.stop_serving(i),
            NodeAction::Promoted(request, verdict, change) => {
                if change.is_none() && !verdict.is_yes() {
                    self.counters.hit(Count::PromotionRefused);
                }
                self.note(At::Node(i), || {
                    format!("promotion {request}: {} reasons against", verdict.reasons.len())
                });
            }
            NodeAction::Operated(request, done) => {
                let count = if done.verdict.is_yes() { Count::HandOverDone } else { Count::HandOverRefused };
                self.counters.hit(count);
                let why: Vec<_> = done.verdict.reasons.iter().map(|r| r.text.clone()).collect();
                self.note(At::Node(i), || format!("order {request}: {:?} {}", done.epoch, why.join("; ")));
            }
            NodeAction::Noted(note) => {
                let pauses = note.what == "pause";
                self.counters.hit(if pauses { Count::PausedByOperator } else { Count::ResumedByOperator });
                self.note(At::Node(i), || format!("{}: {}", note.what, note.reason));
            }
            NodeAction::Transact(id, transaction) => self.transact(i, id, transaction),
            NodeAction::ReadRecords => self.read_records(i),
            NodeAction::Follow(address) => {
                if let Some(n) = self.hosts.iter().position(|h| format!("{}:1", h.name) == address) {
                    self.hosts[i].target = n;
                }
            }
            NodeAction::Published(_) => {}
            NodeAction::Detached(_, was) => self.note(At::Node(i), || format!("detached: {was:?}")),
            NodeAction::Happened(happening) => return self.happened(i, &happening),
            NodeAction::Changed(change) => return self.changed(i, &change),
        }
        Ok(())
    }

    fn happened(&mut self, i: usize, happening: &Happening) -> Outcome {
        self.note(At::Node(i), || format!("{}: {}", happening.code, happening.text));
        match happening.code {
            "isr_joined" => self.membership(i, Count::JoinedIsr),
            "isr_left" => self.membership(i, Count::LeftIsr),
            "isr_silent" => self.counters.hit(Count::Silenced),
            "isr_granting" => self.counters.hit(Count::GrantsAgain),
            "role_changed" => self.role_changed(i),
            "discarded" => return self.new_copy(i),
            "full_sync_sealed" => {
                self.counters.hit(Count::CopySealed);
                if let Some(p) = &self.hosts[i].process {
                    crate::invariants::audit(p.node.store(), i)?;
                }
            }
            "streaming" if self.hosts[i].process.as_ref().is_some_and(|p| p.has_led) => {
                self.counters.hit(Count::OldPrimaryReturned);
            }
            "verify_mismatch" | "verify_repaired" | "verify_full_sync" | "memory_damaged"
            | "primary_damaged" | "digest_reset" => return self.alarmed(i, happening),
            "quarantined" if self.met_damage(i) => {}
            "quarantined" => {
                return Err(Invariant::NoQuarantine.broken(format!("n{i}: {}", happening.text)));
            }
            _ => {}
        }
        Ok(())
    }

    fn new_copy(&mut self, i: usize) -> Outcome {
        self.counters.hit(Count::Discarded);
        let Some(process) = &mut self.hosts[i].process else { return Ok(()) };
        let new = process.node.identity().copy;
        let old = std::mem::replace(&mut process.copy, new);
        self.hosts[i].last_copy = new;
        self.discarded(i, old)
    }

    /// A copy that claims to be one prefix of the log is looked at at once.
    fn look_at_seal(&mut self, i: usize) -> Outcome {
        let Some(process) = &mut self.hosts[i].process else { return Ok(()) };
        let sealed = process.node.is_sealed();
        if sealed != std::mem::replace(&mut process.sealed, sealed) && sealed {
            crate::invariants::audit(process.node.store(), i)?;
        }
        Ok(())
    }

    fn role_changed(&mut self, i: usize) {
        let role = self.hosts[i].process.as_ref().map(|p| p.node.role());
        self.counters.hit(match role {
            Some(Role::Primary) => Count::BecamePrimary,
            Some(Role::Candidate) => Count::BecameCandidate,
            Some(Role::Standby) | None => Count::SteppedDown,
        });
        if self.hosts[i].process.as_ref().is_some_and(|p| p.node.is_waiting_to_lead()) {
            self.counters.hit(Count::NotElected);
        }
        self.stepped_down(i);
    }

    fn changed(&mut self, i: usize, change: &RoleChange) -> Outcome {
        let highest = self.fence.leads(change.epoch, i, self.params.coordinated)?;
        self.follow_log(i)?;
        let Some(process) = &mut self.hosts[i].process else { return Ok(()) };
        if !highest {
            // Its record was overtaken before it learned of it; nobody grants to it (PROTOCOL C2).
            process.has_led = true;
            return Ok(());
        }
        if self.params.coordinated {
            self.counters.hit(Count::TakeoverByRecord);
        }
        process.has_led = true;
        if matches!(change.kind, "cold_start" | "forced_failover") {
            self.began_empty(i, change.epoch);
        }
        let Some(process) = &mut self.hosts[i].process else { return Ok(()) };
        let (log, copy) = (process.node.log().clone(), process.copy);
        let began = process.shadow.began(change.epoch).unwrap_or_default();
        self.promises.check(&log, change.epoch, began, i)?;
        if change.kind == "switchover" {
            self.promises.check_lossless(&log, change.epoch, i)?;
            self.counters.hit(Count::LedByHandOver);
        }
        self.promises.forget_lost(&log);
        if self.params.ack == standfast_kernel::types::AckMode::Async && change.kind != "switchover" {
            self.calls.lossy_term(change.epoch, crate::invariants::Ask::Rollback, self.params.keys);
        }
        crate::invariants::audit(process.node.store(), i)?;
        self.counters.hit(Count::PromotionChecked);
        self.leads(i, change.epoch, copy);
        Ok(())
    }

    fn gate(&mut self, i: usize, gate: Gate) -> Outcome {
        let Some(process) = &mut self.hosts[i].process else { return Ok(()) };
        let marks = process.node.log().marks();
        // A copy from a full sync begins its log where the copying began, which may lie above what it knows
        // to be committed. With a coordinator it starts from that (PROTOCOL S9).
        let trimmed = marks.trim <= gate.commit || self.params.coordinated;
        let ordered = trimmed && gate.commit <= marks.tail;
        Invariant::Order.check(ordered, || {
            format!("n{i}: commit {} outside {}..={}", gate.commit, marks.trim, marks.tail)
        })?;
        if let Some(last) = process.gate.filter(|g| g.epoch == gate.epoch) {
            let grew = last.commit <= gate.commit;
            Invariant::Order
                .check(grew, || format!("n{i}: commit fell from {} to {}", last.commit, gate.commit))?;
        }
        process.gate = Some(gate);
        self.follow_log(i)?;
        let committed = self.hosts[i].process.as_ref().and_then(|p| p.shadow.before(gate.commit));
        if let Some(pos) = committed {
            self.promises.committed(pos);
            if let Some(p) = &self.hosts[i].process {
                self.held.committed(p.copy, pos, i)?;
            }
        }
        Ok(())
    }

    pub(crate) fn stop_serving(&mut self, i: usize) {
        let Some(process) = &mut self.hosts[i].process else { return };
        process.master = None;
        process.gate = None;
        let dropped = process.pending.drain();
        for waiting in dropped {
            self.counters.hit(Count::ReplyNeverSent);
            self.reply(i, &waiting.req, Answer::Closed);
        }
    }

    fn follow_log(&mut self, i: usize) -> Outcome {
        let Some(process) = &mut self.hosts[i].process else { return Ok(()) };
        let primary = process.node.role() == Role::Primary;
        let trimmed = process.node.log().marks().trim > Seq::FIRST;
        if trimmed && primary {
            self.counters.hit(Count::LogTrimmed);
        }
        let unsealed = !process.node.is_sealed();
        let mut lost = Vec::new();
        let leads = process.master.as_ref().map(|master| master.epoch());
        for read in process.shadow.follow(process.node.log(), process.copy, &mut self.ledger, i)? {
            if Some(read.pos.epoch) == leads {
                for key in read.lost.iter().filter_map(|name| key_number(name)) {
                    if let (Some(announced), OpType::Evict | OpType::Discard) =
                        (&mut process.announced, read.kind)
                    {
                        announced.gave_up(key);
                    }
                    self.calls.lost(key);
                    lost.push((key, read.kind, read.pos));
                }
            }
            if unsealed {
                self.counters.hit(Count::CopyReplayed);
            }
            self.counters.hit(if primary { Count::EntriesAppended } else { Count::EntriesApplied });
            match read.kind {
                OpType::Preempt => self.counters.hit(Count::PreemptLogged),
                OpType::Free => self.counters.hit(Count::FreeLogged),
                OpType::UpsertInPlace => self.counters.hit(Count::InPlaceLogged),
                OpType::Abandon => self.counters.hit(Count::AbandonLogged),
                OpType::Resolve => self.counters.hit(Count::ResolveLogged),
                OpType::Evict => self.counters.hit(Count::EvictLogged),
                OpType::Discard => self.counters.hit(Count::DiscardLogged),
                OpType::SegmentGone => self.counters.hit(Count::SegmentGoneLogged),
                OpType::Purge => self.counters.hit(Count::PurgeLogged),
                OpType::HoldEnd => self.counters.hit(Count::HoldEndLogged),
                _ => {}
            }
        }
        self.held.note(process.copy, process.shadow.last());
        for (key, kind, pos) in lost {
            self.note(At::Node(i), || format!("object {key} is taken away by {kind:?} at {pos}"));
        }
        Ok(())
    }

    /// Hands a request to the master, if this node may answer at all.
    pub(crate) fn serve(&mut self, i: usize, req: Req) -> Outcome {
        let (now, wall) = (self.now(i), self.wall());
        let Some(process) = &mut self.hosts[i].process else { return Ok(()) };
        let (Some(master), Some(gate)) = (process.master.clone(), process.gate) else {
            self.reply(i, &req, Answer::NotPrimary);
            return Ok(());
        };
        if !gate.may_answer(now) {
            self.reply(i, &req, Answer::Unavailable);
            return Ok(());
        }
        let tail = process.node.log().tail();
        if req.request.is_mutation() && gate.refuses_writes(tail, now).is_some() {
            self.counters.hit(Count::WriteRefused);
            self.reply(i, &req, Answer::Unavailable);
            return Ok(());
        }
        let executed = master.execute(now, wall, &req.request);
        if executed.appended {
            self.node_event(i, NodeEvent::Appended)?;
        }
        // Behind what it took away to make room.
        self.calls.served(req.client, req.id);
        let Some(process) = &mut self.hosts[i].process else { return Ok(()) };
        process.shadow.judge(&req.request, &executed.response)?;
        let (home, saw) = positions(process, &req.request, &executed.response);
        let epoch = master.epoch();
        self.note(At::Node(i), || format!("{} of client {}", req.request.name(), req.client));
        let Some(process) = &mut self.hosts[i].process else { return Ok(()) };
        let byte_critical = hands_out_bytes(&executed.response);
        let waiting = Waiting { req, response: executed.response, epoch, saw, home, byte_critical };
        process.pending.add(executed.depends_on, executed.byte_critical, waiting);
        self.release(i)
    }

    /// Lets the answers go that the gate allows now.
    fn release(&mut self, i: usize) -> Outcome {
        let now = self.now(i);
        let Some(process) = &mut self.hosts[i].process else { return Ok(()) };
        let Some(gate) = process.gate else { return Ok(()) };
        let (log, copy) = (process.node.log().clone(), process.copy);
        for waiting in process.pending.release(&gate, log.tail(), now) {
            let Waiting { req, response, epoch, saw, home, byte_critical } = waiting;
            self.fence.answered(epoch, copy, i)?;
            self.calls.speaks(epoch);
            let must_see = req.must_see.filter(|_| !is_about_segments(&response));
            self.promises.fresh(&log, must_see, home, i)?;
            self.promises.answered(saw, byte_critical, epoch < self.operator.latest.0);
            self.reply(i, &req, Answer::Response(response, home));
        }
        Ok(())
    }

    pub(crate) fn reply(&mut self, i: usize, req: &Req, answer: Answer) {
        let (from, to) = (i, crate::net::NODES + req.client);
        if self.net.is_blocked(from, to) {
            return;
        }
        let t = self.t + self.net.hop(&mut self.rng, self.t, from, to);
        self.at(t, Event::Reply(Reply { client: req.client, id: req.id, node: i, answer }));
    }

    /// Nobody listens: the client learns it soon.
    pub(crate) fn refuse_connection(&mut self, i: usize, req: &Req) {
        self.reply(i, req, Answer::NotPrimary);
    }
}

/// Last entry of the home of the request's key, and of all that the answer was decided on.
fn positions(process: &Process, request: &Request, response: &Response) -> (LogPos, LogPos) {
    let key = match request {
        Request::MountSegment { .. }
        | Request::ReMountSegment { .. }
        | Request::UnmountSegment { .. }
        | Request::GracefulUnmountSegment { .. }
        | Request::QuerySegmentStatus { .. }
        | Request::Ping { .. }
        | Request::BatchQueryIp { .. }
        | Request::GetFsdir
        | Request::GetStorageConfig
        | Request::GetReplicaListByRegex { .. }
        | Request::RemoveByRegex { .. }
        | Request::RemoveAll { .. } => None,
        Request::PutStart { items, .. } | Request::UpsertStart { items, .. } => Some(&items[0].key),
        Request::PutEnd { items, .. } => Some(&items[0].key),
        Request::GetReplicaList { keys }
        | Request::ExistKey { keys }
        | Request::Remove { keys, .. }
        | Request::PutRevoke { keys, .. }
        | Request::BatchReplicaClear { keys, .. } => Some(&keys[0]),
        Request::CopyStart { key, .. }
        | Request::CopyEnd { key, .. }
        | Request::CopyRevoke { key, .. }
        | Request::MoveStart { key, .. }
        | Request::MoveEnd { key, .. }
        | Request::MoveRevoke { key, .. } => Some(key),
        Request::CreateCopyTask { .. }
        | Request::CreateMoveTask { .. }
        | Request::QueryTask { .. }
        | Request::FetchTasks { .. }
        | Request::MarkTaskToComplete { .. }
        | Request::ListKeys { .. }
        | Request::GetMetadata { .. }
        | Request::PutMetadata { .. }
        | Request::RemoveMetadata { .. } => None,
    };
    let key = key.filter(|_| !is_about_segments(response));
    let home = key.map_or(HomeId::SEGMENTS, |key| KeyHash::of(&scoped_key(DEFAULT_TENANT, key)).home);
    let last = process.node.store().mark(home).last;
    // "No space" was decided on every allocator, hence on the whole log.
    let whole = match response {
        Response::PutStart(answers) | Response::UpsertStart(answers) => {
            matches!(answers[0], Err(Refusal::NoAvailableHandle(_)))
        }
        Response::CopyStart(answer) | Response::MoveStart(answer) => {
            matches!(answer, Err(Refusal::NoAvailableHandle(_)))
        }
        _ => false,
    };
    (last, if whole { process.node.log().last() } else { last })
}

/// True for an answer that was decided before the key was looked at.
pub(crate) fn is_about_segments(response: &Response) -> bool {
    let (Response::CopyStart(answer) | Response::MoveStart(answer)) = response else { return false };
    matches!(answer, Err(Refusal::SegmentNotFound(_)))
}

/// Answers after which bytes are in somebody's hands (PROTOCOL A6).
fn hands_out_bytes(response: &Response) -> bool {
    match response {
        Response::MountSegment(answer) | Response::ReMountSegment(answer) => answer.is_ok(),
        Response::PutStart(answers) | Response::UpsertStart(answers) => answers[0].is_ok(),
        Response::CopyStart(answer) | Response::MoveStart(answer) => answer.is_ok(),
        Response::PutEnd(_)
        | Response::PutRevoke(_)
        | Response::GetReplicaList(_)
        | Response::ExistKey(_)
        | Response::Remove(_)
        | Response::UnmountSegment(_)
        | Response::GracefulUnmountSegment(_)
        | Response::QuerySegmentStatus(_)
        | Response::Ping(_)
        | Response::BatchQueryIp(_)
        | Response::GetFsdir(_)
        | Response::GetStorageConfig(_)
        | Response::GetReplicaListByRegex(_)
        | Response::RemoveByRegex(_)
        | Response::RemoveAll(_)
        | Response::BatchReplicaClear(_)
        | Response::CopyEnd(_)
        | Response::CopyRevoke(_)
        | Response::MoveEnd(_)
        | Response::MoveRevoke(_)
        | Response::CreateCopyTask(_)
        | Response::CreateMoveTask(_)
        | Response::QueryTask(_)
        | Response::FetchTasks(_)
        | Response::MarkTaskToComplete(_)
        | Response::ListKeys(_)
        | Response::GetMetadata(_)
        | Response::PutMetadata(_)
        | Response::RemoveMetadata(_) => false,
    }
}
