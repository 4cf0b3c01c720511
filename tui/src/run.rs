//! The loop: messages in, effects out, and a screen in between that waits for nobody.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::EventStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_stream::StreamExt;

use crate::act::Confirmed;
use crate::calls;
use crate::conn;
use crate::deed::Deed;
use crate::listing::LISTED;
use crate::model::{Model, Setup};
use crate::msg::{Effect, Msg, Outcome};
use crate::record::{ReadError, Recorder, Recording};
use crate::recorder;
use crate::replay::Replay;
use crate::terminal::{self, Screen, messages};
use crate::time::Time;
use crate::update::update;
use crate::view::screen;

/// Messages that may wait for the loop; more hold their senders back.
const INBOX_MAX: usize = 256;
/// Ages on the screen go on also when nothing comes.
const TICK: Duration = Duration::from_millis(500);
/// A replay moves on more smoothly.
const REPLAY_TICK: Duration = Duration::from_millis(100);
/// What comes within this time is drawn at once; a key is drawn immediately.
const GATHER: Duration = Duration::from_millis(50);
/// For the nodes of a single look to answer.
const ONCE_LIMIT: Duration = Duration::from_secs(3);

/// What is said of a drill when it is over.
pub type Drilled = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Strikes processes: what no call of the contract can do.
#[derive(Clone)]
pub struct Drills(pub Arc<dyn Fn(Confirmed) -> Drilled + Send + Sync>);

impl std::fmt::Debug for Drills {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Drills")
    }
}

/// Looks a page of the runbook up by its name.
#[derive(Debug, Clone, Copy)]
pub struct Runbooks(pub fn(&str) -> Option<&'static str>);

/// What the console is to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// How it starts.
    pub setup: Setup,
    /// Who acts, for audit and history.
    pub actor: String,
    /// Who makes drills. Absent = nobody here can.
    pub drills: Option<Drills>,
    /// The runbook that this program carries.
    pub runbooks: Runbooks,
    /// A recording to make.
    pub record: Option<PathBuf>,
    /// Its size at most, in bytes.
    pub record_bytes_max: u64,
    /// A recording to show instead of nodes.
    pub replay: Option<PathBuf>,
}

/// Why the console could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No terminal, or it is gone.
    #[error("the terminal cannot be used: {0}")]
    Terminal(io::Error),
    /// The recording cannot be made.
    #[error("cannot record to {0}: {1}")]
    Record(String, io::Error),
    /// The recording cannot be shown.
    #[error(transparent)]
    Replay(#[from] ReadError),
}

/// The one place that reads a clock.
struct Clock {
    wall: Time,
    started: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the console's clock adapter: once, at its start")]
    fn start() -> Self {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { wall: Time(wall.as_millis() as u64), started: Instant::now() }
    }

    fn now(&self) -> Time {
        self.wall.plus(Instant::now().saturating_duration_since(self.started).as_millis() as u64)
    }
}

/// The model and everything around it.
struct Console {
    clock: Clock,
    model: Model,
    actor: String,
    drills: Option<Drills>,
    runbooks: Runbooks,
    inbox: mpsc::Receiver<Msg>,
    post: mpsc::Sender<Msg>,
    rate: watch::Sender<u64>,
    nodes: BTreeMap<String, JoinHandle<()>>,
    recording: Option<recorder::Recording>,
    ended: bool,
}

impl Console {
    fn start(options: &Options) -> Result<Self, RunError> {
        let clock = Clock::start();
        let now = clock.now();
        let model = match &options.replay {
            Some(path) => {
                let recording = Arc::new(Recording::read(path)?);
                Model::replaying(&options.setup, Replay::new(recording), now)
            }
            None => Model::new(&options.setup, now),
        };
        let recording = match &options.record {
            Some(path) => {
                let failed = |error| RunError::Record(path.display().to_string(), error);
                let recorder = Recorder::create(path, now, options.record_bytes_max).map_err(failed)?;
                Some(recorder::Recording::start(recorder))
            }
            None => None,
        };
        let (post, inbox) = mpsc::channel(INBOX_MAX);
        let rate = watch::Sender::new(options.setup.rate_ms);
        let mut console = Self {
            clock,
            model,
            actor: options.actor.clone(),
            drills: options.drills.clone(),
            runbooks: options.runbooks,
            inbox,
            post,
            rate,
            nodes: BTreeMap::new(),
            recording,
            ended: false,
        };
        let known: Vec<String> =
            console.model.shown().nodes.iter().map(|node| node.addr.to_string()).collect();
        console.carry_out(known.into_iter().map(Effect::Watch).collect());
        Ok(console)
    }

    fn take(&mut self, msg: Msg) {
        let now = self.clock.now();
        if let Some(recording) = &self.recording {
            recording.keep(now, &msg);
        }
        let effects = update(&mut self.model, now, msg);
        self.carry_out(effects);
    }

    fn tick(&mut self) {
        if let Some(recording) = &self.recording {
            let state = recording.state();
            self.take(Msg::Recorded(state));
        }
        self.take(Msg::Tick);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let (post, actor) = (self.post.clone(), self.actor.clone());
            match effect {
                Effect::Quit => self.ended = true,
                Effect::Watch(addr) => {
                    let task = conn::keep_watching(addr.clone(), self.rate.subscribe(), post);
                    if let Some(old) = self.nodes.insert(addr, tokio::spawn(task)) {
                        old.abort();
                    }
                }
                Effect::Forget(addr) => {
                    if let Some(task) = self.nodes.remove(&addr) {
                        task.abort();
                    }
                }
                Effect::Rate(ms) => {
                    self.rate.send_replace(ms);
                }
                // The console may end before they do; then nobody waits for the answer.
                Effect::Plan { deed, addr, target, reason } => {
                    spawn_for(post, async move {
                        let reply = calls::plan(deed, &addr, &target, &actor, &reason).await;
                        Msg::Planned { deed, addr, reply }
                    });
                }
                Effect::Act(act) => {
                    let drills = self.drills.clone();
                    spawn_for(post, async move {
                        let outcome = match (act.deed(), drills) {
                            (Deed::Drill(_), Some(drills)) => (drills.0)(act.clone()).await,
                            _ => calls::act(&act, &actor).await,
                        };
                        Msg::Acted { act, outcome }
                    });
                }
                Effect::Trace { seq, addrs } => {
                    for addr in addrs {
                        spawn_for(post.clone(), async move {
                            let answer = calls::trace(&addr, seq).await;
                            Msg::Traced { seq, addr, answer }
                        });
                    }
                }
                Effect::List { order, addrs } => {
                    for addr in addrs {
                        spawn_for(post.clone(), async move {
                            let answer = calls::list(&addr, order, LISTED).await;
                            Msg::Listed { order, addr, answer }
                        });
                    }
                }
                Effect::Runbook(name) => {
                    let text = (self.runbooks.0)(&name).map(str::to_owned);
                    self.take(Msg::Runbook { name, text });
                }
                Effect::Mouse(listen) => terminal::listen_to_mouse(listen),
                Effect::Copy => terminal::copy(&screen::text(&self.model)),
                Effect::SaveText(path) => self.save(path, screen::text(&self.model)),
                Effect::SaveJson(path) => {
                    let line = format!("{}\n", crate::json::line(&self.model));
                    self.save(path, line);
                }
            }
        }
    }

    fn save(&self, path: String, text: String) {
        let post = self.post.clone();
        tokio::task::spawn_blocking(move || {
            let written = std::fs::write(&path, text);
            let saved = written.map_err(|error| format!("cannot write {path}: {error}")).map(|()| path);
            // Nobody waits for it once the console has ended.
            drop(post.blocking_send(Msg::Saved(saved)));
        });
    }

    /// Ends all tasks; says how the recording ended.
    fn end(self) {
        for task in self.nodes.values() {
            task.abort();
        }
        if let Some(recording) = self.recording {
            recording.finish();
        }
    }
}

fn spawn_for(post: mpsc::Sender<Msg>, call: impl Future<Output = Msg> + Send + 'static) {
    tokio::spawn(async move {
        let msg = call.await;
        drop(post.send(msg).await);
    });
}

/// Runs the console on the terminal until the operator ends it.
///
/// # Errors
/// When there is no terminal, or a recording cannot be made or shown.
pub async fn run(options: &Options) -> Result<(), RunError> {
    let mut console = Console::start(options)?;
    let mut screen = Screen::open().map_err(RunError::Terminal)?;
    let (columns, rows) = screen.size();
    console.take(Msg::Resize(columns, rows));
    terminal::listen_to_mouse(options.setup.mouse);
    let mut keys = EventStream::new();
    let mut stop = Stop::listen().map_err(RunError::Terminal)?;
    let mut ticks = interval(if options.replay.is_some() { REPLAY_TICK } else { TICK });
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut draw_at = Instant::now();
    while !console.ended {
        tokio::select! {
            biased;
            () = stop.asked() => break,
            event = keys.next() => match event {
                Some(Ok(event)) => {
                    for msg in messages(&event) {
                        console.take(msg);
                        draw_at = Instant::now();
                    }
                }
                // The terminal is gone.
                Some(Err(error)) => return Err(RunError::Terminal(error)),
                None => break,
            },
            () = sleep_until(draw_at) => {
                screen.draw(&console.model).map_err(RunError::Terminal)?;
                draw_at = far();
            }
            Some(msg) = console.inbox.recv() => {
                console.take(msg);
                draw_at = draw_at.min(Instant::now() + GATHER);
            }
            _ = ticks.tick() => {
                console.tick();
                draw_at = draw_at.min(Instant::now() + GATHER);
            }
        }
    }
    drop(screen);
    console.end();
    Ok(())
}

/// A time that does not come.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(86_400)
}

/// Records without a screen until the process is asked to stop.
///
/// # Errors
/// When the recording cannot be made.
pub async fn headless(options: &Options) -> Result<(), RunError> {
    let mut console = Console::start(options)?;
    let mut stop = Stop::listen().map_err(RunError::Terminal)?;
    let mut ticks = interval(TICK);
    loop {
        tokio::select! {
            biased;
            () = stop.asked() => break,
            Some(msg) = console.inbox.recv() => console.take(msg),
            _ = ticks.tick() => console.tick(),
        }
    }
    console.end();
    Ok(())
}

/// Looks once, and shows nothing: asks all nodes that can be found, or takes the end of a recording.
///
/// # Errors
/// When a recording cannot be shown.
pub async fn once(options: &Options) -> Result<Model, RunError> {
    let mut console = Console::start(options)?;
    let deadline = Instant::now() + ONCE_LIMIT;
    while options.replay.is_none() && !console.model.is_settled() {
        tokio::select! {
            Some(msg) = console.inbox.recv() => console.take(msg),
            () = sleep_until(deadline) => break,
        }
    }
    console.take(Msg::Tick);
    crate::update::seek(&mut console.model, Time(u64::MAX));
    let model = console.model.clone();
    console.end();
    Ok(model)
}

/// SIGTERM, SIGHUP and Ctrl-C: whatever asks the process to end, the terminal is given back.
struct Stop {
    signals: [tokio::signal::unix::Signal; 3],
}

impl Stop {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind);
        let signals = [
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
            listen(SignalKind::interrupt())?,
        ];
        Ok(Self { signals })
    }

    async fn asked(&mut self) {
        let [term, hup, int] = &mut self.signals;
        tokio::select! {
            _ = term.recv() => {}
            _ = hup.recv() => {}
            _ = int.recv() => {}
        }
    }
}
