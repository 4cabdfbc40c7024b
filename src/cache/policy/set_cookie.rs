//! Whether responses that set cookies are stored.

/// What becomes of a response that sets cookies.
///
/// This is about new responses. The cookies of a 304 or 206 that updates a stored response reach
/// the client that caused it only, or with `Store` all clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SetCookie {
    /// It is not stored, whatever its directives say. The default: a stored cookie would be
    /// handed to everyone.
    #[default]
    Refuse,
    /// It is stored without its `Set-Cookie` fields.
    Strip,
    /// It is stored as it is, for origins whose cookies are no secrets.
    Store,
}
