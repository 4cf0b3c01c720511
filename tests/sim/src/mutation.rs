//! Every mutant of the kernel must be caught, for the right reason.

#[cfg(not(feature = "mutants"))]
pub(crate) fn run() -> (u64, u64) {
    println!(
        "FAILED: this build has no mutants; use `cargo xtask sim --mutants`, which switches the feature on"
    );
    (0, 1)
}
