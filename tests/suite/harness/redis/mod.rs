//! A real `redis-server` for one test: its own process, port and directory, all gone when the test ends.

mod backend;
mod cluster;
mod config;
mod inspect;
mod leash;
mod program;
mod rights;
mod sentinel;
mod shared;
mod tls;

use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use deadpool_redis::redis::Connection;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub(super) use self::leash::Leash;
pub(crate) use self::{
    backend::Backend, cluster::RedisCluster, config::RedisConfig, rights::readme_rights,
    sentinel::RedisSentinel, tls::Certificates,
};
use super::port::free_port;

/// How long a server may take to answer its first PING or to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to look while waiting for that.
const POLL: Duration = Duration::from_millis(5);

/// A running (or stopped, or killed) `redis-server` on a loopback port of its own.
///
/// Dropping it kills the process by its id, in whatever state it is, and removes its directory.
pub(crate) struct RedisServer {
    config: RedisConfig,
    port: u16,
    bus_port: u16,
    tls_port: u16,
    /// Dropped after the process, which `Drop` ends.
    dir: TempDir,
    process: Option<Child>,
    /// The harness' own connection, as the default user.
    connection: Mutex<Option<Connection>>,
}

impl RedisServer {
    /// A server that keeps nothing on disk and asks for no password.
    pub(crate) fn start() -> Self {
        RedisConfig::default().start()
    }

    /// A server with settings of the test's choice.
    pub(crate) fn config() -> RedisConfig {
        RedisConfig::default()
    }

    fn start_with(config: RedisConfig) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("tower-keep-redis-")
            .tempdir()
            .expect("a temporary directory can be made");
        let mut server = Self {
            config,
            port: 0,
            bus_port: 0,
            tls_port: 0,
            dir,
            process: None,
            connection: Mutex::new(None),
        };
        // Somebody else may take the free port before Redis does: then another one.
        for _ in 0..5 {
            server.port = free_port();
            server.bus_port = free_port();
            server.tls_port = free_port();
            if server.launch() {
                return server;
            }
        }
        panic!("redis-server did not start; its log:\n{}", server.log());
    }

    /// Starts the process and waits until it answers; `false` if it ended instead.
    fn launch(&mut self) -> bool {
        let conf = self.dir.path().join("redis.conf");
        let text = self.config.file(self.port, self.bus_port, self.tls_port);
        std::fs::write(&conf, text).expect("the server's directory can be written to");
        let process = program::redis_server()
            .arg(&conf)
            .args(self.config.arguments())
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot run redis-server ({error}): run the tests by tests/run.sh, which installs it")
            });
        let pid = process.id();
        let process = self.process.insert(process);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if process
                .try_wait()
                .expect("a child can be waited for")
                .is_some()
            {
                self.process = None;
                return false;
            }
            // Asking for the process id tells our server from a stranger's on the same port.
            if inspect::process_id(&self.config.admin_url(self.port)) == Some(pid) {
                return true;
            }
            assert!(
                Instant::now() < deadline,
                "redis-server does not answer PING; its log:\n{}",
                self.log()
            );
            std::thread::sleep(POLL);
        }
    }

    /// The URL an application connects with, credentials included.
    pub(crate) fn url(&self) -> String {
        self.config.url(self.port, self.tls_port)
    }

    /// Where the server listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The URL of its Unix socket.
    pub(crate) fn unix_url(&self) -> String {
        format!("unix://{}", self.dir.path().join("redis.sock").display())
    }

    fn bus_port(&self) -> u16 {
        self.bus_port
    }

    /// The port by which others of its group reach it.
    fn group_port(&self) -> u16 {
        match self.config.authority() {
            Some(_) => self.tls_port,
            None => self.port,
        }
    }

    /// Where its users connect.
    fn user_addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.group_port()))
    }

    fn password(&self) -> Option<&str> {
        self.config.user_password()
    }

    /// The certificate that its own is signed by, if it speaks TLS.
    pub(crate) fn authority(&self) -> Option<std::path::PathBuf> {
        self.config.authority()
    }

    /// The port alone.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The directory that it runs in.
    pub(crate) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Ends the process as a crash would (SIGKILL).
    pub(crate) fn kill(&mut self) {
        self.disconnect();
        if let Some(mut process) = self.process.take() {
            process
                .kill()
                .expect("a child that was not waited for can be killed");
            process.wait().expect("a killed child can be waited for");
        }
    }

    /// Asks the server to shut down (SIGTERM) and waits until it has.
    pub(crate) fn stop_gracefully(&mut self) {
        self.disconnect();
        self.signal(Signal::TERM);
        let Some(mut process) = self.process.take() else {
            return;
        };
        let deadline = Instant::now() + PATIENCE;
        while process
            .try_wait()
            .expect("a child can be waited for")
            .is_none()
        {
            if Instant::now() > deadline {
                // Put back for `Drop` to kill.
                self.process = Some(process);
                panic!("redis-server ignores SIGTERM; its log:\n{}", self.log());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Starts the server again on the same port and directory, after killing it if it runs.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let started = self.launch();
        assert!(
            started,
            "redis-server did not start again; its log:\n{}",
            self.log()
        );
    }

    /// Stops the process from doing anything (SIGSTOP): connections stay open and nothing answers.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a paused server go on.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("the server runs");
        let pid = Pid::from_child(process);
        kill_process(pid, signal).expect("a child that was not waited for can be signalled");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("redis.log"))
            .unwrap_or_else(|error| format!("(none: {error})"))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // No `expect` here: a second panic while one unwinds would abort the run and leave the process behind.
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
