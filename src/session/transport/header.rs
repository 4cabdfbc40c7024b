//! Ids in header fields, for clients that are no browsers.

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

use super::super::id::SessionId;

/// A request field that carries an id, and the response field that hands out a new one.
#[derive(Debug, Clone)]
pub(in crate::session) enum HeaderTransport {
    /// `Authorization: Bearer` (RFC 6750); a response has no such field, and uses `Session-Id`.
    Bearer,
    /// The same field in both directions.
    Field(HeaderName),
}

static SESSION_ID: HeaderName = HeaderName::from_static("session-id");

impl HeaderTransport {
    pub(super) fn request_field(&self) -> &HeaderName {
        match self {
            Self::Bearer => &AUTHORIZATION,
            Self::Field(name) => name,
        }
    }

    pub(super) fn response_field(&self) -> &HeaderName {
        match self {
            Self::Bearer => &SESSION_ID,
            Self::Field(name) => name,
        }
    }

    /// `None` when the request does not have the field; in it `None` for what is no id, and when
    /// the field is there twice.
    pub(super) fn read(&self, headers: &HeaderMap) -> Option<Option<SessionId>> {
        let mut lines = headers.get_all(self.request_field()).iter();
        let value = match self {
            Self::Bearer => {
                let (scheme, token) = lines.next()?.as_bytes().split_at_checked(6)?;
                let is_bearer = scheme.eq_ignore_ascii_case(b"Bearer");
                (is_bearer && matches!(token, [] | [b' ', ..])).then_some(token)?
            }
            Self::Field(_) => lines.next()?.as_bytes(),
        };
        match lines.next() {
            Some(_) => Some(None),
            None => Some(SessionId::parse(value.trim_ascii())),
        }
    }

    pub(super) fn issue(&self, headers: &mut HeaderMap, id: &SessionId) {
        let mut value = HeaderValue::from_str(id.expose()).expect("an id is visible ASCII");
        value.set_sensitive(true);
        headers.insert(self.response_field().clone(), value);
    }
}
