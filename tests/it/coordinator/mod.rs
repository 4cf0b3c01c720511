//! One conformance suite for everything that may keep the records: the
//! kernel's model in memory, which the simulation trusts, a witness process,
//! and a real etcd.

mod cases;
mod faults;
mod memory;
mod proxy;
mod random;
mod servers;
mod tls;
mod watches;

use standfast::outbound::{CoordinatorOptions, EtcdCoordinator};
use standfast_proto::access::SharedAccess;
use std::time::Duration;

use memory::Memory;
pub(crate) use servers::{Etcd, Server, Witness};

/// Long enough for a loaded machine; the tests of faults choose their own.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

pub(crate) fn connect(cluster: &str, endpoints: &[&str], call_deadline: Duration) -> EtcdCoordinator {
    connect_as(SharedAccess::default(), cluster, endpoints, call_deadline)
}

fn connect_as(
    access: SharedAccess,
    cluster: &str,
    endpoints: &[&str],
    call_deadline: Duration,
) -> EtcdCoordinator {
    let options = CoordinatorOptions {
        endpoints: endpoints.iter().map(|e| (*e).to_owned()).collect(),
        access,
        credentials: None,
        call_deadline,
    };
    EtcdCoordinator::new(cluster.parse().expect("valid"), options)
}

/// Runs a case on a witness and, where there is one, on an etcd.
macro_rules! on_both {
    ($($case:ident),+ $(,)?) => {
        mod witness {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(super::Witness::start()).await;
            })+
        }
        mod etcd {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                if let Some(etcd) = super::Etcd::start_or_skip().await {
                    super::$case(etcd).await;
                }
            })+
        }
    };
}
pub(crate) use on_both;

/// Each case on a cluster of its own.
macro_rules! all_cases {
    ($coordinator:expr, $($case:ident),+ $(,)?) => {
        $({
            eprintln!("case {}", stringify!($case));
            cases::$case($coordinator(stringify!($case))).await;
        })+
    };
}

macro_rules! conformance {
    ($coordinator:expr) => {
        all_cases!(
            $coordinator,
            a_new_cluster_has_no_records,
            a_cluster_is_founded_once,
            the_loser_of_a_takeover_learns_the_truth,
            each_compare_guards,
            clients_are_moved_by_a_new_key,
            one_key_is_not_written_twice,
            every_kind_of_record_comes_back,
            history_is_listed_in_order_and_bounded,
            a_watch_tells_everything_once_and_in_order,
            two_clusters_do_not_see_each_other,
        )
    };
}
pub(crate) use {all_cases, conformance};

#[tokio::test]
async fn memory_conforms() {
    conformance!(Memory::new);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_conforms() {
    let witness = Witness::start();
    conformance!(|cluster| connect(cluster, &[&witness.address], CALL_DEADLINE));
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_conforms() {
    let Some(etcd) = Etcd::start_or_skip().await else { return };
    conformance!(|cluster| connect(cluster, &[&etcd.address], CALL_DEADLINE));
}

#[tokio::test(flavor = "multi_thread")]
async fn random_transactions_end_the_same_in_memory_and_in_a_witness() {
    let witness = Witness::start();
    random::same_as_memory(&connect("random", &[&witness.address], CALL_DEADLINE)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_transactions_end_the_same_in_memory_and_in_etcd() {
    let Some(etcd) = Etcd::start_or_skip().await else { return };
    random::same_as_memory(&connect("random", &[&etcd.address], CALL_DEADLINE)).await;
}
