//! How a session id travels between the client and the layer.

pub(super) mod cookie;
