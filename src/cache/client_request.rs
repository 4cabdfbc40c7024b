//! The client's request, as the cache keeps it while the inner service has a copy.

use std::fmt;

use http::{Method, header, request};

use super::policy::{RequestHead, Terms};
use crate::store::Key;

/// A request without its body, and the key that it is stored under.
#[derive(Clone)]
pub(crate) struct ClientRequest {
    pub(crate) parts: request::Parts,
    /// The primary cache key, as the store and this process know it.
    pub(crate) primary: Key,
}

impl ClientRequest {
    /// What the policy reads of it.
    pub(crate) fn head(&self) -> RequestHead<'_> {
        RequestHead::new(&self.parts.method, &self.parts.uri, &self.parts.headers)
    }

    /// Whether others that ask for the same may share the answer of the inner service.
    pub(crate) fn is_shareable(&self) -> bool {
        self.parts.method == Method::GET
            && !self.parts.headers.contains_key(header::RANGE)
            && !self.parts.headers.contains_key(header::AUTHORIZATION)
    }

    /// What this layer adds to a response's own terms: a response whose handler has read the
    /// session is private, unless it says that it is public.
    pub(crate) fn terms(&self) -> impl FnOnce(&mut Terms) {
        #[cfg(feature = "session")]
        let personal = {
            let session = self.parts.extensions.get::<crate::session::Session>();
            session.is_some_and(crate::session::Session::was_accessed)
        };
        #[cfg(not(feature = "session"))]
        let personal = false;
        move |terms| terms.directives.private |= personal && !terms.directives.public
    }
}

/// Without the URI and the values of fields: they may be secrets.
impl fmt::Debug for ClientRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientRequest")
            .field("head", &self.head())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::store::{Namespace, operations::response::key};

    #[test]
    fn debug_shows_neither_the_uri_nor_the_values_of_fields() {
        let request = Request::get("/path?token=secret").header("cookie", "secret");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let primary = key(&Namespace::default(), "0");
        let shown = format!("{:?}", ClientRequest { parts, primary });
        assert!(
            shown.contains("cookie") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
