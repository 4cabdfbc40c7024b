//! What a connection waits for its client to do, and since when.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Version;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, sleep_until},
};

/// The client of one connection. It is waited for while it has no request under way, and by each
/// response of which it has a part and does not take the next.
#[derive(Debug, Clone)]
pub struct Client(Arc<Mutex<Waits>>);

#[derive(Debug)]
struct Waits {
    /// Since when there has been neither a request nor a byte of an answer, if there is no request.
    quiet: Option<Instant>,
    under_way: usize,
    requests: u64,
    /// Whether a response broke off whose end is that of the connection.
    broken: bool,
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
            broken: false,
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

    /// Done once the client has not taken a part of a response for longer than `unread`, or has
    /// asked for nothing and taken nothing for longer than `quiet`.
    pub async fn overdue(&self, unread: Duration, quiet: Duration) {
        loop {
            let now = Instant::now();
            let ends = {
                let waits = self.lock();
                let unread = waits.unread.values().min().map(|since| *since + unread);
                let quiet = waits.quiet.map(|since| since + quiet);
                [unread, quiet].into_iter().flatten().min()
            };
            if ends.is_some_and(|ends| ends <= now) {
                return;
            }
            // A wait that has not begun yet ends no earlier than this.
            let next = now + unread.min(quiet);
            sleep_until(ends.unwrap_or(next).min(next)).await;
        }
    }

    /// The connection as it is watched for what the client takes of answers that are complete.
    pub fn watch(&self, stream: TcpStream) -> Watched {
        Watched {
            stream,
            client: self.clone(),
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

/// A client's connection. What it takes of answers that hyper has in its buffer is seen here.
#[derive(Debug)]
pub struct Watched {
    stream: TcpStream,
    client: Client,
}

impl Watched {
    fn wrote(&self) {
        if let Some(since) = &mut self.client.lock().quiet {
            *since = Instant::now();
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // HTTP/1.0 tells half a body from a whole one only by how the connection ends.
        if self.client.lock().broken {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.wrote();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bytes));
        self.wrote();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

pin_project! {
    /// A response's body on its way to the client.
    #[derive(Debug)]
    pub struct Delivery<B> {
        #[pin]
        body: B,
        request: UnderWay,
        version: Version,
    }
}

impl<B> Delivery<B> {
    /// `version` is the client's.
    pub fn new(body: B, request: UnderWay, version: Version) -> Self {
        Self {
            body,
            request,
            version,
        }
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
        let mut waits = client.lock();
        match &frame {
            Poll::Ready(Some(Ok(_))) => waits.unread.insert(*number, Instant::now()),
            _ => waits.unread.remove(number),
        };
        if let Poll::Ready(Some(Err(_))) = frame {
            waits.broken |= *this.version < Version::HTTP_11;
        }
        drop(waits);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
