//! The command line.

use crate::scenario::{DIRECTED, STANDARD, Scenario};

pub(crate) const USAGE: &str = "usage: cargo xtask sim [--seeds N] [--from S] [--scenario X]
       cargo xtask sim --scenario X --seed S [--trace]
       cargo xtask sim --check-determinism
       cargo xtask sim --mutants [--only NAME]; cargo xtask sim --scenario X --seed S --mutant NAME [--trace]
       cargo xtask sim --table
scenarios: sync, async, switch, leader, leader-async, leader-strict, full-sync; directed, at most 20 seeds of a plain run: drift,
       long-log, leases, lease-lengths, rejoin, attempts, lenders, trim, hand-over, restrained, cold-start, forced, amnesia";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// So many seeds of each scenario.
    Seeds {
        scenarios: Vec<(Scenario, u64)>,
        from: u64,
    },
    One {
        scenarios: Vec<Scenario>,
        seed: u64,
        trace: bool,
        /// With a rule broken.
        mutant: Option<String>,
    },
    /// The page of mutants.
    Table,
    Determinism,
    /// All, or the one of this name.
    Mutants(Option<String>),
}

const SEEDS: u64 = 200;
/// Of each directed scenario, in a run that names none.
const DIRECTED_SEEDS_MAX: u64 = 20;

pub(crate) fn parse(args: &[String]) -> Result<Command, String> {
    let (mut seeds, mut from, mut seed, mut scenario, mut only) = (None, None, None, None, None);
    let (mut trace, mut determinism, mut mutants, mut table, mut mutant) = (false, false, false, false, None);
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
            "--mutant" => mutant = Some(value()?.clone()),
            "--table" => table = true,
            "--only" => only = Some(value()?.clone()),
            _ => return Err(format!("`{arg}` is not an argument")),
        }
    }
    let plain = seeds.is_none() && from.is_none() && seed.is_none() && scenario.is_none() && !trace;
    if mutant.is_some() && seed.is_none() {
        return Err("--mutant goes with --seed".into());
    }
    match (determinism, mutants, seed) {
        (false, false, None) if table && plain => Ok(Command::Table),
        _ if table => Err("--table goes alone".into()),
        (true, false, None) if plain => Ok(Command::Determinism),
        (false, true, None) if plain => Ok(Command::Mutants(only)),
        _ if only.is_some() => Err("--only goes with --mutants".into()),
        (false, false, Some(seed)) if seeds.is_none() && from.is_none() => Ok(Command::One {
            scenarios: scenario.map_or_else(|| STANDARD.to_vec(), |s| vec![s]),
            seed,
            trace,
            mutant,
        }),
        (false, false, None) if !trace => match seeds.unwrap_or(SEEDS) {
            0 => Err("--seeds is 0: expected 1 or more".into()),
            seeds => Ok(Command::Seeds { scenarios: share(scenario, seeds), from: from.unwrap_or(0) }),
        },
        _ => Err("these arguments do not go together".into()),
    }
}

/// How many of the seeds each scenario gets.
fn share(scenario: Option<Scenario>, seeds: u64) -> Vec<(Scenario, u64)> {
    if let Some(scenario) = scenario {
        return vec![(scenario, seeds)];
    }
    let standard = STANDARD.iter().map(|s| (*s, seeds));
    let directed = DIRECTED.iter().map(|s| (*s, seeds.min(DIRECTED_SEEDS_MAX)));
    standard.chain(directed).collect()
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
        let one = Command::One { scenarios: vec![Scenario::Drift], seed: 7, trace: true, mutant: None };
        assert_eq!(of("--scenario drift --seed 7 --trace"), Ok(one));
        let Ok(Command::Seeds { scenarios, from: 0 }) = of("") else { panic!("a plain run") };
        assert_eq!(scenarios.len(), STANDARD.len() + DIRECTED.len(), "a plain run leaves no scenario out");
        assert!(scenarios.contains(&(Scenario::Sync, SEEDS)) && scenarios.contains(&(Scenario::Drift, 20)));
        let one = Command::Seeds { scenarios: vec![(Scenario::Drift, 99)], from: 5 };
        assert_eq!(of("--scenario drift --seeds 99 --from 5"), Ok(one));
        for bad in
            ["--seed", "--seed x", "--seeds 0", "--trace", "--mutants --seed 1", "--scenario nope", "x"]
        {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
