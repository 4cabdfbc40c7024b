//! The load: a light HTTP/1.1 client, as it shares the machine with what it measures.

use std::{
    net::SocketAddr,
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

use crate::{
    BoxError,
    page::{CLIENT, LOGIN},
};

/// How long a response may take; a server that hangs must not hang the run.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that is kept alive.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(addr: SocketAddr) -> Result<Self, BoxError> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::with_capacity(4096),
        })
    }

    /// Sends a request and receives the whole response, which must be a 200 with a
    /// Content-Length. Returns its head.
    pub(crate) async fn exchange(&mut self, request: &str) -> Result<&str, BoxError> {
        self.stream.write_all(request.as_bytes()).await?;
        self.received.clear();
        let mut head = None;
        loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err("the server closed a connection".into());
            }
            if head.is_none() {
                head = find(&self.received, b"\r\n\r\n").map(|end| end + 4);
            }
            let Some(head) = head else { continue };
            let text = std::str::from_utf8(&self.received[..head])?;
            if !text.starts_with("HTTP/1.1 200 ") {
                return Err(format!("expected a 200, received {text}").into());
            }
            let length = field(text, "content-length").ok_or("no Content-Length")?;
            if self.received.len() >= head + length.parse::<usize>()? {
                return Ok(std::str::from_utf8(&self.received[..head])?);
            }
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// The value of a field whose name the server writes in small letters.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").find_map(|line| {
        let value = line.strip_prefix(name)?.strip_prefix(":")?;
        Some(value.trim())
    })
}

/// The request that is repeated; with a cookie if the server has sessions.
pub(crate) async fn request_for(addr: SocketAddr, session: bool) -> Result<String, BoxError> {
    let request = |path: &str, more: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\n{CLIENT}: bench\r\n{more}\r\n")
    };
    if !session {
        return Ok(request("/page", ""));
    }
    let mut connection = Connection::open(addr).await?;
    let head = connection.exchange(&request(LOGIN, "")).await?;
    let cookie = field(head, "set-cookie").ok_or("the login sets no cookie")?;
    let (cookie, _attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
    Ok(request("/page", &format!("cookie: {cookie}\r\n")))
}

/// When a measurement ends: whichever comes first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) duration: Duration,
    pub(crate) requests: usize,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) connections: Vec<Connection>,
    pub(crate) elapsed: Duration,
    /// Of each request.
    pub(crate) latencies: Vec<Duration>,
}

/// Repeats `request` on all connections, each with one under way at a time.
pub(crate) async fn load(
    connections: Vec<Connection>,
    request: &Arc<str>,
    bounds: Bounds,
) -> Result<Answered, BoxError> {
    let sent = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        let (request, sent) = (request.clone(), sent.clone());
        tasks.spawn(async move {
            let mut latencies = Vec::with_capacity(4096);
            let mut now = Instant::now();
            while now - started < bounds.duration
                && sent.fetch_add(1, Ordering::Relaxed) < bounds.requests
            {
                connection.exchange(&request).await?;
                let answered = Instant::now();
                latencies.push(answered - now);
                now = answered;
            }
            Ok::<_, BoxError>((connection, latencies))
        });
    }
    let mut answered = Answered {
        connections: Vec::new(),
        elapsed: Duration::ZERO,
        latencies: Vec::new(),
    };
    let all = async {
        while let Some(task) = tasks.join_next().await {
            let (connection, latencies) = task??;
            answered.connections.push(connection);
            answered.latencies.extend(latencies);
        }
        Ok::<_, BoxError>(())
    };
    tokio::time::timeout(bounds.duration + PATIENCE, all)
        .await
        .map_err(|_| "the server does not answer")??;
    answered.elapsed = started.elapsed();
    Ok(answered)
}
