//! `cardata replay`: recorded drives and charges through the same path as any vehicle's events.
//!
//! What a row means is the simulator's business (`recording`); this reads files, keeps the pace and sends.

mod files;
mod lines;
mod pace;
mod send;
mod summary;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cardata_contract::stream::{EVENT_LENGTH_MAX, to_json};
use cardata_domain::{Catalogue, Vin};
use cardata_server::Clock as _;
use cardata_simulator::recording::timeline::Start;
use cardata_simulator::recording::{Player, Row, RowError};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use self::files::Recording;
use self::lines::Line;
use self::pace::{Pace, Speed};
use self::send::{SendError, Sender};
use self::summary::{Origin, Summary};
use super::sandbox::SandboxArgs;
use crate::clock::SystemClock;
use crate::output::{self, Advice, Progress};

/// Play recorded drives and charges as one of the vehicles
///
/// Reads the CSV forms of the project's recordings (BMW i3 drives, Renault Twizy drives, BMW i3 charging), told by their
/// header, and stream messages as JSON lines. Each row is sent as one event of the vehicle with the row's time, in the
/// recording's pace. While the server is away the replay stands still and tries again, so that nothing is lost.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cardata replay drive.csv --vin WBYSANDB0X0000001\n  \
    cardata replay drive.csv --vin WBYSANDB0X0000001 --speed 60 --start 2026-11-23T08:00:00+01:00\n  \
    cardata replay monday.jsonl tuesday.jsonl --vin WBYSANDB0X0000001 --speed max")]
pub(crate) struct Args {
    /// Recordings, played one after the other
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The vehicle that sends them, whatever the recording says; `cardata dev` prints its vehicles
    #[arg(long)]
    vin: Vin,
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
/// Bytes of a line that is read; longer ones could not be sent.
const LINE_LENGTH_MAX: usize = EVENT_LENGTH_MAX;
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
    let recordings = files::recognise(&args.files, LINE_LENGTH_MAX)?;
    let sender = Sender::find(args.sandbox, Duration::from_secs(args.retry_for.into()))?;
    let start = match args.start {
        Some(start) => Start::At(start),
        None => Start::Recorded { otherwise: SystemClock.now() },
    };
    let catalogue = Arc::new(Catalogue::shipped());
    let player = Player::new(catalogue, args.vin, start, args.time_zone, args.odometer);
    let progress = Progress::of_bytes(recordings.iter().map(|recording| recording.length).sum());
    let mut replay = Replay {
        player,
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
    let names: Vec<_> = recordings.iter().map(|one| Origin::new(&one.path, 0).file).collect();
    let names = names.join(", ");
    if summary.rows() == 0 {
        let remedy = "a file with rows below its header";
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
    player: Player,
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
        let mut lines = recording.lines(LINE_LENGTH_MAX)?;
        let mut header_is_due = recording.layout.has_header();
        self.player.open(&recording.layout);
        while let Some((number, line)) = lines.next().with_context(|| recording.unreadable())? {
            let outcome = match line {
                Line::TooLong => Err(RowError::TooLong(LINE_LENGTH_MAX)),
                Line::Whole(text) if header_is_due && !text.trim_ascii().is_empty() => {
                    header_is_due = false;
                    continue;
                }
                Line::Whole(text) => self.player.line(number, text),
            };
            match outcome {
                Ok(row) => self.offer(recording, row).await?,
                Err(reason) => {
                    self.summary.unusable(&reason, &recording.origin(number));
                }
            }
            self.progress.set(position + lines.position);
        }
        let last = self.player.close();
        self.offer(recording, last).await
    }

    /// Takes a row into the batch when its time has come, and sends the batch before that if it must wait.
    async fn offer(&mut self, recording: &Recording, row: Option<Row>) -> anyhow::Result<()> {
        let Some(Row { line, event, omitted }) = row else { return Ok(()) };
        if let Some(due) = self.pace.due(event.at(), Instant::now()) {
            self.flush().await?;
            sleep_until(due).await;
        }
        let json = to_json(&event);
        let full = self.batch.origins.len() >= BATCH_EVENTS_MAX
            || self.batch.lines.len() + json.len() >= BATCH_BYTES_MAX;
        if full {
            self.flush().await?;
        }
        let origin = recording.origin(line);
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
    let Origin { file, line } = next;
    let what = format!(
        "gave up with {} rows acknowledged; the next one is line {line} of {file}",
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
