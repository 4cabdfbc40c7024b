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
    site::{CLIENT, LOGIN},
};

/// How long a response may take; a server that hangs must not hang the run.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that is kept alive, and what is asked on it.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    request: String,
    received: Vec<u8>,
}

impl Connection {
    /// The connection `number` has a client's name of its own, and a session where the server has
    /// them.
    pub(crate) async fn open(
        addr: SocketAddr,
        number: u32,
        path: &str,
        logs_in: bool,
    ) -> Result<Self, BoxError> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let request = |path: &str, cookie: &str| {
            format!(
                "GET {path} HTTP/1.1\r\nhost: {addr}\r\n{CLIENT}: client-{number:08}\r\n{cookie}\r\n"
            )
        };
        let mut connection = Self {
            stream,
            request: request(LOGIN, ""),
            received: Vec::with_capacity(4096),
        };
        let cookie = match logs_in {
            false => String::new(),
            true => {
                let head = connection.exchange().await?;
                let cookie = field(head, "set-cookie").ok_or("the login sets no cookie")?;
                let (cookie, _attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
                format!("cookie: {cookie}\r\n")
            }
        };
        connection.request = request(path, &cookie);
        Ok(connection)
    }

    /// Sends the request and receives the whole response, which must be a 200 with a
    /// Content-Length. Returns its head.
    async fn exchange(&mut self) -> Result<&str, BoxError> {
        self.stream.write_all(self.request.as_bytes()).await?;
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

/// Repeats the connections' requests, each with one under way at a time.
pub(crate) async fn load(
    connections: Vec<Connection>,
    bounds: Bounds,
) -> Result<Answered, BoxError> {
    let sent = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        let sent = sent.clone();
        tasks.spawn(async move {
            let mut latencies = Vec::with_capacity(4096);
            let mut now = Instant::now();
            while now - started < bounds.duration
                && sent.fetch_add(1, Ordering::Relaxed) < bounds.requests
            {
                connection.exchange().await?;
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
