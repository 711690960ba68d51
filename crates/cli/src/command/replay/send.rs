//! Gets events to the server: in order, in one request at a time, and again until the server has answered.

use std::time::Duration;

use cardata_client::http::{Http, TrustError};
use cardata_client::operator::{IngestError, Ingested, Operator};
use cardata_client::ready_file::{ReadyFile, ReadyFileError};
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::command::sandbox::SandboxArgs;

/// The first pause before a request is repeated; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// No pause is longer, also when the server asks for one.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Sends to the server that the ready file names, also when it has moved.
#[derive(Debug)]
pub(super) struct Sender {
    sandbox: SandboxArgs,
    patience: Duration,
    ready: ReadyFile,
    operator: Operator,
}

/// Why events are still not with the server.
#[derive(Debug, Error)]
pub(super) enum SendError {
    /// The server is away, or can't take them.
    #[error("the server took no events for {} s", .patience.as_secs())]
    Patience {
        patience: Duration,
        #[source]
        last: Attempt,
    },
    /// Sending them again would not help.
    #[error("the server does not take events")]
    Useless(#[source] Attempt),
}

/// Why one request failed.
#[derive(Debug, Error)]
pub(super) enum Attempt {
    #[error(transparent)]
    Ingest(#[from] IngestError),
    #[error(transparent)]
    ReadyFile(#[from] ReadyFileError),
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl Sender {
    /// A sender to the server that runs now.
    pub(super) fn find(sandbox: SandboxArgs, patience: Duration) -> anyhow::Result<Self> {
        let (ready, http) = sandbox.find()?;
        let operator = Operator::new(http, &ready);
        Ok(Self { sandbox, patience, ready, operator })
    }

    /// Sends `lines`, one event each; `on_repeat` is called before each repetition.
    pub(super) async fn send(
        &mut self,
        lines: &[u8],
        mut on_repeat: impl FnMut(),
    ) -> Result<Ingested, SendError> {
        let patience = self.patience;
        let give_up_at = Instant::now() + patience;
        let mut pause = PAUSE_FIRST;
        let mut attempt = self.operator.ingest(lines.to_vec()).await.map_err(Attempt::from);
        loop {
            let last = match attempt {
                Ok(ingested) => return Ok(ingested),
                Err(last) => last,
            };
            if self.is_useless(&last) {
                return Err(SendError::Useless(last));
            }
            let wanted = match &last {
                Attempt::Ingest(IngestError::Unavailable { retry_after, .. }) => *retry_after,
                _ => None,
            };
            let wait = wanted.unwrap_or_default().max(pause).min(PAUSE_MAX);
            if Instant::now() + wait >= give_up_at {
                return Err(SendError::Patience { patience, last });
            }
            sleep(wait).await;
            pause *= 2;
            on_repeat();
            // The server may have come back during the pause.
            attempt = match self.look_for_the_server() {
                Ok(_) => self.operator.ingest(lines.to_vec()).await.map_err(Attempt::from),
                Err(error) => Err(error),
            };
        }
    }

    /// Whether the same request would fail for the same reason.
    fn is_useless(&mut self, last: &Attempt) -> bool {
        match last {
            // A server that was started anew may have another token, which its ready file tells.
            Attempt::Ingest(IngestError::Unauthorized(_)) => {
                matches!(self.look_for_the_server(), Ok(false))
            }
            Attempt::Ingest(IngestError::Unexpected(_)) => true,
            _ => false,
        }
    }

    /// Reads the ready file again; tells whether it names another server, or another token.
    fn look_for_the_server(&mut self) -> Result<bool, Attempt> {
        let ready = self.sandbox.read()?;
        let http = Http::trusting_only(&ready.ca_file)?;
        let moved = ready != self.ready;
        self.operator = Operator::new(http, &ready);
        self.ready = ready;
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::post;
    use cardata_client::Secret;
    use clap::Parser;
    use tempfile::TempDir;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        sandbox: SandboxArgs,
    }

    struct World {
        folder: TempDir,
        running: JoinSet<()>,
        taken: Arc<Mutex<Vec<String>>>,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            std::fs::write(folder.path().join("ca.pem"), certificate.cert.pem()).unwrap();
            Self { folder, running: JoinSet::new(), taken: Arc::default() }
        }

        fn ready_file(&self) -> PathBuf {
            self.folder.path().join("ready.json")
        }

        /// A server that gives these statuses one after the other and then takes everything; the ready file names it.
        async fn serve(&mut self, statuses: &[u16]) {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let (statuses, taken) = (Mutex::new(statuses.to_vec()), self.taken.clone());
            let statuses = Arc::new(statuses);
            let answer = async move |body: String| {
                let mut statuses = statuses.lock().unwrap();
                if statuses.is_empty() {
                    let accepted = body.lines().count();
                    taken.lock().unwrap().push(body);
                    (StatusCode::OK, format!(r#"{{"accepted":{accepted},"refused":[]}}"#))
                } else {
                    (StatusCode::from_u16(statuses.remove(0)).unwrap(), String::new())
                }
            };
            let routes = Router::new().route("/ingest/v1/events", post(answer));
            self.running.spawn(async move { axum::serve(listener, routes).await.unwrap() });
            write_ready_file(&self.ready_file(), &url, &self.folder.path().join("ca.pem"));
        }

        fn sender(&self, patience: Duration) -> anyhow::Result<Sender> {
            let line = ["test".into(), "--ready-file".into(), self.ready_file().into_os_string()];
            Sender::find(Line::parse_from(line).sandbox, patience)
        }
    }

    fn write_ready_file(path: &Path, url: &str, ca_file: &Path) {
        let ready = ReadyFile {
            http_url: url.to_owned(),
            mqtt_host: "localhost".to_owned(),
            mqtt_port: 1,
            vehicles_mqtt_port: 1,
            admin_url: url.to_owned(),
            admin_token: Secret::new("t"),
            ca_file: ca_file.to_owned(),
            customers: Vec::new(),
        };
        std::fs::write(path, serde_json::to_vec(&ready).unwrap()).unwrap();
    }

    const MINUTE: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn a_request_is_repeated_until_the_server_takes_it() {
        let mut world = World::new();
        world.serve(&[503, 500, 429, 408]).await;
        let mut repeated = 0;
        let mut sender = world.sender(MINUTE).unwrap();
        let ingested = sender.send(b"one\ntwo\n", || repeated += 1).await.unwrap();
        assert_eq!((ingested.accepted, repeated), (2, 4));
        assert_eq!(*world.taken.lock().unwrap(), ["one\ntwo\n"]);
    }

    #[tokio::test]
    async fn a_server_that_came_back_elsewhere_is_found() {
        let mut world = World::new();
        world.serve(&[]).await;
        let mut sender = world.sender(MINUTE).unwrap();
        sender.send(b"one", || ()).await.unwrap();
        world.running.shutdown().await;
        std::fs::remove_file(world.ready_file()).unwrap();
        let mut repeated = 0;
        let (returned, sent) = tokio::join!(
            async {
                // Back while the sender looks for it.
                world.serve(&[503]).await;
                world
            },
            sender.send(b"two", || repeated += 1)
        );
        assert_eq!(sent.unwrap().accepted, 1);
        assert!(repeated >= 1);
        assert_eq!(*returned.taken.lock().unwrap(), ["one", "two"]);
    }

    #[tokio::test]
    async fn patience_ends() {
        let mut world = World::new();
        world.serve(&[]).await;
        let mut sender = world.sender(Duration::from_millis(300)).unwrap();
        world.running.shutdown().await;
        let error = sender.send(b"one", || ()).await.unwrap_err();
        assert!(matches!(error, SendError::Patience { last: Attempt::Ingest(_), .. }), "{error:?}");
    }

    #[tokio::test]
    async fn what_repeating_cannot_help_is_not_repeated() {
        for status in [401, 404] {
            let mut world = World::new();
            world.serve(&[status; 5]).await;
            let mut repeated = 0;
            let mut sender = world.sender(MINUTE).unwrap();
            let error = sender.send(b"one", || repeated += 1).await.unwrap_err();
            assert!(matches!(error, SendError::Useless(_)), "{error:?}");
            assert_eq!(repeated, 0);
        }
    }

    #[test]
    fn without_a_server_a_replay_does_not_begin() {
        let error = World::new().sender(MINUTE).unwrap_err();
        assert!(format!("{error:#}").contains("found no running server"), "{error:#}");
    }
}
