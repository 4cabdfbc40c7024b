//! A TCP proxy in front of a server that makes the network worse: latency, refused and silent connections.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::background::Background;
use super::port;

/// A proxy on a loopback port of its own. Dropping it closes everything.
pub(crate) struct Proxy {
    addr: SocketAddr,
    commands: mpsc::UnboundedSender<(Command, std::sync::mpsc::Sender<()>)>,
    round_trips: Arc<AtomicU64>,
    replies: Arc<Semaphore>,
    _background: Background,
}

/// As many replies as there ever are.
const ALL: usize = Semaphore::MAX_PERMITS / 2;

enum Command {
    Delay {
        to_server: Duration,
        to_client: Duration,
    },
    DropConnections,
    Refuse,
    Blackhole,
    Open,
}

/// What holds for every connection, old and new.
#[derive(Clone, Copy, Default)]
struct Link {
    to_server: Duration,
    to_client: Duration,
    blackholed: bool,
}

impl Proxy {
    /// A proxy that passes everything on to `upstream` at once.
    pub(crate) fn start(upstream: SocketAddr) -> Self {
        let listener = port::listen();
        let addr = listener.local_addr().expect("a listener has an address");
        let background = Background::start();
        let (commands, inbox) = mpsc::unbounded_channel();
        let round_trips = Arc::<AtomicU64>::default();
        let replies = Arc::new(Semaphore::new(ALL));
        let switchboard = Switchboard {
            addr,
            upstream,
            replies: Arc::clone(&replies),
            round_trips: Arc::clone(&round_trips),
            link: watch::Sender::default(),
            connections: JoinSet::new(),
        };
        background.spawn(switchboard.run(listener, inbox));
        Self {
            addr,
            commands,
            round_trips,
            replies,
            _background: background,
        }
    }

    /// Where the proxy listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Delays every byte by so much in each direction; what is sent in quick succession arrives in quick succession.
    pub(crate) fn delay(&self, to_server: Duration, to_client: Duration) {
        self.tell(Command::Delay {
            to_server,
            to_client,
        });
    }

    /// Lets no reply through until it is told to; what is asked arrives.
    pub(crate) fn hold_replies(&self) {
        self.replies.forget_permits(ALL);
    }

    /// Lets the next reply through that was or will be held back.
    pub(crate) fn pass_one_reply(&self) {
        self.replies.add_permits(1);
    }

    /// Ends [`hold_replies`](Self::hold_replies).
    pub(crate) fn let_replies_go(&self) {
        self.replies.add_permits(ALL);
    }

    /// Closes all connections; new ones are accepted.
    pub(crate) fn drop_connections(&self) {
        self.tell(Command::DropConnections);
    }

    /// Closes all connections and refuses new ones, as a dead server does.
    pub(crate) fn refuse(&self) {
        self.tell(Command::Refuse);
    }

    /// Accepts connections and bytes and delivers nothing, as a partition does. What was held back is delivered later.
    pub(crate) fn blackhole(&self) {
        self.tell(Command::Blackhole);
    }

    /// Ends [`refuse`](Self::refuse) and [`blackhole`](Self::blackhole).
    pub(crate) fn open(&self) {
        self.tell(Command::Open);
    }

    /// How often a client has sent something after it had read an answer, or for the first time, over all connections.
    ///
    /// A pipeline is one trip, commands that wait for each other's replies are several: the count needs no clock. Only
    /// exact while one request at a time is on its way.
    pub(crate) fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }

    /// Returns when the command has taken effect.
    fn tell(&self, command: Command) {
        let (done, wait) = std::sync::mpsc::channel();
        self.commands.send((command, done)).expect("the proxy runs");
        wait.recv().expect("the proxy could do as it was told");
    }
}

struct Switchboard {
    addr: SocketAddr,
    upstream: SocketAddr,
    round_trips: Arc<AtomicU64>,
    replies: Arc<Semaphore>,
    link: watch::Sender<Link>,
    connections: JoinSet<()>,
}

impl Switchboard {
    async fn run(
        mut self,
        listener: std::net::TcpListener,
        mut inbox: mpsc::UnboundedReceiver<(Command, std::sync::mpsc::Sender<()>)>,
    ) {
        let mut listener =
            Some(TcpListener::from_std(listener).expect("the listener is non-blocking"));
        loop {
            tokio::select! {
                message = inbox.recv() => {
                    let Some((command, done)) = message else { return };
                    self.obey(command, &mut listener).await;
                    // The one who asked may have panicked meanwhile.
                    let _ = done.send(());
                }
                Ok(client) = accept(listener.as_ref()) => self.connect(client),
            }
        }
    }

    async fn obey(&mut self, command: Command, listener: &mut Option<TcpListener>) {
        match command {
            Command::Delay {
                to_server,
                to_client,
            } => {
                self.link
                    .send_modify(|link| (link.to_server, link.to_client) = (to_server, to_client));
            }
            Command::DropConnections => self.connections.shutdown().await,
            Command::Refuse => {
                *listener = None;
                self.connections.shutdown().await;
                self.wait_until_refused().await;
            }
            Command::Blackhole => self.link.send_modify(|link| link.blackholed = true),
            Command::Open => {
                self.link.send_modify(|link| link.blackholed = false);
                if listener.is_none() {
                    *listener = Some(
                        TcpListener::bind(self.addr)
                            .await
                            .expect("the proxy's port is still free"),
                    );
                }
            }
        }
    }

    /// A child process that another test is just starting holds a copy of every socket until its `exec`.
    async fn wait_until_refused(&self) {
        let refused = async {
            while TcpStream::connect(self.addr).await.is_ok() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(10), refused)
            .await
            .expect("nobody else listens on the proxy's port");
    }

    fn connect(&mut self, client: TcpStream) {
        let (upstream, link) = (self.upstream, self.link.subscribe());
        let trips = Trips {
            total: Arc::clone(&self.round_trips),
            asked: AtomicBool::new(false),
        };
        let replies = Arc::clone(&self.replies);
        self.connections.spawn(async move {
            // A failing side closes the other: that is all a proxy can say.
            let _ = relay(client, upstream, link, &trips, replies).await;
        });
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => pending().await,
    }
}

/// The trips of one connection, added to those of all.
struct Trips {
    total: Arc<AtomicU64>,
    /// The client has sent something that is not answered yet.
    asked: AtomicBool,
}

impl Trips {
    fn asked(&self) {
        if !self.asked.swap(true, Ordering::Relaxed) {
            self.total.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn answered(&self) {
        self.asked.store(false, Ordering::Relaxed);
    }
}

async fn relay(
    client: TcpStream,
    upstream: SocketAddr,
    link: watch::Receiver<Link>,
    trips: &Trips,
    replies: Arc<Semaphore>,
) -> io::Result<()> {
    let server = TcpStream::connect(upstream).await?;
    // The only delay is the one that was asked for.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::try_join!(
        pump(
            client_read,
            server_write,
            link.clone(),
            |link| link.to_server,
            || trips.asked(),
            Arc::new(Semaphore::new(ALL))
        ),
        pump(
            server_read,
            client_write,
            link,
            |link| link.to_client,
            || trips.answered(),
            replies
        ),
    )?;
    Ok(())
}

/// One direction: reading does not wait for writing, so that the delay is latency and not throughput.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut link: watch::Receiver<Link>,
    delay: fn(&Link) -> Duration,
    seen: impl Fn(),
    permits: Arc<Semaphore>,
) -> io::Result<()> {
    let (queue, mut queued) = mpsc::channel::<(Instant, Bytes)>(256);
    let settings = link.clone();
    let read = async move {
        let mut buffer = BytesMut::new();
        loop {
            // So much that no reply is read, and then held back, in parts.
            buffer.reserve(16 * 1024);
            if from.read_buf(&mut buffer).await? == 0 {
                break;
            }
            seen();
            let due = Instant::now() + delay(&settings.borrow());
            if queue.send((due, buffer.split().freeze())).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    let write = async move {
        while let Some((due, bytes)) = queued.recv().await {
            sleep_until(due).await;
            if link.wait_for(|link| !link.blackholed).await.is_err() {
                break;
            }
            // Nobody closes it.
            if let Ok(permit) = permits.acquire().await {
                permit.forget();
            }
            to.write_all(&bytes).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(read, write)?;
    Ok(())
}
