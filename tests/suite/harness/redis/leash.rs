//! Servers that end with this process, however it ends: what a static holds is never dropped.

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use super::RedisServer;

/// Waits for the end of its input, which comes with the end of the tests' process at the latest.
const SCRIPT: &str = r#"read -r _
for process in $1; do kill -KILL "$process"; done
shift
rm -rf -- "$@""#;

/// A process that ends servers and removes their directories when this one is gone.
///
/// Dropping it leaves them alone: their owner ends them then.
#[derive(Debug)]
pub(crate) struct Leash(Child);

impl Leash {
    /// Ties these servers, which must not be restarted any more, to this process.
    pub(crate) fn on<'a>(servers: impl IntoIterator<Item = &'a RedisServer>) -> Self {
        let servers: Vec<_> = servers.into_iter().collect();
        let processes: Vec<_> = (servers.iter())
            .filter_map(|server| server.process.as_ref())
            .map(|process| process.id().to_string())
            .collect();
        let leash = Command::new("sh")
            .args(["-c", SCRIPT, "leash", &processes.join(" ")])
            .args(servers.iter().map(|server| server.dir()))
            // What is typed at the terminal ends the tests, and not what clears up behind them.
            .process_group(0)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(leash.expect("a shell can be run"))
    }

    /// Does what the end of this process does, and waits until it is done.
    pub(crate) fn let_go(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().expect("a child can be waited for");
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
