//! The pools that a configuration makes.

use deadpool_redis::{
    Manager, Pool, Runtime, cluster,
    redis::{
        AsyncConnectionConfig, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError,
        io::tcp::TcpSettings,
    },
    sentinel::{self, SentinelNodeConnectionInfo, SentinelServerType},
};

use super::{ConfigError, hosts::Hosts};

/// Commands that may wait in a lane before senders have to; redis-rs' default of 50 makes a
/// few hundred concurrent requests queue twice.
const PIPELINE_BUFFER: usize = 1024;

/// Connections to one server.
pub(super) fn single(info: ConnectionInfo, size: usize) -> Result<Pool, ConfigError> {
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let connection = AsyncConnectionConfig::new().set_pipeline_buffer_size(PIPELINE_BUFFER);
    let manager = Manager::new_with_config(info, connection).map_err(failed)?;
    Pool::builder(manager)
        .max_size(at_least_one(size)?)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(failed)
}

/// Connections to the master that sentinels name. The credentials are the master's.
pub(super) fn sentinel(hosts: Hosts, size: usize) -> Result<sentinel::Pool, ConfigError> {
    let settings = credentials(&hosts);
    let nodelay = || TcpSettings::default().set_nodelay(true);
    let mut sentinels = Vec::new();
    for address in hosts.addresses {
        let info: ConnectionInfo = address.into_connection_info().map_err(failed)?;
        sentinels.push(info.set_tcp_settings(nodelay()));
    }
    let node = SentinelNodeConnectionInfo {
        tls_mode: None,
        redis_connection_info: Some(settings.into()),
    };
    let server = SentinelServerType::Master;
    let manager =
        sentinel::Manager::new(sentinels, hosts.name, Some(node), server).map_err(failed)?;
    sentinel::Pool::builder(manager)
        .max_size(at_least_one(size)?)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(failed)
}

/// Connections to a cluster, of which these are some nodes.
pub(super) fn cluster(hosts: &Hosts, size: usize) -> Result<cluster::Pool, ConfigError> {
    let settings = credentials(hosts);
    let nodes: Result<Vec<_>, _> = (hosts.addresses.iter())
        .map(|address| {
            let info = address.clone().into_connection_info()?;
            let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
            Ok::<_, RedisError>(info.set_redis_settings(settings.clone()))
        })
        .collect();
    let manager = cluster::Manager::new(nodes.map_err(failed)?, false).map_err(failed)?;
    cluster::Pool::builder(manager)
        .max_size(at_least_one(size)?)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(failed)
}

fn credentials(hosts: &Hosts) -> RedisConnectionInfo {
    let mut settings = RedisConnectionInfo::default().set_db(hosts.db);
    if let Some(username) = &hosts.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &hosts.password {
        settings = settings.set_password(password);
    }
    settings
}

/// The same server, trusted if one of these certificates has signed its own.
#[cfg(feature = "redis-tls")]
pub(super) fn trusting(
    info: ConnectionInfo,
    root_certificates: Option<Vec<u8>>,
) -> Result<ConnectionInfo, ConfigError> {
    use deadpool_redis::redis::{Client, ConnectionAddr, TlsCertificates};

    let is_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
    let Some(root_cert) = root_certificates.filter(|_| is_tls) else {
        return Ok(info);
    };
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(root_cert),
    };
    let client = Client::build_with_tls(info, certificates).map_err(failed)?;
    Ok(client.get_connection_info().clone())
}

fn at_least_one(size: usize) -> Result<usize, ConfigError> {
    match size {
        0 => Err(ConfigError::Invalid {
            name: "pool size",
            value: "0".to_owned(),
            expected: "expected at least one connection",
        }),
        size => Ok(size),
    }
}

fn failed(error: impl std::fmt::Display) -> ConfigError {
    ConfigError::Pool(error.to_string())
}
