//! The pool that a configuration makes.

use deadpool_redis::{Manager, Pool, Runtime, redis::ConnectionInfo};

use super::ConfigError;
use crate::store::redis::{Access, connection_settings};

/// Connections to one server.
pub(super) fn single(access: &Access, size: usize) -> Result<Pool, ConfigError> {
    let manager = Manager::new_with_config(access.info().clone(), connection_settings());
    Pool::builder(manager.map_err(failed)?)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(failed)
}

/// The same server, trusted if one of these certificates has signed its own.
#[cfg(feature = "redis-tls")]
pub(super) fn trusting(
    info: ConnectionInfo,
    root_certificates: Option<&[u8]>,
) -> Result<ConnectionInfo, ConfigError> {
    use deadpool_redis::redis::{Client, TlsCertificates};

    let Some(root_cert) = root_certificates else {
        return Ok(info);
    };
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(root_cert.to_owned()),
    };
    let client = Client::build_with_tls(info, certificates).map_err(failed)?;
    Ok(client.get_connection_info().clone())
}

#[cfg(not(feature = "redis-tls"))]
pub(super) fn trusting(
    info: ConnectionInfo,
    _: Option<&[u8]>,
) -> Result<ConnectionInfo, ConfigError> {
    Ok(info)
}

fn failed(error: impl std::fmt::Display) -> ConfigError {
    ConfigError::Pool(error.to_string())
}
