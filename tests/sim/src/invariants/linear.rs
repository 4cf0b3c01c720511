//! Linearizable: what clients were told about one key fits one order of their
//! calls, in which each call takes effect once between the moment it was asked
//! and the moment its answer came. Nothing of the log goes into it, except what
//! a primary takes away on its own account: that is logged, or stated, as lost.
//!
//! The search keeps every state that the key may be in (Wing and Gong, with the
//! open calls done so far as the only memory).

use std::collections::BTreeSet;

use super::{Invariant, Outcome};
use crate::memory::Nonce;

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Absent,
    /// Begun by this write, and not readable.
    Unfinished(Nonce),
    Value(Nonce),
}

/// What is asked of a key, or happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    PutStart(Nonce),
    UpsertStart(Nonce),
    End(Nonce),
    Revoke(Nonce),
    Get,
    Exist,
    Remove {
        force: bool,
    },
    /// The log says that a primary took the object, or a replica of it, away.
    Loss,
    /// The cluster started empty.
    Forgotten,
    /// A failover in async mode may have lost the end of the log.
    Rollback,
}

/// A definite answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Done,
    Is(Nonce),
    There(bool),
    Missing,
    Unready,
    Exists,
    NoSpace,
    Leased,
    /// A copy or a move of it is running.
    Busy,
    /// Another client's write.
    NotYours,
    /// Nothing of that write is left to end, or it has ended.
    Void,
    /// An answer that no such call has.
    Other,
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Op {
    pub(crate) ask: Ask,
    /// `None`: its outcome is unknown, and it may never have happened.
    pub(crate) told: Option<Told>,
    /// When it was asked.
    pub(crate) from: u64,
    /// When it was answered; without an answer, when it could last take effect.
    pub(crate) to: u64,
}

/// Every answer that this call may have in this state, and what it leaves.
fn outcomes(state: State, ask: Ask, known: &[Nonce]) -> Vec<(Told, State)> {
    use State::{Absent, Unfinished, Value};
    let same = |told| vec![(told, state)];
    match (ask, state) {
        (Ask::PutStart(n) | Ask::UpsertStart(n), Absent) => {
            vec![(Told::Done, Unfinished(n)), (Told::NoSpace, Absent)]
        }
        (Ask::PutStart(n), Unfinished(_)) => {
            vec![(Told::Exists, state), (Told::Done, Unfinished(n)), (Told::NoSpace, Absent)]
        }
        (Ask::PutStart(_), Value(_)) => same(Told::Exists),
        // The old value is gone before there is room for the new one (SEMANTICS 2.3).
        (Ask::UpsertStart(n), Unfinished(_) | Value(_)) => {
            vec![(Told::Done, Unfinished(n)), (Told::NoSpace, Absent), (Told::Busy, state)]
        }
        (Ask::End(n), Unfinished(m)) if n == m => vec![(Told::Done, Value(n))],
        // Repeated; while a copy of it runs, what is unfinished are the copy's targets.
        (Ask::End(n), Value(m)) if n == m => vec![(Told::Done, state), (Told::Void, state)],
        (Ask::End(_), Value(_)) => vec![(Told::NotYours, state), (Told::Void, state)],
        (Ask::End(_), Unfinished(_)) => same(Told::NotYours),
        (Ask::Revoke(n), Unfinished(m)) if n == m => vec![(Told::Done, Absent)],
        (Ask::Revoke(n), Value(m)) if n == m => same(Told::Void),
        (Ask::Revoke(_), Unfinished(_) | Value(_)) => same(Told::NotYours),
        (Ask::End(_) | Ask::Revoke(_) | Ask::Get | Ask::Remove { .. }, Absent) => same(Told::Missing),
        (Ask::Get, Value(n)) => same(Told::Is(n)),
        (Ask::Get, Unfinished(_)) => same(Told::Unready),
        (Ask::Exist, Value(_)) => same(Told::There(true)),
        (Ask::Exist, Absent | Unfinished(_)) => same(Told::There(false)),
        (Ask::Remove { force }, _) => {
            let mut all = vec![(Told::Unready, state)];
            if let Value(_) = state {
                all.extend([(Told::Done, Absent), (Told::Busy, state)]);
            }
            all.extend((!force).then_some((Told::Leased, state)));
            all
        }
        (Ask::Loss, Value(n)) => vec![(Told::Done, Absent), (Told::Done, Unfinished(n))],
        (Ask::Loss | Ask::Forgotten, _) => vec![(Told::Done, Absent)],
        (Ask::Rollback, _) => {
            let former = known.iter().flat_map(|n| [Unfinished(*n), Value(*n)]);
            former.chain([Absent]).map(|to| (Told::Done, to)).collect()
        }
    }
}

/// A state that the key may be in, and the open calls that have taken effect in it.
type Possible = BTreeSet<(State, Vec<usize>)>;

/// Whether one order of these calls on one key explains every answer. The key is absent at first.
pub(crate) fn check(key: u64, ops: &[Op]) -> Outcome {
    let known: Vec<Nonce> = ops.iter().filter_map(|op| writes(op.ask)).collect();
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (i, op) in ops.iter().enumerate() {
        events.extend([(op.from, false, i), (op.to, true, i)]);
    }
    events.sort_unstable();
    let mut possible = Possible::from([(State::Absent, Vec::new())]);
    let mut open: Vec<usize> = Vec::new();
    for (moment, ends, i) in events {
        if !ends {
            open.push(i);
            continue;
        }
        let before: Vec<State> = possible.iter().map(|(state, _)| *state).collect();
        possible = explore(possible, ops, &open, &known);
        if ops[i].told.is_some() {
            possible.retain(|(_, done)| done.contains(&i));
        }
        open.retain(|o| *o != i);
        let without =
            |(state, done): (State, Vec<usize>)| (state, done.into_iter().filter(|d| *d != i).collect());
        possible = possible.into_iter().map(without).collect();
        Invariant::Linearizable.check(!possible.is_empty(), || {
            let others: Vec<Op> = open.iter().map(|o| ops[*o]).collect();
            format!(
                "key {key}: no order of the calls explains {:?} at moment {moment}; before it the key was one of \
                 {before:?}, and these were under way: {others:?}",
                ops[i]
            )
        })?;
    }
    Ok(())
}

/// What the key may be once any of the open calls have taken effect, in any order.
fn explore(from: Possible, ops: &[Op], open: &[usize], known: &[Nonce]) -> Possible {
    let mut all = from.clone();
    let mut todo: Vec<(State, Vec<usize>)> = from.into_iter().collect();
    while let Some((state, done)) = todo.pop() {
        for i in open.iter().filter(|i| !done.contains(*i)) {
            let op = ops[*i];
            let fits = |told: Told| op.told.is_none_or(|wanted| wanted == told);
            for (_, next) in outcomes(state, op.ask, known).into_iter().filter(|(told, _)| fits(*told)) {
                let mut done = done.clone();
                done.push(*i);
                done.sort_unstable();
                if all.insert((next, done.clone())) {
                    todo.push((next, done));
                }
            }
        }
    }
    all
}

fn writes(ask: Ask) -> Option<Nonce> {
    match ask {
        Ask::PutStart(n) | Ask::UpsertStart(n) => Some(n),
        Ask::End(_)
        | Ask::Revoke(_)
        | Ask::Get
        | Ask::Exist
        | Ask::Remove { .. }
        | Ask::Loss
        | Ask::Forgotten
        | Ask::Rollback => None,
    }
}

#[cfg(test)]
#[path = "linear_tests.rs"]
mod tests;
