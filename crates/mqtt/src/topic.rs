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

/// Whether `text` has the form of a topic name: not empty, and without wildcards. [MQTT-3.3.2-2] [MQTT-4.7.3-1]
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(['+', '#'])
}

/// Whether `text` has the form of a topic filter: wildcards have a level to themselves, and `#` is the last one.
/// MQTT 5 [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1]
pub fn is_filter(text: &str) -> bool {
    let above =
        text.strip_suffix("/#").or_else(|| text.strip_suffix('#').filter(|above| above.is_empty()));
    let levels_are_sound =
        above.unwrap_or(text).split('/').all(|level| level == "+" || !level.contains(['+', '#']));
    !text.is_empty() && levels_are_sound
}

/// Whether MQTT 5 reads `filter` as a shared subscription (§4.8.2).
pub fn is_shared(filter: &str) -> bool {
    filter.starts_with(SHARE)
}

/// Whether a shared subscription has a name without wildcards, and a filter after it; true for others.
/// [MQTT-4.8.2-1] [MQTT-4.8.2-2]
pub fn is_sound_if_shared(filter: &str) -> bool {
    let Some(shared) = filter.strip_prefix(SHARE) else { return true };
    shared.split_once('/').is_some_and(|(name, filter)| is_name(name) && !filter.is_empty())
}

const SHARE: &str = "$share/";

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
    #[test]
    fn a_wildcard_has_a_level_to_itself_and_the_multi_level_one_is_last() {
        for sound in
            ["a", "/", "a//b", "+", "#", "+/+", "/+", "a/+/b", "a/#", "/#", "+/#", "$SYS/#"]
        {
            assert!(is_filter(sound), "{sound}");
        }
        for unsound in ["", "a+", "+a", "a/b+/c", "a#", "#/a", "a/#/b", "##", "a/##", "#+", "+#"] {
            assert!(!is_filter(unsound), "{unsound}");
        }
    }

    #[test]
    fn a_topic_name_has_no_wildcards() {
        assert!(is_name("a/b") && is_name("/"));
        assert!(!is_name("") && !is_name("a/+") && !is_name("#") && !is_name("a+b"));
    }

    #[test]
    fn a_shared_subscription_has_a_name_and_a_filter() {
        for sound in ["$share/group/a/+", "$share/group/#", "$share/g//", "$share", "$SHARE/", "a"]
        {
            assert!(is_sound_if_shared(sound), "{sound}");
        }
        for unsound in ["$share/", "$share//a", "$share/group", "$share/group/", "$share/+/a"] {
            assert!(!is_sound_if_shared(unsound), "{unsound}");
        }
    }
}
