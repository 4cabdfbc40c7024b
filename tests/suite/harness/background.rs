//! A runtime of its own for a server inside the test process.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};

/// Runs tasks on a thread of its own until it is dropped, which may happen inside another runtime.
pub(super) struct Background(Option<Runtime>);

impl Background {
    pub(super) fn start() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        Self(Some(runtime.expect("a runtime can be started")))
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0
            .as_ref()
            .expect("the runtime lives until the drop")
            .spawn(task);
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Waiting for the tasks, as a runtime's own drop does, is forbidden inside another runtime.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
