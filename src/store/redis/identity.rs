//! What a server is, and whether it has what the store needs.

use std::sync::{Arc, Mutex, PoisonError};

use deadpool_redis::redis::Value;

/// What a server has told of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// Its name and version, `redis 7.4.1` or `valkey 9.0.0`, if the user may ask.
    name: Option<Arc<str>>,
    /// What the store needs and it has not, with its own words.
    missing: Option<String>,
}

/// The server that was connected to last.
#[derive(Debug, Default)]
pub(super) struct LastSeen(Mutex<Option<Identity>>);

impl Identity {
    /// From the replies to `HELLO` and to a script that asks for the time.
    pub(super) fn of(hello: Value, probed: &Value) -> Self {
        let name = name(hello);
        Self {
            missing: missing(probed).or_else(|| too_old(name.as_deref()?)),
            name: name.map(Into::into),
        }
    }
}

impl LastSeen {
    /// Says what is missing, once for each server that lacks it.
    pub(super) fn learn(&self, server: Identity) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref() == Some(&server) {
            return;
        }
        let name = server.name.as_deref().unwrap_or("the server");
        match &server.missing {
            Some(missing) => tracing::error!(
                target: "tower_keep::store",
                server = name, missing,
                "the store needs Lua scripts with TIME in them, and Redis 7 or later or Valkey to run \
                 them: limits, sessions, tokens, stored responses and the writing of values fail, \
                 all or some of them"
            ),
            None => tracing::debug!(target: "tower_keep::store", server = name, "met a server"),
        }
        *last = Some(server);
    }

    pub(super) fn name(&self) -> Option<Arc<str>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref()?.name.clone()
    }
}

/// `server` and `version` of a reply to `HELLO`.
fn name(hello: Value) -> Option<String> {
    let pairs = match hello {
        Value::Map(pairs) => pairs,
        Value::Array(flat) => {
            let pairs = flat.chunks_exact(2);
            pairs
                .map(|pair| (pair[0].clone(), pair[1].clone()))
                .collect()
        }
        _ => return None,
    };
    let field = |name: &[u8]| {
        let mut fields = pairs.iter();
        let (_, value) = fields.find(|(field, _)| text(field).is_some_and(|text| text == name))?;
        // It goes into the log: whoever answers could be anybody.
        let value = std::str::from_utf8(text(value)?).ok()?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        (value.len() <= 40 && value.chars().all(is_plain)).then(|| value.to_owned())
    };
    Some(format!("{} {}", field(b"server")?, field(b"version")?))
}

fn text(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(text) => Some(text),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

/// What is wrong with a server of that name and version, if its scripts lack commands of Redis 7.
fn too_old(name: &str) -> Option<String> {
    let version = name.strip_prefix("redis ")?;
    let major: u32 = version.split('.').next()?.parse().ok()?;
    (major < 7).then(|| format!("Redis {version} is older than 7"))
}

/// What is wrong, if the probing script was refused for good.
fn missing(probed: &Value) -> Option<String> {
    let Value::ServerError(error) = probed else {
        return None;
    };
    let message = error.to_string();
    let lasts = error.code() == "NOPERM"
        || [
            "unknown command",
            "not allowed",
            // Redis begins it with "Unknown Redis command", Valkey with "Unknown command".
            "command called from script",
            "rename",
        ]
        .iter()
        .any(|words| message.contains(words));
    lasts.then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(server: &str, version: &str) -> Identity {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let hello = [text("server"), text(server), text("version"), text(version)];
        Identity::of(Value::Array(hello.to_vec()), &Value::Nil)
    }

    #[test]
    fn a_redis_older_than_the_scripts_need_is_named() {
        for old in ["6.2.14", "5.0.0"] {
            let missing = of("redis", old).missing.unwrap();
            assert!(missing.contains(old) && missing.contains('7'), "{missing}");
        }
        for (server, version) in [("redis", "7.0.0"), ("redis", "8.2.1"), ("valkey", "7.2.5")] {
            assert_eq!(of(server, version).missing, None, "{server} {version}");
        }
        // One that counts otherwise, or does not tell.
        assert_eq!(of("dragonfly", "1.2.3").missing, None);
        assert_eq!(of("redis", "unknown").missing, None);
    }
}
