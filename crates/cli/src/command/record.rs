//! `cardata record`: a stream, message by message, into a file.
//!
//! The file is the simulator crate's business (`recording::stream`), the connection the client's; this keeps both going.

mod file;
mod source;

use std::path::PathBuf;
use std::time::Duration;

use cardata_client::login::RefreshError;
use cardata_client::stream::{Session, Stream, StreamError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use self::file::{Recorder, WriteError};
use self::source::{RenewError, Source, SourceArgs};
use super::duration::parse_duration;
use crate::output::{self, Advice, Progress};

/// Record a stream into a file
///
/// Records what a customer's client gets: of the running `cardata dev`, of any other server (--server), or of the real
/// service (--bmw). VINs, the customer and positions are replaced by others, and what else could tell of a person is left
/// out, unless --keep-identity says otherwise. The file survives a crash; `cardata inspect` shows what is in it, and
/// `cardata replay` plays it. Ctrl+C ends the recording.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cardata record --for 1h\n  \
    cardata record --out drive.cardata --events 500 --customer ben@example.com\n  \
    cardata record --bmw --client-id 31c3b263-1234-4d3d-8835-656ee00edcd7 --tokens tokens.json")]
pub(crate) struct Args {
    /// Where to; a name with the present time in this folder unless told
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// For how long, such as 90s, 10m or 1h
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    length: Option<Duration>,
    /// How many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: Option<u64>,
    /// Keep VINs, the customer, positions and all texts as they come; such a file is for nobody else
    #[arg(long)]
    keep_identity: bool,
    /// Seconds to wait for a server that is away before giving up
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    retry_for: u32,
    #[command(flatten)]
    source: SourceArgs,
}

/// What came is written at least so often, so that a crash costs no more.
const FLUSH_EVERY: Duration = Duration::from_secs(10);
/// After so long without any message the person is told what may be missing.
const SILENCE: Duration = Duration::from_mins(1);
/// The first pause before connecting again; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// Records until there is enough, or the person says so.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let mut source = tokio::select! {
        source = Source::find(&args.source) => source?,
        () = stop.asked() => return Ok(()),
    };
    let recorder = Recorder::create(args.out.as_deref(), args.keep_identity)?;
    let now = Instant::now();
    let mut recording = Recording {
        recorder,
        progress: Progress::endless(),
        ends_at: args.length.map(|length| now + length),
        events_max: args.events.unwrap_or(u64::MAX),
        patience: Duration::from_secs(args.retry_for.into()),
        flush_at: now + FLUSH_EVERY,
        silent_until: Some(now + SILENCE),
        last_at: None,
    };
    let ended = recording.run(&mut source, &mut stop).await;
    let Recording { recorder, progress, .. } = recording;
    drop(progress);
    close(recorder, ended)
}

/// Ends the file, and tells what is in it.
fn close(recorder: Recorder, ended: Result<(), Failure>) -> anyhow::Result<()> {
    let (messages, path) = (recorder.messages(), recorder.path().to_owned());
    let summary = recorder.finish();
    if messages == 0 {
        let error = match ended {
            Err(failure) => failure.advised("nothing was recorded".to_owned()),
            Ok(()) => {
                Advice::new("nothing was recorded: no message came").remedy(SILENT_REMEDY).into()
            }
        };
        return Err(error);
    }
    if let Ok(summary) = &summary {
        output::note(summary);
        output::data(&path.display().to_string());
    }
    let kept =
        format!("the recording ended early; what was written before is in {}", path.display());
    ended.map_err(|failure| failure.advised(kept))?;
    summary
        .map(drop)
        .map_err(|error| Failure::Write(error).advised("the recording can't be ended".to_owned()))
}

const SILENT_REMEDY: &str = "a client gets what its containers name: `cardata container create`, or the signals ticked in \
     the portal; and vehicles that are parked say little";

/// Why a recording ends that nobody has ended.
#[derive(Debug)]
enum Failure {
    /// The server is away for too long, or ends the stream for good.
    Stream(StreamError),
    /// There are no fresh tokens.
    Token(RenewError),
    Write(WriteError),
}

impl Failure {
    fn advised(self, what: String) -> anyhow::Error {
        let advice = Advice::new(what);
        match self {
            Self::Token(error) => {
                let remedy = "the same command again with another --out, which signs in anew";
                anyhow::Error::new(error).context(advice.remedy(remedy).usage())
            }
            Self::Write(error) => {
                let remedy = "a place with room that you may write to, with --out";
                anyhow::Error::new(error).context(advice.remedy(remedy))
            }
            Self::Stream(error) => {
                let advice = match &error {
                    StreamError::Tls(_) => advice.remedy("--ca with the file of the CA that vouches for the server"),
                    StreamError::NotSubscribed(_) => advice.remedy(SILENT_REMEDY),
                    error if error.needs_token() => {
                        advice.remedy("a fresh token, and the GCID that it belongs to").usage()
                    }
                    StreamError::Ended(_) | StreamError::Refused(_) => advice.remedy(
                        "end the other connections of this customer; the real service allows one",
                    ),
                    _ => advice.remedy("see whether the server runs and can be reached; --retry-for waits longer for it"),
                };
                anyhow::Error::new(error).context(advice)
            }
        }
    }
}

/// A recording under way.
struct Recording {
    recorder: Recorder,
    progress: Progress,
    ends_at: Option<Instant>,
    events_max: u64,
    patience: Duration,
    flush_at: Instant,
    /// When the person is told that nothing comes; `None` when something came or it was told.
    silent_until: Option<Instant>,
    last_at: Option<Instant>,
}

/// Why one connection is over.
enum Over {
    /// There is enough.
    Done,
    /// Another token is due.
    Refresh,
    Stream(StreamError),
}

impl Recording {
    async fn run(&mut self, source: &mut Source, stop: &mut Stop) -> Result<(), Failure> {
        let mut session = Session::New;
        let mut refreshed_for_refusal = false;
        let mut away = Away::new(self.patience);
        let mut begun = false;
        loop {
            let opened = tokio::select! {
                opened = Stream::open(source.account(), session) => opened,
                () = stop.asked() => return Ok(()),
                () = sleep_until_some(self.ends_at) => return Ok(()),
            };
            let error = match opened {
                Ok(mut stream) => {
                    session = Session::Resumed;
                    if !std::mem::replace(&mut begun, true) {
                        let path = self.recorder.path().display().to_string();
                        self.progress.note(&format!("recording into {path}; Ctrl+C ends"));
                    }
                    away = Away::new(self.patience);
                    let before = self.recorder.messages();
                    let over = self.record(&mut stream, source.refresh_at(), stop).await?;
                    refreshed_for_refusal &= self.recorder.messages() == before;
                    match over {
                        Over::Done => {
                            stream.close(Session::New).await;
                            return Ok(());
                        }
                        Over::Refresh => {
                            stream.close(Session::Resumed).await;
                            if !self.renew(source, stop).await? {
                                return Ok(());
                            }
                            continue;
                        }
                        Over::Stream(error) => error,
                    }
                }
                Err(error) => error,
            };
            if error.is_final() {
                return Err(Failure::Stream(error));
            }
            if error.needs_token() {
                // A second refusal in a row has another reason than the token's age.
                if refreshed_for_refusal || !source.can_refresh() {
                    return Err(Failure::Stream(error));
                }
                refreshed_for_refusal = true;
                if !self.renew(source, stop).await? {
                    return Ok(());
                }
                continue;
            }
            let Some(pause) = away.pause() else { return Err(Failure::Stream(error)) };
            if !self.wait(pause, &error, stop).await? {
                return Ok(());
            }
            source.look_again();
        }
    }

    /// Gets other tokens, also when the server is away for a while. Gives whether to go on.
    async fn renew(&mut self, source: &mut Source, stop: &mut Stop) -> Result<bool, Failure> {
        let mut away = Away::new(self.patience);
        loop {
            let error = match source.refresh().await {
                Ok(()) => return Ok(true),
                Err(RenewError::Refresh(error)) if !matches!(error, RefreshError::Refused(_)) => {
                    error
                }
                Err(error) => return Err(Failure::Token(error)),
            };
            let Some(pause) = away.pause() else {
                return Err(Failure::Token(RenewError::Refresh(error)));
            };
            if !self.wait(pause, &error, stop).await? {
                return Ok(false);
            }
            source.look_again();
        }
    }

    /// Waits before another attempt. Gives whether to go on.
    async fn wait(
        &mut self,
        pause: Duration,
        error: &dyn std::error::Error,
        stop: &mut Stop,
    ) -> Result<bool, Failure> {
        self.recorder.flush().map_err(Failure::Write)?;
        self.progress.note(&format!("{error}; trying again in {} s", pause.as_secs()));
        Ok(tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = stop.asked() => false,
            () = sleep_until_some(self.ends_at) => false,
        })
    }

    /// Records one connection.
    async fn record(
        &mut self,
        stream: &mut Stream,
        refresh_at: Option<Instant>,
        stop: &mut Stop,
    ) -> Result<Over, Failure> {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                message = stream.next() => {
                    let message = match message {
                        Ok(message) => message,
                        Err(error) => return Ok(Over::Stream(error)),
                    };
                    self.recorder.take(message).map_err(Failure::Write)?;
                    self.last_at = Some(Instant::now());
                    self.silent_until = None;
                    if self.recorder.messages() >= self.events_max {
                        return Ok(Over::Done);
                    }
                }
                _ = seconds.tick() => self.look_around()?,
                () = stop.asked() => return Ok(Over::Done),
                () = sleep_until_some(self.ends_at) => return Ok(Over::Done),
                () = sleep_until_some(refresh_at) => return Ok(Over::Refresh),
            }
        }
    }

    /// What has to be done from time to time.
    fn look_around(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        if now >= self.flush_at {
            self.recorder.flush().map_err(Failure::Write)?;
            self.flush_at = now + FLUSH_EVERY;
        }
        if self.silent_until.is_some_and(|until| now >= until) {
            self.silent_until = None;
            let seconds = SILENCE.as_secs();
            self.progress.note(&format!("no message came for {seconds} s: {SILENT_REMEDY}"));
        }
        let last = match self.last_at {
            Some(at) => format!("the last one {} s ago", now.duration_since(at).as_secs()),
            None => "waiting for the first one".to_owned(),
        };
        self.progress.say(format!("{}, {last}", self.recorder.state()));
        Ok(())
    }
}

/// How long to wait for a server that is away.
struct Away {
    gives_up_at: Instant,
    pause: Duration,
}

impl Away {
    fn new(patience: Duration) -> Self {
        Self { gives_up_at: Instant::now() + patience, pause: PAUSE_FIRST }
    }

    /// The pause before the next attempt; `None` when patience ends before.
    fn pause(&mut self) -> Option<Duration> {
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        (Instant::now() + pause < self.gives_up_at).then_some(pause)
    }
}

async fn sleep_until_some(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The person, or the system, wants the end.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
