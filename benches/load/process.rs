//! Processes of the run, and the CPU time that they take.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{BoxError, cores::Cores};

/// A process that ends with this value.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self, BoxError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn();
        Ok(Self(child.map_err(|error| {
            format!("cannot run {program}: {error}")
        })?))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// The CPU time of all threads so far. Linux counts it in nanoseconds.
    pub(crate) fn cpu_time(&self) -> Result<Duration, BoxError> {
        let mut nanos = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.id()))? {
            let stat = std::fs::read_to_string(task?.path().join("schedstat"))?;
            let on_cpu = stat.split_whitespace().next();
            nanos += on_cpu.ok_or("an empty schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that says where it listens.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    pub(crate) process: Process,
    pub(crate) addr: SocketAddr,
}

impl ServerProcess {
    /// `command` is to end with the name of a server.
    pub(crate) fn start(
        mut command: Command,
        redis_url: &str,
        cores: Option<Cores>,
    ) -> Result<Self, BoxError> {
        let workers = match cores {
            Some(_) => 1,
            None => std::thread::available_parallelism()?.get(),
        };
        command
            .args([redis_url, &workers.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut spawn = || Process::spawn(&mut command);
        let mut process = match cores {
            Some(cores) => cores.on_servers(spawn)??,
            None => spawn()?,
        };
        let mut line = String::new();
        let out = process.0.stdout.take().expect("it was asked for");
        BufReader::new(out).read_line(&mut line)?;
        let addr = line.trim().parse();
        let addr = addr.map_err(|_| format!("{command:?} did not start"))?;
        Ok(Self { process, addr })
    }
}
