//! The operator accepts a loss: as many entries as he says, and no more.

use nix::sys::signal::Signal;

use crate::coordinator::{Server as _, Witness};
use crate::leadership::{cli, cluster, epoch, has, leads, put};
use crate::node::segment;

/// In async mode the former primary may have acknowledged what nobody heard of, up to the loss bound.
#[tokio::test(flavor = "multi_thread")]
async fn a_forced_failover_keeps_to_the_accepted_loss() {
    let witness = Witness::start();
    let flags = "--ack async --max-loss-entries 500 --takeover-ms 20000 --shrink-ms 250";
    let (a, b) = cluster(&witness.url(), flags).await;
    a.master().await.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    put(&a, "k").await;
    let before = epoch(&b.status(false).await);
    a.signal(Signal::SIGSTOP);
    for dry in ["--dry-run", "--yes"] {
        let (code, line) = cli(&b.addr, &format!("failover --to b --force --accept-loss 499 {dry} --json"));
        let reason = &line["reasons"][0];
        assert_eq!((code, &reason["code"]), (Some(1), &"loss_above".into()), "{line}");
        assert_eq!(reason["text"], "up to 500 acknowledged entries may be lost, 499 are accepted");
        assert!(reason["cure"].as_str().is_some_and(|cure| cure.contains("--accept-loss all")), "{line}");
    }
    let (code, line) = cli(&b.addr, "failover --to b --force --accept-loss 500 --dry-run --json");
    assert_eq!(
        (code, &line["accepted"], &line["keeps_state"]),
        (Some(0), &true.into(), &true.into()),
        "{line}"
    );
    assert_eq!(epoch(&b.status(false).await), before, "a dry run changes nothing");
    let (code, line) = cli(&b.addr, "failover --to b --force --accept-loss 500 --yes --json");
    assert_eq!((code, &line["accepted"]), (Some(0), &true.into()), "{line}");
    b.until("it leads", leads).await;
    assert!(has(&b, "k").await, "it leads with what it has");
    let (code, _) = cli(&b.addr, "failover --to b --force --accept-loss all --dry-run --json");
    assert_eq!(code, Some(1), "only a standby can be told to");
}

/// A copy that is not in sync starts empty: no number of entries says what that costs.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_start_is_not_a_number_of_entries() {
    let witness = Witness::start();
    let flags = "--lease-ms 700 --renew-ms 100 --coordinator-timeout-ms 300 --cold-start ask";
    let (a, b) = cluster(&witness.url(), flags).await;
    drop((a, b));
    let url = witness.url();
    let c = crate::node::Node::start(&format!(
        "--node c --cluster {} --coordinator {url} {flags}",
        crate::leadership::CLUSTER
    ));
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(100));
    let asking = async {
        loop {
            pace.tick().await;
            let (code, line) = cli(&c.addr, "failover --to c --force --accept-loss 7 --yes --json");
            assert_eq!(code, Some(1), "{line}");
            if line["reasons"][0]["code"] == "loses_all" {
                return line;
            }
        }
    };
    let line = tokio::time::timeout(crate::node::PATIENCE, asking).await.expect("the lease ends");
    let text = line["reasons"][0]["text"].as_str().unwrap_or_default();
    assert!(text.contains("everything that was stored is lost, not 7 entries"), "{line}");
}
