//! The examples as child processes, as a user runs them.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long an example may take to be ready or to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often to look while waiting for that.
const POLL: Duration = Duration::from_millis(5);
/// For tests in which Redis is well: a machine that is busy with other tests must not look like an outage.
pub(crate) const PATIENT: [&str; 2] = ["--store-timeout-ms", "5000"];
/// What an example prints on its standard output when it is ready.
const READY: &str = "listening on http://";

/// A running example. Dropping it kills the process; its log is shown where the test fails.
pub(crate) struct Example {
    process: Child,
    stdout: Capture,
    stderr: Capture,
}

impl Example {
    /// Starts an example on a free port and waits until it is ready.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_with(name, arguments, &[])
    }

    /// Starts an example with environment variables, on a free port, and waits until it is ready.
    pub(crate) fn start_with(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = command(name, arguments);
        command
            .args(["--listen", "127.0.0.1:0"])
            .envs(environment.iter().copied());
        let mut example = Self::spawn(command);
        example.wait_until_ready();
        example
    }

    /// Runs an example that is to end by itself (`--help`, a wrong flag) and waits until it has.
    pub(crate) fn run(name: &str, arguments: &[&str]) -> Output {
        let mut example = Self::spawn(command(name, arguments));
        let code = example.wait().code();
        Output {
            code,
            stdout: example.stdout.text(),
            stderr: example.stderr.text(),
        }
    }

    /// Starts a program and captures what it prints.
    pub(super) fn spawn(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let stdout = Capture::start(process.stdout.take().expect("the output is piped"));
        let stderr = Capture::start(process.stderr.take().expect("the output is piped"));
        Self {
            process,
            stdout,
            stderr,
        }
    }

    pub(super) fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.ready_line().is_none() {
            let ended = self.process.try_wait().expect("a child can be waited for");
            assert!(
                ended.is_none(),
                "the example ended before it was ready: {ended:?}"
            );
            assert!(
                Instant::now() < deadline,
                "the example does not print \"{READY}…\""
            );
            thread::sleep(POLL);
        }
    }

    /// Where the example listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        let line = self
            .ready_line()
            .expect("a started example has printed where it listens");
        line.parse()
            .unwrap_or_else(|error| panic!("{error} in \"{READY}{line}\""))
    }

    fn ready_line(&self) -> Option<String> {
        let text = self.stdout.text();
        // A line counts once it is complete.
        let complete = text.rsplit_once('\n')?.0;
        complete
            .lines()
            .find_map(|line| line.strip_prefix(READY))
            .map(str::to_owned)
    }

    /// What has been read of the example's log so far; complete once it has ended.
    pub(crate) fn log(&self) -> String {
        self.stderr.text()
    }

    /// Waits until the log contains a text.
    pub(crate) fn wait_for_log(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(
                Instant::now() < deadline,
                "the example does not log {text:?}"
            );
            thread::sleep(POLL);
        }
    }

    /// Asks the example to stop (SIGTERM) and waits for its exit code; `None` if a signal ended it.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        self.signal();
        self.wait().code()
    }

    /// Asks the example to stop (SIGTERM) and does not wait; asking twice is no harm.
    pub(crate) fn signal(&self) {
        // One that has ended but was not waited for takes signals too.
        kill_process(self.pid(), Signal::TERM).expect("the example was not waited for");
    }

    /// Ends the example as a crash would (SIGKILL).
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("a child can be killed");
        self.process
            .wait()
            .expect("a killed child can be waited for");
    }

    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.process.try_wait().expect("a child can be waited for") {
                break status;
            }
            assert!(Instant::now() < deadline, "the example does not end");
            thread::sleep(POLL);
        };
        self.stdout.finish();
        self.stderr.finish();
        status
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // No `expect` here: a second panic while one unwinds would abort the run and leave the process behind.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            eprintln!("--- the example's log ---\n{}---", self.stderr.text());
        }
    }
}

/// What a program that ended by itself has left.
#[derive(Debug)]
pub(crate) struct Output {
    /// The exit code, or `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A built example, without the settings of whoever runs the tests.
fn command(name: &str, arguments: &[&str]) -> Command {
    let path = path(name);
    assert!(
        path.exists(),
        "{} is missing: build it by `cargo build --all-features --examples`, or run the tests by tests/run.sh",
        path.display()
    );
    let mut command = Command::new(path);
    command.args(arguments).env_remove("LISTEN");
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("REDIS_") {
            command.env_remove(variable);
        }
    }
    command
}

/// The tests are in `target/<profile>/deps`, the examples in `target/<profile>/examples`.
pub(crate) fn path(name: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("a program knows its path");
    let profile = tests
        .ancestors()
        .nth(2)
        .expect("cargo puts tests two directories deep");
    profile.join("examples").join(name)
}

/// Reads a pipe to its end so that the child never waits for us, and keeps the text.
struct Capture {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Capture {
    fn start(pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::<Mutex<String>>::default();
        let sink = Arc::clone(&text);
        let reader = thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe
                .read_until(b'\n', &mut line)
                .is_ok_and(|length| length > 0)
            {
                sink.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self {
            text,
            reader: Some(reader),
        }
    }

    fn text(&self) -> String {
        self.text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for the end of the pipe: after the child's end the text is complete.
    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading lines does not panic");
        }
    }
}
