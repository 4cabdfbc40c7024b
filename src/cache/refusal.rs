//! Whether a response is stored: by the policy, and by this layer's own rules.

use http::{Response, header};
use http_body::Body;

use super::{
    policy::{StoredHead, Terms, is_about_target},
    state::{Client, State},
    verdict::Times,
};

/// Why a response is not stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    /// For `Cache-Status`.
    pub(super) detail: &'static str,
    /// What is stored is not current any more.
    pub(super) supersedes: bool,
    /// The responses to other requests for the URI will hardly be stored either.
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
        let status = response.status();
        let stored = policy
            .storable(&client.view(), &head, terms)
            .map_err(|reason| Refusal {
                detail: reason.as_str(),
                supersedes: reason.supersedes_stored(status),
                is_lasting: reason.is_lasting(status),
            })?;
        let declared = declared_length(response);
        let consistent = match declared {
            Some(length) => stored.declares(length),
            None => !response.headers().contains_key(header::CONTENT_LENGTH),
        };
        if !consistent {
            return Err(Refusal {
                detail: "length",
                supersedes: false,
                is_lasting: false,
            });
        }
        let least = declared.unwrap_or(response.body().size_hint().lower());
        if least > self.largest_body(&stored) {
            let about_target = is_about_target(status);
            return Err(Refusal {
                detail: "too-long",
                supersedes: about_target,
                is_lasting: about_target,
            });
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
