//! What goes wrong, and how it is put right again.

use standfast_kernel::supervisor::Role;

use crate::client::Answer;
use crate::clock::{DRIFT_PPM_MAX, MS, SECOND};
use crate::counters::Count;
use crate::host::Input;
use crate::invariants::Outcome;
use crate::net::{CLIENTS, NODES};
use crate::operator::Call;
use crate::trace::At;
use crate::world::{Event, Phase, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    CrashPrimary,
    CrashStandby,
    Freeze,
    FreezePrimary,
    Partition,
    OneWay,
    Isolate,
    CutClient,
    Break,
    Stall,
    Slow,
    Drift,
    WrongRedirect,
    DetachAlive,
    DetachThenCrash,
    /// Promotes although the primary lives.
    FalsePromotion,
    PromoteIneligible,
    /// One node does not reach the coordinator, or hears nothing of it.
    CutCoordinator,
    /// The primary is cut off from it while a standby dies.
    CutCoordinatorAndCrash,
    CoordinatorAway,
    CoordinatorSlow,
    /// An operator hands over to some standby.
    HandOver,
    /// The same, and something dies, or is cut off, meanwhile.
    HandOverDisturbed,
    /// Breaks a stream on which homes are sent.
    CutCopy,
    /// Either end of such a stream dies.
    CrashCopier,
    /// Every copy of the state is lost.
    LoseAll,
    /// The primary stands alone on record, and an operator starts another node empty.
    LeaveAlone,
    /// The coordinator goes back behind what it answered.
    Forget,
}

impl Fault {
    /// With a coordinator: no operator decides anything.
    pub(crate) const COORDINATED: &[(Self, u64)] = &[
        (Self::CrashPrimary, 12),
        (Self::CrashStandby, 10),
        (Self::Freeze, 6),
        (Self::FreezePrimary, 8),
        (Self::Partition, 7),
        (Self::OneWay, 7),
        (Self::Isolate, 5),
        (Self::Break, 10),
        (Self::Stall, 8),
        (Self::Slow, 8),
        (Self::Drift, 6),
        (Self::CutCoordinator, 10),
        (Self::CutCoordinatorAndCrash, 6),
        (Self::CoordinatorAway, 4),
        (Self::CoordinatorSlow, 6),
        (Self::HandOver, 6),
        (Self::HandOverDisturbed, 4),
    ];
    pub(crate) const HANDING: &[(Self, u64)] = &[
        (Self::HandOver, 30),
        (Self::HandOverDisturbed, 20),
        (Self::CrashStandby, 3),
        (Self::FreezePrimary, 3),
        (Self::Stall, 8),
        (Self::Slow, 8),
        (Self::CutCoordinator, 6),
        (Self::CoordinatorSlow, 8),
        (Self::Drift, 3),
    ];
    pub(crate) const LOSING: &[(Self, u64)] = &[
        (Self::LoseAll, 12),
        (Self::CrashPrimary, 4),
        (Self::CrashStandby, 4),
        (Self::Freeze, 4),
        (Self::FreezePrimary, 4),
        (Self::Partition, 4),
        (Self::OneWay, 3),
        (Self::CutCoordinator, 5),
        (Self::CoordinatorAway, 2),
        (Self::CoordinatorSlow, 4),
        (Self::Drift, 3),
    ];
    pub(crate) const FORGETTING: &[(Self, u64)] = &[
        (Self::Forget, 12),
        (Self::CrashPrimary, 4),
        (Self::CrashStandby, 4),
        (Self::FreezePrimary, 3),
        (Self::HandOver, 4),
        (Self::CutCoordinator, 4),
        (Self::CoordinatorSlow, 3),
        (Self::Drift, 2),
    ];
    pub(crate) const FORCING: &[(Self, u64)] = &[(Self::LeaveAlone, 10), (Self::Drift, 2), (Self::Break, 1)];
    pub(crate) const MIXED: &[(Self, u64)] = &[
        (Self::CrashPrimary, 6),
        (Self::CrashStandby, 8),
        (Self::Freeze, 6),
        (Self::FreezePrimary, 6),
        (Self::Partition, 7),
        (Self::OneWay, 7),
        (Self::Isolate, 4),
        (Self::CutClient, 4),
        (Self::Break, 12),
        (Self::Stall, 10),
        (Self::Slow, 10),
        (Self::Drift, 6),
        (Self::WrongRedirect, 4),
        (Self::DetachAlive, 3),
        (Self::DetachThenCrash, 3),
        (Self::FalsePromotion, 6),
        (Self::PromoteIneligible, 5),
    ];
    pub(crate) const COPYING: &[(Self, u64)] = &[
        (Self::CrashPrimary, 3),
        (Self::CrashStandby, 12),
        (Self::Freeze, 5),
        (Self::FreezePrimary, 3),
        (Self::Partition, 8),
        (Self::OneWay, 8),
        (Self::Break, 8),
        (Self::Stall, 10),
        (Self::Slow, 10),
        (Self::Drift, 3),
        (Self::DetachAlive, 10),
        (Self::FalsePromotion, 8),
        (Self::PromoteIneligible, 8),
        (Self::CutCopy, 20),
        (Self::CrashCopier, 12),
    ];
    pub(crate) const SWITCHING: &[(Self, u64)] = &[
        (Self::FalsePromotion, 40),
        (Self::CrashPrimary, 4),
        (Self::CrashStandby, 4),
        (Self::FreezePrimary, 6),
        (Self::Partition, 4),
        (Self::OneWay, 4),
        (Self::Break, 5),
        (Self::Stall, 5),
        (Self::Slow, 8),
        (Self::Drift, 6),
        (Self::WrongRedirect, 6),
        (Self::PromoteIneligible, 2),
    ];
}

/// The end of a fault.
#[derive(Debug)]
pub(crate) enum Healing {
    Unblock(Vec<(usize, usize)>),
    Thaw(usize),
    Restart(usize),
    /// Of a node's ways to and from the coordinator.
    Mend(usize, [bool; 2]),
    CoordinatorBack,
    /// Its records are restored.
    Restore,
    /// Not an end: the second half of a fault.
    Crash(usize),
    /// The same, whatever is lost with it.
    Die(usize),
    /// The second half of another: a node loses its ways to and from the coordinator.
    CutOff(usize, [bool; 2]),
}

impl World {
    pub(crate) fn nemesis(&mut self) -> Outcome {
        if self.phase != Phase::Faulty {
            return Ok(());
        }
        let next = self.t + self.rng.range(self.params.fault_gap.0, self.params.fault_gap.1);
        self.at(next, Event::Nemesis);
        let weights: Vec<u64> = self.params.faults.iter().map(|(_, w)| *w).collect();
        let (fault, _) = self.params.faults[self.rng.weighted(&weights)];
        self.keep_backup();
        if !self.coordinator.is_forgetful() {
            self.inflict(fault);
        }
        Ok(())
    }

    fn inflict(&mut self, fault: Fault) {
        let primary = self.primary();
        let any = self.rng.below(NODES as u64) as usize;
        let standby = self.some_standby();
        match fault {
            Fault::CrashPrimary => self.crash_for_a_while(primary.unwrap_or(any)),
            Fault::CrashStandby => self.crash_for_a_while(standby.unwrap_or(any)),
            Fault::Freeze => self.freeze(any),
            Fault::FreezePrimary => self.freeze(primary.unwrap_or(any)),
            Fault::Partition | Fault::OneWay | Fault::Isolate | Fault::CutClient | Fault::Stall => {
                self.cut(fault, any);
            }
            Fault::Break => self.break_some_stream(),
            Fault::Slow => self.slow_some_link(),
            Fault::Drift => {
                let ppm = self.rng.range(0, 2 * DRIFT_PPM_MAX as u64) as i64 - DRIFT_PPM_MAX;
                self.counters.hit(Count::DriftChanged);
                let t = self.t;
                self.hosts[any].clock.drift(t, ppm);
                self.schedule(any);
            }
            Fault::WrongRedirect => self.wrong_redirect(any),
            Fault::DetachAlive | Fault::DetachThenCrash => self.detach_some(fault, primary, standby),
            Fault::CutCoordinator => self.cut_coordinator(any),
            Fault::CutCoordinatorAndCrash => {
                if let (Some(i), Some(j)) = (primary, standby) {
                    self.cut_coordinator(i);
                    self.crash_for_a_while(j);
                }
            }
            Fault::CoordinatorAway => {
                self.counters.hit(Count::CoordinatorAway);
                self.coordinator.away += 1;
                self.note(At::World, || "the coordinator is away".into());
                let t = self.t + self.rng.range(100 * MS, 5 * SECOND);
                self.at(t, Event::Heal(Healing::CoordinatorBack));
            }
            Fault::CoordinatorSlow => {
                self.counters.hit(Count::CoordinatorSlow);
                self.coordinator.slow_until = self.t + self.rng.range(100 * MS, 2 * SECOND);
            }
            Fault::FalsePromotion => {
                let fit: Vec<usize> = (0..NODES).filter(|j| self.may_order(*j)).collect();
                if let (Some(j), Some(_)) = (self.rng.pick(&fit), primary) {
                    self.counters.hit(Count::PromoteWhilePrimaryLives);
                    self.order(j, Call::Promote);
                }
            }
            Fault::HandOver => self.order_hand_over(),
            Fault::HandOverDisturbed => {
                self.order_hand_over();
                let victim = self.rng.below(NODES as u64) as usize;
                match self.rng.below(4) {
                    0 => self.crash_for_a_while(victim),
                    1 => self.freeze(victim),
                    _ => self.cut_coordinator(primary.unwrap_or(victim)),
                }
            }
            Fault::LoseAll => self.lose_all(),
            Fault::LeaveAlone => self.leave_alone(),
            Fault::Forget => self.forget(),
            Fault::CutCopy => self.cut_copy(),
            Fault::CrashCopier => {
                let unsealed = |i: &usize| {
                    self.hosts[*i]
                        .process
                        .as_ref()
                        .is_some_and(|p| !p.node.is_sealed() || !p.dumps.is_empty())
                };
                let all: Vec<usize> = (0..NODES).filter(unsealed).collect();
                if let Some(i) = self.rng.pick(&all) {
                    self.counters.hit(Count::CrashInFullSync);
                    self.crash_for_a_while(i);
                }
            }
            Fault::PromoteIneligible => {
                let now = self.now(any);
                let yes = self.hosts[any].process.as_ref().is_none_or(|p| p.node.verdict(now).is_yes());
                if !yes {
                    self.counters.hit(Count::PromoteIneligible);
                    self.order(any, Call::Promote);
                }
            }
        }
    }

    fn order_hand_over(&mut self) {
        let named = self.rng.chance(500).then(|| self.rng.below(NODES as u64) as usize);
        if let Some(i) = self.primary() {
            self.counters.hit(Count::HandOverAsked);
            self.order(i, Call::HandOver(named));
        }
    }

    fn cut_coordinator(&mut self, i: usize) {
        self.counters.hit(Count::CoordinatorCut);
        let ways = [[true, true], [true, false], [false, true]][self.rng.below(3) as usize];
        self.note(At::Node(i), || format!("cut off from the coordinator, {ways:?}"));
        self.coordinator.cut(i, ways);
        let t = self.t + self.rng.range(50 * MS, 4 * SECOND);
        self.at(t, Event::Heal(Healing::Mend(i, ways)));
    }

    pub(crate) fn some_standby(&mut self) -> Option<usize> {
        let is_standby =
            |h: &crate::host::Host| h.process.as_ref().is_some_and(|p| p.node.role() == Role::Standby);
        let all: Vec<usize> = (0..NODES).filter(|i| is_standby(&self.hosts[*i])).collect();
        self.rng.pick(&all)
    }

    fn crash_for_a_while(&mut self, i: usize) {
        if self.hosts[i].process.is_none() || !self.may_die(i) {
            return;
        }
        self.counters.hit(if self.primary() == Some(i) {
            Count::CrashOfPrimary
        } else {
            Count::CrashOfStandby
        });
        self.crash(i);
        let t = self.t + self.rng.range(5 * MS, self.params.away_max);
        self.at(t, Event::Heal(Healing::Restart(i)));
    }

    /// The process is gone, and with it all that it knew.
    pub(crate) fn crash(&mut self, i: usize) {
        self.counters.hit(Count::Crash);
        self.note(At::Node(i), || "crashes".into());
        self.drop_streams(i);
        let inbox = std::mem::take(&mut self.hosts[i].inbox);
        for input in inbox {
            if let Input::Request(req) = input {
                self.reply(i, &req, Answer::Closed);
            }
        }
        self.stop_serving(i);
        let host = &mut self.hosts[i];
        host.process = None;
        host.frozen = false;
        host.wake_at = u64::MAX;
    }

    fn freeze(&mut self, i: usize) {
        if self.hosts[i].process.is_none() || self.hosts[i].frozen {
            return;
        }
        self.counters.hit(Count::Freeze);
        if self.primary() == Some(i) {
            self.counters.hit(Count::FreezeOfPrimary);
        }
        self.hosts[i].frozen = true;
        self.note(At::Node(i), || "freezes".into());
        let t = self.t + self.rng.range(20 * MS, 2_500 * MS);
        self.at(t, Event::Heal(Healing::Thaw(i)));
    }

    fn thaw(&mut self, i: usize) -> Outcome {
        if !std::mem::replace(&mut self.hosts[i].frozen, false) {
            return Ok(());
        }
        self.counters.hit(Count::Thaw);
        self.note(At::Node(i), || "thaws".into());
        // Timers and sockets are all ready: either may come first.
        let timer_first = self.rng.chance(500);
        if timer_first {
            self.tick(i)?;
        }
        let inbox = std::mem::take(&mut self.hosts[i].inbox);
        for input in inbox {
            self.input(i, input)?;
        }
        if self.hosts[i].process.is_some() && !timer_first {
            self.tick(i)?;
        }
        self.hosts[i].wake_at = u64::MAX;
        self.schedule(i);
        Ok(())
    }

    fn cut(&mut self, fault: Fault, i: usize) {
        let j = (i + 1 + self.rng.below(NODES as u64 - 1) as usize) % NODES;
        let client = NODES + self.rng.below(CLIENTS as u64) as usize;
        let others = (0..NODES + CLIENTS).filter(|k| *k != i && (*k < NODES || self.rng.chance(500)));
        let (count, pairs, longest) = match fault {
            Fault::OneWay => (Count::PartitionOneWay, vec![(i, j)], 2 * SECOND),
            Fault::Stall => (Count::LinkStalled, vec![(i, j)], 300 * MS),
            Fault::CutClient => (Count::ClientCutOff, vec![(i, client), (client, i)], 2 * SECOND),
            Fault::Isolate => {
                (Count::IsolateNode, others.flat_map(|k| [(i, k), (k, i)]).collect(), 1_500 * MS)
            }
            _ => (Count::PartitionBothWays, vec![(i, j), (j, i)], 2_500 * MS),
        };
        self.counters.hit(count);
        self.note(At::World, || format!("{fault:?} {pairs:?}"));
        for (from, to) in &pairs {
            self.net.block(*from, *to);
        }
        let t = self.t + self.rng.range(20 * MS, longest);
        self.at(t, Event::Heal(Healing::Unblock(pairs)));
    }

    fn break_some_stream(&mut self) {
        let open: Vec<u64> =
            self.net.conns.iter().filter(|(_, c)| c.dialer_open).map(|(id, _)| *id).collect();
        if let Some(id) = self.rng.pick(&open) {
            self.counters.hit(Count::StreamBroken);
            self.note(At::World, || format!("stream {id} breaks"));
            self.break_stream(id);
        }
    }

    fn cut_copy(&mut self) {
        let open: Vec<u64> =
            self.net.conns.iter().filter(|(_, c)| c.copies && c.dialer_open).map(|(id, _)| *id).collect();
        if let Some(id) = self.rng.pick(&open) {
            self.counters.hit(Count::CopyCut);
            self.note(At::World, || format!("stream {id} breaks while homes are sent"));
            self.break_stream(id);
        }
    }

    fn slow_some_link(&mut self) {
        let from = self.rng.below((NODES + CLIENTS) as u64) as usize;
        let to = self.rng.below(NODES as u64) as usize;
        if from != to {
            self.counters.hit(Count::DelaySpike);
            let until = self.t + self.rng.range(50 * MS, 2 * SECOND);
            let by = self.rng.range(5 * MS, 350 * MS);
            self.net.slow(from, to, until, by);
            self.note(At::World, || format!("{from} -> {to} is slow by up to {} ms", by / MS));
        }
    }

    /// Points a node at one that does not lead. Only a node that knows the latest
    /// epoch: an empty one would revive a deposed primary (see the operator).
    fn wrong_redirect(&mut self, i: usize) {
        let knows = |p: &crate::host::Process| p.node.max_epoch() == self.operator.latest.0;
        if self.hosts[i].process.as_ref().is_some_and(knows) {
            let j = (i + 1 + self.rng.below(NODES as u64 - 1) as usize) % NODES;
            self.counters.hit(Count::WrongRedirect);
            self.order(i, Call::Redirect(j));
        }
    }

    fn detach_some(&mut self, fault: Fault, primary: Option<usize>, standby: Option<usize>) {
        let (Some(i), Some(j)) = (primary, standby) else { return };
        self.order(i, Call::Detach(j));
        if fault == Fault::DetachAlive {
            self.counters.hit(Count::DetachAlive);
        } else {
            self.counters.hit(Count::DetachThenCrash);
            let t = self.t + self.rng.range(MS, 20 * MS);
            self.at(t, Event::Heal(Healing::Crash(j)));
        }
    }

    pub(crate) fn heal(&mut self, healing: Healing) -> Outcome {
        match healing {
            Healing::Unblock(pairs) => {
                self.counters.hit(Count::Heal);
                if self.phase == Phase::Faulty {
                    for (from, to) in pairs {
                        self.net.unblock(from, to);
                    }
                }
                self.unstick();
            }
            Healing::Mend(i, ways) => {
                if self.phase == Phase::Faulty {
                    self.coordinator.mend(i, ways);
                }
            }
            Healing::Restore => self.restore(),
            Healing::CoordinatorBack => self.coordinator.away = self.coordinator.away.saturating_sub(1),
            Healing::Thaw(i) => return self.thaw(i),
            Healing::Restart(i) => return self.restart(i),
            Healing::Crash(i) => self.crash_for_a_while(i),
            Healing::Die(i) if self.phase == Phase::Faulty => self.die_for_a_while(i),
            Healing::CutOff(i, ways) if self.phase == Phase::Faulty => self.coordinator.cut(i, ways),
            Healing::Die(_) | Healing::CutOff(..) => {}
        }
        Ok(())
    }

    fn restart(&mut self, i: usize) -> Outcome {
        if self.hosts[i].process.is_some() {
            return Ok(());
        }
        self.counters.hit(Count::Restart);
        // An empty copy knows no epoch: it is pointed at a node that holds the state, never at a deposed primary.
        let holders: Vec<usize> = (0..NODES).filter(|j| *j != i && self.holds_all(*j)).collect();
        let latest = self.operator.latest.1;
        let target = if holders.contains(&latest) { Some(latest) } else { self.rng.pick(&holders) };
        self.hosts[i].target = target.unwrap_or((i + 1) % NODES);
        self.start(i, false)
    }

    fn unstick(&mut self) {
        for (t, id, way) in self.net.unstick(self.t) {
            self.at(t, Event::Pipe(id, way));
        }
    }

    /// Ends every fault.
    pub(crate) fn calm(&mut self) -> Outcome {
        self.note(At::World, || "the faults end".into());
        self.net.calm();
        self.coordinator.calm();
        self.restore();
        self.unstick();
        for i in 0..NODES {
            self.thaw(i)?;
            if self.hosts[i].process.is_none() {
                self.restart(i)?;
            }
        }
        Ok(())
    }
}
