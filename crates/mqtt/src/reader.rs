//! Who reads, and which vehicles: those of one customer, or of all customers who let a third party's client in.

use cardata_domain::{Gcid, Vin};

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// A client at one customer's vehicles.
    Customer(Gcid),
    /// A client that reads for itself what many customers let it see.
    Fleet,
}

/// Vehicles that may be read, and whose each is. Small, since most sessions have one or two.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vehicles(Box<[(Vin, Gcid)]>);

impl Vehicles {
    /// Each with its customer; of a vehicle that comes twice the first stays.
    pub fn new(mut vehicles: Vec<(Vin, Gcid)>) -> Self {
        vehicles.sort_by_key(|(vin, _)| *vin);
        vehicles.dedup_by_key(|(vin, _)| *vin);
        Self(vehicles.into())
    }

    /// Those of one customer.
    pub fn of(customer: Gcid, vins: impl IntoIterator<Item = Vin>) -> Self {
        Self::new(vins.into_iter().map(|vin| (vin, customer)).collect())
    }

    /// By their numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Vin, Gcid)> {
        self.0.iter().copied()
    }

    /// Whose `vin` is; `None` where it may not be read.
    pub fn customer(&self, vin: Vin) -> Option<Gcid> {
        let index = self.0.binary_search_by_key(&vin, |(known, _)| *known).ok()?;
        Some(self.0[index].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vehicle_is_found_with_its_customer_and_counts_once() {
        let [anna, ben]: [Gcid; 2] = ["aa", "bb"]
            .map(|first| format!("{first}111192-d570-4d3d-8835-656ee00edcd7").parse().unwrap());
        let [first, second, third]: [Vin; 3] =
            [1, 2, 3].map(|number| format!("WBY0000000000000{number}").parse().unwrap());
        let vehicles = Vehicles::new(vec![(second, ben), (first, anna), (second, anna)]);
        assert_eq!(vehicles.iter().collect::<Vec<_>>(), [(first, anna), (second, ben)]);
        assert_eq!(
            [first, second, third].map(|vin| vehicles.customer(vin)),
            [Some(anna), Some(ben), None]
        );
    }
}
