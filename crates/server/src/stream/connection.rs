//! One connection: bytes, time, events and the session between them.

use std::collections::BTreeMap;
use std::future::{pending, poll_fn};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use cardata_domain::session::{SessionKey, StoredSession};
use cardata_domain::{Entry, Recorded, Sequence, Vin};
use cardata_mqtt::decode::{Decoder, PacketError};
use cardata_mqtt::encode::Encoder;
use cardata_mqtt::packet::{Auth, Connect, Outgoing, Packet, Publish};
use cardata_mqtt::{Action, CloseReason, ConnectRefusal, Session, Vehicles, Version};
use cardata_store::directory::DirectoryError;
use cardata_store::journal::JournalError;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf, ReadHalf, WriteHalf};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::attempts::Peer;
use crate::faults::{Kind, Whom};
use crate::platform::Platform;
use crate::stream::admission::{self, Admitted};
use crate::stream::faulted::{Faulted, Plan, Seen};
use crate::stream::fleet::{Fleet, Look};
use crate::stream::groups::Membership;
use crate::stream::router::{Arrival, Arrivals, Registration};
use crate::stream::sent::Sent;
use crate::stream::spare;
use crate::stream::timer::Timer;
use crate::tasks::Stopping;

/// Bytes on their way to the client from which on nothing is added, and below which it goes on.
const OUTPUT_FULL: usize = 64 * 1024;
const OUTPUT_FREE: usize = 16 * 1024;
/// Bytes that are read at once.
const INPUT_CHUNK: usize = 4 * 1024;
/// How long a client may take to read anything at all while something is on its way.
const WRITE_PATIENCE: Duration = Duration::from_mins(1);
/// How long a fleet's client may take for what is queued when some of it must not leave later: a customer's end takes
/// effect within 100 ms.
const CLEARING_PATIENCE: Duration = Duration::from_millis(50);
/// How long the last words to a client may take.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(1);
/// How long finding out who a client is may take, an earlier connection of its session included.
const ADMISSION_PATIENCE: Duration = Duration::from_secs(10);
/// Live events that are taken at once, so that they leave in one write.
const ARRIVALS_AT_ONCE: usize = 64;

/// A look into the journal that is under way.
type Read = Pin<Box<dyn Future<Output = (Vin, Result<Found, JournalError>)> + Send>>;

enum Found {
    Events(Vec<Arc<Recorded>>),
    Latest(Arc<[Entry]>),
}

/// On which threads a connection is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On those of live events.
    Live,
    /// On those of [`CatchUp`](crate::stream::catch_up::CatchUp).
    CatchingUp,
}

struct Connection<S> {
    platform: Arc<Platform>,
    peer: Peer,
    session: Session,
    decoder: Decoder,
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    input: BytesMut,
    output: BytesMut,
    /// Whether bytes were handed to TLS since the last flush.
    unflushed: bool,
    congested: bool,
    /// Writes 3.1.1 until the CONNECT says otherwise.
    encoder: Encoder,
    version: Version,
    open: Option<Open>,
    read: Option<Read>,
    /// Whether there is more to catch up with than one read of the journal has given.
    behind: bool,
    /// When the client has to have read something, while anything is on its way.
    write_deadline: Option<Instant>,
    timer: Timer,
    sent: Sent,
    closing: Option<CloseReason>,
    /// What faults on purpose do to it.
    faulted: Option<Box<Faulted>>,
}

/// What a connection has once its client was let in.
struct Open {
    registration: Registration,
    arrivals: Arrivals,
    /// Whether the session was stored, and has to be laid to rest or removed at the end.
    stored: bool,
    /// What a client that reads for itself has besides.
    fleet: Option<Box<Fleet>>,
}

/// Serves one client until either side ends the connection.
///
/// No `async fn`: its future would keep room for the stream beside the halves that it was split into. For the same reason
/// what is large and rare is boxed below. There are many connections, and most of them are idle.
pub(crate) fn serve<S>(
    platform: Arc<Platform>,
    stream: S,
    peer: Peer,
    mut stopping: Stopping,
) -> impl Future<Output = ()> + Send + 'static
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let shared = platform.clone();
    let (reader, writer) = tokio::io::split(stream);
    let now = Instant::now();
    let mut connection = Connection {
        session: Session::new(platform.profile.session, now.into_std()),
        platform,
        peer,
        decoder: Decoder::default(),
        reader,
        writer,
        input: BytesMut::new(),
        output: BytesMut::new(),
        unflushed: false,
        congested: false,
        encoder: Encoder::new(Version::V311),
        version: Version::V311,
        open: None,
        read: None,
        behind: false,
        write_deadline: None,
        timer: Timer::default(),
        sent: Sent::default(),
        closing: None,
        faulted: None,
    };
    async move {
        metrics::gauge!("cardata_mqtt_connections").increment(1);
        let reason = loop {
            if let Some(reason) = connection.run(&mut stopping, Place::Live).await {
                break reason;
            }
            let catching_up = connection.catch_up(stopping.clone());
            let over;
            (connection, over) = match shared.catch_up.spawn(catching_up).await {
                Ok(back) => back,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The threads are gone, since the server has stopped.
                    Err(_) => return,
                },
            };
            if let Some(reason) = over {
                break reason;
            }
        };
        Box::pin(connection.finish(reason)).await;
        metrics::gauge!("cardata_mqtt_connections").decrement(1);
    }
}

impl<S: AsyncRead + AsyncWrite> Connection<S> {
    /// Serves the client until the connection is over, and says why it is; nothing when it has to go on in the other
    /// place.
    async fn run(&mut self, stopping: &mut Stopping, place: Place) -> Option<CloseReason> {
        loop {
            self.take_packets().await;
            if self.closing.is_some() {
                return self.closing;
            }
            if self.place() != place {
                return None;
            }
            match self.push_at_once().await {
                Ok(Onward::GoOn) => continue,
                Ok(Onward::Wait) => {}
                Err(reason) => return Some(reason),
            }
            if self.place() != place {
                return None;
            }
            if let Err(reason) = self.wait(stopping).await {
                return Some(reason);
            }
        }
    }

    /// Serves the client until it has caught up, or the connection is over, and gives back the connection.
    async fn catch_up(mut self, mut stopping: Stopping) -> (Self, Option<CloseReason>) {
        let over = self.run(&mut stopping, Place::CatchingUp).await;
        (self, over)
    }

    /// Where the connection belongs. It has caught up when the client has been sent all of it.
    fn place(&mut self) -> Place {
        self.behind &= self.read.is_some() || !self.output.is_empty() || self.session.is_behind();
        if self.behind { Place::CatchingUp } else { Place::Live }
    }

    /// Gives back what a burst has left.
    fn tidy_buffers(&mut self) {
        if self.output.is_empty() {
            spare::give(std::mem::take(&mut self.output));
        }
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    /// Waits for the next thing to happen and notes it. An error ends the connection without another word.
    async fn wait(&mut self, stopping: &mut Stopping) -> Result<(), CloseReason> {
        self.tidy_buffers();
        let held_due = self.faulted.as_deref().and_then(Faulted::due);
        let session_due = self.session.poll_timeout().map(Instant::from_std);
        let due = [session_due, held_due, self.write_deadline].into_iter().flatten().min();
        let writing = self.write_deadline.is_some();
        let open = self.open.as_ref();
        let mut look = None;
        tokio::select! {
            () = stopping.wait() => self.session.close(CloseReason::ServerStopping),
            reason = wanted_closed(open) => self.session.close(reason),
            pushed = push(&mut self.writer, &mut self.output), if writing => {
                self.unflushed = pushed.map_err(|_| CloseReason::ConnectionLost)? == Pushed::Bytes;
                self.write_deadline = Some(Instant::now() + WRITE_PATIENCE);
            }
            // Whoever does not read gets no further answers.
            read = receive(&mut self.reader, &mut self.input), if self.output.len() < OUTPUT_FULL => {
                match read {
                    Ok(0) | Err(_) => self.session.close(CloseReason::ConnectionLost),
                    Ok(_) => {}
                }
            }
            () = self.timer.until(due) => {
                let now = Instant::now();
                if self.write_deadline.is_some_and(|deadline| deadline <= now) {
                    return Err(CloseReason::WriteTimeout);
                }
                self.session.handle_timeout(now.into_std());
            }
            (vin, found) = poll_read(&mut self.read) => {
                self.read = None;
                match found {
                    Ok(Found::Events(events)) => {
                        self.session.handle_read(vin, &events);
                        self.behind = self.session.is_behind();
                    }
                    Ok(Found::Latest(entries)) => self.session.handle_latest(vin, &entries),
                    Err(error) => {
                        tracing::error!(error = &error as &dyn std::error::Error, "the journal can't be read");
                        self.session.close(CloseReason::StoreFailed);
                    }
                }
            }
            arrival = next_arrival(open) => self.take_arrivals(arrival),
            askers = wanted_to_look(open) => look = Some(askers),
        }
        if let Some(askers) = look {
            Box::pin(self.look_anew(askers)).await;
        }
        Ok(())
    }

    /// Writes and flushes what goes without waiting, so that a usual burst of messages costs one turn of all that a
    /// connection waits for.
    async fn push_at_once(&mut self) -> Result<Onward, CloseReason> {
        let is_frozen = self.faulted.as_deref().is_some_and(Faulted::is_frozen);
        if is_frozen || self.output.is_empty() && !self.unflushed {
            self.write_deadline = None;
            return Ok(Onward::Wait);
        }
        let was_full = self.congested || self.output.len() >= OUTPUT_FULL;
        let mut progressed = false;
        while !self.output.is_empty() || self.unflushed {
            let Some(pushed) = at_once(push(&mut self.writer, &mut self.output)).await else {
                break;
            };
            self.unflushed = pushed.map_err(|_| CloseReason::ConnectionLost)? == Pushed::Bytes;
            progressed = true;
        }
        if self.output.is_empty() && !self.unflushed {
            self.write_deadline = None;
        } else if progressed || self.write_deadline.is_none() {
            self.write_deadline = Some(Instant::now() + WRITE_PATIENCE);
        }
        // Whoever waited for room has it now.
        Ok(if was_full && progressed { Onward::GoOn } else { Onward::Wait })
    }

    fn take_arrivals(&mut self, first: Arrival) {
        self.take_arrival(first);
        for _ in 1..ARRIVALS_AT_ONCE {
            let Some(open) = &self.open else { return };
            let Some(arrival) = open.arrivals.try_next() else { return };
            self.take_arrival(arrival);
        }
    }

    fn take_arrival(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Event(event) => self.session.handle_event(&event),
            Arrival::Missed => {
                let journal = &self.platform.journal;
                self.session.handle_missed(|vin| journal.head(vin));
            }
        }
    }

    /// Hands the packets that are there to the session, and carries out what it wants.
    async fn take_packets(&mut self) {
        self.release_held();
        self.act().await;
        while self.closing.is_none() && self.output.len() < OUTPUT_FULL {
            match self.decoder.decode(&mut self.input) {
                Ok(Some(packet)) => self.take_packet(packet),
                Ok(None) => break,
                Err(error) => self.refuse_packet(error),
            }
            self.act().await;
        }
        if self.congested && self.queued() <= OUTPUT_FREE {
            self.congested = false;
            self.session.handle_congestion(false);
            self.act().await;
        }
    }

    fn take_packet(&mut self, packet: Packet) {
        let now = Instant::now().into_std();
        if let Packet::Subscribe { packet_id, filters, .. } = &packet
            && let Some(open) = &self.open
            && self.platform.is_struck(Whom::of(open.registration.key()), &Kind::RefuseSubscribe)
        {
            self.session.refuse_subscribe(*packet_id, filters.len(), now);
        } else if let Err(error) = self.session.handle(packet, now) {
            self.session.close(error.into());
        }
    }

    fn refuse_packet(&mut self, error: PacketError) {
        tracing::debug!("a packet was refused: {error}");
        if self.open.is_none()
            && let Some(version) = self.decoder.version()
        {
            self.encoder = Encoder::new(version);
        }
        self.session.handle_error(error);
    }

    async fn act(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Authenticate(connect) => Box::pin(self.authenticate(&connect)).await,
                Action::Reauthenticate(auth) => Box::pin(self.reauthenticate(&auth)).await,
                Action::Send(packet) => {
                    match packet {
                        Outgoing::Publish(publish) if self.is_faulted() => {
                            Box::pin(self.send_faulted(publish)).await;
                        }
                        packet => self.send(&packet),
                    }
                    // At once, so that the session wants no more than what it wants already.
                    if self.queued() >= OUTPUT_FULL && !self.congested {
                        self.congested = true;
                        self.session.handle_congestion(true);
                    }
                }
                Action::Store(stored) => self.store(&stored).await,
                Action::MoveCursor { vin, cursor } => self.move_cursor(vin, cursor),
                Action::Join { group } => Box::pin(self.join(&group)).await,
                Action::LeaveGroup => Box::pin(self.leave_group()).await,
                Action::Read { vin, after, limit } => {
                    let journal = self.platform.journal.clone();
                    self.read = Some(Box::pin(async move {
                        (vin, journal.read(vin, after, limit).await.map(Found::Events))
                    }));
                }
                Action::ReadLatest { vin } => {
                    let journal = self.platform.journal.clone();
                    self.read = Some(Box::pin(async move {
                        (vin, journal.latest(vin).await.map(Found::Latest))
                    }));
                }
                Action::Close(reason) => {
                    // After half a packet, nothing else would make sense.
                    let is_cut = reason == CloseReason::WriteTimeout;
                    if is_cut || self.version == Version::V311 && ends_the_right(reason) {
                        self.output.clear();
                    }
                    self.closing = Some(reason);
                }
            }
        }
        self.count_sent();
    }

    /// Bytes on their way to the client.
    fn queued(&self) -> usize {
        self.output.len() + self.faulted.as_ref().map_or(0, |faulted| faulted.held_bytes())
    }

    /// Whether faults may have to do with the next message.
    fn is_faulted(&self) -> bool {
        self.faulted.is_some() || self.platform.faults().is_some()
    }

    /// Looks what faults make of the connection.
    fn look_at_faults(&mut self) {
        if !self.is_faulted() {
            return;
        }
        let (Some(open), Some(faults)) = (&self.open, &self.platform.faults) else { return };
        let faulted = self.faulted.get_or_insert_default();
        faulted.look(faults, Whom::of(open.registration.key()), self.platform.clock.now());
        let usual = self.platform.profile.session.idle_max;
        self.session.limit_silence(faulted.idle_max().or(usual));
        if faulted.is_well() && self.platform.faults().is_none() {
            self.faulted = None;
        }
    }

    /// Sends a message as faults want it.
    async fn send_faulted(&mut self, publish: Publish) {
        let (Some(open), Some(faults)) = (&self.open, &self.platform.faults) else { return };
        let key = open.registration.key();
        let Publish { customer, vin, .. } = publish;
        // A fleet's connection is no one customer's, so what is narrowed to one does not strike it.
        let whom = Whom { vin: Some(vin), ..Whom::of(key) };
        let faulted = self.faulted.get_or_insert_default();
        let may_wait = !faulted.waits_for_next();
        let now = self.platform.clock.now();
        let plan = Plan::draw(faults, whom, now, &publish.payload, may_wait);
        if plan.cuts() {
            self.session.close(CloseReason::Cut);
            return;
        }
        let seen = match self.platform.entitlements.cell(customer, key.client_id).await {
            Ok(cell) => Seen::now(vin, cell),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "what a client may see can't be read");
                self.session.close(CloseReason::StoreFailed);
                return;
            }
        };
        let now = Instant::now();
        for (part, step) in plan.carry_out(publish) {
            self.note_sent(&part);
            let mut bytes = BytesMut::new();
            // Longer than it was, it may be too large for the client; what that means is the session's to say, next time.
            if !self.encoder.encode(&Outgoing::Publish(part), &mut bytes) {
                self.session.close(CloseReason::Cut);
                return;
            }
            if let Some(faulted) = &mut self.faulted {
                faulted.put(&bytes.freeze(), step, &seen, now, &mut self.output);
            }
        }
    }

    /// Lets go what faults have held back long enough.
    fn release_held(&mut self) {
        let Some(faulted) = &mut self.faulted else { return };
        if faulted.release(Instant::now(), &mut self.output).is_err() {
            self.session.close(CloseReason::Cut);
        }
        if faulted.is_well() && self.platform.faults().is_none() {
            self.faulted = None;
        }
    }

    async fn store(&mut self, stored: &StoredSession) {
        let Some(open) = &mut self.open else { return };
        open.stored = true;
        let key = open.registration.key();
        let synced = self.platform.journal.synced();
        let storable = self.platform.cursors.storable(key, stored, synced);
        match self.platform.directory.put_session(key, &storable).await {
            Ok(surplus) => forget_surplus(&self.platform, &surplus),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "a session can't be stored");
                self.session.close(CloseReason::StoreFailed);
            }
        }
    }

    async fn reauthenticate(&mut self, auth: &Auth) {
        let Some(open) = &self.open else { return };
        let now = Instant::now().into_std();
        let registration = &open.registration;
        let good = admission::reauthenticate(&self.platform, registration, auth, now);
        let good = timeout(ADMISSION_PATIENCE, good).await.ok().flatten();
        let outcome = if good.is_some() { "accepted" } else { "refused" };
        metrics::counter!("cardata_mqtt_reauthentications_total", "outcome" => outcome)
            .increment(1);
        match good {
            Some(expires_at) => {
                // A stream may go on for weeks, in which vehicles are bought and sold.
                self.look().await;
                self.session.reauthenticated(expires_at);
            }
            None => self.session.close(CloseReason::Reauthentication),
        }
    }

    /// Looks anew at which vehicles may be read. Whoever asked for it is told by being dropped.
    async fn look_anew(&mut self, askers: Vec<oneshot::Sender<()>>) {
        self.look_at_faults();
        self.look().await;
        self.act().await;
        drop(askers);
    }

    /// Looks which vehicles may be read now.
    async fn look(&mut self) {
        let Some(open) = &mut self.open else { return };
        match vehicles(&self.platform, open).await {
            Ok(Look { vehicles, renewed, loses }) => {
                if !renewed.is_empty() {
                    if let Some(member) = member(open) {
                        member.begin_anew(&renewed);
                    }
                    let others = vehicles.iter().filter(|(vin, _)| !renewed.contains_key(vin));
                    self.tell_vehicles(Vehicles::new(others.collect()));
                }
                self.tell_vehicles(vehicles);
                if loses {
                    self.clear_the_way().await;
                }
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the vehicles of a connection can't be read"
                );
                self.session.close(CloseReason::StoreFailed);
            }
        }
    }

    /// Tells the session which vehicles may be read now; of those that are shared, which are its own.
    fn tell_vehicles(&mut self, vehicles: Vehicles) {
        let faulted = self.faulted.as_deref();
        let still = |vin, customer| vehicles.customer(vin) == Some(customer);
        if faulted.is_some_and(|faulted| faulted.holds_other_than(still)) {
            self.session.close(CloseReason::Cut);
        }
        let Some(member) = self.open.as_ref().and_then(member) else {
            self.session.change_vehicles(vehicles);
            return;
        };
        let (own, cursors) = member.share(&vehicles);
        self.session.share(own.clone(), &cursors);
        // Not before: what is another's now was read by this one until here.
        member.let_go(&own);
    }

    /// Lets out what is queued, some of which may soon be nobody's to see. If the client does not take it at once, it stays
    /// here, and the connection ends: the client gets what it may still see when it comes back.
    async fn clear_the_way(&mut self) {
        let (writer, output, unflushed) = (&mut self.writer, &mut self.output, &mut self.unflushed);
        let push_all = async {
            while !output.is_empty() || *unflushed {
                *unflushed = push(writer, output).await? == Pushed::Bytes;
            }
            Ok::<(), std::io::Error>(())
        };
        if !matches!(timeout(CLEARING_PATIENCE, push_all).await, Ok(Ok(()))) {
            self.output.clear();
            self.session.close(CloseReason::WriteTimeout);
        }
    }

    /// Takes a place in `group`, and what is this session's of it.
    async fn join(&mut self, group: &str) {
        let kept_seconds = self.session.kept_seconds();
        let Some(open) = &mut self.open else { return };
        let Some(fleet) = &mut open.fleet else { return };
        let begun = Membership::begin(&self.platform, &open.registration, group, kept_seconds);
        match begun.await {
            Ok(member) => fleet.member = Some(member),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "what is kept of a group can't be read or written");
                self.session.close(CloseReason::StoreFailed);
                return;
            }
        }
        self.look().await;
    }

    /// Gives the place in a group free, and reads alone again.
    async fn leave_group(&mut self) {
        let fleet = self.open.as_mut().and_then(|open| open.fleet.as_mut());
        if let Some(member) = fleet.and_then(|fleet| fleet.member.take()) {
            member.leave(&self.platform).await;
        }
        self.look().await;
    }

    fn move_cursor(&self, vin: Vin, cursor: Sequence) {
        let Some(open) = &self.open else { return };
        if let Some(member) = member(open) {
            member.advance(&self.platform, vin, cursor);
        } else if self.session.is_persistent() {
            self.platform.cursors.advance(open.registration.key(), vin, cursor);
        }
    }

    /// Notes a message that is on its way.
    fn note_sent(&mut self, publish: &Publish) {
        if let Some(open) = &self.open {
            self.sent.note(publish, open.registration.key().client_id, &self.platform);
        }
    }

    /// Counts what was noted.
    fn count_sent(&mut self) {
        if let Some(open) = &self.open {
            self.sent.count(open.registration.key().client_id, &self.platform);
        }
    }

    fn send(&mut self, packet: &Outgoing) {
        match packet {
            Outgoing::Publish(publish) => self.note_sent(publish),
            Outgoing::SubAck { granted, .. } => {
                for refusal in granted.iter().filter_map(|answer| answer.as_ref().err()) {
                    let code = format!("{:#04x}", refusal.reason_code());
                    metrics::counter!("cardata_mqtt_subscriptions_refused_total", "code" => code)
                        .increment(1);
                }
            }
            Outgoing::PublishRefused { .. } => {
                metrics::counter!("cardata_mqtt_publishes_refused_total").increment(1);
            }
            // What is queued must stay here, and half a packet before the last words would make no sense of them.
            Outgoing::Disconnect(reason) if ends_the_right(*reason) && !self.output.is_empty() => {
                self.output.clear();
                return;
            }
            _ => {}
        }
        if self.output.capacity() == 0 {
            self.output = spare::take();
        }
        if !self.encoder.encode(packet, &mut self.output) {
            self.session.close(CloseReason::AnswerTooLarge);
        }
    }

    fn use_version(&mut self, connect: &Connect) {
        self.version = connect.version;
        self.encoder = Encoder::new(connect.version)
            .with_limits(connect.problem_information, connect.packet_size_max);
    }

    async fn authenticate(&mut self, connect: &Connect) {
        let now = Instant::now().into_std();
        self.use_version(connect);
        let admitted =
            timeout(ADMISSION_PATIENCE, admission::admit(&self.platform, connect, self.peer, now))
                .await;
        match admitted {
            Ok(Ok(Admitted { admission, registration, arrivals, fleet })) => {
                metrics::counter!("cardata_mqtt_connects_total", "outcome" => "accepted")
                    .increment(1);
                tracing::info!(
                    conn.id = registration.number(),
                    client.id = %registration.key().client_id,
                    mqtt.clean = connect.clean_start,
                    mqtt.version = ?connect.version,
                    "client {} connected",
                    registration.key().client_id
                );
                let stored = admission.kept.is_some();
                self.open = Some(Open { registration, arrivals, stored, fleet });
                self.session.admit(admission);
                self.look_at_faults();
            }
            Ok(Err(refused)) => self.refuse(refused.code(), &refused),
            Err(_) => self.refuse(
                ConnectRefusal::ServerUnavailable,
                &"finding out who the client is took too long",
            ),
        }
    }

    fn refuse(&mut self, code: ConnectRefusal, why: &dyn std::fmt::Display) {
        let number = code.return_code().map_or_else(|| "none".to_owned(), |code| code.to_string());
        metrics::counter!("cardata_mqtt_connects_total", "outcome" => "refused", "code" => number)
            .increment(1);
        tracing::info!(mqtt.reason = code.return_code(), "a CONNECT was refused ({code}): {why}");
        self.session.refuse(code, why.to_string());
    }

    /// Leaves behind what the session's next connection needs and gives its place free, then says good-bye. In this
    /// order: a peer that is gone without a word must not keep its successor waiting.
    async fn finish(self, reason: CloseReason) {
        let Self { platform, mut session, open, mut writer, mut output, faulted, .. } = self;
        session.close(reason);
        if faulted.is_some_and(|faulted| faulted.is_frozen()) {
            output.clear();
        }
        metrics::counter!("cardata_mqtt_closed_total", "reason" => reason.to_string()).increment(1);
        if let Some(mut open) = open {
            if let Some(member) = open.fleet.as_mut().and_then(|fleet| fleet.member.take()) {
                member.leave(&platform).await;
            }
            tracing::info!(conn.id = open.registration.number(), mqtt.reason = %reason, "connection closed: {reason}");
            leave(&platform, &open, session.into_kept()).await;
        } else {
            tracing::debug!(mqtt.reason = %reason, "a connection ended before its client was let in");
        }
        let farewell = async {
            writer.write_all_buf(&mut output).await?;
            writer.shutdown().await
        };
        // The client may be gone already; there is nobody to tell.
        let _ = timeout(FAREWELL_PATIENCE, farewell).await;
    }
}

/// Whether the right to see what is queued has ended.
fn ends_the_right(reason: CloseReason) -> bool {
    matches!(
        reason,
        CloseReason::ConsentEnded | CloseReason::TokenExpired | CloseReason::Reauthentication
    )
}

/// Keeps what the session's next connection needs, or ends the session.
async fn leave(platform: &Platform, open: &Open, kept: Option<StoredSession>) {
    if !open.stored {
        return;
    }
    let (key, directory) = (open.registration.key(), &platform.directory);
    let done = match kept {
        None => {
            platform.cursors.forget(key);
            directory.remove_session(key).await.map(drop)
        }
        Some(kept) => {
            let storable = platform.cursors.storable(key, &kept, platform.journal.synced());
            let rested = directory.rest_session(key, &storable, platform.clock.now()).await;
            rested.map(|surplus| forget_surplus(platform, &surplus))
        }
    };
    if let Err(error) = done {
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, "a session that ended can't be stored; it is kept as it was");
    }
}

fn member(open: &Open) -> Option<&Membership> {
    open.fleet.as_ref()?.member.as_ref()
}

/// The vehicles that a connection may read now.
async fn vehicles(platform: &Platform, open: &mut Open) -> Result<Look, DirectoryError> {
    let vehicles = match (&mut open.fleet, open.registration.key().gcid) {
        (Some(fleet), _) => return fleet.look(platform).await,
        (None, Some(gcid)) => {
            admission::vehicles(platform, gcid, open.registration.key().client_id).await?
        }
        (None, None) => Vehicles::default(),
    };
    Ok(Look { vehicles, renewed: BTreeMap::new(), loses: false })
}

/// Forgets sessions that ended since their client has too many.
pub(super) fn forget_surplus(platform: &Platform, surplus: &[SessionKey]) {
    let Some(first) = surplus.first() else { return };
    for key in surplus {
        platform.cursors.forget(key);
    }
    let count = surplus.len();
    metrics::counter!("cardata_mqtt_sessions_surplus_total").increment(count as u64);
    tracing::info!(
        client.id = %first.client_id,
        "client {} has more sessions of a customer than are kept; {count} ended",
        first.client_id
    );
}

/// What to do when what could be written was.
enum Onward {
    /// Take what there was no room for.
    GoOn,
    /// Wait for something to happen.
    Wait,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pushed {
    Bytes,
    Flushed,
}

/// What `step` gives if it needs not wait; its waker is told when it can go on.
async fn at_once<T>(step: impl Future<Output = T>) -> Option<T> {
    let mut step = std::pin::pin!(step);
    poll_fn(|context| {
        Poll::Ready(match step.as_mut().poll(context) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        })
    })
    .await
}

/// Writes some of `output`, or flushes when all of it was written. Nothing is lost when this is dropped half-way.
async fn push(
    writer: &mut (impl AsyncWrite + Unpin),
    output: &mut BytesMut,
) -> std::io::Result<Pushed> {
    if output.is_empty() {
        writer.flush().await?;
        return Ok(Pushed::Flushed);
    }
    match writer.write_buf(output).await? {
        0 => Err(std::io::ErrorKind::WriteZero.into()),
        _ => Ok(Pushed::Bytes),
    }
}

/// Reads what is there, as far as it fits the stack: an idle connection has no buffer of its own.
async fn receive(
    reader: &mut (impl AsyncRead + Unpin),
    input: &mut BytesMut,
) -> std::io::Result<usize> {
    poll_fn(|context| {
        let mut chunk = [MaybeUninit::uninit(); INPUT_CHUNK];
        let mut chunk = ReadBuf::uninit(&mut chunk);
        ready!(Pin::new(&mut *reader).poll_read(context, &mut chunk))?;
        input.extend_from_slice(chunk.filled());
        Poll::Ready(Ok(chunk.filled().len()))
    })
    .await
}

async fn wanted_closed(open: Option<&Open>) -> CloseReason {
    match open {
        Some(open) => open.registration.wanted_closed().await,
        None => pending().await,
    }
}

async fn wanted_to_look(open: Option<&Open>) -> Vec<oneshot::Sender<()>> {
    match open {
        Some(open) => open.registration.wanted_to_look().await,
        None => pending().await,
    }
}

async fn next_arrival(open: Option<&Open>) -> Arrival {
    match open {
        Some(open) => open.arrivals.next().await,
        None => pending().await,
    }
}

async fn poll_read(read: &mut Option<Read>) -> (Vin, Result<Found, JournalError>) {
    match read {
        Some(read) => read.await,
        None => pending().await,
    }
}
