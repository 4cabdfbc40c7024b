//! One load over several processes, which share a server and nothing else.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use tower_keep::key_value::KeyValue;

use crate::harness::{
    connected::{PATIENT, connected},
    example,
    redis::{Backend, RedisServer},
};

/// How long a process may take for a line.
const PATIENCE: Duration = Duration::from_secs(60);

/// The example `one_load`.
struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    /// What it has said so far.
    said: Vec<String>,
}

impl Process {
    /// One that asks for each id by a hundred tasks.
    fn start(url: &str, load_ms: u32, tag: Option<&str>) -> Self {
        Self::with_tasks(100, url, load_ms, tag)
    }

    fn with_tasks(tasks: u32, url: &str, load_ms: u32, tag: Option<&str>) -> Self {
        let mut command = Command::new(example::path("one_load"));
        command.args(["--redis-url", url, "--store-timeout-ms", "10000"]);
        command.args(["--load-ms", &load_ms.to_string()]);
        command.args(["--tasks", &tasks.to_string()]);
        command.args(tag.map(|tag| format!("--tag={tag}")));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines();
            lines
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        let mut process = Self {
            child,
            stdin,
            lines,
            said: Vec::new(),
        };
        process.wait_for("ready");
        process
    }

    fn ask(&mut self, id: &str) {
        writeln!(self.stdin, "{id}").unwrap();
    }

    fn wait_for(&mut self, wanted: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.takes_line_until(end) || self.last() != wanted {
            assert!(Instant::now() < end, "in vain: {wanted}");
        }
    }

    fn last(&self) -> &str {
        self.said.last().map_or("", String::as_str)
    }

    /// Whether a line came.
    fn takes_line_until(&mut self, end: Instant) -> bool {
        match self
            .lines
            .recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            Ok(line) => {
                self.said.push(line);
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => panic!("the process has ended"),
        }
    }

    fn loads(&self, id: &str) -> usize {
        let loading = format!("loading {id}");
        self.said.iter().filter(|line| **line == loading).count()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn three(url: &str, load_ms: u32, tag: Option<&str>) -> [Process; 3] {
    [(); 3].map(|()| Process::start(url, load_ms, tag))
}

/// Asks all of them for an id at once and waits for their answers; how many loads that took.
fn one_round(processes: &mut [Process], id: &str) -> usize {
    processes.iter_mut().for_each(|process| process.ask(id));
    let done = format!("done {id}");
    processes
        .iter_mut()
        .for_each(|process| process.wait_for(&done));
    processes.iter().map(|process| process.loads(id)).sum()
}

fn twenty_rounds(url: &str, tag: Option<&str>) {
    let mut processes = three(url, 30, tag);
    let loads = (0..20).map(|round| one_round(&mut processes, &round.to_string()));
    assert_eq!(loads.collect::<Vec<_>>(), [1; 20]);
}

#[test]
fn a_hundred_tasks_in_each_of_three_processes_load_once_in_twenty_rounds_of_twenty() {
    let server = RedisServer::start();
    twenty_rounds(&server.url(), None);
    server.assert_every_key_has_a_ttl();
}

#[test]
fn values_with_a_tag_are_loaded_once_too() {
    let server = RedisServer::start();
    twenty_rounds(&server.url(), Some("all"));
    server.assert_every_key_has_a_ttl();
}

#[test]
fn on_a_cluster_too() {
    twenty_rounds(&Backend::cluster().url(), Some("all"));
}

#[test]
fn behind_sentinels_too() {
    twenty_rounds(&Backend::sentinel().url(), Some("all"));
}

#[test]
fn when_the_process_that_loads_is_killed_another_one_does_and_no_third() {
    let server = RedisServer::start();
    kill_those_who_load(&server.url());
    server.assert_every_key_has_a_ttl();
}

#[test]
fn when_the_process_that_loads_is_killed_on_a_cluster_another_one_does_and_no_third() {
    let cluster = Backend::cluster();
    kill_those_who_load(&cluster.url());
    cluster.assert_every_key_has_a_ttl();
}

fn kill_those_who_load(url: &str) {
    let mut processes = Vec::from(three(url, 1_000, None));
    for round in 0..3 {
        let id = round.to_string();
        processes.iter_mut().for_each(|process| process.ask(&id));
        let end = Instant::now() + PATIENCE;
        let leader = loop {
            let soon = Instant::now() + Duration::from_millis(5);
            let loads = processes
                .iter_mut()
                .position(|process| process.takes_line_until(soon) && process.loads(&id) == 1);
            if let Some(leader) = loads {
                break leader;
            }
            assert!(Instant::now() < end, "nobody loads");
        };
        // SIGKILL, in the middle of its load.
        drop(processes.swap_remove(leader));
        let killed = Instant::now();
        let done = format!("done {id}");
        for process in &mut processes {
            process.wait_for(&done);
        }
        let others: usize = processes.iter().map(|process| process.loads(&id)).sum();
        assert_eq!(others, 1, "beside the one that was killed");
        assert!(killed.elapsed() < PATIENCE / 2, "{:?}", killed.elapsed());
        processes.push(Process::start(url, 1_000, None));
    }
}

#[tokio::test]
async fn a_del_while_another_process_loads_lets_nothing_old_be_stored() {
    let server = RedisServer::start();
    let store = connected(&server.url(), PATIENT).await;
    let values = KeyValue::new(store, "one_load").unwrap();
    let mut process = Process::with_tasks(1, &server.url(), 500, None);
    process.ask("1");
    process.wait_for("loading 1");
    assert!(!values.del(1).await.unwrap());
    process.wait_for("done 1");
    assert!(!values.exists(1).await.unwrap());
    process.ask("1");
    process.wait_for("done 1");
    assert_eq!(process.loads("1"), 2);
    assert!(values.exists(1).await.unwrap());
}
