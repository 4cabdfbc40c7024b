//! Stored responses updated by later ones (RFC 9111 §3.2, §4.3.4, §4.3.5).

use http::{HeaderMap, HeaderName, StatusCode, header};

use super::sharing::OwnFields;
use super::validation::{agrees, is_about};
use super::{
    CachePolicy, NotStorable, RequestHead, ResponseHead, StoredHead, Terms, VaryNames,
    remove_hop_by_hop,
};

/// What a 304 to a validation means for the stored response. Its own client gets the updated
/// response, with the fields of the 304 that are for this client only.
#[derive(Debug, Clone)]
pub(crate) enum Freshened {
    /// Send the updated response and store it.
    Updated(StoredHead, OwnFields),
    /// Send the updated response, but do not store it. Keep what is stored if the reason
    /// [is about the request](NotStorable::is_about_request), else remove it.
    Once(StoredHead, OwnFields, NotStorable),
    /// The 304 is about another representation: forward again without validators.
    NotSelected,
}

/// What the response to a HEAD means for a stored response to GET.
#[allow(
    clippy::large_enum_variant,
    reason = "it is matched at once, never kept"
)]
#[derive(Debug, Clone)]
pub(crate) enum HeadEffect {
    /// Keep the stored response as it is.
    Keep,
    /// Store this head with the body that is stored.
    Update(StoredHead),
    /// Remove the stored response: it is out of date.
    Invalidate,
}

/// A stored response with the fields of a later one.
#[derive(Debug)]
pub(super) struct Updated {
    pub(super) head: StoredHead,
    /// The fields of the later one that are for its own client only.
    pub(super) own: OwnFields,
    /// Whether it may be stored.
    pub(super) permission: Result<(), NotStorable>,
}

/// Fields that say how to read the stored bytes. An update does not change them (§3.2).
const EXEMPT: [HeaderName; 3] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
];

impl CachePolicy {
    /// The stored response after a 304 to its validation, sent for `request`.
    pub(crate) fn freshen(
        &self,
        request: &RequestHead<'_>,
        stored: &StoredHead,
        not_modified: &ResponseHead<'_>,
        adjust: impl FnOnce(&mut Terms),
    ) -> Freshened {
        if !is_about(not_modified.headers, stored) {
            return Freshened::NotSelected;
        }
        let updated = self.updated(request, stored, not_modified, adjust);
        match updated.permission {
            Ok(()) => Freshened::Updated(updated.head, updated.own),
            Err(reason) => Freshened::Once(updated.head, updated.own, reason),
        }
    }

    /// What the response to a forwarded HEAD says about the stored response to GET, whose body has
    /// `length` bytes (§4.3.5).
    pub(crate) fn head_effect(
        &self,
        request: &RequestHead<'_>,
        stored: &StoredHead,
        length: u64,
        response: &ResponseHead<'_>,
        adjust: impl FnOnce(&mut Terms),
    ) -> HeadEffect {
        let comparable = response.status == StatusCode::OK
            && matches!(stored.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT);
        if !comparable || !stored.is_selected_by(request) {
            return HeadEffect::Keep;
        }
        if !is_same(response.headers, stored, length) {
            return HeadEffect::Invalidate;
        }
        let updated = self.updated(request, stored, response, adjust);
        match updated.permission {
            Ok(()) => HeadEffect::Update(updated.head),
            Err(reason) if reason.is_about_request() => HeadEffect::Keep,
            Err(_) => HeadEffect::Invalidate,
        }
    }

    /// The stored response with the fields of `newer`, and whether that may be stored.
    pub(super) fn updated(
        &self,
        request: &RequestHead<'_>,
        stored: &StoredHead,
        newer: &ResponseHead<'_>,
        adjust: impl FnOnce(&mut Terms),
    ) -> Updated {
        let merged = merged(&stored.headers, newer.headers);
        let response = ResponseHead {
            status: stored.status,
            headers: &merged,
            ..*newer
        };
        let mut terms = self.terms(&response);
        adjust(&mut terms);
        let permission = self.may_store(request, &response, &terms);
        let vary = match &permission {
            Ok(vary) => vary.clone(),
            Err(_) => VaryNames::of(&merged).unwrap_or_default(),
        };
        let fields = self.fields(&response, &terms).shared;
        let mut head = StoredHead::new(request, &response, &terms, fields, vary, stored.part);
        if head.vary == stored.vary {
            // The updated response keeps its key.
            head.variant = stored.variant;
        }
        Updated {
            head,
            own: self.fields(newer, &terms).own,
            permission: permission.map(drop),
        }
    }
}

/// The stored fields, each replaced by all lines of that name in `newer` (§3.2).
fn merged(stored: &HeaderMap, newer: &HeaderMap) -> HeaderMap {
    let mut newer = newer.clone();
    // Fields of one connection say nothing about the stored response.
    remove_hop_by_hop(&mut newer);
    for name in &EXEMPT {
        newer.remove(name);
    }
    let mut merged = stored.clone();
    // These describe only the message that they came in.
    merged.remove(header::AGE);
    merged.remove(header::DATE);
    for name in newer.keys() {
        merged.remove(name);
    }
    for (name, value) in &newer {
        merged.append(name, value.clone());
    }
    merged
}

/// Whether the response to HEAD describes the stored representation, by all that it says.
fn is_same(response: &HeaderMap, stored: &StoredHead, length: u64) -> bool {
    let complete = match stored.part {
        Some(part) => part.complete,
        None => Some(length),
    };
    let announced = response
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    // A validator that the stored response does not have is a different one.
    let same_validator = |name| {
        response
            .get(&name)
            .is_none_or(|value| stored.headers.get(&name) == Some(value))
    };
    same_validator(header::ETAG)
        && same_validator(header::LAST_MODIFIED)
        && agrees(response, &stored.headers, &header::CONTENT_ENCODING)
        && (announced.is_none() || complete.is_none() || announced == complete)
}

#[cfg(test)]
mod tests;
