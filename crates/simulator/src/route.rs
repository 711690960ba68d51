//! The loop that all vehicles drive: a made-up course in the country north-east of Munich, on no real road.

use std::sync::LazyLock;

/// Latitude and longitude in degrees, altitude in metres, and the speed limit in km/h from here to the next one.
const WAYPOINTS: [(f64, f64, f64, f64); 36] = [
    (48.2924, 11.7160, 488.0, 50.0),
    (48.2912, 11.7288, 493.0, 100.0),
    (48.2886, 11.7409, 494.0, 100.0),
    (48.2840, 11.7516, 497.0, 100.0),
    (48.2786, 11.7608, 491.0, 120.0),
    (48.2748, 11.7729, 484.0, 120.0),
    (48.2683, 11.7818, 483.0, 130.0),
    (48.2603, 11.7874, 481.0, 120.0),
    (48.2521, 11.7934, 489.0, 120.0),
    (48.2430, 11.7931, 493.0, 100.0),
    (48.2342, 11.7909, 505.0, 70.0),
    (48.2248, 11.7913, 509.0, 50.0),
    (48.2138, 11.7921, 510.0, 50.0),
    (48.2011, 11.7909, 511.0, 70.0),
    (48.1924, 11.7798, 505.0, 100.0),
    (48.1859, 11.7655, 503.0, 100.0),
    (48.1859, 11.7472, 510.0, 120.0),
    (48.1884, 11.7305, 513.0, 120.0),
    (48.1917, 11.7160, 521.0, 120.0),
    (48.1996, 11.7045, 526.0, 120.0),
    (48.2007, 11.6929, 533.0, 120.0),
    (48.2066, 11.6845, 528.0, 100.0),
    (48.2115, 11.6763, 528.0, 70.0),
    (48.2165, 11.6686, 519.0, 50.0),
    (48.2214, 11.6598, 516.0, 50.0),
    (48.2259, 11.6456, 513.0, 100.0),
    (48.2335, 11.6355, 512.0, 100.0),
    (48.2430, 11.6258, 514.0, 100.0),
    (48.2542, 11.6205, 517.0, 120.0),
    (48.2655, 11.6233, 515.0, 120.0),
    (48.2750, 11.6327, 511.0, 120.0),
    (48.2802, 11.6495, 503.0, 100.0),
    (48.2861, 11.6616, 495.0, 100.0),
    (48.2877, 11.6772, 488.0, 100.0),
    (48.2922, 11.6891, 485.0, 70.0),
    (48.2919, 11.7030, 484.0, 50.0),
];

/// Where vehicles park, by waypoint, and what they may charge with there; about ten minutes' drive apart.
const STOPS: [(usize, Charger); 3] =
    [(0, Charger::WallBox), (12, Charger::Socket), (24, Charger::Socket)];

/// Waypoints with traffic lights.
const LIGHTS: [usize; 9] = [1, 10, 11, 13, 22, 23, 25, 34, 35];

/// Points between two waypoints, so that bends are round.
const POINTS_BETWEEN: u32 = 24;

const METRES_PER_DEGREE: f64 = 111_200.0;

/// How hard a driver brakes before a lower limit, a light or a stop, in m/s².
pub(crate) const BRAKING: f64 = 1.2;

/// What a vehicle may charge with at a stop, beside a rapid charger, which they all have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charger {
    /// One phase with 16 A: 3.7 kW.
    Socket,
    /// Three phases with 16 A: 11 kW.
    WallBox,
}

/// The loop as a fine polygon.
pub(crate) struct Route {
    /// By rising distance; the last one is the first one again, at the loop's length.
    points: Vec<Point>,
    stops_m: [f64; STOPS.len()],
    lights_m: [f64; LIGHTS.len()],
}

struct Point {
    from_start_m: f64,
    latitude: f64,
    longitude: f64,
    altitude_m: f64,
    limit_mps: f64,
    /// What may be driven here so that gentle braking meets every limit that follows.
    envelope_mps: f64,
}

/// A place on the loop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Place {
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    pub(crate) altitude_m: f64,
    /// From 0 (north) up to 360, clockwise.
    pub(crate) heading_degrees: f64,
}

static ROUTE: LazyLock<Route> = LazyLock::new(Route::new);

impl Route {
    /// The one loop.
    pub(crate) fn shared() -> &'static Self {
        &ROUTE
    }

    fn new() -> Self {
        let count = WAYPOINTS.len();
        let waypoint = |index: usize| WAYPOINTS[index % count];
        let mut points: Vec<Point> = Vec::new();
        let mut waypoints_m = [0.0; WAYPOINTS.len()];
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
        Self {
            points,
            stops_m: STOPS.map(|(index, _)| waypoints_m[index]),
            lights_m: LIGHTS.map(|index| waypoints_m[index]),
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

    /// Where stop `number` is, in metres from the start.
    pub(crate) fn stop_m(&self, number: usize) -> f64 {
        self.stops_m[number % STOPS.len()]
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

/// How many stops there are; their numbers begin with 0 and go round.
pub(crate) const STOP_COUNT: usize = STOPS.len();

/// What stop `number` charges with.
pub(crate) fn charger(number: usize) -> Charger {
    STOPS[number % STOPS.len()].1
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

    #[test]
    fn the_loop_is_closed_and_has_no_jump() {
        let route = Route::shared();
        let mut before = route.place(0.0);
        let mut along_m = 0.0;
        while along_m < route.length_m() {
            along_m += 10.0;
            let here = route.place(along_m);
            let north = (here.latitude - before.latitude) * METRES_PER_DEGREE;
            let east = (here.longitude - before.longitude) * METRES_PER_DEGREE * 0.666;
            let turn = (here.heading_degrees - before.heading_degrees).rem_euclid(360.0);
            assert!(north.hypot(east) < 10.2, "at {along_m} m");
            assert!((here.altitude_m - before.altitude_m).abs() < 0.6, "at {along_m} m");
            assert!(turn.min(360.0 - turn) < 15.0, "at {along_m} m: {turn} degrees");
            before = here;
        }
        assert_eq!(route.place(route.length_m()), route.place(0.0));
    }

    #[test]
    fn limits_ahead_are_met_by_gentle_braking() {
        let route = Route::shared();
        for pair in route.points.windows(2) {
            let (from, to) = (&pair[0], &pair[1]);
            let braking = (from.envelope_mps.powi(2) - to.envelope_mps.powi(2))
                / (2.0 * (to.from_start_m - from.from_start_m));
            assert!(braking <= BRAKING + 1e-9);
            assert!(from.envelope_mps <= from.limit_mps);
        }
    }

    #[test]
    fn stops_are_about_ten_minutes_apart() {
        let route = Route::shared();
        for number in 0..STOP_COUNT {
            let away =
                (route.stop_m(number + 1) - route.stop_m(number)).rem_euclid(route.length_m());
            assert!((11_000.0..15_000.0).contains(&away), "{away}");
        }
    }
}
