//! Topic filters: what is granted a customer is below the own GCID, what is granted a fleet has two levels, and both name
//! the vehicles that the specification's rules of matching name.

use cardata_domain::{Gcid, Vin};
use cardata_mqtt::Reader;
use cardata_mqtt::topic::Filter;

use crate::reference;

const OWN: &str = "aa111192-d570-4d3d-8835-656ee00edcd7";
const FOREIGN: &str = "bb111192-d570-4d3d-8835-656ee00edcd7";
const VEHICLES: [&str; 3] = ["WBY00000000000001", "WBY00000000000002", "WBA12345678901234"];

/// Reads `input` as a filter, in which the bytes 1 to 5 stand for GCIDs and VINs that chance would hardly write.
///
/// # Panics
/// Where a filter is granted that matches too much, or not granted though it could be.
pub fn check(input: &[u8]) {
    let expanded: Vec<u8> = input
        .iter()
        .flat_map(|byte| match byte {
            1 => OWN.as_bytes(),
            2 => FOREIGN.as_bytes(),
            3..=5 => VEHICLES[usize::from(byte - 3)].as_bytes(),
            other => std::slice::from_ref(other),
        })
        .copied()
        .collect();
    let Ok(filter) = String::from_utf8(expanded) else { return };
    check_filter(&filter);
}

fn check_filter(filter: &str) {
    let own: Gcid = OWN.parse().expect("a GCID");
    // The filter itself may name a vehicle, too.
    let named = filter.split('/').filter_map(|level| level.parse::<Vin>().ok());
    let vehicles: Vec<Vin> =
        VEHICLES.iter().map(|vin| vin.parse().expect("a VIN")).chain(named).collect();
    let topic = |gcid: &str, vin: &Vin| format!("{gcid}/{}", vin.as_str());
    let matches = |topic: &str| reference::matches(filter, topic);

    check_for_fleet(filter, own, &vehicles);
    let Some(granted) = Filter::parse(filter, Reader::Customer(own)) else {
        let wanted = vehicles.iter().any(|vin| matches(&topic(OWN, vin)));
        let beyond = reaches_beyond(filter, &vehicles);
        assert!(!wanted || beyond, "`{filter}` is refused, though it names own vehicles only");
        return;
    };
    assert!(reference::is_valid_filter(filter), "`{filter}` is granted, though it is malformed");
    assert!(!reaches_beyond(filter, &vehicles), "`{filter}` is granted, though it reaches beyond");
    for vin in &vehicles {
        let told = granted.matches(own, *vin);
        assert_eq!(told, matches(&topic(OWN, vin)), "whether `{filter}` names {}", vin.as_str());
    }
}

/// A fleet reads every customer's vehicles, and nothing else has a topic of that form.
fn check_for_fleet(filter: &str, own: Gcid, vehicles: &[Vin]) {
    let Some(granted) = Filter::parse(filter, Reader::Fleet) else { return };
    assert!(reference::is_valid_filter(filter), "`{filter}` is granted, though it is malformed");
    for other in ["$SYS/a", "$SYS", "$share/g"] {
        assert!(!reference::matches(filter, other), "`{filter}` names {other}");
    }
    let foreign: Gcid = FOREIGN.parse().expect("a GCID");
    for (customer, vin) in
        [own, foreign].iter().flat_map(|of| vehicles.iter().map(move |vin| (*of, *vin)))
    {
        let topic = format!("{customer}/{}", vin.as_str());
        let told = granted.matches(customer, vin);
        assert_eq!(told, reference::matches(filter, &topic), "whether `{filter}` names {topic}");
    }
}

fn reaches_beyond(filter: &str, vehicles: &[Vin]) -> bool {
    let foreign = vehicles.iter().map(|vin| format!("{FOREIGN}/{}", vin.as_str()));
    let others = ["a", "a/b", "/", "$SYS/a", "$SYS", "x/WBY00000000000001"].map(str::to_owned);
    foreign.chain(others).any(|topic| reference::matches(filter, &topic))
}
