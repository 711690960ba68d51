//! Which vehicle of the sandbox plays which one of the recordings.

use std::sync::Arc;

use cardata_domain::{Catalogue, Vin};
use cardata_simulator::recording::Player;
use cardata_simulator::recording::stream::{Assignment, AssignmentError, StreamPlayer};
use cardata_simulator::recording::timeline::Start;
use jiff::tz::TimeZone;

use crate::command::recordings::{Form, Recording};
use crate::output::Advice;

/// A vehicle that sends, and perhaps which one of the recording's it is.
pub(super) type Vehicle = Assignment;

/// Reads `VIN` or `RECORDED=VIN`.
pub(super) fn parse_vehicle(text: &str) -> Result<Vehicle, String> {
    let vin = |text: &str| text.parse::<Vin>().map_err(|error| error.to_string());
    match text.split_once('=') {
        Some((recorded, sent)) => Ok(Vehicle { recorded: Some(vin(recorded)?), sent: vin(sent)? }),
        None => Ok(Vehicle { recorded: None, sent: vin(text)? }),
    }
}

/// What plays the files of one replay.
pub(super) enum Players {
    /// Rows of one vehicle.
    Rows(Box<Player>),
    /// Messages of any number of them.
    Stream(Box<StreamPlayer>),
}

impl Players {
    /// Decides who plays what, before anything is sent.
    pub(super) fn new(
        recordings: &[Recording],
        vehicles: &[Vehicle],
        start: Start,
        zone: TimeZone,
        odometer_km: f64,
    ) -> anyhow::Result<Self> {
        let catalogue = Arc::new(Catalogue::shipped());
        let mut recorded = Vec::new();
        let mut streams = 0;
        for recording in recordings {
            if let Form::Stream(stream) = &recording.form {
                streams += 1;
                for vin in &stream.vehicles {
                    if !recorded.contains(vin) {
                        recorded.push(*vin);
                    }
                }
            }
        }
        if streams == 0 {
            let [Vehicle { recorded: None, sent }] = vehicles else {
                let remedy = "--vin once, with a VIN that `cardata dev` prints";
                let what = "these recordings are played by one vehicle";
                return Err(Advice::new(what).remedy(remedy).usage().into());
            };
            let player = Player::new(catalogue, *sent, start, zone, odometer_km);
            return Ok(Self::Rows(Box::new(player)));
        }
        if streams < recordings.len() {
            let what = "recorded streams and other recordings can't be played as one";
            let remedy = "a `cardata replay` for each kind";
            return Err(Advice::new(what).remedy(remedy).usage().into());
        }
        let player = StreamPlayer::new(catalogue, &recorded, vehicles, start);
        player.map(|player| Self::Stream(Box::new(player))).map_err(|error| {
            // A whole VIN is in the file that the person has, and needed to name it.
            let listed: Vec<_> = recorded.iter().map(Vin::as_str).collect();
            let remedy = match error {
                AssignmentError::Count { .. } => {
                    "--vin once for each vehicle, or --vin RECORDED=VIN for some; recorded are "
                }
                AssignmentError::Unknown(_) => "--vin RECORDED=VIN with one of ",
            };
            let advice = Advice::new("the vehicles don't fit the recording");
            let remedy = format!("{remedy}{}", listed.join(", "));
            anyhow::Error::new(error).context(advice.remedy(remedy).usage())
        })
    }

    /// What plays rows.
    ///
    /// # Panics
    /// When [`new`](Self::new) was given streams.
    pub(super) fn rows(&mut self) -> &mut Player {
        match self {
            Self::Rows(player) => player,
            Self::Stream(_) => unreachable!("streams are not mixed with rows"),
        }
    }

    /// What plays streams.
    ///
    /// # Panics
    /// When [`new`](Self::new) was given rows.
    pub(super) fn stream(&mut self) -> &mut StreamPlayer {
        match self {
            Self::Stream(player) => player,
            Self::Rows(_) => unreachable!("rows are not mixed with streams"),
        }
    }
}
