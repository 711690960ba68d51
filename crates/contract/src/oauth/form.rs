//! The bodies of OAuth requests: `application/x-www-form-urlencoded`, each parameter once.

use std::collections::BTreeMap;

use super::RequestError;

/// The parameters of a form, each once.
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    pub(super) fn parse(body: &[u8]) -> Result<Self, RequestError> {
        let mut parameters = BTreeMap::new();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let mut half = || decode(halves.next().unwrap_or_default());
            let (name, value) = (half()?, half()?);
            if parameters.contains_key(&name) {
                return Err(RequestError::Repeated(name));
            }
            parameters.insert(name, value);
        }
        Ok(Self(parameters))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn take(&mut self, name: &'static str) -> Result<String, RequestError> {
        let value = self.0.remove(name).filter(|value| !value.is_empty());
        value.ok_or(RequestError::Missing(name))
    }
}

/// One half of a pair: percent signs and plus signs mean what they mean in a form.
pub(super) fn decode(encoded: &[u8]) -> Result<String, RequestError> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.iter();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || {
                    let digit = rest.next().and_then(|byte| char::from(*byte).to_digit(16));
                    digit.and_then(|digit| u8::try_from(digit).ok()).ok_or(RequestError::Malformed)
                };
                digit()? << 4 | digit()?
            }
            byte => *byte,
        });
    }
    String::from_utf8(decoded).map_err(|_| RequestError::Malformed)
}
