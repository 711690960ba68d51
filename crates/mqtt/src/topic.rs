//! Topic filters, and which vehicles they name.
//!
//! All topics have the form `{gcid}/{vin}`. A customer's client is granted filters below the customer's own GCID; a
//! fleet, which reads for many customers, also filters over all of them (wire §2.4, §2.8).

use cardata_domain::{Gcid, Vin};

use crate::reader::Reader;

/// A filter that may be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Every vehicle of every customer who let the client in, those of the future included: `+/+` and `+/#`; fleets only.
    Everything,
    /// Every vehicle of one customer, those of the future included: `{gcid}/+`, `{gcid}/#` and the like.
    Customer(Gcid),
    /// One vehicle: `{gcid}/{vin}`.
    Vehicle(Gcid, Vin),
}

impl Filter {
    /// Reads `filter` as `reader` may use it; `None` where it reaches beyond, is malformed, or could never match.
    pub fn parse(filter: &str, reader: Reader) -> Option<Self> {
        let (first, rest) = filter.split_once('/')?;
        let customer = match reader {
            Reader::Customer(own) => Some(own).filter(|own| first == own.to_string())?,
            Reader::Fleet if first == "+" => {
                return matches!(rest, "+" | "#" | "+/#").then_some(Self::Everything);
            }
            Reader::Fleet => first.parse().ok()?,
        };
        // `#` stands for the parent level, too [MQTT-4.7.1-2], so `{gcid}/+/#` matches `{gcid}/{vin}`.
        match rest.strip_suffix("/#").unwrap_or(rest) {
            "+" => Some(Self::Customer(customer)),
            "#" if rest == "#" => Some(Self::Customer(customer)),
            vin => vin.parse().ok().map(|vin| Self::Vehicle(customer, vin)),
        }
    }

    /// Whether it names `vin`, which is `customer`'s.
    pub fn matches(self, customer: Gcid, vin: Vin) -> bool {
        match self {
            Self::Everything => true,
            Self::Customer(own) => own == customer,
            Self::Vehicle(own, one) => (own, one) == (customer, vin),
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

/// The filter of a shared subscription, without `$share` and the group's name; `None` where it is none.
pub fn shared(filter: &str) -> Option<&str> {
    filter.strip_prefix(SHARE)?.split_once('/').map(|(_, filter)| filter)
}

/// What filters of shared subscriptions begin with.
pub const SHARE: &str = "$share/";

#[cfg(test)]
mod tests {
    use super::*;

    const GCID: &str = "aa111192-d570-4d3d-8835-656ee00edcd7";
    const VIN: &str = "WBY00000000000001";

    fn gcid() -> Gcid {
        GCID.parse().unwrap()
    }

    fn parse(filter: &str) -> Option<Filter> {
        Filter::parse(filter, Reader::Customer(gcid()))
    }

    #[test]
    fn filters_below_the_own_gcid_are_granted() {
        let vehicle = Some(Filter::Vehicle(gcid(), VIN.parse().unwrap()));
        assert_eq!(parse(&format!("{GCID}/{VIN}")), vehicle);
        assert_eq!(parse(&format!("{GCID}/{VIN}/#")), vehicle);
        for all in ["+", "#", "+/#"] {
            assert_eq!(parse(&format!("{GCID}/{all}")), Some(Filter::Customer(gcid())), "{all}");
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
    fn a_fleet_reads_all_customers_or_one_of_them_and_nothing_that_is_no_vehicles_topic() {
        let parse = |filter: &str| Filter::parse(filter, Reader::Fleet);
        for all in ["+/+", "+/#", "+/+/#"] {
            assert_eq!(parse(all), Some(Filter::Everything), "{all}");
        }
        for one in ["+", "#", "+/#"] {
            assert_eq!(parse(&format!("{GCID}/{one}")), Some(Filter::Customer(gcid())), "{one}");
        }
        let vehicle = Filter::Vehicle(gcid(), VIN.parse().unwrap());
        assert_eq!(parse(&format!("{GCID}/{VIN}")), Some(vehicle));
        for beyond in ["#", "+", "", "/", "/+", "+/", "+/+/+", "+/x", "$share/g/+/+", "$SYS/#"] {
            assert_eq!(parse(beyond), None, "{beyond}");
        }
        assert_eq!(parse(&format!("+/{VIN}")), None);
        assert_eq!(parse(&format!("{}/+", GCID.to_uppercase())), None);
    }

    #[test]
    fn a_filter_over_one_customer_names_no_vehicle_of_another() {
        let foreign = "bb111192-d570-4d3d-8835-656ee00edcd7".parse().unwrap();
        let vin = VIN.parse().unwrap();
        for own in [Filter::Customer(gcid()), Filter::Vehicle(gcid(), vin)] {
            assert!(own.matches(gcid(), vin) && !own.matches(foreign, vin), "{own:?}");
        }
        assert!(Filter::Everything.matches(foreign, vin));
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
        assert_eq!(shared("$share/group/+/+"), Some("+/+"));
        assert_eq!((shared("+/+"), shared("$share")), (None, None));
        for unsound in ["$share/", "$share//a", "$share/group", "$share/group/", "$share/+/a"] {
            assert!(!is_sound_if_shared(unsound), "{unsound}");
        }
    }
}
