//! Whether a response is stored: by the policy, and by the limits of this layer.

use http::{Response, header};
use http_body::Body;

use super::times::Times;
use crate::cache::{
    client_request::ClientRequest,
    policy::{StoredHead, Terms, is_about_target},
    state::State,
};

/// For so many seconds a failure counts as fresh to those who waited for it. Its age counts from
/// when it was asked for, so this has to outlast the slowest inner service.
const SHARED_FAILURE: u32 = 3600;

/// Why a response is not stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal {
    /// For `Cache-Status`.
    pub(crate) detail: &'static str,
    /// Whether the response shows that what is stored is out of date.
    pub(crate) supersedes: bool,
    /// Whether the responses to other requests for the URI are unlikely to be stored either.
    pub(crate) is_lasting: bool,
}

impl State {
    /// The head to store, or why the response is not stored.
    pub(crate) fn storable<B: Body>(
        &self,
        client: &ClientRequest,
        response: &Response<B>,
        times: Times,
    ) -> Result<StoredHead, Refusal> {
        self.storable_by(client, response, times, client.terms())
    }

    /// The head of a failure for those who waited for it: as if the failure could be stored for a
    /// moment. `None` if it says that it is for its own client only.
    pub(crate) fn shareable_failure<B: Body>(
        &self,
        client: &ClientRequest,
        response: &Response<B>,
        times: Times,
    ) -> Option<StoredHead> {
        let own = client.terms();
        let for_a_moment = |terms: &mut Terms| {
            own(terms);
            terms.heuristic = false;
            terms.lifetime = Some(SHARED_FAILURE);
        };
        self.storable_by(client, response, times, for_a_moment).ok()
    }

    /// [`storable`](Self::storable) on other terms.
    fn storable_by<B: Body>(
        &self,
        client: &ClientRequest,
        response: &Response<B>,
        times: Times,
        terms: impl FnOnce(&mut Terms),
    ) -> Result<StoredHead, Refusal> {
        let head = times.head(response.status(), response.headers());
        let policy = &self.options.policy;
        let status = response.status();
        let stored = policy
            .storable(&client.head(), &head, terms)
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
pub(crate) fn declared_length<B: Body>(response: &Response<B>) -> Option<u64> {
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
