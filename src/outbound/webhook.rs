//! Tells a URL about role changes. Nobody waits for it: a bounded queue in
//! front, a deadline on each attempt, a few attempts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::root_cause;
use crate::config::WebhookUrl;
use crate::ports::Notifier;
use crate::telemetry::http_client;

/// Messages that wait to be sent.
const QUEUE_MAX: usize = 64;
/// For one attempt.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
/// Pauses between attempts; one more attempt than pauses.
const PAUSES: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(5)];

/// What became of messages.
#[derive(Debug, Default)]
struct WebhookCounts {
    /// Answered with a success.
    sent: AtomicU64,
    /// Given up after the last attempt, or dropped because too many waited.
    failed: AtomicU64,
}

/// Where messages are left.
#[derive(Debug, Clone)]
pub struct Webhook {
    queue: mpsc::Sender<String>,
    counts: Arc<WebhookCounts>,
}

impl Notifier for Webhook {
    fn tell(&self, message: String) {
        if self.queue.try_send(message).is_err() {
            self.counts.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counts(&self) -> (u64, u64) {
        (self.counts.sent.load(Ordering::Relaxed), self.counts.failed.load(Ordering::Relaxed))
    }
}

/// Sends messages.
#[derive(Debug)]
pub struct WebhookSender {
    url: WebhookUrl,
    client: reqwest::Client,
    queue: mpsc::Receiver<String>,
    counts: Arc<WebhookCounts>,
}

impl WebhookSender {
    /// For this URL, and where to leave messages for it.
    ///
    /// # Errors
    /// When no HTTP client can be made: the system has no certificates to trust.
    pub fn new(url: WebhookUrl) -> Result<(Self, Webhook), reqwest::Error> {
        let client = http_client(url.as_str(), ATTEMPT_LIMIT)?;
        let (tx, queue) = mpsc::channel(QUEUE_MAX);
        let counts = Arc::new(WebhookCounts::default());
        let webhook = Webhook { queue: tx, counts: Arc::clone(&counts) };
        Ok((Self { url, client, queue, counts }, webhook))
    }

    /// Sends until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        while let Some(Some(message)) = stop.run_until_cancelled(self.queue.recv()).await {
            let sent = stop.run_until_cancelled(self.send(message)).await == Some(true);
            let counter = if sent { &self.counts.sent } else { &self.counts.failed };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn send(&self, message: String) -> bool {
        for pause in PAUSES.iter().map(Some).chain([None]) {
            let post = self.client.post(self.url.as_str()).header("content-type", "application/json");
            match post.body(message.clone()).send().await.and_then(reqwest::Response::error_for_status) {
                Ok(_) => return true,
                Err(e) => {
                    let why = root_cause(&e);
                    tracing::warn!(url = self.url.as_str(), "the webhook was not taken: {e}: {why}");
                }
            }
            match pause {
                Some(pause) => tokio::time::sleep(*pause).await,
                None => return false,
            }
        }
        false
    }
}
