//! How values become bytes.

use serde::{Serialize, de::DeserializeOwned};

/// Why a codec cannot write or read a value.
pub type CodecError = Box<dyn std::error::Error + Send + Sync>;

/// A form in which values are stored; [`Json`] unless [`KeyValue::with_codec`] says otherwise.
///
/// The name stands beside each value. One that was written by a codec of another name is a miss
/// and is overwritten, so a service may change its codec while it runs.
///
/// ```
/// use serde::{Serialize, de::DeserializeOwned};
/// use tower_keep::{Store, key_value::{Codec, CodecError, KeyValue, USER_DATA_TTL}};
///
/// #[derive(Clone, Debug)]
/// struct Postcard;
///
/// impl Codec for Postcard {
///     const NAME: &'static str = "postcard";
///
///     fn encode<T: Serialize + ?Sized>(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
///         out.extend(postcard::to_allocvec(value)?);
///         Ok(())
///     }
///
///     fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, CodecError> {
///         Ok(postcard::from_bytes(bytes)?)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let scores = KeyValue::new(Store::memory(), "score")?.with_codec(Postcard);
/// scores.set("ada", &[3_u32, 1, 4], USER_DATA_TTL).await?;
/// assert_eq!(scores.get("ada").await?, Some([3_u32, 1, 4]));
/// # Ok(()) }
/// ```
///
/// [`KeyValue::with_codec`]: super::KeyValue::with_codec
pub trait Codec: Clone + Send + Sync + 'static {
    /// Tells the values of this codec from those of others. Change it when their form changes.
    const NAME: &'static str;

    /// Appends the value to `out`.
    ///
    /// # Errors
    ///
    /// When the value has no such form.
    fn encode<T: Serialize + ?Sized>(&self, value: &T, out: &mut Vec<u8>)
    -> Result<(), CodecError>;

    /// Reads a value that [`encode`](Self::encode) has written, or that is damaged.
    ///
    /// # Errors
    ///
    /// When the bytes are no `T`: the value counts as missing.
    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, CodecError>;
}

/// Values as JSON, which `redis-cli` shows as text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json;

impl Codec for Json {
    const NAME: &'static str = "json";

    fn encode<T: Serialize + ?Sized>(
        &self,
        value: &T,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        Ok(serde_json::to_writer(out, value)?)
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, CodecError> {
        Ok(serde_json::from_slice(bytes)?)
    }
}
