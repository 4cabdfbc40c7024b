//! Reaching the servers of a group, which share credentials and TLS, by their addresses.

use std::fmt;

use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, RedisResult,
    aio::MultiplexedConnection, io::tcp::TcpSettings,
};

/// Commands that may wait in a lane before senders have to; redis-rs' default of 50 makes a
/// few hundred concurrent requests queue twice.
const PIPELINE_BUFFER: usize = 1024;

/// Where a server listens: host and port.
pub(crate) type Address = (String, u16);

/// How to reach one server, and any other that takes the same credentials.
#[derive(Clone)]
pub(crate) struct Access(ConnectionInfo);

impl Access {
    pub(crate) fn new(info: ConnectionInfo) -> Self {
        Self(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
    }

    pub(crate) fn info(&self) -> &ConnectionInfo {
        &self.0
    }

    /// The server's address; `None` for one on a socket of this machine.
    pub(crate) fn address(&self) -> Option<Address> {
        match self.0.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                Some((host.clone(), *port))
            }
            _ => None,
        }
    }

    /// The same for the server at `address`.
    pub(super) fn to(&self, (host, port): &Address) -> Self {
        let (host, port) = (host.clone(), *port);
        let address = match self.0.addr() {
            ConnectionAddr::TcpTls {
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        Self(self.0.clone().set_addr(address))
    }

    /// Connects, in whatever time that takes: who waits for it has a limit of their own.
    pub(super) async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let client = Client::open(self.0.clone())?;
        let settings = connection_settings();
        client
            .get_multiplexed_async_connection_with_config(&settings)
            .await
    }
}

/// Settings of a connection, whose time limits are the store's.
pub(crate) fn connection_settings() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_pipeline_buffer_size(PIPELINE_BUFFER)
        .set_connection_timeout(None)
        .set_response_timeout(None)
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Access({})", self.0.addr())
    }
}
