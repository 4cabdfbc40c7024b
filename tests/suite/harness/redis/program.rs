//! Which program the tests take for their Redis.

use std::{env, path::absolute, process::Command};

/// The program: a name on the `PATH`, or a path.
const VARIABLE: &str = "TEST_REDIS_SERVER";

/// `redis-server`, or what `TEST_REDIS_SERVER` names: the whole suite runs on that then.
pub(super) fn redis_server() -> Command {
    let program = env::var_os(VARIABLE).unwrap_or_else(|| "redis-server".into());
    // It is run in another directory. A name stays one that is looked up on the `PATH`.
    let is_path = program.to_string_lossy().contains('/');
    match absolute(&program) {
        Ok(path) if is_path => Command::new(path),
        _ => Command::new(program),
    }
}
