//! One node's process and what its shell keeps: the sockets' queue, the
//! answers that wait, the last gate.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use standfast_kernel::api::Response;
use standfast_kernel::master::{ClientTimes, Master, MasterConfig, MasterTimes};
use standfast_kernel::node::{Node, NodeConfig, NodeEvent};
use standfast_kernel::replication::{
    CopyFrame, Dump, Gate, Identity, PendingReplies, PrimaryFrame, ReplicationConfig, ReplicationTimes,
};
use standfast_kernel::supervisor::{LeadershipConfig, LeadershipTimes};
use standfast_kernel::types::{ClusterId, CopyId, Epoch, LogPos, NodeId};

use crate::announced::Announced;
use crate::client::Req;
use crate::clock::Clock;
use crate::coordinator::CALL_DEADLINE;
use crate::invariants::Shadow;
use crate::operator::Call;
use crate::scenario::{Params, TIMES, VERIFY};

/// What reaches a process from outside. A frozen process finds it when it thaws.
#[derive(Debug)]
pub(crate) enum Input {
    Event(NodeEvent),
    /// The connection that this node dialled is open.
    Up(u64),
    /// On that connection.
    Frame(u64, PrimaryFrame),
    Copy(u64, CopyFrame),
    Closed(u64, &'static str),
    Request(Req),
    Call(Call),
}

/// An answer that waits, and what is needed to judge it when it leaves.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) req: Req,
    pub(crate) response: Response,
    pub(crate) epoch: Epoch,
    /// Last entry that the answer was decided on, found out independently of
    /// what the master says that it depends on.
    pub(crate) saw: LogPos,
    /// The same within the home of its key.
    pub(crate) home: LogPos,
    pub(crate) byte_critical: bool,
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) node: Node,
    pub(crate) copy: CopyId,
    pub(crate) master: Option<Arc<Master>>,
    pub(crate) gate: Option<Gate>,
    pub(crate) pending: PendingReplies<Waiting>,
    pub(crate) shadow: Shadow,
    /// What it said last that it would serve, as a standby that may take over.
    pub(crate) announced: Option<Announced>,
    /// It has been a primary.
    pub(crate) has_led: bool,
    /// Copies of its state that it sends, by connection.
    pub(crate) dumps: BTreeMap<u64, Dump>,
    /// Whether it said last that its homes form one prefix of its log.
    pub(crate) sealed: bool,
}

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: NodeId,
    pub(crate) clock: Clock,
    pub(crate) process: Option<Process>,
    /// Counts processes; a connection belongs to one of them.
    pub(crate) generation: u64,
    pub(crate) frozen: bool,
    pub(crate) inbox: VecDeque<Input>,
    /// The node that it dials.
    pub(crate) target: usize,
    pub(crate) dialled: Option<u64>,
    /// True time of the earliest wake-up that is scheduled.
    pub(crate) wake_at: u64,
    pub(crate) last_copy: CopyId,
}

impl Process {
    pub(crate) fn new(
        name: &NodeId,
        cluster: &ClusterId,
        copy: CopyId,
        params: &Params,
        first: bool,
        seed: u64,
    ) -> Self {
        // As in a rolling change of the option: each process has its own.
        let read_ttl = if params.ttls_differ {
            TIMES.read_ttl * (1 + ((seed ^ (seed >> 32)) % 4) as u32)
        } else {
            TIMES.read_ttl
        };
        let config = NodeConfig {
            me: Identity { cluster: cluster.clone(), node: name.clone(), copy, address: format!("{name}:1") },
            replication: ReplicationConfig {
                times: ReplicationTimes::default(),
                ack: params.ack,
                read_ttl_max: read_ttl,
                verify: VERIFY,
                ship: params.ship,
                loss: params.loss,
                degrade: params.degrade,
            },
            // The clients of this simulation do not ping yet.
            master: MasterConfig {
                clients: ClientTimes { ttl: None, ..ClientTimes::default() },
                ..MasterTimes { read_ttl, ..TIMES }.into()
            },
            log: params.log,
            bootstrap: first && !params.coordinated,
            has_peer: true,
            seed,
            sabotage: None,
            leadership: params.coordinated.then(|| LeadershipConfig {
                node: name.clone(),
                address: format!("{name}:1"),
                mooncake: None,
                times: LeadershipTimes {
                    call_deadline: Duration::from_nanos(CALL_DEADLINE),
                    lease: params.lease,
                    ..LeadershipTimes::default()
                },
                ack: params.ack,
                read_ttl_max: read_ttl,
                cold_start: true,
                flaps: params.flaps,
                seed,
            }),
        };
        Self {
            node: Node::new(config),
            copy,
            master: None,
            gate: None,
            pending: PendingReplies::default(),
            shadow: Shadow::new(copy),
            announced: None,
            has_led: false,
            dumps: BTreeMap::new(),
            sealed: true,
        }
    }
}
