//! The command line.

use crate::scenario::{STANDARD, Scenario};

pub(crate) const USAGE: &str = "usage: cargo xtask sim [--seeds N] [--from S] [--scenario X]
       cargo xtask sim --scenario X --seed S [--trace]
       cargo xtask sim --check-determinism
       cargo xtask sim --mutants
scenarios: sync, async, switch (a plain run); drift, long-log, leases, rejoin (directed)";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Seeds { scenarios: Vec<Scenario>, from: u64, seeds: u64 },
    One { scenarios: Vec<Scenario>, seed: u64, trace: bool },
    Determinism,
    Mutants,
}

const SEEDS: u64 = 200;

pub(crate) fn parse(args: &[String]) -> Result<Command, String> {
    let (mut seeds, mut from, mut seed, mut scenario) = (None, None, None, None);
    let (mut trace, mut determinism, mut mutants) = (false, false, false);
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--seeds" => seeds = Some(number(arg, value()?)?),
            "--from" => from = Some(number(arg, value()?)?),
            "--seed" => seed = Some(number(arg, value()?)?),
            "--scenario" => scenario = Some(value()?.parse()?),
            "--trace" => trace = true,
            "--check-determinism" => determinism = true,
            "--mutants" => mutants = true,
            _ => return Err(format!("`{arg}` is not an argument")),
        }
    }
    let scenarios = scenario.map_or_else(|| STANDARD.to_vec(), |s| vec![s]);
    let plain = seeds.is_none() && from.is_none() && seed.is_none() && scenario.is_none() && !trace;
    match (determinism, mutants, seed) {
        (true, false, None) if plain => Ok(Command::Determinism),
        (false, true, None) if plain => Ok(Command::Mutants),
        (false, false, Some(seed)) if seeds.is_none() && from.is_none() => {
            Ok(Command::One { scenarios, seed, trace })
        }
        (false, false, None) if !trace => match seeds.unwrap_or(SEEDS) {
            0 => Err("--seeds is 0: expected 1 or more".into()),
            seeds => Ok(Command::Seeds { scenarios, from: from.unwrap_or(0), seeds }),
        },
        _ => Err("these arguments do not go together".into()),
    }
}

fn number(what: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{what} is `{text}`: expected a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Command, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn good_and_bad_lines() {
        let one = Command::One { scenarios: vec![Scenario::Drift], seed: 7, trace: true };
        assert_eq!(of("--scenario drift --seed 7 --trace"), Ok(one));
        let all = Command::Seeds { scenarios: STANDARD.to_vec(), from: 0, seeds: SEEDS };
        assert_eq!(of(""), Ok(all));
        for bad in
            ["--seed", "--seed x", "--seeds 0", "--trace", "--mutants --seed 1", "--scenario nope", "x"]
        {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
