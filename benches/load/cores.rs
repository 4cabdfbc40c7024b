//! Which cores the processes of the run get: the server one of its own, Redis and the load another.

/// Two cores of those that this process may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    server: usize,
    load: usize,
}

impl Cores {
    /// Moves this thread to the load's core. Threads and processes that it starts stay there too.
    ///
    /// # Errors
    ///
    /// What keeps the run from being pinned.
    pub(crate) fn take() -> Result<Self, String> {
        let [server, load, ..] = system::allowed()?[..] else {
            return Err("there is only one core".to_owned());
        };
        system::pin(load)?;
        Ok(Self { server, load })
    }

    /// Starts something on the server's core.
    pub(crate) fn on_servers<T>(self, start: impl FnOnce() -> T) -> Result<T, String> {
        system::pin(self.server)?;
        let started = start();
        system::pin(self.load)?;
        Ok(started)
    }
}

impl std::fmt::Display for Cores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { server, load } = self;
        write!(f, "server on core {server}, Redis and load on core {load}")
    }
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    pub(super) fn allowed() -> Result<Vec<usize>, String> {
        let allowed = sched_getaffinity(None)
            .map_err(|error| format!("the system does not tell the cores: {error}"))?;
        let cores = 0..CpuSet::MAX_CPU;
        Ok(cores.filter(|core| allowed.is_set(*core)).collect())
    }

    /// Of this thread.
    pub(super) fn pin(core: usize) -> Result<(), String> {
        let mut set = CpuSet::new();
        set.set(core);
        sched_setaffinity(None, &set).map_err(|error| format!("no pinning to core {core}: {error}"))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn allowed() -> Result<Vec<usize>, String> {
        Err("this system has no pinning that is known here".to_owned())
    }

    pub(super) fn pin(_: usize) -> Result<(), String> {
        allowed().map(|_| ())
    }
}
