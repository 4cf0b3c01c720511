//! The standby's side of verification (plan task 3.3).

mod suspects;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Beacon, BeaconFrame, Recounter, VerificationAsk, VerificationEntry, VerificationOutcome,
    VerificationRequest, VerificationResponse, VerifyConfig,
};
use crate::store::{ALL_BUCKETS, Adoption, BucketSet, HomeSums, MetadataStore};
use crate::types::{CopyId, Epoch, HomeId, Instant, LogPos, Seq, limits};
use suspects::{Suspect, Suspects};
use view::Tally;
pub use view::{MismatchNote, Soundness, VerifyView};

/// A question that is not answered in this time is asked again.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// The primary is told how far this copy is verified this often.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Why nothing is compared on a standby that has more urgent things to do.
const TOO_FAR: &str = "the standby is too far behind";

/// What the standby knows that verification depends on.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// Its homes form one prefix of its log, so what they hold can be counted.
    pub whole: bool,
    /// Epoch of the stream; `None` when there is none, or the copy is not whole.
    pub stream: Option<Epoch>,
    /// Exclusive: everything before it is applied.
    pub applied: Seq,
    /// The primary's tail, as last heard.
    pub tail: Seq,
}

/// What people want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyNote {
    /// A difference was found.
    Mismatch(MismatchNote),
    /// So many keys of a home were overwritten from the primary.
    Repaired(HomeId, u64),
    /// The memory of a home here is not what its digest says.
    Damaged(HomeId),
    /// The primary's memory of a home is not what its digest says.
    PrimaryDamaged(HomeId),
    /// The content of a home is the primary's; only the digest was off, and is counted anew.
    DigestReset(HomeId),
    /// Too many keys differ: all homes are overwritten.
    Overwrite(u64),
    /// This copy cannot be made equal piece by piece.
    NeedFullSync(String),
    /// Nothing is verified, because.
    Paused(&'static str),
    /// Verification goes on.
    Resumed,
}

#[derive(Debug)]
struct Asked {
    id: u64,
    at: Instant,
}

/// What waits for its position to be reached.
#[derive(Debug)]
enum Due {
    Beacon(Beacon, Seq),
    Answer(Box<VerificationResponse>),
}

/// Compares, finds, repairs.
#[derive(Debug)]
pub struct VerificationClient {
    config: VerifyConfig,
    store: Arc<MetadataStore>,
    /// Exclusive, by home: everything of it before is known to be equal.
    verified: Vec<Option<Seq>>,
    through: Option<Seq>,
    /// When each home was last found equal.
    equal_at: Vec<Option<Instant>>,
    /// How long the last round of beacons took.
    cycle: Option<Duration>,
    told: (Option<Seq>, Instant),
    waiting: BTreeMap<u64, Vec<Due>>,
    /// Exclusive: everything before it was applied when this was last told.
    applied: Seq,
    suspects: Suspects,
    asked: Option<Asked>,
    last_id: u64,
    recount: Recounter,
    sampler: Sampler,
    /// What joins homes is behind what they hold: entries are applied to homes
    /// alone until it is derived anew.
    raw: bool,
    derive_failed: bool,
    overwriting: bool,
    /// Items overwritten of late, and since when they are counted.
    burst: (Instant, u64),
    paused: Option<&'static str>,
    tally: Tally,
    notes: Vec<VerifyNote>,
}

#[derive(Debug)]
struct Sampler {
    next: usize,
    due: Instant,
    random: u64,
}

impl VerificationClient {
    /// Over this copy of the state. `copy` makes the samples of each copy others.
    #[must_use]
    pub fn new(config: VerifyConfig, store: Arc<MetadataStore>, copy: CopyId, now: Instant) -> Self {
        Self {
            config,
            store,
            verified: vec![None; limits::HOMES],
            through: None,
            equal_at: vec![None; limits::HOMES],
            cycle: None,
            told: (None, now),
            waiting: BTreeMap::new(),
            applied: Seq::FIRST,
            suspects: Suspects::default(),
            asked: None,
            last_id: 0,
            recount: Recounter::new(now),
            sampler: Sampler { next: 0, due: now, random: copy.0 as u64 | 1 },
            raw: false,
            derive_failed: false,
            overwriting: false,
            burst: (now, 0),
            paused: None,
            tally: Tally::default(),
            notes: Vec::new(),
        }
    }

    /// What there is to say since the last call.
    #[must_use]
    pub fn take_notes(&mut self) -> Vec<VerifyNote> {
        std::mem::take(&mut self.notes)
    }

    /// True while entries are to be applied to homes alone.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        self.raw
    }

    /// The stream ended: what waited for it will not come.
    pub fn disconnected(&mut self, now: Instant) {
        self.waiting.clear();
        self.asked = None;
        // Whoever promotes this copy now needs what joins its homes.
        if self.raw {
            self.derive(now);
        }
    }

    /// Another primary may be followed from now on: of the former one's memory nothing is said of it.
    pub fn followed(&mut self, now: Instant) {
        self.disconnected(now);
        self.suspects.another_primary(now);
    }

    /// The copy was discarded: nothing is known of the next one.
    pub fn discarded(&mut self, now: Instant) {
        let (tally, notes) = (std::mem::take(&mut self.tally), self.take_notes());
        let copy = CopyId(u128::from(self.sampler.random));
        *self = Self::new(self.config, Arc::clone(&self.store), copy, now);
        (self.tally, self.notes) = (tally, notes);
    }

    /// An operator wants all homes counted and compared on both sides now.
    pub fn check_all(&mut self, now: Instant) {
        for home in (0..limits::HOMES).filter_map(HomeId::from_index) {
            self.suspects.add(now, home);
        }
    }

    /// An operator wants what is known to differ overwritten from the primary.
    pub fn repair_all(&mut self, now: Instant) -> u64 {
        self.suspects.repair_all(now)
    }

    /// Beacons came in, behind all entries that the primary sent before it read them.
    pub fn beacons(&mut self, now: Instant, frame: &BeaconFrame, applied: Seq) {
        for beacon in &frame.beacons {
            self.when_there(now, beacon.mark.last, applied, Due::Beacon(*beacon, frame.tail), beacon.home);
        }
        self.advance();
    }

    /// An answer came in.
    pub fn answer(&mut self, now: Instant, answer: VerificationResponse, applied: Seq) {
        if self.asked.take_if(|a| a.id == answer.id).is_none() {
            return;
        }
        let (at, home) = (answer.mark.last, answer.home);
        match &answer.outcome {
            VerificationOutcome::Inconclusive => self.inconclusive(now, home),
            VerificationOutcome::Same => self.tally.samples_equal += 1,
            // Where to look; the look itself is at an exact position, and names them.
            VerificationOutcome::Mismatches(_) => {
                self.tally.samples_unequal += 1;
                self.suspects.add(now, home);
            }
            VerificationOutcome::NeedFullSync(why) => {
                self.suspects.later(now, home);
                self.notes.push(VerifyNote::NeedFullSync(why.clone()));
            }
            VerificationOutcome::Sums(_) | VerificationOutcome::Image(..) => {
                self.when_there(now, at, applied, Due::Answer(Box::new(answer)), home);
                self.judge_answers(now, home);
            }
        }
    }

    /// The first seq that something waits for.
    #[must_use]
    pub fn waits_for(&self) -> Option<u64> {
        self.waiting.keys().next().copied()
    }

    /// This entry has been applied.
    pub fn applied(&mut self, now: Instant, seq: Seq) {
        self.applied = seq.next();
        while let Some(entry) = self.waiting.first_entry().filter(|e| *e.key() <= seq.0) {
            for due in entry.remove() {
                match due {
                    Due::Beacon(beacon, tail) => self.judge_beacon(now, &beacon, tail),
                    Due::Answer(answer) => self.judge_answer(now, &answer),
                }
            }
        }
        self.advance();
    }

    /// Judges now what is about a position that is reached; lets the rest wait.
    fn when_there(&mut self, now: Instant, at: LogPos, applied: Seq, due: Due, home: HomeId) {
        self.applied = applied;
        let at_once = mutant!(RepairAhead) && matches!(due, Due::Answer(_));
        if at.end() > applied && !at_once && !mutant!(BeaconAnyPosition) {
            // Only a standby that is far behind has many waiting; the next round finds it nearer.
            if self.waiting.len() < limits::BEACONS_WAITING_MAX {
                self.waiting.entry(at.seq).or_default().push(due);
            }
            return;
        }
        match due {
            Due::Beacon(beacon, tail) => self.judge_beacon(now, &beacon, tail),
            Due::Answer(answer) => self.suspects.answered(home, answer),
        }
    }

    fn judge_answers(&mut self, now: Instant, home: HomeId) {
        if let Some(answer) = self.suspects.take_answer(home) {
            self.judge_answer(now, &answer);
        }
    }

    /// Equal positions must mean equal digests; unequal ones say nothing.
    fn judge_beacon(&mut self, now: Instant, beacon: &Beacon, tail: Seq) {
        let ours = self.store.mark(beacon.home);
        if !self.stands_at(ours.last, beacon.mark.last) && !mutant!(BeaconAnyPosition) {
            self.tally.inconclusive += 1;
            return;
        }
        if ours != beacon.mark && !mutant!(BeaconIgnored) {
            self.tally.unequal += 1;
            self.suspects.add(now, beacon.home);
            if !beacon.damaged {
                self.suspects.primary_is_whole(now, beacon.home);
            }
            return;
        }
        self.tally.equal += 1;
        let earlier = self.equal_at[beacon.home.index()].replace(now);
        if beacon.home == HomeId::SEGMENTS {
            self.cycle = earlier.map(|at| now.since(at));
        }
        self.verified[beacon.home.index()] = Some(tail.max(beacon.mark.last.end()));
        if beacon.damaged {
            self.suspects.add(now, beacon.home);
        }
    }

    /// True when a home with this last entry must equal the primary's at `at`: it
    /// stands there, or should, because everything up to there was applied.
    fn stands_at(&self, ours: LogPos, at: LogPos) -> bool {
        ours == at || (ours.seq < at.seq && at.end() <= self.applied)
    }

    fn judge_answer(&mut self, now: Instant, answer: &VerificationResponse) {
        let stands = self.stands_at(self.store.mark(answer.home).last, answer.mark.last);
        if !stands && !mutant!(BeaconAnyPosition) && !mutant!(RepairAhead) {
            return self.inconclusive(now, answer.home);
        }
        match &answer.outcome {
            VerificationOutcome::Sums(theirs) => self.judge_sums(now, answer, theirs),
            VerificationOutcome::Image(buckets, chunks) => {
                self.judge_image(now, answer, *buckets, chunks);
            }
            VerificationOutcome::Same
            | VerificationOutcome::Mismatches(_)
            | VerificationOutcome::Inconclusive
            | VerificationOutcome::NeedFullSync(_) => {}
        }
    }

    fn judge_sums(&mut self, now: Instant, answer: &VerificationResponse, theirs: &[u128]) {
        let home = answer.home;
        let ours = self.store.sums(home);
        let Some(suspect) = self.suspects.get_mut(home) else { return };
        if answer.damaged && !suspect.primary_damaged {
            suspect.primary_damaged = true;
            self.notes.push(VerifyNote::PrimaryDamaged(home));
        }
        suspect.primary_damaged = answer.damaged;
        let differ = ours.differing(theirs);
        if differ == 0 {
            return self.equal(now, &ours, answer);
        }
        if suspect.differ == 0 {
            self.tally.homes_unequal += 1;
        }
        suspect.differs(differ, &ours, theirs);
        let known = suspect.named;
        if known && !self.may_repair(home) {
            self.settle(now, home);
        } else {
            self.suspects.now(now, home);
        }
    }

    /// What the home stores is what the primary stores.
    fn equal(&mut self, now: Instant, ours: &HomeSums, answer: &VerificationResponse) {
        let home = answer.home;
        if ours.is_damaged() {
            if !self.may_repair(home) {
                return self.settle(now, home);
            }
            self.store.reset_digest(home);
            self.tally.digests_reset += 1;
            self.notes.push(VerifyNote::DigestReset(home));
        }
        self.recount.note(home, false);
        if answer.damaged {
            // The same content, but the primary's digest is off: nothing to do here.
            return self.settle(now, home);
        }
        self.suspects.remove(home);
        self.settled(now);
    }

    /// Nothing can be done about this home here.
    fn settle(&mut self, now: Instant, home: HomeId) {
        self.suspects.much_later(now, home);
        self.settled(now);
    }

    /// When nothing is left to be overwritten, the repair is over.
    fn settled(&mut self, now: Instant) {
        if !self.suspects.none_to_repair() {
            return;
        }
        self.overwriting = false;
        let (recount, suspects) = (&mut self.recount, &self.suspects);
        // What a damaged home holds is not the truth: its indexes wait for its repair.
        let misfits = recount.take_misfits(|home| suspects.get(home).is_none());
        misfits.iter().for_each(|home| self.store.rebuild(*home));
        if self.raw || !misfits.is_empty() {
            self.derive(now);
        }
    }

    fn judge_image(
        &mut self,
        now: Instant,
        answer: &VerificationResponse,
        buckets: BucketSet,
        chunks: &[bytes::Bytes],
    ) {
        let home = answer.home;
        let Ok(image) = self.store.read_image(buckets, chunks) else { return self.inconclusive(now, home) };
        let Some(found) = self.store.differences(&image).filter(|_| image.home == home) else {
            return self.inconclusive(now, home);
        };
        let (at, keys) = (image.mark.last, found.len() as u64);
        if let Some(suspect) = self.suspects.get_mut(home) {
            suspect.primary_damaged = answer.damaged;
            suspect.keys = keys;
            let news = suspect.news(found);
            if !self.overwriting {
                self.tally.found(now, home, at, &news, &mut self.notes);
            }
        }
        if !self.may_repair(home) {
            return self.settle(now, home);
        }
        self.count(now, keys);
        let adoption = self.store.adopt(image);
        // From here on an entry may not fit what joins the homes.
        self.raw |= adoption == Adoption::Misfits;
        if adoption == Adoption::MovedOn {
            self.inconclusive(now, home);
        } else {
            if keys == 0 {
                // An entry has replaced what differed since the sums were read: only the digest was off.
                self.tally.digests_reset += 1;
                self.notes.push(VerifyNote::DigestReset(home));
            } else {
                self.tally.repaired(now, home, keys);
                self.notes.push(VerifyNote::Repaired(home, keys));
            }
            if let Some(suspect) = self.suspects.get_mut(home) {
                suspect.repaired();
            }
            // Asked once more: equal now, or the next buckets.
            self.suspects.now(now, home);
        }
    }

    /// Many differences in a short time: every home is looked at now, and what
    /// differs is overwritten without being named.
    fn count(&mut self, now: Instant, keys: u64) {
        let (since, n) = &mut self.burst;
        if now.since(*since) > self.config.recount_period * 2 {
            (*since, *n) = (now, 0);
        }
        *n += keys;
        let many = *n;
        if many > self.config.repair_keys_max && !self.overwriting {
            self.overwriting = true;
            self.tally.overwrites += 1;
            self.notes.push(VerifyNote::Overwrite(many));
            self.check_all(now);
        }
    }

    /// Taken from the primary is only what its own count does not contradict.
    fn may_repair(&self, home: HomeId) -> bool {
        let wanted = |s: &Suspect| s.repair || self.config.repair;
        self.suspects.get(home).is_some_and(|s| wanted(s) && !s.primary_damaged)
    }

    fn inconclusive(&mut self, now: Instant, home: HomeId) {
        self.tally.inconclusive += 1;
        self.suspects.later(now, home);
    }

    /// Builds what joins the homes anew; they are whole.
    fn derive(&mut self, now: Instant) {
        match self.store.derive() {
            Ok(()) => {
                self.raw = false;
                self.derive_failed = false;
            }
            Err(bad) => {
                // Once more after another look at everything; then it is beyond this repair.
                if std::mem::replace(&mut self.derive_failed, true) {
                    let why = format!("what joins the homes cannot be built: {bad}");
                    self.notes.push(VerifyNote::NeedFullSync(why));
                } else {
                    self.check_all(now);
                }
            }
        }
    }

    fn advance(&mut self) {
        let least = self.verified.iter().copied().min().flatten();
        self.through = self.through.max(least);
    }

    /// Does what is due; the question to send, if there is one.
    pub fn work(&mut self, now: Instant, standing: Standing) -> Option<VerificationRequest> {
        let pause = self.why_paused(standing);
        let lags = |p: Option<&'static str>| p == Some(TOO_FAR);
        if lags(pause) != lags(self.paused) {
            self.notes.push(pause.map_or(VerifyNote::Resumed, VerifyNote::Paused));
        }
        self.paused = pause;
        // What needs no primary goes on without one: just then a promotion rests on its proof.
        let is_alone = self.config.enabled && standing.whole && standing.stream.is_none();
        if pause.is_none() || is_alone {
            self.count_homes(now);
        }
        if pause.is_some() {
            return None;
        }
        if self.asked.as_ref().is_some_and(|a| now < a.at.plus(ANSWER_MAX)) {
            return None;
        }
        self.asked = None;
        let ask = self.next_ask(now)?;
        self.last_id += 1;
        let id = self.last_id;
        if !matches!(ask, VerificationAsk::Verified(_)) {
            self.asked = Some(Asked { id, at: now });
        }
        let epoch = standing.stream?;
        Some(VerificationRequest { id, epoch, applied: standing.applied, ask })
    }

    /// Counts the homes that are due; what is damaged is asked about.
    fn count_homes(&mut self, now: Instant) {
        for (home, damaged) in self.recount.step(now, &self.config, &self.store, !self.raw) {
            if damaged && !mutant!(RecountSkipped) {
                self.notes.push(VerifyNote::Damaged(home));
                self.suspects.add(now, home);
            }
        }
    }

    fn why_paused(&self, standing: Standing) -> Option<&'static str> {
        if !self.config.enabled {
            Some("verification is switched off")
        } else if standing.stream.is_none() {
            Some("no stream, or the copy is not whole")
        } else if standing.tail.since(standing.applied) > self.config.pause_lag {
            Some(TOO_FAR)
        } else {
            None
        }
    }

    fn next_ask(&mut self, now: Instant) -> Option<VerificationAsk> {
        if let Some(home) = self.suspects.next(now, ANSWER_MAX) {
            let may_repair = self.may_repair(home);
            let suspect = self.suspects.get(home)?;
            if suspect.differ == 0 || (suspect.named && !may_repair) {
                return Some(VerificationAsk::Sums(home));
            }
            let buckets = if home == HomeId::SEGMENTS { ALL_BUCKETS } else { suspect.differ };
            return Some(VerificationAsk::Image(home, buckets));
        }
        if self.through > self.told.0 && now >= self.told.1 {
            self.told = (self.through, now.plus(TELL_EVERY));
            return self.through.map(VerificationAsk::Verified);
        }
        self.sample(now)
    }

    /// The next shard's sample, when it is due (plan: round robin).
    fn sample(&mut self, now: Instant) -> Option<VerificationAsk> {
        let shards = u64::from(self.config.sample_shards_per_mille) * limits::SHARDS as u64 / 1000;
        if now < self.sampler.due || self.config.sample_interval.is_zero() || shards == 0 {
            return None;
        }
        self.sampler.due = now.plus(self.config.sample_interval / shards as u32);
        let home = HomeId::from_index(self.sampler.next)?;
        self.sampler.next = (self.sampler.next + 1) % limits::SHARDS;
        let sample = self.store.sample(home, self.sampler.random(), self.config.sample_keys);
        if sample.sums.is_empty() {
            return None;
        }
        self.tally.sampled += sample.sums.len() as u64;
        let entry = |(prefix_hash, checksum): (&u64, &u128)| VerificationEntry {
            prefix_hash: *prefix_hash,
            checksum: *checksum,
        };
        let entries = sample.sums.iter().map(entry).collect();
        let range = (sample.start, sample.span);
        Some(VerificationAsk::Sample { home, at: sample.mark.last, range, entries })
    }
}

impl Sampler {
    /// xorshift64*: where a sample begins; never 0.
    fn random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

#[cfg(test)]
pub(super) fn test_random(seed: u64) -> impl FnMut() -> u64 {
    let mut sampler = Sampler { next: 0, due: Instant(0), random: seed };
    move || sampler.random()
}
