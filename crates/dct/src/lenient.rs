//! Reading what different versions really send: numbers with a fraction of zero, numbers as text, lists that are null.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;

/// An integer that may come as `5434`, `5434.0` or `"5434"`; anything else is an error.
pub fn integer<'de, D: Deserializer<'de>>(input: D) -> Result<Option<i64>, D::Error> {
    match Value::deserialize(input)? {
        Value::Null => Ok(None),
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().and_then(whole))
            .map(Some)
            .ok_or_else(|| D::Error::custom(format!("{number} is not an integer"))),
        Value::String(text) => text
            .trim()
            .parse()
            .map(Some)
            .map_err(|_| D::Error::custom("text is not an integer")),
        _ => Err(D::Error::custom("expected an integer")),
    }
}

/// A list that may be absent or null.
pub fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(input: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(input)?.unwrap_or_default())
}

/// Doubles hold every integer up to 2^53 exactly; beyond that a fraction of zero proves nothing.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}
