//! `GET /v2/events`: the events of a customer's vehicles as they come, as server-sent events (HTML Living Standard §9.2).
//!
//! An event's id is its number in the journal. Numbers grow over all vehicles, and events go out in their order, so one
//! number says how far a client got: `Last-Event-ID` goes on after it, as a cursor of MQTT does. What a slow client does
//! not take waits in the journal, not here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::CACHE_CONTROL;
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response, sse};
use cardata_contract::error_code::ErrorCode;
use cardata_contract::stream::encode;
use cardata_domain::session::SessionKey;
use cardata_domain::token::Claims;
use cardata_domain::{Event, Recorded, Sequence, Vin};
use cardata_mqtt::CloseReason;
use futures_util::stream;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::parameters::Parameters;
use crate::Platform;
use crate::api::auth::{Caller, Streamer};
use crate::api::error::ApiError;
use crate::api::vehicles::primary;
use crate::entitlements::ViewCell;
use crate::secret;
use crate::stream::admission;
use crate::stream::router::{Arrival, Arrivals, MAILBOX_MAX, Mailbox, Registration, Router};

/// Events of one vehicle that are read from the journal at once.
const CHUNK: usize = 256;
/// A word that says nothing, so that a silent stream is known from a dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `GET /v2/events[?vin=…]`, that as often as wanted.
#[utoipa::path(
    get, path = "/v2/events",
    tag = "Beyond the real service",
    summary = "Events as they come",
    params(
        ("vin" = Option<Vec<String>>, Query, description = "Of this vehicle; may be there several times"),
        ("Last-Event-ID" = Option<String>, Header, description = "Goes on after this event")
    ),
    responses((
        status = 200, description = "Server-sent events `telemetry`, `snapshot`, `gap` and `end`",
        content((String = "text/event-stream"))
    )),
    security(("token" = [])),
)]
pub(in crate::api) async fn read(
    State(platform): State<Arc<Platform>>,
    Streamer(claims): Streamer,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let chosen = Parameters::read(query.as_deref(), &["vin"])?.vins()?;
    let caller = Caller { gcid: claims.gcid, client_id: claims.client_id };
    primary(&platform, caller, chosen.as_ref()).await?;
    let last = match headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?")) {
        None | Some("") => None,
        Some(text) => Some(Sequence(text.parse().map_err(|_| {
            ApiError::bad_request("`Last-Event-ID` is no id of an event of this stream")
        })?)),
    };
    let feed = Feed::open(&platform, &claims, chosen, last).await?;
    let (to_client, taken) = mpsc::channel(1);
    let shown = feed.shown.clone();
    platform.tasks.spawn("sse", feed.run(to_client));
    let messages = stream::unfold((taken, shown), async |(mut taken, shown)| {
        loop {
            let Message { of, event } = taken.recv().await?;
            // What ended while the client did not read is not sent any more.
            if of.is_none_or(|vin| shown.load().contains(&vin)) {
                return Some((Ok::<_, Infallible>(event), (taken, shown)));
            }
        }
    });
    let sse = Sse::new(messages).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // Some proxies keep what they are sent until there is more of it.
    Ok(([(CACHE_CONTROL.as_str(), "no-store"), ("x-accel-buffering", "no")], sse).into_response())
}

/// What goes out.
struct Message {
    /// Which vehicle's values it has, if any.
    of: Option<Vin>,
    event: sse::Event,
}

/// The events of one client's stream.
struct Feed {
    platform: Arc<Platform>,
    caller: Caller,
    registration: Registration,
    arrivals: Arrivals,
    mailbox: Arc<Mailbox>,
    view: Arc<ViewCell>,
    /// The vehicles that were asked for; `None` for all.
    chosen: Option<BTreeSet<Vin>>,
    /// Those that are read, and up to where each of them was passed.
    vehicles: BTreeMap<Vin, Sequence>,
    /// The same for who takes messages.
    shown: Arc<ArcSwap<BTreeSet<Vin>>>,
    /// Every event up to this one went out, or had nothing to show.
    after: Sequence,
    waiting: VecDeque<Message>,
    expires_at: Instant,
}

impl Feed {
    async fn open(
        platform: &Arc<Platform>,
        claims: &Claims,
        chosen: Option<BTreeSet<Vin>>,
        last: Option<Sequence>,
    ) -> Result<Self, ApiError> {
        let Claims { gcid, client_id, consent_id, .. } = *claims;
        let caller = Caller { gcid, client_id };
        let mqtt_client_id = format!("events-{}", secret::uuid());
        let key = SessionKey { gcid: Some(gcid), client_id, mqtt_client_id };
        let limit = platform.profile.connections;
        let registration = platform.router.register(key, Some(consent_id), limit).await;
        let registration = registration.map_err(|_| {
            let note = "the customer has as many streams as the profile allows; end one of them";
            ApiError::new(ErrorCode::Refused, note)
        })?;
        // Looked up after the registration: a consent that ends from now on finds the stream and closes it.
        let consent = platform.directory.consent(consent_id).await?;
        let now = platform.clock.now();
        if !consent.is_some_and(|consent| consent.is_active(now)) {
            let note = "the customer revoked the consent; authorize anew";
            return Err(ApiError::new(ErrorCode::Authentication, note));
        }
        let left = Duration::try_from(claims.expires_at.duration_since(now)).unwrap_or_default();
        let (mailbox, arrivals) = Router::mailbox(MAILBOX_MAX);
        let mut feed = Self {
            platform: platform.clone(),
            caller,
            registration,
            arrivals,
            mailbox,
            view: platform.entitlements.cell(gcid, client_id).await?,
            chosen,
            vehicles: BTreeMap::new(),
            shown: Arc::default(),
            after: Sequence(0),
            waiting: VecDeque::new(),
            expires_at: Instant::now() + left,
        };
        feed.look().await?;
        let newest = feed.vehicles.values().copied().max().unwrap_or_default();
        // An id beyond the newest is of a journal that was cut back; what is appended next must not be skipped.
        feed.after = last.map_or(newest, |last| last.min(newest));
        feed.vehicles.values_mut().for_each(|passed| *passed = feed.after.min(*passed));
        if last.is_none() && platform.profile.snapshots {
            for vin in feed.vehicles.keys().copied().collect::<Vec<_>>() {
                feed.snapshot(vin).await?;
            }
        }
        Ok(feed)
    }

    /// Reads the vehicles of which the customer is PRIMARY now; of those that are new, from now on.
    async fn look(&mut self) -> Result<(), ApiError> {
        let primary =
            admission::vehicles(&self.platform, self.caller.gcid, self.caller.client_id).await?;
        let is_chosen = |vin: &Vin| self.chosen.as_ref().is_none_or(|chosen| chosen.contains(vin));
        let wanted: BTreeSet<Vin> = primary.iter().map(|(vin, _)| vin).filter(is_chosen).collect();
        let router = &self.platform.router;
        self.vehicles.retain(|vin, _| {
            let stays = wanted.contains(vin);
            if !stays {
                router.detach(*vin, &self.mailbox);
            }
            stays
        });
        for vin in &wanted {
            self.vehicles.entry(*vin).or_insert_with(|| {
                // First the mailbox, then the head: an event in between arrives and is known to be before the head.
                router.attach(*vin, &self.mailbox);
                self.platform.journal.head(*vin)
            });
        }
        self.waiting.retain(|message| message.of.is_none_or(|vin| wanted.contains(&vin)));
        self.shown.store(Arc::new(wanted));
        Ok(())
    }

    async fn run(mut self, to_client: mpsc::Sender<Message>) {
        metrics::gauge!("cardata_sse_streams").increment(1);
        let why = self.serve(&to_client).await;
        metrics::gauge!("cardata_sse_streams").decrement(1);
        metrics::counter!("cardata_sse_streams_ended_total", "reason" => why.to_string())
            .increment(1);
        tracing::debug!(client.id = %self.caller.client_id, "a stream of events ended: {why}");
        if why == CloseReason::ConsentEnded {
            // Nothing more, not even what waits.
            self.shown.store(Arc::default());
            return;
        }
        let data = json!({"reason": why.to_string()}).to_string();
        let event = sse::Event::default().event("end").data(data);
        // Who does not read hears nothing.
        let _ = to_client.try_send(Message { of: None, event });
    }

    /// Sends until there is a reason to end.
    async fn serve(&mut self, to_client: &mpsc::Sender<Message>) -> CloseReason {
        let mut stopping = self.platform.tasks.stopping();
        let mut is_behind = true;
        loop {
            if is_behind && self.waiting.is_empty() {
                match self.catch_up().await {
                    Ok(more) => is_behind = more,
                    Err(error) => {
                        tracing::debug!("a stream of events can't be read on: {error:?}");
                        return CloseReason::StoreFailed;
                    }
                }
            }
            let is_idle = self.waiting.is_empty();
            tokio::select! {
                biased;
                reason = self.registration.wanted_closed() => return reason,
                () = stopping.wait() => return CloseReason::ServerStopping,
                () = sleep_until(self.expires_at) => return CloseReason::TokenExpired,
                askers = self.registration.wanted_to_look() => {
                    if self.look().await.is_err() {
                        return CloseReason::StoreFailed;
                    }
                    drop(askers);
                }
                room = to_client.reserve(), if !is_idle => {
                    let Ok(room) = room else { return CloseReason::ConnectionLost };
                    if let Some(message) = self.waiting.pop_front() {
                        room.send(message);
                    }
                }
                () = to_client.closed() => return CloseReason::ConnectionLost,
                arrival = self.arrivals.next(), if is_idle && !is_behind => match arrival {
                    Arrival::Event(event) => self.take(&event),
                    Arrival::Missed => is_behind = true,
                },
            }
        }
    }

    /// Takes the next events of the journal, of all vehicles in their order, and says whether there are more.
    async fn catch_up(&mut self) -> Result<bool, ApiError> {
        let journal = self.platform.journal.clone();
        // All events up to here can be read by now, so none of them is passed by one of another vehicle.
        let heads: Vec<_> = self.vehicles.keys().map(|vin| (*vin, journal.head(*vin))).collect();
        let newest = heads.iter().map(|(_, head)| *head).max().unwrap_or_default();
        let mut until = newest;
        let mut events = Vec::new();
        for (vin, head) in heads {
            if head <= self.after {
                continue;
            }
            let read = journal.read(vin, self.after, CHUNK).await?;
            if let Some(last) = read.last().filter(|_| read.len() == CHUNK) {
                until = until.min(last.sequence);
            }
            let first = read.first().map(|event| (event.previous, Some(event.event.at())));
            let (previous, to) = first.unwrap_or((head, None));
            let passed = self.vehicles.get(&vin).copied().unwrap_or_default();
            if previous > passed.max(self.after) {
                self.gap(vin, to);
                self.snapshot(vin).await?;
            }
            events.extend(read);
        }
        events.retain(|event| event.sequence <= until);
        events.sort_by_key(|event| event.sequence);
        for event in events {
            self.take(&event);
        }
        self.after = self.after.max(until);
        self.vehicles.values_mut().for_each(|passed| *passed = until.max(*passed));
        Ok(until < newest)
    }

    fn take(&mut self, recorded: &Recorded) {
        let vin = recorded.event.vin();
        let Some(passed) = self.vehicles.get_mut(&vin) else { return };
        if recorded.sequence <= *passed || recorded.sequence <= self.after {
            return;
        }
        *passed = recorded.sequence;
        self.after = recorded.sequence;
        let view = self.view.load();
        let payloads = recorded.payloads(&view, |event, entries| encode(event, entries, view.gcid));
        for (part, payload) in payloads.iter().enumerate() {
            let mut event = sse::Event::default().event("telemetry").data(text(payload));
            // With the last part only: who has got some of them gets all again.
            if part + 1 == payloads.len() {
                event = event.id(recorded.sequence.0.to_string());
            }
            self.waiting.push_back(Message { of: Some(vin), event });
        }
        if !payloads.is_empty() {
            let Caller { gcid, client_id } = self.caller;
            self.platform.tally.sent(gcid, client_id, vin, 1, self.platform.clock.now());
        }
    }

    /// The latest values of `vin`.
    async fn snapshot(&mut self, vin: Vin) -> Result<(), ApiError> {
        let latest = self.platform.journal.latest(vin).await?;
        let Some(event) = Event::of_latest(vin, &latest) else { return Ok(()) };
        let view = self.view.load_full();
        let payloads = view.payloads(&event, |event, entries| encode(event, entries, view.gcid));
        for payload in payloads.iter() {
            let event = sse::Event::default().event("snapshot").data(text(payload));
            let event = event.id(self.after.0.to_string());
            self.waiting.push_back(Message { of: Some(vin), event });
        }
        Ok(())
    }

    /// Events of `vin` are gone since retention is over; the next one was sent at `to`.
    fn gap(&mut self, vin: Vin, to: Option<jiff::Timestamp>) {
        metrics::counter!("cardata_sse_gaps_total").increment(1);
        let to = to.map(|to| format!("{to:.3}"));
        let data = json!({"vin": vin.as_str(), "to": to}).to_string();
        let event = sse::Event::default().event("gap").data(data);
        self.waiting.push_back(Message { of: Some(vin), event });
    }
}

/// A payload as text, which it is.
fn text(payload: &[u8]) -> String {
    String::from_utf8_lossy(payload).into_owned()
}

impl Drop for Feed {
    fn drop(&mut self) {
        for vin in self.vehicles.keys() {
            self.platform.router.detach(*vin, &self.mailbox);
        }
    }
}
