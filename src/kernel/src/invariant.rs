//! `invariant!` stops the process on a programming error; `mutant!` breaks one
//! rule on purpose.

/// Stops the process when a rule that only a bug can break is broken. Stays on
/// in production: a master that goes on after a broken invariant corrupts data.
#[macro_export]
macro_rules! invariant {
    ($cond:expr, $($arg:tt)+) => { assert!($cond, $($arg)+) };
}

/// True when the named [`Mutant`](crate::mutants::Mutant) is switched on: a
/// constant `false` unless the crate is built with the feature `mutants`.
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutants::active($crate::mutants::Mutant::$name)
    };
}
