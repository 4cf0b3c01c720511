//! Looking at the whole cluster: every so often, and when the faults are over.

use bytes::Bytes;
use standfast_kernel::api::{DEFAULT_TENANT, Request, Response};
use standfast_kernel::node::RoleView;
use standfast_kernel::replication::LinkView;
use standfast_kernel::supervisor::Role;
use standfast_kernel::types::{HomeId, KeyHash, scoped_key};

use crate::client::{key_name, spans};
use crate::clock::MS;
use crate::counters::Count;
use crate::invariants::{Invariant, Outcome, audit};
use crate::net::NODES;
use crate::world::{Event, Phase, World};

const CHECK_EVERY: u64 = 100 * MS;
/// Whole stores are recounted and rebuilt at every so many checks.
const AUDIT_EVERY: u64 = 20;

impl World {
    pub(crate) fn check(&mut self) -> Outcome {
        self.at(self.t + CHECK_EVERY, Event::Check);
        self.checks += 1;
        self.net.forget();
        let homes = self.homes_in_use();
        for i in 0..NODES {
            let Some(p) = &self.hosts[i].process else { continue };
            if self.is_damaged(i) {
                continue;
            }
            self.states.compare(p.node.store(), &homes, i)?;
            self.counters.hit(Count::StateCompared);
            if (self.checks + i as u64).is_multiple_of(AUDIT_EVERY) && p.node.is_sealed() {
                audit(p.node.store(), i)?;
                self.counters.hit(Count::AuditDone);
            }
            let marks = p.node.log().marks();
            Invariant::Order.check(marks.trim <= marks.tail, || {
                format!("n{i}: trim {} > tail {}", marks.trim, marks.tail)
            })?;
        }
        if self.phase == Phase::Settling && self.why_not_converged().is_empty() {
            let primary = self.primary();
            self.done = primary.map_or(Ok(false), |primary| self.is_verified(primary))?;
        }
        Ok(())
    }

    fn homes_in_use(&self) -> Vec<HomeId> {
        let keys = (0..self.params.keys)
            .map(|k| KeyHash::of(&scoped_key(DEFAULT_TENANT, key_name(k).as_bytes())).home);
        keys.chain([HomeId::SEGMENTS]).collect()
    }

    /// Empty when one primary leads, all others stream at its tail, and nothing is in limbo.
    pub(crate) fn why_not_converged(&self) -> String {
        let Some(primary) = self.primary() else {
            return format!("no primary of {:?}", self.operator.latest);
        };
        let Some(leader) = &self.hosts[primary].process else { return "the primary is dead".into() };
        let tail = leader.node.log().marks().last;
        let mut why = String::new();
        for (i, host) in self.hosts.iter().enumerate() {
            let Some(p) = &host.process else { return format!("n{i} is dead") };
            let view = p.node.view(host.clock.at(self.t));
            match view.detail {
                RoleView::Primary(v) if i == primary => {
                    let open = v.gate.may_answer(host.clock.at(self.t));
                    if !open || v.members().len() != NODES - 1 || v.gate.commit != p.node.log().tail() {
                        why += &format!("n{i} leads with {} members, open {open}; ", v.members().len());
                    }
                }
                RoleView::Standby(v) => {
                    if v.link != LinkView::Streaming || !v.in_sync || p.node.log().last() != tail {
                        let link = v.link;
                        why += &format!(
                            "n{i} is {link:?}, in sync {}, at {}, {:?}; ",
                            v.in_sync,
                            p.node.log().last(),
                            v.why_not
                        );
                    }
                }
                RoleView::Primary(_) | RoleView::Candidate(_) => {
                    why += &format!("n{i} is {}; ", p.node.role());
                }
            }
        }
        let limbo = leader.node.store().limbo();
        if limbo > 0 {
            why += &format!("{limbo} regions in limbo");
        }
        why
    }

    pub(crate) fn check_answered(&self, since: u64) -> Outcome {
        for (c, client) in self.clients.iter().enumerate() {
            Invariant::Liveness.check(client.answered_at >= since, || {
                format!(
                    "client {c} was last answered at {} ms; {}",
                    client.answered_at / MS,
                    self.why_not_converged()
                )
            })?;
        }
        Ok(())
    }

    /// At rest: equal logs, equal stores, every promise kept, every object readable and whole.
    pub(crate) fn final_checks(&mut self) -> Outcome {
        let Some(primary) = self.primary() else { return Err(Invariant::Converges.broken("no primary")) };
        let digest = |i: usize| self.hosts[i].process.as_ref().map(|p| p.node.store().digest());
        for i in 0..NODES {
            let Some(p) = &self.hosts[i].process else { continue };
            audit(p.node.store(), i)?;
            Invariant::StateEquality
                .check(digest(i) == digest(primary), || format!("n{i} and n{primary} differ at rest"))?;
            let role = p.node.role();
            let fits = (role == Role::Primary) == (i == primary);
            Invariant::Converges.check(fits, || format!("n{i} is {role} at rest"))?;
        }
        let (epoch, _, _) = self.operator.latest;
        if let Some(p) = &self.hosts[primary].process {
            let began = p.shadow.began(epoch).unwrap_or_default();
            self.promises.check(p.node.log(), epoch, began, primary)?;
        }
        self.check_objects(primary)?;
        // Linearizable. Writers that share an id end each other's writes: which one did is nobody's to tell.
        if !self.params.shared_writer {
            let judged = self.calls.check(self.params.keys)?;
            self.counters.add(Count::CallsLinearized, judged as u64);
        }
        let (sent, least) = (self.counters.get(Count::RequestSent), self.params.requests_min);
        Invariant::Liveness
            .check(sent >= least, || format!("only {sent} calls in the history, {least} expected"))
    }

    /// What the primary would show is in memory, byte for byte.
    fn check_objects(&mut self, primary: usize) -> Outcome {
        let (now, wall) = (self.now(primary), self.wall());
        let Some(p) = &self.hosts[primary].process else { return Ok(()) };
        let Some(master) = p.master.clone() else {
            return Err(Invariant::Converges.broken("no master at rest"));
        };
        for key in 0..self.params.keys {
            let keys = vec![Bytes::from(key_name(key))];
            let request = Request::GetReplicaList { keys };
            let asked = (crate::net::CLIENTS, key);
            self.calls.asked(asked.0, asked.1, key, &request, 0);
            let executed = master.execute(now, wall, &request);
            self.calls.answered(asked.0, asked.1, &executed.response);
            p.shadow.judge(&request, &executed.response)?;
            let Response::GetReplicaList(mut answers) = executed.response else {
                continue;
            };
            let Some(Ok(list)) = answers.pop() else { continue };
            let nonce = list.checksum.unwrap_or_default();
            for span in spans(&list.replicas).unwrap_or_default() {
                let nonce = self.published(key, span, nonce)?;
                let foreign = self.memory.foreign(span, nonce);
                Invariant::NoWrongBytes.check(foreign.is_none(), || {
                    format!("at rest, object {key} shows {span:?}: write {foreign:?} is there, not {nonce}")
                })?;
            }
        }
        Ok(())
    }
}
