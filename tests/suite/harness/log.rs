//! What is logged on the thread of a test.

use std::{
    cell::RefCell,
    io,
    sync::{Arc, Mutex, Once, PoisonError},
};

use tracing_subscriber::{
    Layer, filter::dynamic_filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

thread_local! {
    static LOG: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// All that is logged on this thread, the crates below included.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

/// Ends the log of the thread that it was started on.
#[derive(Debug)]
pub(crate) struct LogGuard(());

impl Log {
    /// One subscriber serves all tests: with one for each, what a test logs is lost now and then,
    /// because the process remembers for all threads which events nobody listens to, and the
    /// subscribers of other threads come and go.
    pub(crate) fn start() -> (Self, LogGuard) {
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            // Asked anew for each event, and never remembered.
            let is_wanted = dynamic_filter_fn(|_, _| of_this_thread().is_some());
            let lines = fmt::layer()
                .with_ansi(false)
                .with_writer(|| of_this_thread().unwrap_or_default());
            tracing_subscriber::registry()
                .with(lines.with_filter(is_wanted))
                .init();
        });
        let log = Self::default();
        LOG.set(Some(log.clone()));
        (log, LogGuard(()))
    }

    pub(crate) fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn of_this_thread() -> Option<Log> {
    // A thread that ends may log when its own are gone.
    LOG.try_with(|log| log.borrow().clone()).ok().flatten()
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        LOG.set(None);
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
