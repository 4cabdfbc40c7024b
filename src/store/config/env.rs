//! A configuration from variables: what is set and cannot be used is an error that names it.

use std::{ffi::OsString, ops::RangeInclusive, time::Duration};

use super::{ConfigError, StoreConfig, Target, pieces::Pieces, server::Server};
use crate::store::Namespace;

impl StoreConfig {
    pub(super) fn from_os_vars(
        var: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigError> {
        let var = Vars(var);
        let url = var.text("REDIS_URL")?;
        // Read first, so that one which cannot be used is an error beside a URL, too.
        let pieces = Self::from_pieces(&var, url.is_some())?;
        let mut config = match url {
            Some(url) => Self::parse_url("REDIS_URL", &url)?,
            None => pieces,
        };
        if let Some(file) = var.text("REDIS_TLS_CA")? {
            config = config.with_root_certificates_of(&file)?;
            if !config.is_tls() {
                return Err(ConfigError::Invalid {
                    name: "REDIS_TLS_CA",
                    value: file,
                    expected: "expected REDIS_URL beside it to begin with rediss, as certificates \
                               are of use to TLS alone",
                });
            }
        }
        if let Some(namespace) = var.text("REDIS_NAMESPACE")? {
            if Namespace::new(&namespace).is_err() {
                return Err(ConfigError::Invalid {
                    name: "REDIS_NAMESPACE",
                    value: namespace,
                    expected: "expected 1 to 64 of the characters a-z A-Z 0-9 . _ - and : inside",
                });
            }
            config = config.with_namespace(namespace);
        }
        if let Some(millis) = var.number(
            "REDIS_TIMEOUT_MS",
            1..=u64::MAX,
            "expected milliseconds, at least 1",
        )? {
            config = config.with_deadline(Duration::from_millis(millis));
        }
        if let Some(size) = var.number(
            "REDIS_POOL_SIZE",
            1..=u64::from(u16::MAX),
            "expected a number of connections from 1 to 65535",
        )? {
            config = config.with_pool_size(size as usize);
        }
        Ok(config)
    }

    #[cfg(feature = "redis-tls")]
    fn with_root_certificates_of(self, file: &str) -> Result<Self, ConfigError> {
        match std::fs::read(file) {
            Ok(pem) => Ok(self.with_root_certificates(pem)),
            Err(_) => Err(ConfigError::Invalid {
                name: "REDIS_TLS_CA",
                value: file.to_owned(),
                expected: "expected a file with certificates in PEM that can be read",
            }),
        }
    }

    #[cfg(not(feature = "redis-tls"))]
    fn with_root_certificates_of(self, _: &str) -> Result<Self, ConfigError> {
        Err(ConfigError::Incomplete {
            name: "REDIS_TLS_CA",
            expected: "expected it to be unset: this build has no feature `redis-tls`",
        })
    }

    /// What the pieces say, which count for nothing `beside_url`.
    fn from_pieces(
        var: &Vars<impl Fn(&str) -> Option<OsString>>,
        beside_url: bool,
    ) -> Result<Self, ConfigError> {
        let host = var.text("REDIS_HOST")?;
        if host.is_none() && !beside_url {
            // Whoever sets one of these means a server.
            for name in [
                "REDIS_PORT",
                "REDIS_USERNAME",
                "REDIS_PASSWORD",
                "REDIS_DB",
                "REDIS_POOL_SIZE",
            ] {
                if var.is_set(name) {
                    return Err(ConfigError::Incomplete {
                        name,
                        expected: "expected REDIS_HOST or REDIS_URL beside it",
                    });
                }
            }
        }
        let port = var.number(
            "REDIS_PORT",
            1..=u64::from(u16::MAX),
            "expected a port from 1 to 65535",
        )?;
        let db = var.number(
            "REDIS_DB",
            0..=u64::from(u32::MAX),
            "expected a database number",
        )?;
        let (username, password) = (var.text("REDIS_USERNAME")?, var.text("REDIS_PASSWORD")?);
        let Some(host) = host.filter(|_| !beside_url) else {
            return Ok(Self::memory());
        };
        let server = Server::from_pieces(Pieces {
            host,
            port: port.and_then(|port| u16::try_from(port).ok()),
            db: db.and_then(|db| u32::try_from(db).ok()),
            username,
            password,
        })?;
        Ok(Self::new(Target::Server(Box::new(server))))
    }
}

/// A source of variables.
struct Vars<F>(F);

impl<F: Fn(&str) -> Option<OsString>> Vars<F> {
    fn is_set(&self, name: &str) -> bool {
        (self.0)(name).is_some()
    }

    /// The value of a variable. One that is set has to have one.
    fn text(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        let Some(value) = (self.0)(name) else {
            return Ok(None);
        };
        // The value is not shown: it may be a password.
        let expected = match value.into_string() {
            Ok(text) if !text.is_empty() => return Ok(Some(text)),
            Ok(_) => "it is empty: expected a value, or the variable unset",
            Err(_) => "it is not UTF-8: expected text",
        };
        Err(ConfigError::Incomplete { name, expected })
    }

    fn number(
        &self,
        name: &'static str,
        range: RangeInclusive<u64>,
        expected: &'static str,
    ) -> Result<Option<u64>, ConfigError> {
        let Some(value) = self.text(name)? else {
            return Ok(None);
        };
        match value.trim().parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(ConfigError::Invalid {
                name,
                value,
                expected,
            }),
        }
    }
}
