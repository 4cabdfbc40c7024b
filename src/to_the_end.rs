//! What is not to be left half done when its caller leaves.

use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;

/// Runs `future` to its end, whether or not the caller stays: what is not ready at once, as it is
/// with embedded memory, becomes a task. `None` where the runtime shuts down before.
///
/// # Panics
///
/// When the future does.
pub(crate) async fn to_the_end<F>(future: F) -> Option<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let mut future = Box::pin(future);
    let first = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    if let Poll::Ready(output) = first {
        return Some(output);
    }
    let Ok(runtime) = Handle::try_current() else {
        return Some(future.await);
    };
    match runtime.spawn(future).await {
        Ok(output) => Some(output),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => None,
    }
}
