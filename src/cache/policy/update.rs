//! Stored responses updated by later ones (RFC 9111 §3.2, §4.3.4, §4.3.5).

use http::{HeaderMap, HeaderName, StatusCode, header};

use super::storable::stored_fields;
use super::validation::{agrees, is_about};
use super::{NotStorable, Policy, RequestHead, ResponseHead, StoredHead, Terms, VaryNames};

/// What a 304 to a validation means for the stored response.
#[derive(Debug, Clone)]
pub(crate) enum Freshened {
    /// Send the updated response and store it.
    Updated(StoredHead),
    /// Send the updated response, but do not store it. What is stored stays if the reason
    /// [is about the request](NotStorable::is_about_request), else it has to go.
    Once(StoredHead, NotStorable),
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
    /// Nothing.
    Keep,
    /// Store this head with the body that is stored.
    Update(StoredHead),
    /// The stored response is not current any more: remove it.
    Invalidate,
}

/// Fields that tell how the stored bytes are to be read, which an update leaves alone (§3.2).
const EXEMPT: [HeaderName; 3] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
];

impl Policy {
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
        match self.updated(request, stored, not_modified, adjust) {
            (updated, Ok(())) => Freshened::Updated(updated),
            (updated, Err(reason)) => Freshened::Once(updated, reason),
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
        match self.updated(request, stored, response, adjust) {
            (updated, Ok(())) => HeadEffect::Update(updated),
            (_, Err(reason)) if reason.is_about_request() => HeadEffect::Keep,
            (_, Err(_)) => HeadEffect::Invalidate,
        }
    }

    /// The stored response with the fields of `newer`, and whether that may be stored.
    pub(super) fn updated(
        &self,
        request: &RequestHead<'_>,
        stored: &StoredHead,
        newer: &ResponseHead<'_>,
        adjust: impl FnOnce(&mut Terms),
    ) -> (StoredHead, Result<(), NotStorable>) {
        let newer_terms = self.terms(newer);
        let mut merged = stored.headers.clone();
        // An age belongs to the message that it came in.
        merged.remove(header::AGE);
        merge(&mut merged, stored_fields(newer, &newer_terms));
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
        let mut updated = self.stored(request, &response, &terms, vary, stored.part);
        if updated.vary == stored.vary {
            // It stays under the key it has.
            updated.variant = stored.variant;
        }
        (updated, permission.map(drop))
    }
}

/// Each field of `newer` replaces all lines of that name (§3.2).
fn merge(stored: &mut HeaderMap, mut newer: HeaderMap) {
    for name in &EXEMPT {
        newer.remove(name);
    }
    for name in newer.keys() {
        stored.remove(name);
    }
    for (name, value) in &newer {
        stored.append(name, value.clone());
    }
}

/// Whether the response to HEAD describes the stored representation, as far as it says.
fn is_same(response: &HeaderMap, stored: &StoredHead, length: u64) -> bool {
    let complete = match stored.part {
        Some(part) => part.complete,
        None => Some(length),
    };
    let announced = response
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    // A validator that the stored response lacks is another one.
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
