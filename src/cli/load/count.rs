//! `standfast lab count`: how many keys of a crowd are there. Who put them may be gone.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use standfast_proto::v1::{ExistKeyReply, ExistKeyRequest, exist_key_result};
use tokio::time::sleep;

use super::super::ClientArgs;
use super::super::exit::{Exit, Failure};
use super::crowd::key;
use super::process::say;
use super::route::{Answer, Caller, Route};

/// Keys asked for with one call.
const BATCH: usize = 4096;
/// Attempts at one batch, and the wait after one without an answer.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(200);

/// Flags of `standfast lab count`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CountArgs {
    /// Whose keys
    #[arg(long, value_name = "N")]
    crowd: u16,
    /// How many there may be
    #[arg(long, value_name = "N")]
    objects: u64,
}

/// What came of asking for keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) asked: u64,
    pub(super) present: u64,
    /// Nothing is known of them.
    pub(super) unanswered: u64,
}

impl Counted {
    /// So many were asked for with one call, and this was answered.
    fn add(&mut self, asked: usize, answer: Option<&ExistKeyReply>) {
        let results = answer.map_or(&[][..], |reply| &reply.results);
        let told = results.iter().filter_map(|result| match result.answer {
            Some(exist_key_result::Answer::Exists(exists)) => Some(exists),
            Some(exist_key_result::Answer::Error(_)) | None => None,
        });
        let (present, known) =
            told.fold((0, 0), |(present, known), exists| (present + u64::from(exists), known + 1));
        self.asked += asked as u64;
        self.present += present;
        self.unanswered += (asked as u64).saturating_sub(known);
    }
}

/// Says how many of the first keys of a crowd are there.
pub(crate) async fn run(client: &ClientArgs, args: &CountArgs) -> Result<Exit, Failure> {
    let mut caller = Caller::new(Arc::new(Route::new(client.connect.clone())));
    let counted = count(&mut caller, (0..args.objects).map(|nr| key(args.crowd, nr))).await;
    let Counted { asked, present, unanswered } = counted;
    say(
        &json!({"schema": 1, "event": "counted", "asked": asked, "present": present, "unanswered": unanswered}),
    );
    Ok(Exit::Ok)
}

/// Asks for each of these keys whether it is there.
pub(super) async fn count(caller: &mut Caller, keys: impl Iterator<Item = bytes::Bytes>) -> Counted {
    let mut keys = keys.peekable();
    let mut counted = Counted::default();
    while keys.peek().is_some() {
        let batch: Vec<bytes::Bytes> = keys.by_ref().take(BATCH).collect();
        let asked = batch.len();
        let exist = ExistKeyRequest { keys: batch, tenant: String::new() };
        counted.add(asked, ask(caller, exist).await.as_ref());
    }
    counted
}

async fn ask(caller: &mut Caller, exist: ExistKeyRequest) -> Option<ExistKeyReply> {
    for _ in 0..TRIES {
        let exist = exist.clone();
        if let Answer::Reply(reply) =
            caller.call(|mut master| async move { master.exist_key(exist).await }).await
        {
            return Some(reply);
        }
        sleep(PAUSE).await;
    }
    None
}

#[test]
fn a_key_without_an_answer_is_neither_there_nor_gone() {
    use standfast_proto::v1::{Error, ExistKeyResult};
    let answers = [
        Some(exist_key_result::Answer::Exists(true)),
        Some(exist_key_result::Answer::Exists(false)),
        Some(exist_key_result::Answer::Error(Error::default())),
        None,
    ];
    let results = answers.map(|answer| ExistKeyResult { answer }).to_vec();
    let mut counted = Counted::default();
    counted.add(5, Some(&ExistKeyReply { results }));
    assert_eq!(counted, Counted { asked: 5, present: 1, unanswered: 3 });
    counted.add(7, None);
    assert_eq!(counted, Counted { asked: 12, present: 1, unanswered: 10 });
}
