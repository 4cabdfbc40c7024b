//! What a connection waits for its client to do, and since when.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, sleep_until};

/// The client of one connection. It is waited for while it has no request under way, and by each
/// response of which it has a part and does not take the next.
#[derive(Debug, Clone)]
pub struct Client(Arc<Mutex<Waits>>);

#[derive(Debug)]
struct Waits {
    /// Since when there has been no request, if there is none.
    quiet: Option<Instant>,
    under_way: usize,
    requests: u64,
    /// Since when a part of a response has been with the client, by request.
    unread: HashMap<u64, Instant>,
}

/// A request that is under way until this is dropped.
#[derive(Debug)]
pub struct UnderWay {
    client: Client,
    number: u64,
}

impl Client {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Waits {
            quiet: Some(Instant::now()),
            under_way: 0,
            requests: 0,
            unread: HashMap::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn request(&self) -> UnderWay {
        let mut waits = self.lock();
        waits.quiet = None;
        waits.under_way += 1;
        waits.requests += 1;
        UnderWay {
            client: self.clone(),
            number: waits.requests,
        }
    }

    /// Done once the client was waited for longer than `limit`.
    pub async fn overdue(&self, limit: Duration) {
        loop {
            let since = {
                let waits = self.lock();
                waits
                    .quiet
                    .iter()
                    .chain(waits.unread.values())
                    .min()
                    .copied()
            };
            let now = Instant::now();
            let until = since.unwrap_or(now) + limit;
            if until <= now {
                return;
            }
            sleep_until(until).await;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut waits = self.client.lock();
        waits.unread.remove(&self.number);
        waits.under_way -= 1;
        if waits.under_way == 0 {
            waits.quiet = Some(Instant::now());
        }
    }
}

pin_project! {
    /// A response's body on its way to the client.
    #[derive(Debug)]
    pub struct Delivery<B> {
        #[pin]
        body: B,
        request: UnderWay,
    }
}

impl<B> Delivery<B> {
    pub fn new(body: B, request: UnderWay) -> Self {
        Self { body, request }
    }
}

impl<B: Body> Body for Delivery<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = this.body.poll_frame(cx);
        let UnderWay { client, number } = this.request;
        // Only a client that has taken what there was asks for more.
        match &frame {
            Poll::Ready(Some(Ok(_))) => client.lock().unread.insert(*number, Instant::now()),
            _ => client.lock().unread.remove(number),
        };
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
