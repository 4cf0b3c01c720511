//! Placeholder: the generator lands with the proto crate.

/// Generates `proto/src/generated`; with `check`, only compares.
pub(crate) fn run(_check: bool) -> anyhow::Result<()> {
    anyhow::bail!("codegen is not part of this branch yet")
}
