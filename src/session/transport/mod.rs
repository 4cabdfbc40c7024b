//! How a session id travels between the client and the layer.

pub(super) mod cookie;
pub(super) mod header;

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header::COOKIE};

use self::{cookie::CookieSettings, header::HeaderTransport};
use super::{error::SessionConfigError, id::SessionId};

/// Where the layer looks for an id: in header fields first, then in the cookie.
#[derive(Debug, Clone, Default)]
pub(super) struct Transports {
    pub(super) cookie: CookieSettings,
    headers: Vec<HeaderTransport>,
    without_cookie: bool,
}

/// What carries the id of one request and of its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    Cookie,
    /// The header transport with this number.
    Header(usize),
}

/// A new id for the client.
#[derive(Debug)]
pub(super) struct Issue {
    pub(super) id: SessionId,
    /// How long its session can live.
    pub(super) remaining: Duration,
    /// Whether the client is to keep it when it is closed; `None` as the layer says.
    pub(super) persistent: Option<bool>,
}

impl Transports {
    pub(super) fn and_header(&mut self, header: HeaderTransport) {
        self.headers.push(header);
    }

    pub(super) fn without_cookie(&mut self) {
        self.without_cookie = true;
    }

    /// The id that a request presents, and what carries it. A request that has one of the header
    /// fields is not looked at for a cookie: what a program sends on purpose counts, not what a
    /// browser adds by itself. `None` when there is neither; in it `None` for what is no id, and when
    /// there are two.
    pub(super) fn read(&self, headers: &HeaderMap) -> (Option<Option<SessionId>>, Carrier) {
        for (number, transport) in self.headers.iter().enumerate() {
            if let Some(sent) = transport.read(headers) {
                return (Some(sent), Carrier::Header(number));
            }
        }
        match self.without_cookie && !self.headers.is_empty() {
            true => (None, Carrier::Header(0)),
            false => (self.cookie.read(headers), Carrier::Cookie),
        }
    }

    fn header(&self, carrier: Carrier) -> Option<&HeaderTransport> {
        match carrier {
            Carrier::Cookie => None,
            Carrier::Header(number) => self.headers.get(number),
        }
    }

    /// The request field by which a response varies.
    pub(super) fn request_field(&self, carrier: Carrier) -> &HeaderName {
        self.header(carrier)
            .map_or(&COOKIE, HeaderTransport::request_field)
    }

    /// Adds the field to a response that hands a new id to the client.
    pub(super) fn issue(&self, carrier: Carrier, headers: &mut HeaderMap, new: &Issue) {
        match self.header(carrier) {
            Some(header) => header.issue(headers, &new.id),
            None => {
                let line = (self.cookie).issue(&new.id, new.remaining, new.persistent);
                self.cookie.append(headers, line);
            }
        }
    }

    /// Adds the field to a response that takes the id back.
    pub(super) fn remove(&self, carrier: Carrier, headers: &mut HeaderMap) {
        match self.header(carrier) {
            Some(header) => {
                let field = header.response_field().clone();
                headers.insert(field, HeaderValue::from_static(""));
            }
            None => self.cookie.append(headers, self.cookie.remove()),
        }
    }
}

/// A field name that cannot carry an id.
pub(super) fn field_name(name: &str) -> Result<HeaderName, SessionConfigError> {
    let field = HeaderName::try_from(name).ok();
    let taken = [http::header::COOKIE, http::header::AUTHORIZATION];
    field
        .filter(|field| !taken.contains(field))
        .ok_or_else(|| SessionConfigError {
            name: "header field",
            value: format!("{name:?}"),
            expected: "a field name such as `x-session-id`; for `authorization` there is \
                       `and_bearer_token`",
        })
}
