//! A response to be stored while it is passed on, or only passed on.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;

use super::{
    outcome::{Forwarded, Outcome},
    storable::{Refusal, declared_length},
    times::Times,
};
use crate::cache::{
    body::CacheBody,
    cache_status::CacheStatus,
    error::BoxError,
    fill::{Answered, Receiving, Storing},
    lookup::variant,
    policy::{Forward, StoredHead, is_about_target},
};

impl Forwarded {
    /// Any response but a 304 or 206 that updates a stored one: it is stored while it is passed on,
    /// or only passed on.
    pub(crate) fn receive<B>(
        &self,
        response: Response<B>,
        times: Times,
        storing: Storing,
    ) -> Outcome<B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let head = match self.state.storable(&self.client, &response, times) {
            Ok(head) => Arc::new(head),
            Err(refusal) => return self.refused(response, refusal, times, storing),
        };
        if self.forward == Forward::Request && !is_about_target(response.status()) {
            // It says something about this request only. What is stored is fresh and stays.
            return self.passed(response, Some("about-request"));
        }
        let status = self.status(Some(response.status()));
        let is_announced = storing.is_announced();
        if !is_announced && !self.lead.is_joinable() {
            return self.passed(response, Some(self.unstored));
        }
        let status = CacheStatus {
            stored: is_announced,
            detail: (!is_announced).then_some(self.unstored),
            ..status
        };
        storing.learn_vary(&head);
        self.state.uncacheable.forget(&self.client.primary);
        self.lead.publish(&variant::name(&head));
        let storing = is_announced.then_some(storing);
        self.share(response, head, None, times, status, storing)
    }

    /// Shares a response while it arrives, and stores it at its end if `storing` is given.
    fn share<B>(
        &self,
        response: Response<B>,
        head: Arc<StoredHead>,
        failure: Option<StatusCode>,
        times: Times,
        status: CacheStatus,
        storing: Option<Storing>,
    ) -> Outcome<B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (lead, length) = (self.lead.clone(), declared_length(&response));
        let reader = lead.fill().leader(length);
        lead.fill().answered(Answered {
            head: head.clone(),
            length,
            failure,
        });
        let (parts, body) = response.into_parts();
        let mut response = Response::from_parts(parts, CacheBody::arriving(reader));
        self.apply_condition(&mut response, times.answered);
        status.append_to(response.headers_mut(), &self.state.options.name);
        let bounds = self.bounds(times, self.state.largest_body(&head));
        let receiving = Receiving {
            body,
            lead,
            storing,
            head,
            length,
            bounds,
        };
        Outcome {
            response,
            rest: Some(Box::pin(receiving.run())),
        }
    }

    /// A response that is not stored. It invalidates what it supersedes, after those who waited
    /// for it have been released. A failure is shared by those who waited for it.
    fn refused<B>(
        &self,
        response: Response<B>,
        refusal: Refusal,
        times: Times,
        storing: Storing,
    ) -> Outcome<B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let failed = response.status().is_server_error() && self.lead.is_joinable();
        if failed && let Some(head) = self.state.shareable_failure(&self.client, &response, times) {
            self.lead.close();
            let status = self
                .status(Some(response.status()))
                .with_detail(refusal.detail);
            let failure = Some(response.status());
            return self.share(response, Arc::new(head), failure, times, status, None);
        }
        if refusal.is_lasting && self.client.is_shareable() {
            self.state.uncacheable.remember(&self.client.primary);
        }
        let mut outcome = self.passed(response, Some(refusal.detail));
        if refusal.supersedes && self.replaces {
            outcome.rest = Some(Box::pin(self.invalidate(storing)));
        }
        outcome
    }
}
