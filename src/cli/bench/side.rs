//! One master in a run: its lender, its connections, its rounds.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::exit::{Exit, Failure};
use super::door::{Door, Fault};
use super::figures::Round;
use super::keys::Series;
use super::lender::{Lender, Lent};
use super::load::{Op, Tally, Until, Worker};
use super::machine::{self, Reading};
use super::standby::Pipeline;
use super::target::{Protocol, Target};

/// With fewer objects, memory says more about the process than about a key.
const RSS_KEYS_MIN: u64 = 50_000;

/// What is asked of every master.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) protocol: Protocol,
    pub(super) op: Op,
    pub(super) batch: usize,
    pub(super) connections: u32,
    /// Objects that are there before the first round, where the load reads.
    pub(super) keys: u64,
    /// Keys a second of all connections together; `None` is as many as the master takes.
    pub(super) rate: Option<u64>,
    pub(super) key_len: usize,
    pub(super) value_bytes: u64,
    /// Of a whole round.
    pub(super) until: Until,
    /// Other runs lend to the same master, too.
    pub(super) shared: bool,
    /// Names this run in its keys and segments.
    pub(super) run: u32,
}

impl Plan {
    /// Keys a second of one connection.
    fn pace(&self) -> Option<f64> {
        self.rate.map(|rate| rate as f64 / f64::from(self.connections))
    }

    /// One connection's part of so many keys.
    fn part(&self, keys: u64, connection: u32) -> u64 {
        let (each, rest) = (keys / u64::from(self.connections), keys % u64::from(self.connections));
        each + u64::from(u64::from(connection) < rest)
    }
}

/// One master, and what it came to.
pub(super) struct Side {
    pub(super) target: Target,
    pub(super) pipeline: Option<Pipeline>,
    pub(super) pid: Option<u32>,
    lender: Lender,
    workers: Vec<Worker>,
    /// Memory before the first object.
    rss: Option<u64>,
    pub(super) rss_bytes_per_key: Option<f64>,
    pub(super) rounds: Vec<Round>,
    /// Everything but the rounds' own figures.
    pub(super) tally: Tally,
    pub(super) faults: Vec<String>,
}

impl Side {
    /// Connects and lends.
    pub(super) async fn open(plan: &Plan, target: Target) -> Result<Self, Failure> {
        let failed = |why: String| {
            let text = format!("{}: {why}", target.name);
            Failure::new(Exit::Unreachable, text)
                .cure(format!("is a master listening? `nc -z {}`", { target.addr.replace(':', " ") }))
        };
        let status = match plan.protocol {
            Protocol::Grpc => Some(target.status.as_ref().unwrap_or(&target.addr)),
            Protocol::Mooncake => target.status.as_ref(),
        };
        let pipeline = match status {
            Some(addr) => Some(Pipeline::find(addr).await.map_err(|why| failed(format!("{addr}: {why}")))?),
            None => None,
        };
        let told = pipeline.as_ref().and_then(|pipeline| pipeline.pid);
        let pid = target.pid.or(told).or_else(|| machine::listener(&target.addr));
        let lender = Lender::start(plan.protocol, &target.addr, plan.run).await.map_err(failed)?;
        let lent = Lent::by(plan.run, plan.shared);
        let mut workers = Vec::new();
        for connection in 0..plan.connections {
            let door = Door::open(plan.protocol, &target.addr, u64::from(plan.run)).await.map_err(failed)?;
            workers.push(Worker {
                door,
                lent: lent.clone(),
                series: Series { run: plan.run, len: plan.key_len, round: 0, connection },
                batch: plan.batch,
                value_bytes: plan.value_bytes,
                pace: plan.pace(),
                filled: Vec::new(),
                puts: 0,
            });
        }
        Ok(Self {
            target,
            pipeline,
            pid,
            lender,
            workers,
            rss: pid.and_then(machine::resident_bytes),
            rss_bytes_per_key: None,
            rounds: Vec::new(),
            tally: Tally::default(),
            faults: Vec::new(),
        })
    }

    /// Processes of this side on this machine.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.pid.into_iter().chain(self.standby_pids().into_iter().flatten()).collect()
    }

    fn standby_pids(&self) -> Vec<Option<u32>> {
        self.pipeline.as_ref().map_or(Vec::new(), |pipeline| pipeline.standby_pids.clone())
    }

    /// Puts what is there before the first round.
    pub(super) async fn fill(&mut self, plan: &Plan) {
        let parts: Vec<u64> = (0..plan.connections).map(|c| plan.part(plan.keys, c)).collect();
        let mut tally = self
            .all(|mut worker, mut tally| {
                let keys = parts.get(worker.series.connection as usize).copied().unwrap_or(0);
                async move {
                    let done = worker.fill(keys, &mut tally).await;
                    (worker, tally, done)
                }
            })
            .await;
        tally.batch_us.clear();
        self.tally.add(tally);
        self.weigh(plan.keys, plan.key_len);
        self.drain().await;
    }

    /// Runs one round and removes what it put.
    pub(super) async fn round(&mut self, plan: &Plan, round: u32) {
        let (op, before, begun) = (plan.op, machine::read(), Instant::now());
        let until = plan.until;
        let parts: Vec<u64> = match until {
            Until::Keys(keys) => (0..plan.connections).map(|c| plan.part(keys, c)).collect(),
            Until::Time(_) => Vec::new(),
        };
        let mut tally = self
            .all(|mut worker, mut tally| {
                let part =
                    parts.get(worker.series.connection as usize).map_or(until, |&keys| Until::Keys(keys));
                async move {
                    let done = worker.round(op, round, part, &mut tally).await;
                    (worker, tally, done)
                }
            })
            .await;
        let load = begun.elapsed();
        let drain = self.drain().await;
        let (after, took) = (machine::read(), begun.elapsed());
        if round == 1 && op == Op::Put && plan.keys == 0 {
            self.weigh(self.workers.iter().map(|worker| worker.puts).sum(), plan.key_len);
        }
        let batch_us = Round::batches(&mut tally);
        let measured = self.measured(&before, &after, took);
        self.rounds.push(Round { keys: tally.good, load, drain, batch_us, ..measured });
        self.tally.add(tally);
        let removed = self
            .all(|mut worker, mut tally| async move {
                let done = worker.remove(round, &mut tally).await;
                (worker, tally, done)
            })
            .await;
        self.tally.add(removed);
        self.drain().await;
    }

    /// What the processes used between two readings.
    fn measured(&self, before: &Reading, after: &Reading, took: Duration) -> Round {
        let used = |pid: u32| machine::cpu_seconds(before, after, pid);
        let me = std::process::id();
        let mut ours = self.pids();
        ours.push(me);
        let standbys = self.standby_pids();
        let standby_cpu = standbys.iter().map(|pid| used((*pid)?)).sum::<Option<f64>>();
        Round {
            keys: 0,
            load: took,
            drain: None,
            server_cpu: self.pid.and_then(used),
            standby_cpu: standby_cpu.filter(|_| !standbys.is_empty()),
            generator_cpu: used(me),
            others: machine::others(before, after, &ours, took.as_secs_f64().max(1e-9)),
            batch_us: Vec::new(),
        }
    }

    /// Waits for the standbys, where there are any; how long that took.
    async fn drain(&mut self) -> Option<Duration> {
        let pipeline = self.pipeline.as_ref().filter(|pipeline| pipeline.standbys() > 0)?;
        let begun = Instant::now();
        match pipeline.drain().await {
            Ok(()) => Some(begun.elapsed()),
            Err(why) => {
                self.faults.push(why);
                None
            }
        }
    }

    /// What an object costs. Memory that a process had and uses again says nothing: less than the key itself is none.
    fn weigh(&mut self, keys: u64, key_len: usize) {
        let now = self.pid.and_then(machine::resident_bytes).filter(|_| keys >= RSS_KEYS_MIN);
        let grown = self.rss.zip(now).and_then(|(before, now)| now.checked_sub(before));
        let each = grown.map(|grown| grown as f64 / keys as f64);
        self.rss_bytes_per_key = each.filter(|each| *each > key_len as f64);
    }

    /// Lets all connections do something at the same time. One that is lost does nothing more.
    async fn all<F>(&mut self, what: impl Fn(Worker, Tally) -> F) -> Tally
    where
        F: Future<Output = (Worker, Tally, Result<(), Fault>)> + Send + 'static,
    {
        let mut tasks: JoinSet<_> =
            self.workers.drain(..).map(|worker| what(worker, Tally::default())).collect();
        let mut all = Tally::default();
        while let Some(done) = tasks.join_next().await {
            let Ok((worker, tally, done)) = done else {
                self.faults.push("a connection's task was lost".to_owned());
                continue;
            };
            all.add(tally);
            match done {
                Ok(()) => self.workers.push(worker),
                Err(fault) => self.faults.push(format!("a connection was lost in {fault}")),
            }
        }
        all
    }

    /// Removes what is left and takes the memory back.
    pub(super) async fn close(mut self) -> Closed {
        let filled = self
            .all(|mut worker, mut tally| async move {
                worker.puts = worker.filled.len() as u64;
                let done = worker.remove(0, &mut tally).await;
                (worker, tally, done)
            })
            .await;
        self.tally.add(filled);
        if let Err(why) = self.lender.leave().await {
            self.faults.push(format!("the lender: {why}"));
        }
        Closed {
            standbys: self.pipeline.as_ref().map(Pipeline::standbys),
            ack: self.pipeline.as_ref().map(|pipeline| pipeline.ack),
            target: self.target,
            pid: self.pid,
            rss_bytes_per_key: self.rss_bytes_per_key,
            rounds: self.rounds,
            tally: self.tally,
            faults: self.faults,
        }
    }
}

/// What a master came to.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) target: Target,
    /// `None`: it was not asked.
    pub(super) standbys: Option<usize>,
    pub(super) ack: Option<&'static str>,
    pub(super) pid: Option<u32>,
    pub(super) rss_bytes_per_key: Option<f64>,
    pub(super) rounds: Vec<Round>,
    pub(super) tally: Tally,
    pub(super) faults: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_whole() {
        let plan = Plan {
            protocol: Protocol::Grpc,
            op: Op::Put,
            batch: 1,
            connections: 3,
            keys: 0,
            rate: Some(6),
            key_len: 60,
            value_bytes: 1,
            until: Until::Keys(0),
            shared: false,
            run: 0,
        };
        let parts: Vec<u64> = (0..3).map(|c| plan.part(11, c)).collect();
        assert_eq!((parts, plan.pace()), (vec![4, 4, 3], Some(2.0)));
    }
}
