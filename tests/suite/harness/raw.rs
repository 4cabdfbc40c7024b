//! HTTP as bytes, for what no well-behaved client or server sends.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::background::Background;
use super::port;

/// How long the other side may be silent.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to a server.
pub(crate) struct RawClient(TcpStream);

impl RawClient {
    pub(crate) async fn connect(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server)
            .await
            .expect("the server listens");
        stream
            .set_nodelay(true)
            .expect("a fresh socket takes options");
        Self(stream)
    }

    /// Sends bytes; an error says that the server has closed the connection.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.write_all(bytes.as_ref()).await
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("the server reads");
    }

    /// Reads exactly so many bytes.
    pub(crate) async fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let read = self.0.read_exact(&mut bytes);
        in_time(read).await.expect("the server sends");
        bytes
    }

    /// Reads to the end of a head, blank line included.
    pub(crate) async fn head(&mut self) -> String {
        let head = head_of(&mut self.0).await;
        assert!(head.ends_with("\r\n\r\n"), "half a head: {head:?}");
        head
    }

    /// Everything up to the end of the connection, a reset included.
    pub(crate) async fn rest(&mut self) -> String {
        self.end().await.0
    }

    /// Everything up to the end of the connection, and whether that is a clean one.
    pub(crate) async fn end(&mut self) -> (String, io::Result<()>) {
        let mut bytes = Vec::new();
        let end = in_time(self.0.read_to_end(&mut bytes)).await;
        (String::from_utf8_lossy(&bytes).into_owned(), end.map(drop))
    }
}

/// Sends `bytes` on a connection of its own and reads all that comes back. The request has to
/// ask for the connection's end.
pub(crate) async fn exchange(server: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut client = RawClient::connect(server).await;
    client.send(bytes).await;
    client.rest().await
}

/// A server that answers each connection's first request with the same bytes, right or wrong,
/// and then closes it.
pub(crate) struct RawOrigin {
    addr: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _background: Background,
}

impl RawOrigin {
    pub(crate) fn start(answer: impl Into<Vec<u8>>) -> Self {
        Self::with(answer, Second::Unread)
    }

    /// Reads a second request of a connection too, and hangs up instead of answering it: what a
    /// client sees whose request crosses the end of an idle connection.
    pub(crate) fn hanging_up(answer: impl Into<Vec<u8>>) -> Self {
        Self::with(answer, Second::HungUp)
    }

    fn with(answer: impl Into<Vec<u8>>, second: Second) -> Self {
        let listener = port::listen();
        let addr = listener.local_addr().expect("a listener has an address");
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let background = Background::start();
        background.spawn(serve(listener, answer.into(), second, Arc::clone(&heads)));
        Self {
            addr,
            heads,
            _background: background,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The heads of the requests so far, as they came.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// What becomes of a connection's second request.
#[derive(Clone, Copy)]
enum Second {
    Unread,
    HungUp,
}

async fn serve(
    listener: std::net::TcpListener,
    answer: Vec<u8>,
    second: Second,
    heads: Arc<Mutex<Vec<String>>>,
) {
    let listener = TcpListener::from_std(listener).expect("the listener is non-blocking");
    let note = |head| {
        heads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(head);
    };
    while let Ok((mut stream, _)) = listener.accept().await {
        note(head_of(&mut stream).await);
        // A client that has enough is what some tests are about.
        let _ = stream.write_all(&answer).await;
        if matches!(second, Second::HungUp) {
            note(head_of(&mut stream).await);
        }
        let _ = stream.shutdown().await;
    }
}

/// What comes up to the first blank line, or to the end.
async fn head_of(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match in_time(stream.read_u8()).await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

async fn in_time<T>(reading: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("the other side is not silent for ever")
}
