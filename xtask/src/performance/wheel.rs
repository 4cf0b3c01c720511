//! What a caller of the released client waits for one put and one get: ours in both modes, and the wheel's own master.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Result, ensure};
use serde_json::{Map, Value, json};

use super::cluster::{Cluster, Stock};
use crate::run::{output_json, root};
use crate::wheel;

/// Puts and gets of a turn.
const COUNT: &str = "2000";

/// Medians of the turns of each side, in microseconds; the sides take turns.
pub(super) fn single(binary: &Path, rounds: u32) -> Result<Value> {
    let python = wheel::python()?;
    let (sync, quick) = (Cluster::pair(binary, &[])?, Cluster::pair(binary, &["--ack", "async"])?);
    let stock = Stock::start()?;
    let sides = [("sync", &*sync.mooncake), ("async", &*quick.mooncake), ("stock", &*stock.addr)];
    let mut turns = sides.map(|_| [Vec::new(), Vec::new()]);
    for _ in 0..rounds {
        for ((_, address), [puts, gets]) in sides.iter().zip(&mut turns) {
            let line = turn(&python, address)?;
            puts.extend(line["put_us"].as_f64());
            gets.extend(line["get_us"].as_f64());
        }
    }
    let row = |[puts, gets]: &mut [Vec<f64>; 2]| json!({"put_us": median(puts), "get_us": median(gets)});
    let rows: Map<String, Value> =
        sides.iter().zip(&mut turns).map(|((name, _), turns)| ((*name).to_owned(), row(turns))).collect();
    Ok(Value::Object(rows))
}

fn turn(python: &Path, address: &str) -> Result<Value> {
    let mut command = wheel::command(python);
    command.current_dir(root()).args(["tests/wheel/single.py", address, COUNT]);
    command.env("PYTHONDONTWRITEBYTECODE", "1").stderr(Stdio::null());
    let line = output_json(command)?;
    ensure!(line["wrong"] == 0, "wrong answers: {}", line["reasons"]);
    Ok(line)
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
