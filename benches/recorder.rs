//! What the flight recorder costs a write, all of it: the clock readings, the
//! slot, the reply's stamp and the histograms of stages. The budget is 150 ns.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use standfast::outbound::BootClock;
use standfast::ports::Clock;
use standfast::telemetry::{Recorder, RequestStages, Times};
use standfast_kernel::types::{Seq, SeqRuns};

fn write(c: &mut Criterion) {
    let (recorder, clock, times) = (Recorder::default(), BootClock, <[Times; 3]>::default());
    let mut seq = 0;
    c.bench_function("recorder_write", |b| {
        b.iter(|| {
            seq += 1;
            let received = clock.now();
            let mut entries = SeqRuns::default();
            entries.push(Seq(seq));
            let appended = clock.now();
            let stages = RequestStages {
                call: 9,
                door: 0,
                received,
                decided: received,
                appended,
                replied: None,
                trace_id: None,
            };
            recorder.appended(&entries, &stages);
            let replied = clock.now();
            recorder.replied(&entries, replied);
            let passed = [received.since(received), appended.since(received), replied.since(appended)];
            times.iter().zip(passed).for_each(|(times, took)| times.note(took));
            black_box(&recorder);
        });
    });
    c.bench_function("recorder_clock", |b| b.iter(|| black_box(clock.now())));
}

/// A batch of 1,000 entries in one request: what is left for each.
fn batch(c: &mut Criterion) {
    let recorder = Recorder::default();
    let mut seq = 0;
    c.bench_function("recorder_batch_1000", |b| {
        b.iter(|| {
            let mut entries = SeqRuns::default();
            for _ in 0..1_000 {
                seq += 1;
                entries.push(Seq(seq));
            }
            let now = BootClock.now();
            let stages = RequestStages {
                call: 9,
                door: 0,
                received: now,
                decided: now,
                appended: now,
                replied: None,
                trace_id: None,
            };
            recorder.appended(&entries, &stages);
            recorder.replied(&entries, now);
        });
    });
}

criterion_group!(benches, write, batch);
criterion_main!(benches);
