//! RFC 9111 as pure functions: no I/O, no clock, no store.
//!
//! Times are Unix milliseconds that the caller passes in; spans of time inside the engine are the
//! whole seconds of the specification. In the order in which the life of a request needs them:
//!
//! 1. [`CachePolicy::admit`]: may a stored response answer this request at all?
//! 2. [`VaryNames::variant`]: which variant of the primary key to look up.
//! 3. [`CachePolicy::reuse`]: may this stored response answer now, or what has to happen first?
//! 4. [`StoredHead::answer`]: the status, the fields and the part of the stored body to send
//!    (200, 206, 304, 416).
//! 5. [`validation_request`], [`CachePolicy::freshen`], [`CachePolicy::stale_on`]: validation, its
//!    304 and its failure.
//! 6. [`CachePolicy::storable`]: the response of the inner service as a [`StoredHead`], or why not.
//! 7. [`CachePolicy::head_effect`], [`invalidated`]: what HEAD and unsafe methods do to what is
//!    stored.
//! 8. [`completion_request`], [`CachePolicy::combine`]: stored parts made whole.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answer;
mod conditional;
mod config;
mod date;
mod directives;
mod entity_tag;
mod freshness;
mod headers;
mod invalidation;
mod negotiation;
mod partial;
mod quoted;
mod range;
mod request;
mod reuse;
mod set_cookie;
mod sharing;
mod status;
mod storable;
mod stored;
mod tags;
mod targeted;
mod terms;
#[cfg(test)]
pub(super) mod testing;
mod update;
mod validation;
mod validity;
mod vary;

pub(crate) use answer::Content;
pub(crate) use conditional::not_modified;
pub use config::{CachePolicy, RequestDirective};
pub(crate) use directives::ResponseDirectives;
pub(crate) use headers::remove_hop_by_hop;
pub(crate) use invalidation::invalidated;
pub(crate) use partial::{Piece, completion_request};
pub(crate) use request::{RequestHead, ResponseHead};
pub(crate) use reuse::{Admission, Failure, Forward, Reuse};
pub use set_cookie::SetCookie;
pub(crate) use status::is_about_target;
pub(crate) use storable::NotStorable;
pub(crate) use stored::{Part, StoredHead};
pub(crate) use tags::Tag;
pub(crate) use terms::Terms;
pub(crate) use update::{Freshened, HeadEffect};
pub(crate) use validation::{make_unconditional, validation_request};
pub(crate) use vary::{Variant, VaryNames};
