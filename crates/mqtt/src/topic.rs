//! Topic filters, and which of a customer's vehicles they name.
//!
//! All topics have the form `{gcid}/{vin}`. A filter is granted only below the customer's own GCID (wire §2.4).

use cardata_domain::{Gcid, Vin};

/// A filter that may be granted: it names vehicles of one customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Every vehicle, those of the future included: `{gcid}/+`, `{gcid}/#` and the like.
    AllVehicles,
    /// One vehicle: `{gcid}/{vin}`.
    Vehicle(Vin),
}

impl Filter {
    /// Reads `filter` as `customer` may use it; `None` where it reaches beyond, is malformed, or could never match.
    pub fn parse(filter: &str, customer: Gcid) -> Option<Self> {
        let (first, rest) = filter.split_once('/')?;
        if first != customer.to_string() {
            return None;
        }
        // `#` stands for the parent level, too [MQTT-4.7.1-2], so `{gcid}/+/#` matches `{gcid}/{vin}`.
        match rest.strip_suffix("/#").unwrap_or(rest) {
            "+" => Some(Self::AllVehicles),
            "#" if rest == "#" => Some(Self::AllVehicles),
            vin => vin.parse().ok().map(Self::Vehicle),
        }
    }

    /// Whether it names `vin`.
    pub fn matches(self, vin: Vin) -> bool {
        match self {
            Self::AllVehicles => true,
            Self::Vehicle(own) => own == vin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GCID: &str = "aa111192-d570-4d3d-8835-656ee00edcd7";
    const VIN: &str = "WBY00000000000001";

    fn parse(filter: &str) -> Option<Filter> {
        Filter::parse(filter, GCID.parse().unwrap())
    }

    #[test]
    fn filters_below_the_own_gcid_are_granted() {
        let vehicle = Some(Filter::Vehicle(VIN.parse().unwrap()));
        assert_eq!(parse(&format!("{GCID}/{VIN}")), vehicle);
        assert_eq!(parse(&format!("{GCID}/{VIN}/#")), vehicle);
        for all in ["+", "#", "+/#"] {
            assert_eq!(parse(&format!("{GCID}/{all}")), Some(Filter::AllVehicles), "{all}");
        }
    }

    #[test]
    fn filters_that_reach_beyond_are_refused() {
        let foreign = "bb111192-d570-4d3d-8835-656ee00edcd7";
        let beyond = [
            "#",
            "+",
            "+/+",
            "+/#",
            "$SYS/#",
            "",
            "/",
            VIN,
            GCID,
            &format!("{foreign}/+"),
            &format!("+/{VIN}"),
        ];
        for filter in beyond {
            assert_eq!(parse(filter), None, "{filter}");
        }
        for rest in [
            "",
            "++",
            "#/#",
            "##",
            "+/+",
            "/#",
            "wby00000000000001",
            "W+Y00000000000001",
            "WBY00000000000001/x",
        ] {
            assert_eq!(parse(&format!("{GCID}/{rest}")), None, "{rest}");
        }
        assert_eq!(parse(&format!("{}/+", GCID.to_uppercase())), None);
    }
}
