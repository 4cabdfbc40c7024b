//! Whether a response is stored: by the policy, and by this layer's own rules.

use http::{Response, header};
use http_body::Body;

use super::{
    options::SetCookie,
    policy::{StoredHead, Terms},
    state::{Client, State},
    verdict::Times,
};

/// Why a response is not stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    /// For `Cache-Status`.
    pub(super) detail: &'static str,
    /// It is not this one request's doing, nor a failure: what is stored is superseded, and the
    /// next response will hardly be another matter.
    pub(super) is_lasting: bool,
}

impl Client {
    /// What this layer adds to a response's own terms: one whose handler has read the session is
    /// private, unless it says that it is public.
    pub(super) fn terms(&self) -> impl FnOnce(&mut Terms) {
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

impl State {
    /// The stored form of a response, or why there is none.
    pub(super) fn storable<B: Body>(
        &self,
        client: &Client,
        response: &Response<B>,
        times: Times,
    ) -> Result<StoredHead, Refusal> {
        self.storable_by(client, response, times, client.terms())
    }

    /// As [`storable`](Self::storable), on other terms.
    pub(super) fn storable_by<B: Body>(
        &self,
        client: &Client,
        response: &Response<B>,
        times: Times,
        terms: impl FnOnce(&mut Terms),
    ) -> Result<StoredHead, Refusal> {
        let head = times.head(response.status(), response.headers());
        let policy = &self.options.policy;
        let mut stored = policy
            .storable(&client.view(), &head, terms)
            .map_err(|reason| Refusal {
                detail: reason.as_str(),
                is_lasting: reason.supersedes_stored(response.status()),
            })?;
        let refused = |detail| Refusal {
            detail,
            is_lasting: !response.status().is_server_error(),
        };
        let least = declared_length(response).unwrap_or(response.body().size_hint().lower());
        if least > self.largest_body(&stored) {
            return Err(refused("too-long"));
        }
        let headers = stored.headers_mut();
        if headers.contains_key(header::SET_COOKIE) {
            match self.options.set_cookie {
                SetCookie::Refuse => return Err(refused("set-cookie")),
                SetCookie::Strip => drop(headers.remove(header::SET_COOKIE)),
                SetCookie::Store => {}
            }
        }
        for name in &self.options.not_replayed {
            headers.remove(name);
        }
        Ok(stored)
    }
}

/// The body's length as the body or the head declares it.
pub(super) fn declared_length<B: Body>(response: &Response<B>) -> Option<u64> {
    let field = || {
        response
            .headers()
            .get(header::CONTENT_LENGTH)?
            .to_str()
            .ok()?
            .parse()
            .ok()
    };
    response.body().size_hint().exact().or_else(field)
}
