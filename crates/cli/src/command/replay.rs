//! `cardata replay`: recorded drives and charges through the same path as any vehicle's events.
//!
//! What a row means is the simulator's business (`recording`); this reads files, keeps the pace and sends.

mod pace;
mod send;
mod summary;
mod vehicles;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use cardata_contract::stream::{EVENT_LENGTH_MAX, to_json};
use cardata_server::Clock as _;
use cardata_simulator::recording::stream::{Part, StreamRow};
use cardata_simulator::recording::timeline::Start;
use cardata_simulator::recording::{Layout, Row, RowError};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use self::pace::{Pace, Speed};
use self::send::{SendError, Sender};
use self::summary::{Origin, Place, Summary, file_name};
use self::vehicles::{Players, Vehicle, parse_vehicle};
use super::recordings::{Form, LINE_LENGTH_MAX, Line, Recording, recognise};
use super::sandbox::SandboxArgs;
use crate::clock::SystemClock;
use crate::output::{self, Advice, Progress};

/// Play recorded streams, drives and charges as vehicles of the sandbox
///
/// Reads what `cardata record` wrote, the CSV forms of the project's recordings (BMW i3 drives, Renault Twizy drives, BMW i3
/// charging), told by their header, and stream messages as JSON lines. Each row is sent as one event of the vehicle with the
/// row's time, in the recording's pace. While the server is away the replay stands still and tries again, so that nothing is
/// lost.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cardata replay drive.csv --vin WBYSANDB0X0000001\n  \
    cardata replay recording.cardata --vin WBYSANDB0X0000001 --vin WBYSANDB0X0000002 --now\n  \
    cardata replay recording.cardata --vin REC00000000000002=WBYSANDB0X0000001\n  \
    cardata replay drive.csv --vin WBYSANDB0X0000001 --speed 60 --start 2026-11-23T08:00:00+01:00\n  \
    cardata replay monday.jsonl tuesday.jsonl --vin WBYSANDB0X0000001 --speed max")]
pub(crate) struct Args {
    /// Recordings, played one after the other
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The vehicle that sends them, whatever the recording says; `cardata dev` prints its vehicles. A recorded stream may
    /// have several: name one for each, in the order of `cardata inspect`, or RECORDED=VIN for those that are to be played;
    /// without any, they are themselves
    #[arg(long = "vin", value_name = "[RECORDED=]VIN", value_parser = parse_vehicle)]
    vehicles: Vec<Vehicle>,
    /// How many times faster than recorded; `max` (or 0) as fast as the server takes them
    #[arg(long, value_name = "FACTOR", default_value = "1", allow_negative_numbers = true)]
    speed: Speed,
    /// Play again and again until stopped with Ctrl+C; times and odometer go on
    #[arg(long = "loop")]
    repeats: bool,
    /// Time of the first row, such as 2026-11-23T08:00:00Z; without it, the recording's own times where it has them, else
    /// now
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    start: Option<Timestamp>,
    /// Let the first row happen now, and every other one as much later as it was
    #[arg(long, conflicts_with = "start")]
    now: bool,
    /// Time zone of recordings in local time, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = parse_zone)]
    time_zone: TimeZone,
    /// Kilometres on the odometer at the first row, for recordings without an odometer
    #[arg(long, value_name = "KM", default_value = "0", value_parser = parse_odometer, allow_negative_numbers = true)]
    odometer: f64,
    /// Seconds to wait for a server that is away before giving up
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    retry_for: u32,
    #[command(flatten)]
    sandbox: SandboxArgs,
}

/// Events in one request.
const BATCH_EVENTS_MAX: usize = 500;
/// Bytes in one request, unless one event alone has more.
const BATCH_BYTES_MAX: usize = EVENT_LENGTH_MAX;
/// An odometer that shows more is no car's.
const ODOMETER_KM_MAX: f64 = 10_000_000.0;

fn parse_time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| {
        "a time has a date, a time of day and a zone, such as 2026-11-23T08:00:00Z or 2026-11-23T08:00:00+01:00"
            .to_owned()
    })
}

fn parse_zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text)
        .map_err(|_| "a time zone has a name such as Europe/Berlin or UTC".to_owned())
}

fn parse_odometer(text: &str) -> Result<f64, String> {
    let km = text.parse().ok().filter(|km| (0.0..=ODOMETER_KM_MAX).contains(km));
    km.ok_or_else(|| format!("an odometer shows 0 to {ODOMETER_KM_MAX} km"))
}

/// Plays the files and tells what became of each row.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let recordings = recognise(&args.files, LINE_LENGTH_MAX)?;
    let now = SystemClock.now();
    let start = match args.start {
        Some(start) => Start::At(start),
        None if args.now => Start::At(now),
        None => Start::Recorded { otherwise: now },
    };
    let players = Players::new(&recordings, &args.vehicles, start, args.time_zone, args.odometer)?;
    let sender = Sender::find(args.sandbox, Duration::from_secs(args.retry_for.into()))?;
    let progress = Progress::of_bytes(recordings.iter().map(|recording| recording.length).sum());
    let mut replay = Replay {
        players,
        sender,
        pace: Pace::new(args.speed),
        batch: Batch::default(),
        summary: Summary::default(),
        progress,
    };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let result = tokio::select! {
        result = replay.play(&recordings, args.repeats) => result,
        _ = interrupt.recv() => Err(Stopped.into()),
        _ = terminate.recv() => Err(Stopped.into()),
    };
    let Replay { summary, progress, .. } = replay;
    drop(progress);
    if summary.rows() > 0 {
        output::note(&summary.describe());
    }
    match result {
        // Only so does a loop end well.
        Err(error) if args.repeats && error.is::<Stopped>() && summary.acknowledged() > 0 => Ok(()),
        Err(error) => Err(error),
        Ok(()) => judge(&summary, &recordings),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the replay was stopped before its end")]
struct Stopped;

/// Whether a replay that came to its end was of any use.
fn judge(summary: &Summary, recordings: &[Recording]) -> anyhow::Result<()> {
    let names: Vec<_> = recordings.iter().map(|one| file_name(&one.path)).collect();
    let names = names.join(", ");
    if summary.rows() == 0 {
        let remedy = "a file with rows below its header, or messages";
        return Err(Advice::new(format!("there are no rows in {names}")).remedy(remedy).into());
    }
    if summary.events() == 0 {
        let what = format!("none of the {} rows of {names} can be used", summary.rows());
        return Err(Advice::new(what).remedy("see the reasons above").into());
    }
    if summary.acknowledged() == 0 {
        let reason = summary.first_refusal().unwrap_or("it gave no reason").to_owned();
        let advice = Advice::new(format!("the server refused every event of {names}"))
            .remedy("a VIN that `cardata dev` prints, and times that are not in the future");
        return Err(anyhow::Error::msg(reason).context(advice));
    }
    Ok(())
}

/// A replay under way.
struct Replay {
    players: Players,
    sender: Sender,
    pace: Pace,
    batch: Batch,
    summary: Summary,
    progress: Progress,
}

/// Events that are due but not sent.
#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    origins: Vec<Origin>,
}

impl Replay {
    async fn play(&mut self, recordings: &[Recording], repeats: bool) -> anyhow::Result<()> {
        loop {
            let acknowledged = self.summary.acknowledged();
            let mut position = 0;
            for recording in recordings {
                self.summary.file_begins();
                let read = self.play_file(recording, position).await;
                // What was read before a fault still counts.
                self.flush().await?;
                read?;
                position += recording.length;
            }
            // A round that brought nothing would bring nothing again, and as fast as the machine can.
            if !repeats || self.summary.acknowledged() == acknowledged {
                return Ok(());
            }
        }
    }

    /// Plays one file, which begins at `position` of all that are played.
    async fn play_file(&mut self, recording: &Recording, position: u64) -> anyhow::Result<()> {
        match &recording.form {
            Form::Lines(layout) => self.play_lines(recording, layout, position).await,
            Form::Stream(_) => self.play_stream(recording, position).await,
        }
    }

    async fn play_lines(
        &mut self,
        recording: &Recording,
        layout: &Layout,
        position: u64,
    ) -> anyhow::Result<()> {
        let origin = |number| Origin::new(&recording.path, Place::Line, number);
        let mut lines = recording.lines(LINE_LENGTH_MAX)?;
        let mut header_is_due = layout.has_header();
        self.players.rows().open(layout);
        while let Some((number, line)) = lines.next().with_context(|| recording.unreadable())? {
            let outcome = match line {
                Line::TooLong => Err(RowError::TooLong(LINE_LENGTH_MAX)),
                Line::Whole(text) if header_is_due && !text.trim_ascii().is_empty() => {
                    header_is_due = false;
                    continue;
                }
                Line::Whole(text) => self.players.rows().line(number, text),
            };
            match outcome {
                Ok(Some(row)) => self.offer(origin(row.line), row.event.at(), row).await?,
                Ok(None) => {}
                Err(reason) => self.summary.unusable(&reason, &origin(number)),
            }
            self.progress.set(position + lines.position);
        }
        match self.players.rows().close() {
            Some(last) => self.offer(origin(last.line), last.event.at(), last).await,
            None => Ok(()),
        }
    }

    async fn play_stream(&mut self, recording: &Recording, position: u64) -> anyhow::Result<()> {
        let mut reader = recording.stream()?;
        self.players.stream().open();
        let mut number = 0;
        while let Some(part) = reader.next_part().with_context(|| recording.unreadable())? {
            match part {
                Part::Message(message) => {
                    number += 1;
                    let origin = Origin::new(&recording.path, Place::Message, number);
                    match self.players.stream().message(number, &message) {
                        Ok(Some(StreamRow { row, due_at })) => {
                            self.offer(origin, due_at, row).await?;
                        }
                        Ok(None) => {}
                        Err(reason) => self.summary.unusable(&reason, &origin),
                    }
                }
                Part::Damage(damage) => {
                    let origin = Origin::new(&recording.path, Place::Block, damage.block);
                    self.summary.damaged(&damage, &origin);
                }
                Part::End(_) => {}
            }
            self.progress.set(position + reader.position());
        }
        Ok(())
    }

    /// Takes a row into the batch when its time has come, and sends the batch before that if it must wait.
    async fn offer(&mut self, origin: Origin, due_at: Timestamp, row: Row) -> anyhow::Result<()> {
        let Row { event, omitted, .. } = row;
        if let Some(due) = self.pace.due(due_at, Instant::now()) {
            self.flush().await?;
            sleep_until(due).await;
        }
        let json = to_json(&event);
        let full = self.batch.origins.len() >= BATCH_EVENTS_MAX
            || self.batch.lines.len() + json.len() >= BATCH_BYTES_MAX;
        if full {
            self.flush().await?;
        }
        self.summary.event(omitted.iter().map(ToString::to_string), &origin);
        self.batch.lines.extend_from_slice(&json);
        self.batch.lines.push(b'\n');
        self.batch.origins.push(origin);
        Ok(())
    }

    /// Sends what is due, and waits for the answer.
    async fn flush(&mut self) -> anyhow::Result<()> {
        let Some(first) = self.batch.origins.first() else { return Ok(()) };
        let (summary, progress) = (&mut self.summary, &self.progress);
        let (began, repeated) = (Instant::now(), summary.repeated);
        let sent = self.sender.send(&self.batch.lines, || {
            summary.repeated += 1;
            progress.say(format!("{}; waiting for the server", summary.short()));
        });
        match sent.await {
            Ok(ingested) => {
                self.summary.answered(&ingested, &self.batch.origins);
                self.progress.say(self.summary.short());
                // After the server was away the recording goes on in its pace; a burst would be another recording.
                if self.summary.repeated > repeated {
                    self.pace.delay(began.elapsed());
                }
            }
            Err(error) => return Err(gave_up(error, &self.summary, first)),
        }
        self.batch.lines.clear();
        self.batch.origins.clear();
        Ok(())
    }
}

fn gave_up(error: SendError, summary: &Summary, next: &Origin) -> anyhow::Error {
    let what = format!(
        "gave up with {} rows acknowledged; the next one is {next}",
        summary.acknowledged()
    );
    let remedy = match error {
        SendError::Patience { .. } => {
            "start `cardata dev` again with the same data folder; --retry-for waits longer for it"
        }
        SendError::Useless(_) => "see whether the ready file is that of a running `cardata dev`",
    };
    anyhow::Error::new(error).context(Advice::new(what).remedy(remedy))
}
