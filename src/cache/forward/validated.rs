//! Answers that update a stored response: a 304, and the response to HEAD (RFC 9111 §4.3.3 to
//! §4.3.5).

use std::sync::Arc;

use http::Response;
use http_body::Body;

use super::{
    outcome::{Forwarded, Outcome, Rest},
    times::Times,
};
use crate::cache::{
    cache_status::CacheStatus,
    fill::Storing,
    lookup::Found,
    policy::{Freshened, HeadEffect, NotStorable},
};

impl Forwarded {
    /// The outcome of a 304 to a validation (RFC 9111 §4.3.4). `None` if it is about another
    /// representation.
    pub(crate) fn freshen<B>(
        &self,
        found: Found,
        response: &Response<B>,
        times: Times,
        storing: Storing,
    ) -> Option<Outcome<B>> {
        let policy = &self.state.options.policy;
        let head = times.head(response.status(), response.headers());
        let adjust = self.client.terms();
        let freshened = policy.freshen(&self.client.head(), &found.head, &head, adjust);
        let (head, own, refused) = match freshened {
            Freshened::Updated(head, own) => (head, own, None),
            Freshened::Once(head, own, reason) => (head, own, Some(reason)),
            Freshened::NotSelected => return None,
        };
        let found = Found {
            head: Arc::new(head),
            ..found
        };
        let status = CacheStatus {
            stored: refused.is_none() && storing.is_announced(),
            detail: refused.map(NotStorable::as_str),
            ..self.status(Some(response.status()))
        };
        let mut answer = self.state.answer(&self.client, &found, &status);
        own.add_to(answer.headers_mut());
        let rest: Option<Rest> = match refused {
            None => Some(Box::pin(self.store(found, None, storing))),
            Some(reason) => {
                self.lead.refuse();
                let invalidate = || -> Rest { Box::pin(self.invalidate(storing)) };
                (!reason.is_about_request()).then(invalidate)
            }
        };
        Some(Outcome {
            response: answer,
            rest,
        })
    }

    /// The outcome of a forwarded HEAD, which updates or invalidates the stored response to GET
    /// (RFC 9111 §4.3.5).
    pub(crate) async fn head<B: Body>(
        &self,
        found: &Found,
        response: Response<B>,
        times: Times,
        storing: Storing,
    ) -> Outcome<B> {
        let effect = {
            let head = times.head(response.status(), response.headers());
            let length = found.length();
            let policy = &self.state.options.policy;
            let adjust = self.client.terms();
            policy.head_effect(&self.client.head(), &found.head, length, &head, adjust)
        };
        match effect {
            HeadEffect::Keep => {}
            HeadEffect::Update(head) => storing.freshen(&head).await,
            HeadEffect::Invalidate => self.invalidate(storing).await,
        }
        self.passed(response, None)
    }
}
