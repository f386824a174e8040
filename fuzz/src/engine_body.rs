//! Whatever the body of a request to the engine holds: no panic, and what is taken is written as what reads back the same,
//! without null for what is absent.

use dct::types as t;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Bytes as the body of every operation.
///
/// # Panics
/// Where something that was taken does not keep its word.
pub fn engine_body(data: &[u8]) {
    body::<t::ProvisionBySnapshot>(data);
    body::<t::ProvisionByTimestamp>(data);
    body::<t::ProvisionFromBookmark>(data);
    body::<t::UpdateVdb>(data);
    body::<t::EnableVdb>(data);
    body::<t::DisableVdb>(data);
    body::<t::DeleteVdb>(data);
    body::<t::LockVdb>(data);
    body::<t::BySnapshot>(data);
    body::<t::PointInTime>(data);
    body::<t::FromBookmark>(data);
    body::<t::CreateBookmark>(data);
    body::<t::UpdateBookmark>(data);
    body::<t::UpdateSnapshot>(data);
    body::<t::DeleteSnapshot>(data);
    body::<t::DeleteDSource>(data);
    body::<t::VdbGroupBody>(data);
    body::<t::LinkAppdata>(data);
    body::<t::TagsBody>(data);
    body::<t::DeleteTags>(data);
    body::<t::SearchBody>(data);
}

fn body<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(data: &[u8]) {
    let Ok(taken) = serde_json::from_slice::<T>(data) else {
        return;
    };
    let written = serde_json::to_value(&taken).expect("plain structs with text keys");
    let fields = written.as_object().expect("a body is an object");
    assert!(!fields.values().any(Value::is_null), "{written}");
    // Numbers of free objects may differ in their last digit when they are read as text; values do not.
    let again: T = serde_json::from_value(written.clone()).expect("our own writing");
    let rewritten = serde_json::to_value(&again).expect("plain structs with text keys");
    assert_eq!(rewritten, written);
}
