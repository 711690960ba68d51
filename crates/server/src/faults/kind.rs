//! The kinds of faults: their names, what may be said of each, and which pain of real life it re-enacts.

use std::time::Duration;

use cardata_contract::oauth::TokenError;
use cardata_domain::token::Scope;
use cardata_mqtt::ConnectRefusal;
use jiff::SignedDuration;
use thiserror::Error;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Open connections end at once, without a word.
    Drop,
    /// A connection ends in place of a message.
    DropAtMessage,
    /// A connection stays open, and nothing goes out.
    Freeze,
    /// A connection stays open, pings are answered, and no message comes.
    StaleStream,
    /// A CONNECT is refused.
    RefuseConnect(ConnectRefusal),
    /// A SUBSCRIBE is refused.
    RefuseSubscribe,
    /// A client that is silent for so long is let go.
    IdleCut(Duration),
    /// Messages come so much later, in their order.
    Delay(Duration),
    /// A message comes twice.
    Duplicate,
    /// A message comes after the one that follows it.
    Reorder,
    /// Longitudes come so much later than the latitudes to which they belong.
    SplitPosition(Duration),
    /// Each entry comes in a message of its own.
    OneEntry,
    /// Numbers come as texts, and other words stand for units.
    OddUnits,
    /// Tokens that were issued until now have expired.
    ExpireTokens(Tokens),
    /// Refresh tokens are refused.
    RefuseRefresh(TokenError),
    /// Consents end at once, as if the customer had revoked them.
    RevokeConsent,
    /// Id tokens are issued by a clock that is so much ahead.
    ClockSkew(SignedDuration),
    /// A log-in gets its tokens without this scope.
    LoseScope(Scope),
    /// The poll after an approval fails, and the log-in is lost.
    KeyManagement,
    /// The poll after an approval is refused, and the log-in is lost.
    InvalidGrant,
    /// The client id is unknown.
    ClientVanished,
    /// A client id with capital letters gets no tokens.
    UpperCaseClientId,
    /// Requests fail with this status.
    HttpError(u16),
    /// Answers take so much longer.
    Slow(Duration),
    /// The day's requests are used up.
    QuotaUsedUp,
    /// A key is deprecated, and containers with it are refused.
    DeprecatedKey(String),
    /// Vehicles look as if the customer were not their main user.
    Secondary,
    /// A vehicle is listed that is nobody's, and never sends anything.
    GhostVehicle,
    /// The server's certificate ends so soon; at zero it has ended.
    CertificateExpires(Duration),
}

/// Which tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// Both.
    All,
    /// Access tokens.
    Access,
    /// Id tokens.
    Id,
}

/// When a kind strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Once, when it is begun; then it is over.
    AtOnce,
    /// As long as it is there; it has no single occasions that could be counted or drawn.
    Throughout,
    /// At each occasion.
    Occasions,
    /// At each occasion, and whoever was struck stays so until the fault ends.
    Lasting,
}

/// What can be said of a kind beside its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// The name of the member, and of the flag.
    pub name: &'static str,
    /// What it may be.
    pub values: &'static str,
    /// The same in German.
    pub values_de: &'static str,
    /// What it is unless told; none where it has to be told.
    pub default: Option<&'static str>,
}

/// To whom a kind can be narrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Narrowing {
    /// A customer.
    Customer,
    /// A client.
    Client,
    /// An MQTT client identifier.
    MqttClient,
    /// A vehicle.
    Vin,
    /// A path of the log-in or the REST API.
    Path,
}

impl Narrowing {
    /// The member that says it.
    pub fn member(self) -> &'static str {
        match self {
            Self::Customer => "gcid",
            Self::Client => "client_id",
            Self::MqttClient => "mqtt_client_id",
            Self::Vin => "vin",
            Self::Path => "path",
        }
    }
}

/// A kind as people read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// What happens.
    pub what: &'static str,
    /// The same in German.
    pub what_de: &'static str,
    /// Who knows this from the real service: the pain that it re-enacts, in a few words.
    pub pain: &'static str,
    /// What can be said of it.
    pub parameter: Option<Parameter>,
    /// When it strikes.
    pub manner: Manner,
    /// To whom it can be narrowed; to nobody where it strikes everybody.
    pub narrowings: &'static [Narrowing],
}

/// Why the words say no kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KindError {
    /// There is no such kind.
    #[error("names no fault; the nearest name is `{nearest}`")]
    Unknown {
        /// The name that is most like it.
        nearest: &'static str,
    },
    /// A parameter that the kind needs is missing.
    #[error("is missing; it is {values}")]
    Missing {
        /// Its name.
        name: &'static str,
        /// What it may be.
        values: &'static str,
    },
    /// A parameter is not what it may be.
    #[error("must be {values}")]
    Value {
        /// Its name.
        name: &'static str,
        /// What it may be.
        values: &'static str,
    },
}

impl KindError {
    /// The member that is wrong.
    pub fn member(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "kind",
            Self::Missing { name, .. } | Self::Value { name, .. } => name,
        }
    }
}

use Manner::{AtOnce, Lasting, Occasions, Throughout};
use Narrowing::{Client, Customer, MqttClient, Path, Vin};

const STREAM: &[Narrowing] = &[Customer, Client, MqttClient];
const MESSAGE: &[Narrowing] = &[Customer, Client, MqttClient, Vin];
const LOG_IN: &[Narrowing] = &[Customer, Client];
const REQUEST: &[Narrowing] = &[Customer, Client, Path];

const fn seconds(default: &'static str) -> Parameter {
    let (values, values_de) = ("1 to 3600 seconds", "1 bis 3600 Sekunden");
    Parameter { name: "seconds", values, values_de, default: Some(default) }
}

/// Every kind, those of the stream first.
pub const ALL: [Description; 29] = [
    Description {
        name: "drop",
        what: "Open connections end at once, without a word",
        what_de: "Offene Verbindungen enden sofort und ohne ein Wort",
        pain: "the stream is cut, and programs reconnect in a storm (13)",
        parameter: None,
        manner: AtOnce,
        narrowings: STREAM,
    },
    Description {
        name: "drop-at-message",
        what: "A connection ends where the next message would have come",
        what_de: "Eine Verbindung endet dort, wo die nächste Nachricht gekommen wäre",
        pain: "the stream is cut just when the car reports (13)",
        parameter: None,
        manner: Occasions,
        narrowings: MESSAGE,
    },
    Description {
        name: "freeze",
        what: "A connection stays open and nothing goes out, no answer to pings either",
        what_de: "Eine Verbindung bleibt offen, und nichts geht hinaus, auch keine Antwort auf Pings",
        pain: "a half-open socket that only the keep-alive time reveals (13)",
        parameter: None,
        manner: Lasting,
        narrowings: STREAM,
    },
    Description {
        name: "stale-stream",
        what: "A connection stays open and answers pings, but brings no message",
        what_de: "Eine Verbindung bleibt offen und beantwortet Pings, bringt aber keine Nachricht",
        pain: "connected but silent (14), and not to be told from a parked car (16)",
        parameter: None,
        manner: Lasting,
        narrowings: STREAM,
    },
    Description {
        name: "refuse-connect",
        what: "A CONNECT with a good token is refused with this code",
        what_de: "Ein CONNECT mit gutem Token wird mit diesem Code abgelehnt",
        pain: "storms of return code 5, and of 4 after an hour (13, 4)",
        parameter: Some(Parameter {
            name: "code",
            values: "a return code of MQTT 3.1.1 (1 to 5) or a reason code of MQTT 5 (132 to 136, 151)",
            values_de: "ein Return Code von MQTT 3.1.1 (1 bis 5) oder ein Reason Code von MQTT 5 (132 bis 136, 151)",
            default: Some("5"),
        }),
        manner: Occasions,
        narrowings: STREAM,
    },
    Description {
        name: "refuse-subscribe",
        what: "A SUBSCRIBE is refused in the SUBACK; the connection stays open",
        what_de: "Ein SUBSCRIBE wird im SUBACK abgelehnt; die Verbindung bleibt offen",
        pain: "a refused subscription that nobody notices (15)",
        parameter: None,
        manner: Occasions,
        narrowings: STREAM,
    },
    Description {
        name: "idle-cut",
        what: "A client that sends nothing for so long is let go, whatever its keep-alive time",
        what_de: "Wer so lange nichts sendet, wird getrennt, was immer seine Keep-alive-Zeit ist",
        pain: "drops every 75 seconds with a long keep-alive time (12)",
        parameter: Some(seconds("60")),
        manner: Lasting,
        narrowings: STREAM,
    },
    Description {
        name: "delay",
        what: "Messages come so much later, in their order",
        what_de: "Nachrichten kommen um so viel später, in ihrer Reihenfolge",
        pain: "minutes between the car and the program (18)",
        parameter: Some(seconds("5")),
        manner: Occasions,
        narrowings: MESSAGE,
    },
    Description {
        name: "duplicate",
        what: "A message comes twice, one of them with QoS 0",
        what_de: "Eine Nachricht kommt zweimal, einmal davon mit QoS 0",
        pain: "duplicate messages (22)",
        parameter: None,
        manner: Occasions,
        narrowings: MESSAGE,
    },
    Description {
        name: "reorder",
        what: "A message comes after the one that follows it, or two seconds late if none follows",
        what_de: "Eine Nachricht kommt nach der folgenden, oder zwei Sekunden zu spät, wenn keine folgt",
        pain: "order is not guaranteed (22)",
        parameter: None,
        manner: Occasions,
        narrowings: MESSAGE,
    },
    Description {
        name: "split-position",
        what: "Longitudes come in messages of their own, so much later than their latitudes",
        what_de: "Längengrade kommen in eigenen Nachrichten, um so viel später als ihre Breitengrade",
        pain: "the halves of a position are out of sync (22)",
        parameter: Some(seconds("5")),
        manner: Occasions,
        narrowings: MESSAGE,
    },
    Description {
        name: "one-entry",
        what: "Each entry of an event comes in a message of its own",
        what_de: "Jeder Eintrag eines Ereignisses kommt in einer eigenen Nachricht",
        pain: "values that belong together come apart (22)",
        parameter: None,
        manner: Occasions,
        narrowings: MESSAGE,
    },
    Description {
        name: "odd-units",
        what: "Numbers come as texts, `percent` as `%`, and kilometres as miles",
        what_de: "Zahlen kommen als Texte, `percent` als `%` und Kilometer als Meilen",
        pain: "chaos of units and types (23)",
        parameter: None,
        manner: Occasions,
        narrowings: MESSAGE,
    },
    Description {
        name: "expire-tokens",
        what: "Tokens that were issued until now have expired; streams with id tokens end",
        what_de: "Bis jetzt ausgestellte Tokens sind abgelaufen; Streams mit ID-Tokens enden",
        pain: "the id token ends each hour: bad user name or password (4)",
        parameter: Some(Parameter {
            name: "token",
            values: "`all`, `access` or `id`",
            values_de: "`all`, `access` oder `id`",
            default: Some("all"),
        }),
        manner: Occasions,
        narrowings: LOG_IN,
    },
    Description {
        name: "refuse-refresh",
        what: "A refresh token is refused",
        what_de: "Ein Refresh-Token wird abgelehnt",
        pain: "the refresh token is lost or past its 14 days: log in anew (5)",
        parameter: Some(Parameter {
            name: "error",
            values: "`invalid_grant` or `invalid_request`",
            values_de: "`invalid_grant` oder `invalid_request`",
            default: Some("invalid_request"),
        }),
        manner: Occasions,
        narrowings: LOG_IN,
    },
    Description {
        name: "revoke-consent",
        what: "Consents of a customer end for good, with tokens, streams and backlog",
        what_de: "Einwilligungen eines Kunden enden endgültig, mit Tokens, Streams und Rückstand",
        pain: "the customer revoked it, or it ended with the service (5, 8)",
        parameter: None,
        manner: AtOnce,
        narrowings: LOG_IN,
    },
    Description {
        name: "clock-skew",
        what: "Id tokens are issued by a clock that is so much ahead, or behind if negative",
        what_de: "ID-Tokens stellt eine Uhr aus, die um so viel vorgeht, oder nachgeht, wenn negativ",
        pain: "tokens that look expired, or not yet good, on this machine's clock (4)",
        parameter: Some(Parameter {
            name: "seconds",
            values: "-86400 to 86400 seconds, and not 0",
            values_de: "-86400 bis 86400 Sekunden, und nicht 0",
            default: Some("-7200"),
        }),
        manner: Occasions,
        narrowings: LOG_IN,
    },
    Description {
        name: "lose-scope",
        what: "A log-in that begins gets its tokens without this scope",
        what_de: "Eine Anmeldung, die beginnt, bekommt ihre Tokens ohne diesen Scope",
        pain: "authorized before subscribed: the token lacks the scope for good (21)",
        parameter: Some(Parameter {
            name: "scope",
            values: "`cardata:api:read` or `cardata:streaming:read`",
            values_de: "`cardata:api:read` oder `cardata:streaming:read`",
            default: Some("cardata:api:read"),
        }),
        manner: Occasions,
        narrowings: LOG_IN,
    },
    Description {
        name: "key-management",
        what: "The poll after an approval gets 500 `Invalid Access Token`, all later ones `access_denied`",
        what_de: "Die Abfrage nach der Zustimmung bekommt 500 `Invalid Access Token`, alle weiteren `access_denied`",
        pain: "the log-in dies with 500, then access_denied (6)",
        parameter: None,
        manner: Occasions,
        narrowings: LOG_IN,
    },
    Description {
        name: "invalid-grant",
        what: "The poll after an approval gets `invalid_grant`, and so do all later ones",
        what_de: "Die Abfrage nach der Zustimmung bekommt `invalid_grant`, und alle weiteren auch",
        pain: "invalid_grant right after the approval (7)",
        parameter: None,
        manner: Occasions,
        narrowings: LOG_IN,
    },
    Description {
        name: "client-vanished",
        what: "The client id is unknown to the log-in",
        what_de: "Die Client-ID ist der Anmeldung unbekannt",
        pain: "client ids vanish from the portal (8)",
        parameter: None,
        manner: Occasions,
        narrowings: LOG_IN,
    },
    Description {
        name: "upper-case-client-id",
        what: "A client id with capital letters gets `invalid_grant` for its tokens",
        what_de: "Eine Client-ID mit Großbuchstaben bekommt `invalid_grant` statt ihrer Tokens",
        pain: "an upper-case client id breaks the log-in (9)",
        parameter: None,
        manner: Occasions,
        narrowings: LOG_IN,
    },
    Description {
        name: "http-error",
        what: "Requests to the log-in and the REST API fail with this status",
        what_de: "Anfragen an Anmeldung und REST-API schlagen mit diesem Status fehl",
        pain: "outages, and 403 on containers (20)",
        parameter: Some(Parameter {
            name: "status",
            values: "`403`, `500` or `503`",
            values_de: "`403`, `500` oder `503`",
            default: Some("500"),
        }),
        manner: Occasions,
        narrowings: REQUEST,
    },
    Description {
        name: "slow",
        what: "Answers of the log-in and the REST API take so much longer",
        what_de: "Antworten von Anmeldung und REST-API dauern um so viel länger",
        pain: "time-outs in outages",
        parameter: Some(Parameter {
            name: "seconds",
            values: "1 to 50 seconds",
            values_de: "1 bis 50 Sekunden",
            default: Some("5"),
        }),
        manner: Occasions,
        narrowings: REQUEST,
    },
    Description {
        name: "quota-used-up",
        what: "REST requests get 403 with CU-429, as if the day's requests were used up",
        what_de: "REST-Anfragen bekommen 403 mit CU-429, als wären die Anfragen des Tages verbraucht",
        pain: "50 requests a day, and an error that looks like a missing right (2, 3)",
        parameter: None,
        manner: Occasions,
        narrowings: REQUEST,
    },
    Description {
        name: "deprecated-key",
        what: "A key is deprecated: containers with it can't be registered or read",
        what_de: "Ein Schlüssel ist veraltet: Container mit ihm können weder angelegt noch gelesen werden",
        pain: "one deprecated key kills a whole container (20)",
        parameter: Some(Parameter {
            name: "descriptor",
            values: "the name of a descriptor",
            values_de: "der Name eines Descriptors",
            default: None,
        }),
        manner: Occasions,
        narrowings: LOG_IN,
    },
    Description {
        name: "secondary",
        what: "The customer looks like a SECONDARY user: no data of the vehicle over REST or stream",
        what_de: "Der Kunde gilt als SECONDARY: keine Daten des Fahrzeugs über REST oder Stream",
        pain: "a car of the account that never reports (24)",
        parameter: None,
        manner: Throughout,
        narrowings: &[Customer, Client, Vin],
    },
    Description {
        name: "ghost-vehicle",
        what: "The list of vehicles has one more that never sends anything and has no data",
        what_de: "Die Liste der Fahrzeuge hat eines mehr, das nie etwas sendet und keine Daten hat",
        pain: "ghosts of sold cars in the list (24)",
        parameter: None,
        manner: Throughout,
        narrowings: LOG_IN,
    },
    Description {
        name: "certificate-expires",
        what: "The server shows everybody a certificate that ends so soon, or has ended at 0",
        what_de: "Der Server zeigt allen ein Zertifikat, das so bald endet, oder bei 0 schon geendet hat",
        pain: "TLS that worked yesterday (11)",
        parameter: Some(Parameter {
            name: "minutes",
            values: "0 to 1440 minutes",
            values_de: "0 bis 1440 Minuten",
            default: Some("5"),
        }),
        manner: Throughout,
        narrowings: &[],
    },
];

impl Kind {
    /// The kind called `name`; `parameter` gives what is said of it, by the parameter's name.
    ///
    /// # Errors
    /// [`KindError`] says which word is wrong.
    pub(crate) fn parse(
        name: &str,
        parameter: impl FnOnce(&'static str) -> Option<String>,
    ) -> Result<Self, KindError> {
        let description = describe(name)?;
        let Some(Parameter { name: member, values, default, .. }) = description.parameter else {
            return Ok(Self::plain(description.name).expect("what has no parameter is plain"));
        };
        let told = parameter(member).or_else(|| default.map(str::to_owned));
        let told = told.ok_or(KindError::Missing { name: member, values })?;
        let kind = Self::with(description.name, told.trim());
        kind.ok_or(KindError::Value { name: member, values })
    }

    fn plain(name: &str) -> Option<Self> {
        Some(match name {
            "drop" => Self::Drop,
            "drop-at-message" => Self::DropAtMessage,
            "freeze" => Self::Freeze,
            "stale-stream" => Self::StaleStream,
            "refuse-subscribe" => Self::RefuseSubscribe,
            "duplicate" => Self::Duplicate,
            "reorder" => Self::Reorder,
            "one-entry" => Self::OneEntry,
            "odd-units" => Self::OddUnits,
            "revoke-consent" => Self::RevokeConsent,
            "key-management" => Self::KeyManagement,
            "invalid-grant" => Self::InvalidGrant,
            "client-vanished" => Self::ClientVanished,
            "upper-case-client-id" => Self::UpperCaseClientId,
            "quota-used-up" => Self::QuotaUsedUp,
            "secondary" => Self::Secondary,
            "ghost-vehicle" => Self::GhostVehicle,
            _ => return None,
        })
    }

    fn with(name: &str, told: &str) -> Option<Self> {
        let within =
            |min: u64, max: u64| told.parse().ok().filter(|number| (min..=max).contains(number));
        let seconds = |max| within(1, max).map(Duration::from_secs);
        match name {
            "refuse-connect" => refusal(told).map(Self::RefuseConnect),
            "idle-cut" => seconds(3600).map(Self::IdleCut),
            "delay" => seconds(3600).map(Self::Delay),
            "split-position" => seconds(3600).map(Self::SplitPosition),
            "slow" => seconds(50).map(Self::Slow),
            "certificate-expires" => {
                within(0, 1440).map(Duration::from_mins).map(Self::CertificateExpires)
            }
            "expire-tokens" => match told {
                "all" => Some(Self::ExpireTokens(Tokens::All)),
                "access" => Some(Self::ExpireTokens(Tokens::Access)),
                "id" => Some(Self::ExpireTokens(Tokens::Id)),
                _ => None,
            },
            "refuse-refresh" => [TokenError::InvalidGrant, TokenError::InvalidRequest]
                .into_iter()
                .find(|error| error.code() == told)
                .map(Self::RefuseRefresh),
            "clock-skew" => {
                let seconds = told.parse::<i64>().ok();
                let seconds = seconds.filter(|by| *by != 0 && (-86_400..=86_400).contains(by));
                seconds.map(SignedDuration::from_secs).map(Self::ClockSkew)
            }
            "lose-scope" => [Scope::ApiRead, Scope::StreamingRead]
                .into_iter()
                .find(|scope| scope.as_str() == told)
                .map(Self::LoseScope),
            "http-error" => {
                let status = told.parse().ok();
                status.filter(|status| [403, 500, 503].contains(status)).map(Self::HttpError)
            }
            "deprecated-key" => {
                let fits = !told.is_empty() && told.len() <= 200 && told.is_ascii();
                fits.then(|| Self::DeprecatedKey(told.to_owned()))
            }
            _ => None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::DropAtMessage => "drop-at-message",
            Self::Freeze => "freeze",
            Self::StaleStream => "stale-stream",
            Self::RefuseConnect(_) => "refuse-connect",
            Self::RefuseSubscribe => "refuse-subscribe",
            Self::IdleCut(_) => "idle-cut",
            Self::Delay(_) => "delay",
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
            Self::SplitPosition(_) => "split-position",
            Self::OneEntry => "one-entry",
            Self::OddUnits => "odd-units",
            Self::ExpireTokens(_) => "expire-tokens",
            Self::RefuseRefresh(_) => "refuse-refresh",
            Self::RevokeConsent => "revoke-consent",
            Self::ClockSkew(_) => "clock-skew",
            Self::LoseScope(_) => "lose-scope",
            Self::KeyManagement => "key-management",
            Self::InvalidGrant => "invalid-grant",
            Self::ClientVanished => "client-vanished",
            Self::UpperCaseClientId => "upper-case-client-id",
            Self::HttpError(_) => "http-error",
            Self::Slow(_) => "slow",
            Self::QuotaUsedUp => "quota-used-up",
            Self::DeprecatedKey(_) => "deprecated-key",
            Self::Secondary => "secondary",
            Self::GhostVehicle => "ghost-vehicle",
            Self::CertificateExpires(_) => "certificate-expires",
        }
    }

    /// What was said of it, as it could be said again.
    pub fn told(&self) -> Option<String> {
        Some(match self {
            Self::RefuseConnect(refusal) => refusal.reason_code().to_string(),
            Self::IdleCut(time)
            | Self::Delay(time)
            | Self::SplitPosition(time)
            | Self::Slow(time) => time.as_secs().to_string(),
            Self::CertificateExpires(time) => (time.as_secs() / 60).to_string(),
            Self::ExpireTokens(Tokens::All) => "all".to_owned(),
            Self::ExpireTokens(Tokens::Access) => "access".to_owned(),
            Self::ExpireTokens(Tokens::Id) => "id".to_owned(),
            Self::RefuseRefresh(error) => error.code().to_owned(),
            Self::ClockSkew(by) => by.as_secs().to_string(),
            Self::LoseScope(scope) => scope.as_str().to_owned(),
            Self::HttpError(status) => status.to_string(),
            Self::DeprecatedKey(descriptor) => descriptor.clone(),
            _ => return None,
        })
    }

    /// How people read of it.
    pub(crate) fn description(&self) -> &'static Description {
        describe(self.name()).expect("each kind is described")
    }
}

/// The description of the kind called `name`.
///
/// # Errors
/// [`KindError::Unknown`] names the nearest one.
pub fn describe(name: &str) -> Result<&'static Description, KindError> {
    let known = ALL.iter().find(|known| known.name == name);
    known.ok_or_else(|| {
        let nearest = ALL.iter().min_by_key(|known| distance(known.name, name));
        KindError::Unknown { nearest: nearest.map_or("", |known| known.name) }
    })
}

/// How many letters have to be put in, left out or replaced to make one word of the other; of a long word, its beginning
/// counts.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(40).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, candidate) in other.iter().enumerate() {
            let replaced = corner + usize::from(letter != *candidate);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

/// The refusal with this code of either version.
fn refusal(code: &str) -> Option<ConnectRefusal> {
    Some(match code.parse::<u8>().ok()? {
        1 | 0x84 => ConnectRefusal::UnacceptableProtocolVersion,
        2 | 0x85 => ConnectRefusal::IdentifierRejected,
        3 | 0x88 => ConnectRefusal::ServerUnavailable,
        4 | 0x86 => ConnectRefusal::BadUserNameOrPassword,
        5 | 0x87 => ConnectRefusal::NotAuthorized,
        0x97 => ConnectRefusal::ConnectionRateExceeded,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, told: Option<&str>) -> Result<Kind, KindError> {
        Kind::parse(name, |_| told.map(str::to_owned))
    }

    #[test]
    fn each_kind_is_made_from_its_name_and_says_again_what_was_said() {
        for known in ALL {
            let needed = known.parameter.is_some_and(|parameter| parameter.default.is_none());
            let kind = parse(known.name, needed.then_some("vehicle.isMoving")).unwrap();
            assert_eq!(kind.name(), known.name);
            assert_eq!(kind.description(), &known);
            let told = kind.told();
            assert_eq!(told.is_some(), known.parameter.is_some(), "{}", known.name);
            assert_eq!(parse(known.name, told.as_deref()), Ok(kind));
        }
    }

    #[test]
    fn an_unknown_kind_is_told_the_nearest_one() {
        for (wrong, nearest) in [
            ("frezee", "freeze"),
            ("stale", "slow"),
            ("stale_stream", "stale-stream"),
            ("", "drop"),
        ] {
            assert_eq!(parse(wrong, None), Err(KindError::Unknown { nearest }), "{wrong}");
        }
        assert!(parse(&"ä".repeat(100_000), None).is_err());
    }

    #[test]
    fn a_parameter_outside_its_range_is_refused_by_its_name() {
        for (name, told) in [
            ("delay", "0"),
            ("delay", "3601"),
            ("delay", "1.5"),
            ("slow", "51"),
            ("refuse-connect", "0"),
            ("refuse-connect", "6"),
            ("clock-skew", "0"),
            ("clock-skew", "86401"),
            ("certificate-expires", "-1"),
            ("http-error", "404"),
            ("lose-scope", "openid"),
            ("refuse-refresh", "slow_down"),
            ("expire-tokens", "refresh"),
            ("deprecated-key", ""),
        ] {
            let error = parse(name, Some(told)).unwrap_err();
            let parameter = describe(name).unwrap().parameter.unwrap();
            assert_eq!(error.member(), parameter.name, "{name} {told}");
        }
        let missing = parse("deprecated-key", None).unwrap_err();
        assert!(matches!(missing, KindError::Missing { name: "descriptor", .. }), "{missing}");
    }

    #[test]
    fn a_refusal_has_the_code_of_either_version() {
        let both = parse("refuse-connect", Some("135"));
        assert_eq!(both, parse("refuse-connect", Some("5")));
        assert_eq!(both, Ok(Kind::RefuseConnect(ConnectRefusal::NotAuthorized)));
    }
}
