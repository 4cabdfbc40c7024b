//! What is logged on a thread.

use std::{
    cell::RefCell,
    io,
    sync::{Arc, Mutex, Once},
};

use tracing_subscriber::{filter::dynamic_filter_fn, fmt, prelude::*};

thread_local! {
    static RECORDING: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// All that is logged on this thread from its start until it is dropped.
///
/// One subscriber serves the whole test process: with one for each test, what another test's
/// thread has decided about a line in the code may hold for this thread, too, and the line is lost.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn start() -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            let layer = fmt::layer()
                .with_ansi(false)
                .with_writer(|| RECORDING.with_borrow(Option::clone).unwrap_or_default())
                .with_filter(dynamic_filter_fn(|_, _| {
                    RECORDING.with_borrow(Option::is_some)
                }));
            let subscriber = tracing_subscriber::registry().with(layer);
            tracing::subscriber::set_global_default(subscriber).expect("there is no other");
        });
        let log = Self::default();
        RECORDING.set(Some(log.clone()));
        log
    }

    /// Stops recording.
    pub(crate) fn text(self) -> String {
        RECORDING.set(None);
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
