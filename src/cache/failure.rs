//! Sharing a failure: with those who waited for it, and with nobody after.

use http::Response;
use http_body::Body;

use super::{
    policy::{StoredHead, Terms},
    state::{Client, State},
    verdict::Times,
};

/// In seconds. Its age counts from when it was asked for, so it has to outlast the slowest.
const MOMENT: u32 = 3600;

impl State {
    /// The head of a response that is not stored as those get it who waited for it: as if it might
    /// be stored for a moment. `None` when it says itself that it is for its own client only.
    pub(super) fn failure<B: Body>(
        &self,
        client: &Client,
        response: &Response<B>,
        times: Times,
    ) -> Option<StoredHead> {
        let own = client.terms();
        let for_a_moment = |terms: &mut Terms| {
            own(terms);
            terms.heuristic = false;
            terms.lifetime = Some(MOMENT);
        };
        self.storable_by(client, response, times, for_a_moment).ok()
    }
}
