//! Where vehicles drive: routes that end where they begin, with their stops, limits and traffic lights.

mod courses;

use std::sync::LazyLock;

use serde::Deserialize;

use self::courses::Course;

/// Points between two waypoints, so that bends are round.
const POINTS_BETWEEN: u32 = 24;

const METRES_PER_DEGREE: f64 = 111_200.0;

/// How hard a driver brakes before a lower limit, a light or a stop, in m/s².
pub(crate) const BRAKING: f64 = 1.2;

/// The routes of owners; all of them begin at home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteName {
    /// 22 km to work through the country, and back.
    Commute,
    /// 7 km round the town, with two stops.
    Town,
    /// 30 km round the town, with eleven stops.
    Delivery,
    /// 200 km to the mountains and back, with a rest every 50 km.
    Motorway,
}

/// What a vehicle may charge with slowly at a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Charger {
    /// One phase with 16 A: 3.7 kW.
    Socket,
    /// Two phases with 16 A: 7.4 kW.
    TwoPhases,
    /// Three phases with 32 A: 22 kW.
    WallBox,
}

/// A place to park.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stop {
    waypoint: usize,
    /// Alternating current.
    pub(crate) charger: Option<Charger>,
    /// Whether there is direct current.
    pub(crate) rapid: bool,
    /// Whether the sky is out of sight.
    pub(crate) garage: bool,
    /// Whether people stay no longer than for a coffee.
    pub(crate) rest: bool,
}

/// A closed way as a fine polygon.
#[derive(Debug)]
pub(crate) struct Route {
    /// By rising distance; the last one is the first one again, at the route's length.
    points: Vec<Point>,
    stops: &'static [Stop],
    stops_m: Vec<f64>,
    lights_m: Vec<f64>,
    garages_m: Vec<f64>,
}

#[derive(Debug)]
struct Point {
    from_start_m: f64,
    latitude: f64,
    longitude: f64,
    altitude_m: f64,
    limit_mps: f64,
    /// What may be driven here so that gentle braking meets every limit that follows.
    envelope_mps: f64,
}

/// A place on a route.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Place {
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    pub(crate) altitude_m: f64,
    /// From 0 (north) up to 360, clockwise.
    pub(crate) heading_degrees: f64,
}

static DEMO: LazyLock<Route> = LazyLock::new(|| Route::new(&courses::DEMO));
static COMMUTE: LazyLock<Route> = LazyLock::new(|| Route::new(&courses::COMMUTE));
static TOWN: LazyLock<Route> = LazyLock::new(|| Route::new(&courses::TOWN));
static DELIVERY: LazyLock<Route> = LazyLock::new(|| Route::new(&courses::DELIVERY));
static MOTORWAY: LazyLock<Route> = LazyLock::new(|| Route::new(&courses::MOTORWAY));

/// How far from a garage's place its roof reaches, along the way.
const GARAGE_M: f64 = 40.0;

impl Route {
    /// The loop of vehicles without an owner.
    pub(crate) fn demo() -> &'static Self {
        &DEMO
    }

    pub(crate) fn named(name: RouteName) -> &'static Self {
        match name {
            RouteName::Commute => &COMMUTE,
            RouteName::Town => &TOWN,
            RouteName::Delivery => &DELIVERY,
            RouteName::Motorway => &MOTORWAY,
        }
    }

    fn new(course: &Course) -> Self {
        let mut waypoints = course.waypoints.to_vec();
        if course.there_and_back {
            // The limit stands at the beginning of its part of the way, which on the way back is the other end.
            waypoints.extend(course.waypoints.windows(2).rev().map(|pair| {
                let (latitude, longitude, altitude_m, _) = pair[1];
                (latitude, longitude, altitude_m, pair[0].3)
            }));
            waypoints.remove(course.waypoints.len() - 1);
        }
        let count = waypoints.len();
        let waypoint = |index: usize| waypoints[index % count];
        let mut points: Vec<Point> = Vec::new();
        let mut waypoints_m = vec![0.0; count];
        for (index, at_m) in waypoints_m.iter_mut().enumerate() {
            let near = [count - 1, 0, 1, 2].map(|offset| waypoint(index + offset));
            for step in 0..POINTS_BETWEEN {
                let part = f64::from(step) / f64::from(POINTS_BETWEEN);
                let (latitude, longitude) =
                    (bend(near.map(|w| w.0), part), bend(near.map(|w| w.1), part));
                let from_start_m = points
                    .last()
                    .map_or(0.0, |last| last.from_start_m + distance_m(last, latitude, longitude));
                if step == 0 {
                    *at_m = from_start_m;
                }
                points.push(Point {
                    from_start_m,
                    latitude,
                    longitude,
                    altitude_m: bend(near.map(|w| w.2), part),
                    limit_mps: near[1].3 / 3.6,
                    envelope_mps: f64::INFINITY,
                });
            }
        }
        let (first, last) = (&points[0], &points[points.len() - 1]);
        let end = Point {
            from_start_m: last.from_start_m + distance_m(last, first.latitude, first.longitude),
            ..*first
        };
        points.push(end);
        // Twice round, since the envelope at the end depends on the limits at the beginning.
        let mut ahead = (f64::INFINITY, 0.0);
        for _ in 0..2 {
            for index in (0..points.len()).rev() {
                let point = &mut points[index];
                let gap_m: f64 = ahead.1 - point.from_start_m;
                let braked = (ahead.0 * ahead.0 + 2.0 * BRAKING * gap_m.max(0.0)).sqrt();
                point.envelope_mps = point.limit_mps.min(braked);
                ahead = (point.envelope_mps, point.from_start_m);
            }
        }
        let mut lights: Vec<usize> = course.lights.to_vec();
        if course.there_and_back {
            lights.extend(course.lights.iter().map(|index| count - index));
        }
        let garages = course.stops.iter().filter(|stop| stop.garage);
        Self {
            points,
            garages_m: garages.map(|stop| waypoints_m[stop.waypoint]).collect(),
            stops: course.stops,
            stops_m: course.stops.iter().map(|stop| waypoints_m[stop.waypoint]).collect(),
            lights_m: lights.into_iter().map(|index| waypoints_m[index]).collect(),
        }
    }

    /// Once round, in metres.
    pub(crate) fn length_m(&self) -> f64 {
        self.points[self.points.len() - 1].from_start_m
    }

    /// The place `along_m` metres from the start; further than the loop's length goes round again.
    pub(crate) fn place(&self, along_m: f64) -> Place {
        let (from, to, part) = self.segment(along_m);
        let between = |a: f64, b: f64| a + (b - a) * part;
        let north = to.latitude - from.latitude;
        let east = (to.longitude - from.longitude) * from.latitude.to_radians().cos();
        Place {
            latitude: between(from.latitude, to.latitude),
            longitude: between(from.longitude, to.longitude),
            altitude_m: between(from.altitude_m, to.altitude_m),
            heading_degrees: east.atan2(north).to_degrees().rem_euclid(360.0),
        }
    }

    /// The speed that the limits here and ahead allow, in m/s.
    pub(crate) fn allowed_mps(&self, along_m: f64) -> f64 {
        let (from, to, part) = self.segment(along_m);
        // Braking is even over distance in the square of the speed.
        let square = |point: &Point| point.envelope_mps * point.envelope_mps;
        (square(from) + (square(to) - square(from)) * part).sqrt().min(from.limit_mps)
    }

    /// How many stops there are; their numbers begin with 0 and go round.
    pub(crate) fn stop_count(&self) -> usize {
        self.stops.len()
    }

    pub(crate) fn stop(&self, number: usize) -> &'static Stop {
        &self.stops[number % self.stops.len()]
    }

    /// Where stop `number` is, in metres from the start.
    pub(crate) fn stop_m(&self, number: usize) -> f64 {
        self.stops_m[number % self.stops.len()]
    }

    /// From stop `number` to the next one, in metres.
    pub(crate) fn leg_m(&self, number: usize) -> f64 {
        (self.stop_m(number + 1) - self.stop_m(number)).rem_euclid(self.length_m())
    }

    /// Whether a roof is between `along_m` and the satellites.
    pub(crate) fn is_covered(&self, along_m: f64) -> bool {
        self.garages_m.iter().any(|at_m| {
            let away = (along_m - at_m).abs();
            away.min(self.length_m() - away) < GARAGE_M
        })
    }

    /// The distances from `along_m` of the traffic lights before `distance_m`, nearest first.
    pub(crate) fn lights_ahead(&self, along_m: f64, distance_m: f64) -> Vec<f64> {
        let mut ahead: Vec<f64> = self
            .lights_m
            .iter()
            .map(|light| (light - along_m).rem_euclid(self.length_m()))
            .filter(|away| *away < distance_m)
            .collect();
        ahead.sort_by(f64::total_cmp);
        ahead
    }

    fn segment(&self, along_m: f64) -> (&Point, &Point, f64) {
        let along_m = along_m.rem_euclid(self.length_m());
        let next = self
            .points
            .partition_point(|point| point.from_start_m <= along_m)
            .clamp(1, self.points.len() - 1);
        let (from, to) = (&self.points[next - 1], &self.points[next]);
        (from, to, (along_m - from.from_start_m) / (to.from_start_m - from.from_start_m))
    }
}

/// A Catmull–Rom curve through the middle two of `v`: the first of them at `t` 0, the second at 1.
fn bend(v: [f64; 4], t: f64) -> f64 {
    let slope = (v[2] - v[0]) / 2.0;
    let next_slope = (v[3] - v[1]) / 2.0;
    let rise = v[2] - v[1];
    v[1] + t
        * (slope
            + t * (3.0 * rise - 2.0 * slope - next_slope + t * (slope + next_slope - 2.0 * rise)))
}

/// Over a few kilometres the Earth is flat.
fn distance_m(from: &Point, latitude: f64, longitude: f64) -> f64 {
    let north = (latitude - from.latitude) * METRES_PER_DEGREE;
    let east = (longitude - from.longitude) * METRES_PER_DEGREE * from.latitude.to_radians().cos();
    north.hypot(east)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> [&'static Route; 5] {
        let names = [RouteName::Commute, RouteName::Town, RouteName::Delivery, RouteName::Motorway];
        let [a, b, c, d] = names.map(Route::named);
        [Route::demo(), a, b, c, d]
    }

    #[test]
    fn a_route_is_closed_and_has_no_jump() {
        for route in all() {
            let mut before = route.place(0.0);
            let mut along_m = 0.0;
            while along_m < route.length_m() {
                along_m += 10.0;
                let here = route.place(along_m);
                let north = (here.latitude - before.latitude) * METRES_PER_DEGREE;
                let east = (here.longitude - before.longitude) * METRES_PER_DEGREE * 0.666;
                assert!(north.hypot(east) < 10.2, "at {along_m} m");
                assert!((here.altitude_m - before.altitude_m).abs() < 0.6, "at {along_m} m");
                before = here;
            }
            assert_eq!(route.place(route.length_m()), route.place(0.0));
        }
    }

    #[test]
    fn owners_begin_at_one_home() {
        let home = Route::named(RouteName::Town).place(0.0);
        for route in &all()[1..] {
            assert_eq!(
                (route.place(0.0).latitude, route.place(0.0).altitude_m),
                (home.latitude, home.altitude_m)
            );
        }
    }

    #[test]
    fn limits_ahead_are_met_by_gentle_braking() {
        for route in all() {
            for pair in route.points.windows(2) {
                let (from, to) = (&pair[0], &pair[1]);
                let braking = (from.envelope_mps.powi(2) - to.envelope_mps.powi(2))
                    / (2.0 * (to.from_start_m - from.from_start_m));
                assert!(braking <= BRAKING + 1e-9);
                assert!(from.envelope_mps <= from.limit_mps);
            }
        }
    }

    #[test]
    fn routes_are_as_long_as_they_are_said_to_be() {
        for (route, length_km) in all().iter().zip([39.0, 44.0, 7.0, 30.0, 407.0]) {
            assert!((route.length_m() / 1000.0 - length_km).abs() <= 0.5);
        }
        for route in all() {
            for number in 0..route.stop_count() {
                assert!((500.0..60_000.0).contains(&route.leg_m(number)));
            }
        }
        for number in 0..3 {
            assert!((11_000.0..15_000.0).contains(&Route::demo().leg_m(number)));
        }
    }
}
