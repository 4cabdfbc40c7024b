//! What a loader finds: a value always, or a value or nothing.

/// What a call wants of a load, and what is stored of it.
pub(in crate::key_value) trait Answer: Sized + Send + 'static {
    /// What is stored.
    type Value: Send + 'static;

    /// Takes what is stored, `None` for the fact that there is no value; `None` if the call cannot
    /// use that.
    fn from_stored(value: Option<Self::Value>) -> Option<Self>;

    /// What is to be stored.
    fn value(&self) -> Option<&Self::Value>;
}

/// For a loader that always finds a value.
pub(in crate::key_value) struct Present<T>(pub(in crate::key_value) T);

impl<T: Send + 'static> Answer for Present<T> {
    type Value = T;

    fn from_stored(value: Option<T>) -> Option<Self> {
        value.map(Self)
    }

    fn value(&self) -> Option<&T> {
        Some(&self.0)
    }
}

/// For a loader that may find nothing.
impl<T: Send + 'static> Answer for Option<T> {
    type Value = T;

    fn from_stored(value: Option<T>) -> Option<Self> {
        Some(value)
    }

    fn value(&self) -> Option<&T> {
        self.as_ref()
    }
}
