//! The peers' program, which is a package of its own, so that nobody who builds the crate builds it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Builds it, if that was not done.
///
/// # Errors
///
/// What is to be said where it cannot be built: without a network, say.
pub(crate) fn build() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = root.join("target/peers");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--release", "--locked"])
        // One of them asks for a newer compiler than it needs.
        .arg("--ignore-rust-version")
        .arg("--manifest-path")
        .arg(root.join("benches/peers/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target);
    match command.status() {
        Ok(status) if status.success() => Ok(target.join("release/tower-keep-peers")),
        Ok(status) => Err(format!("their build ended with {status}")),
        Err(error) => Err(format!("cargo does not run: {error}")),
    }
}
