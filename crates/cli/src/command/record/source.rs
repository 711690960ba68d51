//! Whose stream is recorded, and the tokens for it.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use cardata_client::Secret;
use cardata_client::http::{Http, tls};
use cardata_client::login::{Login, RefreshError, SCOPE, Tokens};
use cardata_client::ready_file::ReadyFile;
use cardata_client::stream::Account;
use cardata_domain::Gcid;
use cardata_server::secret;
use thiserror::Error;
use tokio::time::Instant;

use crate::command::sandbox::SandboxArgs;
use crate::command::sign_in::{SignInArgs, SignedIn};
use crate::output::{self, Advice, harmless};

/// Which stream; the running sandbox's unless told.
#[derive(Debug, clap::Args)]
pub(super) struct SourceArgs {
    /// Record the stream of this server instead of the running sandbox's, such as cardata.example.com:9000
    #[arg(long, value_name = "HOST[:PORT]", value_parser = parse_server, conflicts_with = "customer")]
    server: Option<Server>,
    /// Record the stream of the real service; needs --client-id and a log-in of yours in the browser
    #[arg(long, conflicts_with_all = ["server", "customer"])]
    bmw: bool,
    /// Where to log in for --server, such as `https://cardata.example.com:8443`
    #[arg(long, value_name = "URL", requires = "server")]
    login_url: Option<String>,
    /// CA that vouches for --server, in PEM form; those that this system trusts unless told
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Keep the tokens of --server or --bmw in this file, so that the next recording needs no log-in
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// File with an id token (- for standard input) instead of a log-in; the recording ends when it expires
    #[arg(long, value_name = "FILE", requires = "gcid", conflicts_with_all = ["login_url", "tokens"])]
    token_file: Option<PathBuf>,
    /// The customer whose the token of --token-file is
    #[arg(long, value_name = "UUID", requires = "token_file")]
    gcid: Option<Gcid>,
    #[command(flatten)]
    sign_in: SignInArgs,
}

/// Where a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Server {
    host: String,
    port: u16,
}

const STREAM_PORT: u16 = 9000;
const REAL_STREAM: &str = "customer.streaming-cardata.bmwgroup.com";
const REAL_LOGIN: &str = "https://customer.bmwgroup.com";
/// Bytes of a token or of a file of tokens.
const TOKEN_LENGTH_MAX: u64 = 64 << 10;

fn parse_server(text: &str) -> Result<Server, String> {
    let wrong = || "a server is a host name, with a port unless it is 9000".to_owned();
    let (host, port) = match text.rsplit_once(':') {
        // An IPv6 address in brackets has its colons within.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
        _ => (text, STREAM_PORT),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let possible = !host.is_empty() && !host.contains(['/', ' ', '@']);
    if possible { Ok(Server { host: host.to_owned(), port }) } else { Err(wrong()) }
}

/// A stream, and what opens it.
pub(super) struct Source {
    account: Account,
    credentials: Credentials,
    /// Where a sandbox tells its addresses, which change when it starts again.
    sandbox: Option<SandboxArgs>,
}

/// Why there are no other tokens.
#[derive(Debug, Error)]
pub(super) enum RenewError {
    /// There is nothing to renew the token with.
    #[error("the token has expired, and came without one that renews it")]
    Token,
    /// The server gave none.
    #[error(transparent)]
    Refresh(#[from] RefreshError),
    /// They can't be kept for the next recording; then the file has some that are used up.
    #[error("the tokens can't be kept in {}", .file.display())]
    Keep {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
}

enum Credentials {
    /// Good until it expires.
    Token,
    /// Renewed as long as the server lets.
    Tokens {
        login: Login,
        client_id: String,
        tokens: Box<Tokens>,
        kept_in: Option<PathBuf>,
        refresh_at: Instant,
    },
}

impl Source {
    /// Signs in, where that is needed.
    pub(super) async fn find(args: &SourceArgs) -> anyhow::Result<Self> {
        let server = match (&args.server, args.bmw) {
            (Some(server), _) => server.clone(),
            (None, true) => Server { host: REAL_STREAM.to_owned(), port: STREAM_PORT },
            (None, false) => return Self::sandbox(args).await,
        };
        let tls = tls(args.ca.as_deref()).with_context(|| {
            Advice::new("the server's certificate can't be checked")
                .remedy("--ca with the file of the CA that vouches for the server, in PEM form")
                .usage()
        })?;
        if let (Some(file), Some(gcid)) = (&args.token_file, args.gcid) {
            let account = account(server, tls.into(), &gcid.to_string(), read_token(file)?);
            return Ok(Self { account, credentials: Credentials::Token, sandbox: None });
        }
        let login_url = match (&args.login_url, args.bmw) {
            (Some(url), _) => url,
            (None, true) => REAL_LOGIN,
            (None, false) => {
                let what = "it is not known where to log in";
                let remedy =
                    "--login-url with the server's address for HTTPS, or --gcid and --token-file";
                return Err(Advice::new(what).remedy(remedy).usage().into());
            }
        };
        let Some(client_id) = args.sign_in.client_id() else {
            let what = "a log-in needs the id of a client";
            let remedy = "--client-id with the one that the portal shows";
            return Err(Advice::new(what).remedy(remedy).usage().into());
        };
        let client_id = client_id.to_string();
        let login = Login::new(Http::over(tls.clone())?, login_url, &client_id);
        let tokens = match &args.tokens {
            Some(file) if file.exists() => again(&login, file).await?,
            _ => log_in(&login).await?,
        };
        let account = account(server, tls.into(), &tokens.gcid, tokens.id_token.clone());
        let credentials = Credentials::of(login, client_id, tokens.clone(), args.tokens.clone());
        let mut source = Self { account, credentials, sandbox: None };
        source.take(tokens).with_context(|| {
            Advice::new("the recording can't begin")
                .remedy("--tokens with a file that you may write to")
                .usage()
        })?;
        Ok(source)
    }

    async fn sandbox(args: &SourceArgs) -> anyhow::Result<Self> {
        if args.ca.is_some() || args.tokens.is_some() {
            let what = "the running `cardata dev` needs neither --ca nor --tokens";
            let remedy = "leave them out, or name another server with --server";
            return Err(Advice::new(what).remedy(remedy).usage().into());
        }
        let sandbox = args.sign_in.sandbox().clone();
        if let (Some(file), Some(gcid)) = (&args.token_file, args.gcid) {
            let ready = sandbox.look()?;
            let account = stream_of(&ready, &gcid.to_string(), read_token(file)?)?;
            return Ok(Self { account, credentials: Credentials::Token, sandbox: Some(sandbox) });
        }
        let SignedIn { tokens, http, http_url, client_id, ready, .. } =
            args.sign_in.sign_in().await?;
        let account = stream_of(&ready, &tokens.gcid, tokens.id_token.clone())?;
        let login = Login::new(http, &http_url, &client_id);
        let credentials = Credentials::of(login, client_id, tokens, None);
        Ok(Self { account, credentials, sandbox: Some(sandbox) })
    }

    /// Where to connect, and as whom.
    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// When other tokens are due.
    pub(super) fn refresh_at(&self) -> Option<Instant> {
        match &self.credentials {
            Credentials::Token => None,
            Credentials::Tokens { refresh_at, .. } => Some(*refresh_at),
        }
    }

    /// Whether there can be other tokens.
    pub(super) fn can_refresh(&self) -> bool {
        matches!(self.credentials, Credentials::Tokens { .. })
    }

    /// Gets other tokens.
    pub(super) async fn refresh(&mut self) -> Result<(), RenewError> {
        let Credentials::Tokens { login, tokens, .. } = &self.credentials else {
            return Err(RenewError::Token);
        };
        let fresh = login.refresh(tokens).await?;
        self.take(fresh)
    }

    /// These tokens from now on.
    fn take(&mut self, fresh: Tokens) -> Result<(), RenewError> {
        self.account.token = fresh.id_token.clone();
        let Credentials::Tokens { tokens, kept_in, refresh_at, .. } = &mut self.credentials else {
            return Ok(());
        };
        *refresh_at = Instant::now() + refresh_after(fresh.expires_in);
        **tokens = fresh;
        match kept_in {
            Some(file) => {
                keep(tokens, file).map_err(|source| RenewError::Keep { file: file.clone(), source })
            }
            None => Ok(()),
        }
    }

    /// A sandbox that was started again may listen elsewhere.
    pub(super) fn look_again(&mut self) {
        let Some(ready) = self.sandbox.as_ref().and_then(|sandbox| sandbox.read().ok()) else {
            return;
        };
        if let Credentials::Tokens { login, client_id, .. } = &mut self.credentials
            && let Ok(http) = Http::trusting_only(&ready.ca_file)
        {
            *login = Login::new(http, &ready.http_url, client_id);
        }
        self.account.host = ready.mqtt_host;
        self.account.port = ready.mqtt_port;
    }
}

impl Credentials {
    fn of(login: Login, client_id: String, tokens: Tokens, kept_in: Option<PathBuf>) -> Self {
        let refresh_at = Instant::now() + refresh_after(tokens.expires_in);
        Self::Tokens { login, client_id, tokens: Box::new(tokens), kept_in, refresh_at }
    }
}

/// A tenth of its life before it ends, and at least half of it after it began; never at once, whatever the server says.
fn refresh_after(expires_in: Duration) -> Duration {
    const AHEAD_MAX: Duration = Duration::from_mins(5);
    const LEAST: Duration = Duration::from_secs(1);
    const MOST: Duration = Duration::from_hours(24);
    expires_in
        .saturating_sub((expires_in / 10).clamp(Duration::from_secs(5), AHEAD_MAX))
        .max(expires_in / 2)
        .clamp(LEAST, MOST)
}

fn account(
    Server { host, port }: Server,
    tls: Arc<rustls::ClientConfig>,
    gcid: &str,
    token: Secret,
) -> Account {
    let client_id = format!("cardata-record-{}", secret::uuid().simple());
    Account { host, port, tls, gcid: gcid.to_owned(), token, client_id }
}

/// The stream of a sandbox.
fn stream_of(ready: &ReadyFile, gcid: &str, token: Secret) -> anyhow::Result<Account> {
    let server = Server { host: ready.mqtt_host.clone(), port: ready.mqtt_port };
    Ok(account(server, tls(Some(&ready.ca_file))?.into(), gcid, token))
}

/// Asks the person to log in, and waits.
async fn log_in(login: &Login) -> anyhow::Result<Tokens> {
    let failed = || {
        Advice::new("cannot log in")
            .remedy("a client of yours that may read the stream, with --client-id, and the right --login-url")
            .usage()
    };
    let started = login.start(SCOPE).await.with_context(failed)?;
    let place = match &started.verification_uri_complete {
        Some(uri) => harmless(uri.expose()),
        None => harmless(&started.verification_uri),
    };
    let code = harmless(started.user_code.expose());
    output::note(&format!("log in at {place} and confirm the code {code}; waiting …"));
    login.finish(&started).await.with_context(failed)
}

/// Goes on with the tokens of an earlier recording; a refused one needs another log-in.
async fn again(login: &Login, file: &Path) -> anyhow::Result<Tokens> {
    let advice = || {
        Advice::new(format!("the tokens in {} are of no use", file.display()))
            .remedy("delete the file, which makes the next recording ask for a log-in")
            .usage()
    };
    let kept: Tokens =
        serde_json::from_str(&read(file).with_context(advice)?).with_context(advice)?;
    login.refresh(&kept).await.with_context(advice)
}

/// Writes the tokens where only their owner reads them, whole or not at all.
fn keep(tokens: &Tokens, file: &Path) -> io::Result<()> {
    let beside = file.with_extension("new");
    let mut out =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    out.write_all(&serde_json::to_vec(tokens)?)?;
    out.sync_all()?;
    std::fs::rename(&beside, file)
}

fn read_token(file: &Path) -> anyhow::Result<Secret> {
    let advice = || {
        Advice::new("there is no id token")
            .remedy("--token-file with a file that has the token and nothing else, or - and the token on standard input")
            .usage()
    };
    let text = if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().take(TOKEN_LENGTH_MAX).read_to_string(&mut text).map(|_| text)
    } else {
        read(file)
    };
    let text = text.with_context(advice)?;
    let token = text.trim();
    // Three parts of base64url: what else it is, the server says.
    if token.is_empty() || token.contains(char::is_whitespace) {
        return Err(anyhow!("{} holds no token", file.display()).context(advice()));
    }
    Ok(Secret::new(token))
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(file)?.take(TOKEN_LENGTH_MAX).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_with_or_without_a_port() {
        for (text, host, port) in [
            ("localhost", "localhost", 9000),
            ("localhost:1883", "localhost", 1883),
            ("[::1]:9000", "::1", 9000),
            ("[::1]", "::1", 9000),
        ] {
            assert_eq!(parse_server(text), Ok(Server { host: host.to_owned(), port }), "{text}");
        }
        for wrong in ["", ":9000", "localhost:x", "localhost:99999", "mqtts://localhost:9000"] {
            assert!(parse_server(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tokens_are_renewed_before_they_expire() {
        for (seconds, after) in
            [(3600, 3300), (100, 90), (20, 15), (4, 2), (0, 1), (u64::MAX, 86_400)]
        {
            let [expires_in, after] = [seconds, after].map(Duration::from_secs);
            assert_eq!(refresh_after(expires_in), after, "{seconds}");
        }
    }

    #[test]
    fn tokens_that_are_kept_are_their_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens.json");
        let tokens = Tokens {
            gcid: "g".to_owned(),
            access_token: Secret::new("a"),
            id_token: Secret::new("i"),
            refresh_token: Secret::new("r"),
            expires_in: Duration::from_secs(5),
            scope: String::new(),
        };
        keep(&tokens, &file).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(serde_json::from_str::<Tokens>(&read(&file).unwrap()).unwrap(), tokens);
    }
}
