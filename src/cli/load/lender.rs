//! The demo's lender: mounts memory, and says every second that it lives.

use std::sync::Arc;
use std::time::Duration;

use standfast_proto::v1::{ClientStatus, MountSegmentRequest, PingRequest, ReMountSegmentRequest, Uuid};
use tokio::time::{Instant, sleep};

use super::super::exit::{Exit, Failure};
use super::route::{Answer, Caller};
use super::workload::{World, code};

pub(super) const SEGMENT_BYTES: usize = 8 << 20;
const LENDER: Uuid = Uuid { first: 99, second: 1 };
/// For a segment to be mounted: the primary may have died at the same moment as an earlier lender.
const MOUNT_LIMIT: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// As Mooncake's clients do; a lender that is silent for 10 s loses its segments.
const PING_EVERY: Duration = Duration::from_secs(1);

/// Lends one more segment. Repeating it is harmless.
pub(crate) async fn mount(lender: &mut Caller, world: &World) -> Result<(), Failure> {
    let lent = world.memory.lend(SEGMENT_BYTES);
    let segment = lent.map_err(|wrong| Failure::new(Exit::Bad, wrong.0))?;
    let request = MountSegmentRequest { client: Some(LENDER), segment: Some(segment) };
    let until = Instant::now() + MOUNT_LIMIT;
    while Instant::now() < until {
        let request = request.clone();
        match lender.call(|mut master| async move { master.mount_segment(request).await }).await {
            Answer::Reply(reply) => match reply.error {
                None => return Ok(()),
                Some(error) => {
                    let name = code(Some(&error)).as_str_name();
                    return Err(Failure::new(
                        Exit::Bad,
                        format!("a segment is refused: {name}: {}", error.text),
                    ));
                }
            },
            Answer::Refused | Answer::Unknown => sleep(LOOK_EVERY).await,
        }
    }
    Err(Failure::new(Exit::Bad, "a segment could not be mounted: no answer"))
}

/// Pings whoever is the primary, and says again what is lent when that is asked for.
pub(crate) async fn stay_alive(world: Arc<World>) {
    let mut lender = Caller::new(Arc::clone(&world.route));
    loop {
        let ping = PingRequest { client: Some(LENDER) };
        if let Answer::Reply(pong) = lender.call(|mut master| async move { master.ping(ping).await }).await
            && pong.status() == ClientStatus::NeedRemount
        {
            let again = ReMountSegmentRequest { client: Some(LENDER), segments: world.memory.lent() };
            // Asked for again with the next ping if this one fails.
            let _ = lender.call(|mut master| async move { master.re_mount_segment(again).await }).await;
        }
        sleep(PING_EVERY).await;
    }
}
