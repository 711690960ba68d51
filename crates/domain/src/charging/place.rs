//! The places where a vehicle charges.

use jiff::Timestamp;

use crate::privacy::Position;

/// Charges that are no farther apart are at one place.
pub const PLACE_RADIUS_M: f64 = 100.0;

/// A place where a vehicle charges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Where it charged there first.
    pub position: Position,
    /// When it charged there first, which also tells one place from another.
    pub first_visit_at: Timestamp,
    /// When it charged there last.
    pub last_visit_at: Timestamp,
    /// How often it charged there.
    pub visits: u32,
}

/// The places of `charges`, each given by its time and position; the place visited last comes first.
///
/// In the order of time, a charge belongs to the nearest place within [`PLACE_RADIUS_M`] of where that was charged
/// first, or makes one of its own. So a later charge moves no place and joins no two.
pub fn places(charges: impl IntoIterator<Item = (Timestamp, Position)>) -> Vec<Place> {
    let mut charges: Vec<_> = charges.into_iter().collect();
    charges.sort_by_key(|(at, _)| *at);
    let mut places: Vec<Place> = Vec::new();
    for (at, position) in charges {
        let near = places
            .iter_mut()
            .map(|place| (place.position.distance_m(position), place))
            .filter(|(metres, _)| *metres <= PLACE_RADIUS_M)
            .min_by(|(one, _), (other, _)| one.total_cmp(other));
        match near {
            Some((_, place)) => {
                place.last_visit_at = at;
                place.visits += 1;
            }
            None => {
                places.push(Place { position, first_visit_at: at, last_visit_at: at, visits: 1 });
            }
        }
    }
    places.sort_by_key(|place| std::cmp::Reverse(place.last_visit_at));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Position = Position { latitude: 48.177, longitude: 11.559 };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn north_of_home(metres: f64) -> Position {
        Position { latitude: HOME.latitude + metres / 111_195.0, ..HOME }
    }

    #[test]
    fn charges_within_a_hundred_metres_are_at_one_place() {
        let found = places([
            (at(1), HOME),
            (at(2), north_of_home(99.0)),
            (at(3), north_of_home(101.0)),
            (at(4), HOME),
        ]);
        let seen: Vec<_> = found.iter().map(|place| (place.last_visit_at, place.visits)).collect();
        assert_eq!(seen, [(at(4), 3), (at(3), 1)]);
        assert_eq!(found[0].position, HOME, "a place stays where it was found");
        assert!(places([]).is_empty());
    }

    #[test]
    fn a_charge_between_two_places_belongs_to_the_nearer_one_whatever_the_order_of_the_list() {
        let charges = [(at(1), HOME), (at(2), north_of_home(150.0)), (at(3), north_of_home(90.0))];
        let found = places(charges);
        assert_eq!(found[0].visits, 2);
        assert_eq!(found[0].first_visit_at, at(2));
        let mut turned = charges;
        turned.reverse();
        assert_eq!(places(turned), found);
    }
}
