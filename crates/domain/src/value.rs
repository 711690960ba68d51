//! A signal's value, in the JSON type that it came with.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::value::RawValue;
use thiserror::Error;

/// A signal's value: a number, a text or a boolean.
///
/// Numbers keep the digits that the vehicle sent (`50.1234567890`, `1.0`), since nothing on the way may round.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// A JSON number, in the digits that it came with.
    Number(Box<str>),
    /// A text, without quotes or escapes.
    Text(Box<str>),
    /// True or false.
    Boolean(bool),
}

/// The JSON is not a value that a signal can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a value is a JSON number, string or boolean, not {0}")]
pub struct ValueError(&'static str);

impl Value {
    /// A whole number.
    pub fn integer(number: i64) -> Self {
        Self::Number(number.to_string().into())
    }

    /// A number rounded to `digits` digits after the point, so that it prints in a form of fixed width.
    ///
    /// Numbers that are not finite have no JSON form and give `None`.
    pub fn decimal(number: f64, digits: usize) -> Option<Self> {
        number.is_finite().then(|| Self::Number(format!("{number:.digits$}").into()))
    }

    /// A text.
    pub fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// Reads a value from its JSON text.
    ///
    /// # Errors
    /// [`ValueError`] names what it is when it is none of number, string and boolean.
    pub fn from_json(json: &RawValue) -> Result<Self, ValueError> {
        let text = json.get();
        match text.as_bytes().first() {
            Some(b'"') => serde_json::from_str(text)
                .map(Self::Text)
                .map_err(|_| ValueError("a broken string")),
            Some(b't') => Ok(Self::Boolean(true)),
            Some(b'f') => Ok(Self::Boolean(false)),
            Some(b'n') => Err(ValueError("null")),
            Some(b'{') => Err(ValueError("an object")),
            Some(b'[') => Err(ValueError("an array")),
            _ => Ok(Self::Number(text.into())),
        }
    }

    /// The value as JSON text, as it stands on the stream.
    pub fn to_json(&self) -> Cow<'_, str> {
        match self {
            Self::Number(digits) => Cow::Borrowed(digits),
            Self::Text(text) => Cow::Owned(json_string(text)),
            Self::Boolean(true) => Cow::Borrowed("true"),
            Self::Boolean(false) => Cow::Borrowed("false"),
        }
    }

    /// The value as plain text, as REST sends it inside a string (wire §3.5).
    pub fn as_plain(&self) -> &str {
        match self {
            Self::Number(text) | Self::Text(text) => text,
            Self::Boolean(true) => "true",
            Self::Boolean(false) => "false",
        }
    }
}

/// `text` as a JSON string with its quotes (RFC 8259 §7).
pub(crate) fn json_string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            control if control < ' ' => {
                write!(json, "\\u{:04x}", u32::from(control))
                    .expect("writing to a string cannot fail");
            }
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Value, ValueError> {
        Value::from_json(&RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn a_value_keeps_its_type_and_digits() {
        for json in [
            "50.1234567890",
            "67",
            "-0.0",
            "1e3",
            "true",
            "false",
            r#""NO\"\\\nCHARGING""#,
            r#""ä""#,
        ] {
            assert_eq!(parse(json).unwrap().to_json(), json);
        }
        assert_eq!(parse("50.1234567890").unwrap().as_plain(), "50.1234567890");
        assert_eq!(
            parse("\"\u{1f}\"".replace('\u{1f}', "\\u001f").as_str()).unwrap().to_json(),
            "\"\\u001f\""
        );
    }

    #[test]
    fn null_objects_and_arrays_are_no_values() {
        for json in ["null", "{}", "[1]"] {
            assert!(parse(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_decimal_has_a_json_form_or_is_none() {
        assert_eq!(Value::decimal(48.137_154, 4), Some(Value::Number("48.1372".into())));
        assert_eq!(Value::decimal(f64::NAN, 1), None);
    }
}
