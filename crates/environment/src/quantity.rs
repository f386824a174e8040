//! Kubernetes quantities ("500m", "512Mi", 2) as written, with just enough arithmetic to compare two of them.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a schema can refuse about a quantity; `1GB` and `-1` are the usual mistakes.
pub const PATTERN: &str = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$";

/// A quantity, kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity(String);

impl Quantity {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In thousandths; `None` if it is no quantity. Larger than any cluster has saturates.
    pub fn milli(&self) -> Option<u128> {
        let split = self
            .0
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(self.0.len());
        let (number, unit) = self.0.split_at(split);
        let factor: u128 = match unit {
            "m" => 1,
            "" => 1_000,
            "k" => 1_000_000,
            "M" => 1_000_000_000,
            "G" => 1_000_000_000_000,
            "T" => 1_000_000_000_000_000,
            "P" => 1_000_000_000_000_000_000,
            "Ki" => 1_000 << 10,
            "Mi" => 1_000 << 20,
            "Gi" => 1_000 << 30,
            "Ti" => 1_000 << 40,
            "Pi" => 1_000 << 50,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || fraction.len() > 9 || (number.contains('.') && fraction.is_empty()) {
            return None;
        }
        // Digits alone, so it can only be too long.
        let whole: u128 = whole.parse().unwrap_or(u64::MAX).into();
        let part = match fraction {
            "" => 0,
            digits => {
                u128::from(digits.parse::<u64>().ok()?) * factor
                    / 10u128.pow(u32::try_from(digits.len()).ok()?)
            }
        };
        Some(whole.saturating_mul(factor).saturating_add(part))
    }

    /// In whole bytes or units, rounded down.
    pub fn units(&self) -> Option<u64> {
        u64::try_from(self.milli()? / 1_000).ok()
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Whole(u64),
            Fraction(f64),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Whole(number) => number.to_string(),
            Written::Fraction(number) => number.to_string(),
        }))
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A Kubernetes quantity, for example 500m, 2, 512Mi or 1Gi",
            "anyOf": [{ "type": "integer" }, { "type": "string" }],
            "x-kubernetes-int-or-string": true,
            "pattern": PATTERN,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_compare_across_units() {
        let milli = |t: &str| Quantity::new(t).milli();
        assert_eq!(milli("500m"), Some(500));
        assert_eq!(milli("1.5"), Some(1_500));
        assert_eq!(milli("1Ki"), Some(1_024_000));
        assert!(milli("1G") < milli("1Gi"));
        assert!(milli("99999999999999999999P") > milli("9P"));
        for wrong in ["1GB", "", "-1", "1.", "Gi", ".5", "1 Gi"] {
            assert_eq!(milli(wrong), None, "{wrong}");
        }
    }
}
