//! The six dashboards, a file each.

mod clients;
mod failover;
mod overview;
mod process;
mod replication;
mod verification;

use super::board::Board;
use super::settings::Settings;

/// All of them: the overview first, then from the outside in.
#[must_use]
pub fn all(settings: &Settings) -> Vec<Board> {
    vec![
        overview::board(settings),
        replication::board(settings),
        failover::board(settings),
        verification::board(settings),
        clients::board(settings),
        process::board(settings),
    ]
}
