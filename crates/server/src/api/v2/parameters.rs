//! What stands behind the question mark, where a name may come several times and a wrong one is told.

use std::collections::BTreeSet;

use cardata_contract::error_code::ErrorCode;
use cardata_domain::descriptor::DescriptorSet;
use cardata_domain::{Catalogue, Vin};
use jiff::Timestamp;

use crate::api::error::ApiError;

/// Characters that an instant may have.
const INSTANT_LENGTH_MAX: usize = 40;

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads `query`, which may have parameters of `names` and no others.
    ///
    /// # Errors
    /// CU-400 with the names that there are.
    pub(super) fn read(query: Option<&str>, names: &[&str]) -> Result<Self, ApiError> {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let pairs: Vec<_> = pairs.into_owned().collect();
        match pairs.iter().find(|(name, _)| !names.contains(&&**name)) {
            None => Ok(Self(pairs)),
            Some((name, _)) => Err(ApiError::bad_request(format!(
                "there is no parameter `{name}`; there are {}",
                names.join(", ")
            ))),
        }
    }

    /// All values of `name`.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// The value of `name`, if it is there.
    ///
    /// # Errors
    /// CU-400 when it is there twice.
    pub(super) fn one<'a>(&'a self, name: &'a str) -> Result<Option<&'a str>, ApiError> {
        let mut all = self.all(name);
        match (all.next(), all.next()) {
            (first, None) => Ok(first),
            _ => Err(ApiError::bad_request(format!("the parameter `{name}` is there twice"))),
        }
    }

    /// The time from `from` to before `to`, which both must be there.
    ///
    /// # Errors
    /// CU-401 when one is missing or no instant, or `from` is not before `to`.
    pub(super) fn range(&self) -> Result<Range, ApiError> {
        let (from, to) = (self.instant("from")?, self.instant("to")?);
        if from < to {
            Ok(Range { from, to })
        } else {
            Err(ApiError::parameter("`from` is not before `to`"))
        }
    }

    fn instant(&self, name: &str) -> Result<Timestamp, ApiError> {
        let missing = || ApiError::parameter(format!("the parameter `{name}` is missing"));
        let text = self.one(name)?.ok_or_else(missing)?;
        let short = Some(text).filter(|text| text.len() <= INSTANT_LENGTH_MAX);
        short.and_then(|text| text.parse().ok()).ok_or_else(|| {
            ApiError::parameter(format!(
                "`{name}` is no instant with its offset, such as 2026-03-01T08:00:00Z (a + must be written %2B)"
            ))
        })
    }

    /// The descriptors that are asked for; `None` for all.
    ///
    /// # Errors
    /// CU-402 when there is none of that name.
    pub(super) fn descriptors(
        &self,
        catalogue: &Catalogue,
    ) -> Result<Option<DescriptorSet>, ApiError> {
        let mut wanted = DescriptorSet::new();
        for name in self.all("descriptor") {
            let unknown = || {
                let note = format!("no vehicle and no catalogue has a descriptor `{name}`");
                ApiError::new(ErrorCode::Descriptor, note)
            };
            wanted.insert(catalogue.find(name).ok_or_else(unknown)?);
        }
        Ok((!wanted.is_empty()).then_some(wanted))
    }

    /// The vehicles that are asked for; `None` for all.
    ///
    /// # Errors
    /// CU-120 when one is no VIN.
    pub(super) fn vins(&self) -> Result<Option<BTreeSet<Vin>>, ApiError> {
        let parse = |text: &str| {
            text.parse().map_err(|error: cardata_domain::vin::VinError| {
                ApiError::new(ErrorCode::VinFormat, error.to_string())
            })
        };
        let vins: BTreeSet<_> = self.all("vin").map(parse).collect::<Result<_, _>>()?;
        Ok((!vins.is_empty()).then_some(vins))
    }

    /// The whole number `name`, or `default`.
    ///
    /// # Errors
    /// CU-401 when it is none of `allowed`.
    pub(super) fn number(
        &self,
        name: &str,
        allowed: std::ops::RangeInclusive<usize>,
        default: usize,
    ) -> Result<usize, ApiError> {
        let Some(text) = self.one(name)? else { return Ok(default) };
        text.parse().ok().filter(|number| allowed.contains(number)).ok_or_else(|| {
            ApiError::parameter(format!(
                "`{name}` is no whole number from {} to {}",
                allowed.start(),
                allowed.end()
            ))
        })
    }
}

/// A time, without its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Range {
    pub(super) fn contains(self, at: Timestamp) -> bool {
        (self.from..self.to).contains(&at)
    }
}
