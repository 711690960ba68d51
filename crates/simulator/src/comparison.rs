//! A simulated car on a recorded drive: what it takes over the same speeds and heights, beside what the real one took.

use rand::SeedableRng;
use serde::Deserialize;
use thiserror::Error;

use crate::car::{Car, Chance};
use crate::model::Kind;

/// A second of a recorded drive.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
struct Second {
    speed_kmh: f64,
    elevation_m: f64,
    batt_v: f64,
    /// Below zero while it is drawn.
    batt_a: f64,
    batt_temp_c: f64,
    soc_displayed_pct: f64,
    ambient_c: f64,
    cabin_c: f64,
}

/// A drive of a BMW i3, one row a second.
#[derive(Debug, Clone, PartialEq)]
pub struct Drive {
    /// At least [`SECONDS_MIN`].
    seconds: Vec<Second>,
}

/// Shorter than this, a drive says more about its first hill than about the car.
const SECONDS_MIN: usize = 60;

/// The recorded height is told in whole metres, each of which would be a cliff; it is the mean of so many seconds around.
const SMOOTHED_SECONDS: usize = 15;

/// Why a text is no drive that can be compared.
#[derive(Debug, Error)]
pub enum DriveError {
    /// A row can't be read.
    #[error("not a drive of a BMW i3, one row a second")]
    Row(#[from] csv::Error),
    /// There is too little of it.
    #[error("{0} rows are too few; a drive has {SECONDS_MIN} at least")]
    Short(usize),
    /// It has not moved.
    #[error("the car never moves")]
    Still,
    /// A number that no drive has.
    #[error("row {0} has a number that no drive has")]
    Range(usize),
}

/// What a drive took.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// How far.
    pub km: f64,
    /// Out of the battery, less what came back.
    pub kwh_per_100_km: f64,
    /// How fast the displayed state of charge fell.
    pub percent_per_100_km: f64,
    /// The state of charge over the way: kilometres and percent, for each kilometre.
    pub charge: Vec<(f64, f64)>,
}

impl Drive {
    /// Reads a recording in CSV with the columns of a BMW i3's drive.
    ///
    /// # Errors
    /// [`DriveError`] tells what is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, DriveError> {
        let mut reader = csv::Reader::from_reader(text);
        let seconds = reader.deserialize().collect::<Result<Vec<Second>, _>>()?;
        if seconds.len() < SECONDS_MIN {
            return Err(DriveError::Short(seconds.len()));
        }
        let is_sound = |second: &Second| {
            (0.0..=300.0).contains(&second.speed_kmh)
                && (-500.0..=9000.0).contains(&second.elevation_m)
                && (0.0..=1000.0).contains(&second.batt_v)
                && (-2000.0..=2000.0).contains(&second.batt_a)
                && (0.0..=100.0).contains(&second.soc_displayed_pct)
                && [second.batt_temp_c, second.ambient_c, second.cabin_c]
                    .iter()
                    .all(|celsius| (-60.0..=90.0).contains(celsius))
        };
        if let Some(row) = seconds.iter().position(|second| !is_sound(second)) {
            return Err(DriveError::Range(row + 1));
        }
        if seconds.iter().map(|second| second.speed_kmh).sum::<f64>() < 3600.0 {
            return Err(DriveError::Still);
        }
        Ok(Self { seconds })
    }

    /// The mean temperature of the air.
    pub fn ambient_celsius(&self) -> f64 {
        mean(self.seconds.iter().map(|second| second.ambient_c))
    }

    /// What the real car took.
    pub fn recorded(&self) -> Taken {
        let mut meter = Meter::default();
        for second in &self.seconds {
            meter.kwh -= second.batt_v * second.batt_a / 3.6e6;
            meter.add(second.speed_kmh / 3600.0, second.soc_displayed_pct);
        }
        meter.taken()
    }

    /// What a simulated i3 takes that begins with the same charge, in the same air, and drives at the same speeds over the
    /// same heights.
    pub fn simulated(&self) -> Taken {
        let first = &self.seconds[0];
        // No chance has a part in what follows.
        let mut chance = Chance::seed_from_u64(0);
        let mut car = Car::new(Kind::I3.model(), jiff::Timestamp::UNIX_EPOCH, &mut chance);
        car.set_out(first.soc_displayed_pct, [first.batt_temp_c, first.cabin_c, first.ambient_c]);
        let heights = self.heights();
        let mut meter = Meter::default();
        let before = car.battery_kwh();
        for (second, rise_m) in self.seconds.iter().zip(heights.windows(2).map(|h| h[1] - h[0])) {
            car.ambient_celsius = second.ambient_c;
            car.place.altitude_m = second.elevation_m;
            let metres = car.odometer_m;
            car.move_on(second.speed_kmh / 3.6, rise_m);
            meter.add((car.odometer_m - metres) / 1000.0, car.charge_percent());
        }
        meter.kwh = before - car.battery_kwh();
        meter.taken()
    }

    /// One more than there are seconds.
    fn heights(&self) -> Vec<f64> {
        let last = self.seconds.len() - 1;
        let smoothed = |at: usize| {
            let around = at.saturating_sub(SMOOTHED_SECONDS)..=(at + SMOOTHED_SECONDS).min(last);
            mean(self.seconds[around].iter().map(|second| second.elevation_m))
        };
        (0..=last).chain([last]).map(smoothed).collect()
    }
}

#[derive(Default)]
struct Meter {
    km: f64,
    kwh: f64,
    charge: Vec<(f64, f64)>,
    last_percent: f64,
}

impl Meter {
    fn add(&mut self, km: f64, percent: f64) {
        self.km += km;
        self.last_percent = percent;
        if self.charge.last().is_none_or(|(noted_km, _)| self.km - noted_km >= 1.0) {
            self.charge.push((self.km, percent));
        }
    }

    fn taken(mut self) -> Taken {
        self.charge.push((self.km, self.last_percent));
        let first = self.charge[0].1;
        Taken {
            km: self.km,
            kwh_per_100_km: self.kwh / self.km * 100.0,
            percent_per_100_km: (first - self.last_percent) / self.km * 100.0,
            charge: self.charge,
        }
    }
}

fn mean(numbers: impl ExactSizeIterator<Item = f64>) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a drive's seconds")]
    let count = numbers.len() as f64;
    numbers.sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// Half an hour: the speed rises and falls between 0 and `top_kmh` every two minutes.
    fn drive(top_kmh: f64, celsius: f64) -> Drive {
        let mut text = String::from(
            "t_s,speed_kmh,elevation_m,batt_v,batt_a,batt_temp_c,soc_displayed_pct,ambient_c,cabin_c\n",
        );
        for second in 0..1800_i32 {
            let phase = f64::from(second % 120) / 120.0 * std::f64::consts::TAU;
            let speed = top_kmh / 2.0 * (1.0 - phase.cos());
            writeln!(text, "{second},{speed},500,360,-20,{celsius},80,{celsius},{celsius}")
                .unwrap();
        }
        Drive::parse(text.as_bytes()).unwrap()
    }

    /// Of 13 recorded drives of an i3 with 60 Ah at 15 to 33 °C, and of 7 at -1 to 8 °C, in and around Munich
    /// (Steinstraeter, Buberger, Trifonov: Battery and Heating Data in Real Driving Cycles, doi:10.21227/6jr9-5235):
    /// the least and the most that one of them took, in kWh for 100 km, and of what the display shows, in percent.
    const SUMMER: [(f64, f64); 2] = [(10.0, 17.7), (46.0, 103.0)];
    const WINTER: [(f64, f64); 2] = [(17.0, 23.3), (98.0, 123.0)];

    #[test]
    fn an_i3_takes_what_recorded_ones_took_in_summer_and_in_winter() {
        for (celsius, [kwh, percent]) in [(22.0, SUMMER), (3.0, WINTER)] {
            for top_kmh in [70.0, 90.0, 110.0] {
                let taken = drive(top_kmh, celsius).simulated();
                let is_within = |number, (least, most)| (least..=most).contains(&number);
                assert!(is_within(taken.kwh_per_100_km, kwh), "{celsius} °C, {top_kmh}: {taken:?}");
                assert!(is_within(taken.percent_per_100_km, percent), "{celsius} °C: {taken:?}");
            }
        }
    }

    #[test]
    fn what_was_recorded_is_added_up() {
        let taken = drive(100.0, 20.0).recorded();
        assert!((taken.km - 25.0).abs() < 0.1);
        // 20 A at 360 V are 7.2 kW, for half an hour.
        assert!((taken.kwh_per_100_km - 3.6 / 25.0 * 100.0).abs() < 0.1);
        assert!(taken.charge.len() > 20);
    }

    #[test]
    fn what_is_no_drive_is_refused_with_the_reason() {
        let header =
            "speed_kmh,elevation_m,batt_v,batt_a,batt_temp_c,soc_displayed_pct,ambient_c,cabin_c\n";
        let told = |rows: String| {
            Drive::parse(format!("{header}{rows}").as_bytes()).unwrap_err().to_string()
        };
        let row = "50,500,360,-20,20,80,20,20\n";
        assert!(told(row.repeat(3)).contains("3 rows"));
        assert!(told(row.replace("50,", "0,").repeat(60)).contains("never moves"));
        assert!(told(row.repeat(60) + &row.replace("50,", "NaN,")).contains("row 61"));
        assert!(told("half a row".to_owned()).contains("not a drive"));
        assert!(Drive::parse(b"\xff\xfe").is_err());
    }
}
