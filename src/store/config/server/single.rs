//! URLs that name one server, as redis-rs reads them: it passes over what it does not know.

use deadpool_redis::redis::{ConnectionAddr, ConnectionInfo};

use super::LONELY_USER;

/// Refuses a part of `url` that would do nothing. It was read as `info`.
pub(super) fn checked(info: &ConnectionInfo, url: &str) -> Result<(), &'static str> {
    let user = info.redis_settings();
    if user.username().is_some() && user.password().is_none() {
        return Err(LONELY_USER);
    }
    if user.db() < 0 {
        return Err("expected a database number, from 0 on");
    }
    if url.contains('#') {
        return Err("expected no #, which is %23 inside of a name, password or path");
    }
    let is_socket = matches!(info.addr(), ConnectionAddr::Unix(_));
    if is_socket && !url.contains(":///") {
        return Err("expected unix:///path?user=name&pass=password");
    }
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut names = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, _) = pair.split_once('=').unwrap_or((pair, ""));
        // Of several redis-rs would take one.
        if names.contains(&name) {
            return Err("expected each parameter once behind the question mark");
        }
        names.push(name);
    }
    let (known, expected): (&[_], _) = match is_socket {
        true => (
            &["db", "user", "pass", "protocol"],
            "expected no parameters but ?db=0&user=name&pass=password&protocol=resp3",
        ),
        false => (
            &["protocol"],
            "expected no parameter but ?protocol=resp3: user, password and database are \
             redis://user:password@host/db",
        ),
    };
    match names.iter().all(|name| known.contains(name)) {
        true => Ok(()),
        false => Err(expected),
    }
}
