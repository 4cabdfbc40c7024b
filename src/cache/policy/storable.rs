//! Whether a response may be stored (RFC 9111 §3).

use http::{Method, StatusCode, header};

use super::directives::RequestDirectives;
use super::status::{
    is_about_target, is_bound_to_request, is_heuristically_cacheable, is_understood,
};
use super::stored::has_validator;
use super::validity::Validity;
use super::{
    CachePolicy, Part, RequestDirective, RequestHead, ResponseDirectives, ResponseHead, StoredHead,
    Tag, Terms, VaryNames,
};

/// Why a response is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotStorable {
    /// The method is not GET.
    Method,
    /// The status is not final, or means something to this one request only.
    Status,
    /// The request says `no-store`.
    RequestNoStore,
    /// The response says `no-store`.
    NoStore,
    /// The response says `must-understand` with a status that is not understood.
    NotUnderstood,
    /// The response is for one user.
    Private,
    /// The request had `Authorization` and the response is not marked as shareable (§3.5).
    Authorization,
    /// `Vary: *`
    VaryAny,
    /// A 206 without one valid range of bytes.
    Partial,
    /// The status is not cacheable by default and the response does not say that it may be stored.
    NotCacheableByDefault,
    /// It is not fresh and cannot be validated: it would never be reused.
    NothingToReuse,
    /// It sets cookies.
    SetCookie,
    /// It has more tags than a stored response may have.
    TooManyTags,
}

impl NotStorable {
    /// A token for logs and the `detail` of `Cache-Status`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Status => "status",
            Self::RequestNoStore => "request-no-store",
            Self::NoStore => "no-store",
            Self::NotUnderstood => "must-understand",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::VaryAny => "vary-any",
            Self::Partial => "partial",
            Self::NotCacheableByDefault => "not-cacheable-by-default",
            Self::NothingToReuse => "nothing-to-reuse",
            Self::SetCookie => "set-cookie",
            Self::TooManyTags => "too-many-tags",
        }
    }

    /// Whether the response, though not stored, shows that what is stored is out of date and has to
    /// be removed. For that it has to be about the target resource, and the reason must not be
    /// something about this one request.
    pub(crate) fn supersedes_stored(self, status: StatusCode) -> bool {
        is_about_target(status) && !self.is_about_request()
    }

    /// Whether responses to other requests for the same URI are unlikely to be stored either.
    pub(crate) fn is_lasting(self, status: StatusCode) -> bool {
        match self {
            Self::SetCookie => is_about_target(status),
            // A 304 to the client's own condition stands for a 200.
            Self::NoStore | Self::Private if status == StatusCode::NOT_MODIFIED => true,
            _ => self.supersedes_stored(status),
        }
    }

    /// Whether the reason is this request, or something for its client only. What is stored for
    /// others stays valid then.
    pub(crate) fn is_about_request(self) -> bool {
        matches!(
            self,
            Self::Method
                | Self::Status
                | Self::RequestNoStore
                | Self::Authorization
                | Self::Partial
                | Self::SetCookie
        )
    }
}

impl CachePolicy {
    /// The stored form of the inner service's response, or why it is not stored.
    ///
    /// `adjust` may change the terms before the decision (the deployer's default and clamped
    /// lifetimes, a response extension of the handler); `|_| {}` leaves them.
    pub(crate) fn storable(
        &self,
        request: &RequestHead<'_>,
        response: &ResponseHead<'_>,
        adjust: impl FnOnce(&mut Terms),
    ) -> Result<StoredHead, NotStorable> {
        let mut terms = self.terms(response);
        adjust(&mut terms);
        if response.status.is_informational() || is_bound_to_request(response.status) {
            return Err(match terms.directives {
                ResponseDirectives { no_store: true, .. } => NotStorable::NoStore,
                ResponseDirectives { private: true, .. } => NotStorable::Private,
                _ => NotStorable::Status,
            });
        }
        if request.method != Method::GET {
            return Err(NotStorable::Method);
        }
        let part = match response.status {
            StatusCode::PARTIAL_CONTENT => {
                Some(Part::of(response.headers).ok_or(NotStorable::Partial)?)
            }
            _ => None,
        };
        let vary = self.may_store(request, response, &terms)?;
        if self.refuses_cookies(response.headers, &terms) {
            return Err(NotStorable::SetCookie);
        }
        let fields = self.fields(response, &terms).shared;
        Ok(StoredHead::new(
            request, response, &terms, fields, vary, part,
        ))
    }

    /// Checks what the response says. Returns the names that it varies by.
    pub(super) fn may_store(
        &self,
        request: &RequestHead<'_>,
        response: &ResponseHead<'_>,
        terms: &Terms,
    ) -> Result<VaryNames, NotStorable> {
        let directives = &terms.directives;
        if self.client_directives(request).no_store {
            return Err(NotStorable::RequestNoStore);
        }
        if directives.must_understand {
            // Understanding the status outweighs `no-store` (§5.2.2.3).
            if !is_understood(response.status) {
                return Err(NotStorable::NotUnderstood);
            }
        } else if directives.no_store {
            return Err(NotStorable::NoStore);
        }
        if directives.private {
            return Err(NotStorable::Private);
        }
        let shareable =
            directives.public || directives.must_revalidate || directives.s_maxage.is_some();
        if request.headers.contains_key(header::AUTHORIZATION) && !shareable {
            return Err(NotStorable::Authorization);
        }
        let explicit = directives.public || (terms.lifetime.is_some() && !terms.heuristic);
        if !explicit && !is_heuristically_cacheable(response.status) {
            return Err(NotStorable::NotCacheableByDefault);
        }
        let vary = VaryNames::of(response.headers).ok_or(NotStorable::VaryAny)?;
        if Tag::of_response(response.headers).is_none() {
            return Err(NotStorable::TooManyTags);
        }
        if !self.is_reusable(response, terms) {
            return Err(NotStorable::NothingToReuse);
        }
        Ok(vary)
    }

    /// Whether any later request could be answered with it.
    fn is_reusable(&self, response: &ResponseHead<'_>, terms: &Terms) -> bool {
        let validity = Validity::new(terms, response);
        let now = response.response_time;
        let on_error = validity
            .stale_if_error
            .map_or(self.stale_if_error, |seconds| {
                std::time::Duration::from_secs(u64::from(seconds))
            });
        let stale = self.revalidation_window(&validity).max(on_error);
        validity.is_fresh(now)
            || has_validator(response.headers)
            || (!validity.forbid_stale
                && validity.lifetime.is_some()
                && u128::from(validity.staleness(now)) < stale.as_millis())
    }

    /// The request's directives, as far as they are honoured.
    pub(super) fn client_directives(&self, request: &RequestHead<'_>) -> RequestDirectives {
        use RequestDirective as Directive;

        let said = RequestDirectives::of(request.headers);
        let honours = |directive| self.honours(directive);
        RequestDirectives {
            max_age: said.max_age.filter(|_| honours(Directive::MaxAge)),
            max_stale: said.max_stale.filter(|_| honours(Directive::MaxStale)),
            min_fresh: said.min_fresh.filter(|_| honours(Directive::MinFresh)),
            stale_if_error: said
                .stale_if_error
                .filter(|_| honours(Directive::StaleIfError)),
            no_cache: said.no_cache && honours(Directive::NoCache),
            no_store: said.no_store && honours(Directive::NoStore),
            only_if_cached: said.only_if_cached && honours(Directive::OnlyIfCached),
        }
    }
}

#[cfg(test)]
mod tests;
