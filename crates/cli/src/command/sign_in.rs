//! Signs in as a demo customer, approving the login in the customer's place.

use std::time::Duration;

use anyhow::Context as _;
use cardata_client::http::Http;
use cardata_client::login::{Login, SCOPE, Tokens};
use cardata_client::operator::{ApproveError, Operator};
use cardata_client::ready_file::{DemoCustomer, ReadyFile};
use cardata_domain::ClientId;
use tokio::time::timeout;

use super::sandbox::SandboxArgs;
use crate::output::Advice;

/// As whom to sign in.
#[derive(Debug, clap::Args)]
pub(crate) struct SignInArgs {
    /// E-mail address of the demo customer; the first one unless told
    #[arg(long, visible_alias = "email", value_name = "EMAIL")]
    customer: Option<String>,
    /// Client to sign in through; the customer's own unless told
    #[arg(long, value_name = "UUID")]
    client_id: Option<ClientId>,
    #[command(flatten)]
    sandbox: SandboxArgs,
}

/// How long a server that approved by itself may take to hand out tokens.
const APPROVED_BEFORE: Duration = Duration::from_secs(3);

/// A customer's tokens, and where they are good.
pub(crate) struct SignedIn {
    pub(crate) tokens: Tokens,
    pub(crate) http: Http,
    pub(crate) http_url: String,
    pub(crate) client_id: String,
    /// The customer's e-mail address.
    pub(crate) email: String,
    /// What the server tells of itself.
    pub(crate) ready: ReadyFile,
}

impl SignInArgs {
    /// Runs the device code flow as any client does, and approves it through the operator's API.
    pub(crate) async fn sign_in(&self) -> anyhow::Result<SignedIn> {
        let (ready, http) = self.sandbox.find()?;
        let customer = self.choose(&ready)?;
        let client_id = match self.client_id {
            Some(id) => id.to_string(),
            None => customer.client_id.clone(),
        };
        let login = Login::new(http.clone(), &ready.http_url, &client_id);
        let operator = Operator::new(http.clone(), &ready);
        let tokens = tokens(&login, &operator, customer).await.with_context(|| {
            Advice::new(format!("cannot sign in as {}", customer.email)).remedy(
                match self.client_id {
                    Some(_) => "the customer's own client, by leaving --client-id out",
                    None => "see whether `cardata dev` still runs, and start it again with the same data folder",
                },
            )
        })?;
        if tokens.gcid != customer.gcid {
            let what = format!("the server signed in somebody else than {}", customer.email);
            let remedy =
                "start `cardata dev` without --auto-approve, which approves for the first customer";
            return Err(Advice::new(what).remedy(remedy).usage().into());
        }
        let (http_url, email) = (ready.http_url.clone(), customer.email.clone());
        Ok(SignedIn { tokens, http, http_url, client_id, email, ready })
    }

    /// The client that was named.
    pub(crate) fn client_id(&self) -> Option<ClientId> {
        self.client_id
    }

    /// Where the running `cardata dev` left word.
    pub(crate) fn sandbox(&self) -> &SandboxArgs {
        &self.sandbox
    }

    fn choose<'a>(&self, ready: &'a ReadyFile) -> anyhow::Result<&'a DemoCustomer> {
        let wanted = |customer: &&DemoCustomer| {
            self.customer.as_ref().is_none_or(|email| customer.email.eq_ignore_ascii_case(email))
        };
        ready.customers.iter().find(wanted).ok_or_else(|| {
            let emails: Vec<_> = ready.customers.iter().map(|one| one.email.as_str()).collect();
            let remedy = format!("--customer with one of {}", emails.join(", "));
            Advice::new("there is no such demo customer").remedy(remedy).usage().into()
        })
    }
}

async fn tokens(
    login: &Login,
    operator: &Operator,
    customer: &DemoCustomer,
) -> anyhow::Result<Tokens> {
    let started = login.start(SCOPE).await?;
    match operator.approve(&started.user_code, &customer.email).await {
        Ok(()) => Ok(login.finish(&started).await?),
        // A server that approves by itself was quicker, or the client is another customer's: then no tokens come.
        Err(error @ ApproveError::Refused { status: 409, .. }) => {
            match timeout(APPROVED_BEFORE, login.finish(&started)).await {
                Ok(tokens) => Ok(tokens?),
                Err(_) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}
