//! `cardata admin client`.

use cardata_client::operator::Method;
use serde_json::{Map, Value, json};

use super::{Server, Yes, describe_end, once, print_json};
use crate::output;

/// List, register, change and delete clients: the programs that customers let at their data
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print all clients, one a line, also deleted ones
    List,
    /// Print one client
    Show {
        /// The client's id
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Register a client; prints its id, and its secret if it has one
    #[command(after_help = "Examples:\n  \
        cardata admin client add 'Charge planner' --purpose 'charges when the sun shines' --confidential\n  \
        cardata admin client add evcc --owner carla@example.com --no-api\n  \
        cardata admin client add gateway --kind resource-server")]
    Add {
        /// What customers read when they decide
        #[arg(value_name = "NAME")]
        name: String,
        /// Customer (GCID or e-mail address) whose own client it is
        #[arg(long, value_name = "CUSTOMER")]
        owner: Option<String>,
        /// A third party's that all customers may let in, unless it has an owner; or a program of yours that asks whether
        /// tokens are good
        #[arg(long, value_enum, conflicts_with = "owner")]
        kind: Option<Kind>,
        /// What the data is for, in words for customers
        #[arg(long)]
        purpose: Option<String>,
        /// Without the REST API
        #[arg(long)]
        no_api: bool,
        /// Without the stream
        #[arg(long)]
        no_stream: bool,
        /// Give it a secret, which it must show to get tokens
        #[arg(long)]
        confidential: bool,
    },
    /// Change a client; consents to a service that it loses end
    #[command(
        after_help = "Example:\n  cardata admin client change ID --name 'Charge planner 2' --stream off"
    )]
    Change {
        /// The client's id
        #[arg(value_name = "ID")]
        id: String,
        /// Another name
        #[arg(long)]
        name: Option<String>,
        /// Another purpose
        #[arg(long)]
        purpose: Option<String>,
        /// The REST API
        #[arg(long, value_enum, value_name = "ON|OFF")]
        api: Option<Switch>,
        /// The stream
        #[arg(long, value_enum, value_name = "ON|OFF")]
        stream: Option<Switch>,
        #[command(flatten)]
        yes: Yes,
    },
    /// Give a client another secret; the one before is good no longer
    Secret {
        /// The client's id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        yes: Yes,
    },
    /// Delete a client; every consent to it ends
    Delete {
        /// The client's id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        yes: Yes,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    ThirdParty,
    ResourceServer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

const LINES: [(&str, &str); 12] = [
    ("client id", "/client_id"),
    ("secret", "/client_secret"),
    ("kind", "/kind"),
    ("owner", "/gcid"),
    ("name", "/name"),
    ("purpose", "/purpose"),
    ("REST API", "/services/api"),
    ("stream", "/services/stream"),
    ("requests today", "/requests/today"),
    ("at most", "/requests/limit"),
    ("since", "/created_at"),
    ("deleted", "/deleted_at"),
];

pub(super) async fn run(server: &Server, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List => {
            let clients = server.list("cannot list the clients", &["clients"]).await?;
            let columns = [
                ("ID", "/client_id"),
                ("KIND", "/kind"),
                ("OWNER", "/gcid"),
                ("API", "/services/api"),
                ("STREAM", "/services/stream"),
                ("REQUESTS", "/requests/today"),
                ("DELETED", "/deleted_at"),
                ("NAME", "/name"),
            ];
            server.print_rows(clients, &columns);
        }
        Command::Show { id } => {
            let client = server.get("cannot show the client", &["clients", &id]).await?;
            server.print_one(&client, &LINES);
        }
        Command::Add { name, owner, kind, purpose, no_api, no_stream, confidential } => {
            let what = "cannot register the client";
            let mut body = Map::new();
            let mut tell = |name: &str, value: Value| body.insert(name.to_owned(), value);
            tell("name", name.into());
            if let Some(owner) = owner {
                let owner = server.get(what, &["customers", &owner]).await?;
                tell("gcid", owner["gcid"].clone());
            }
            if let Some(kind) = kind {
                tell("kind", kind.word().into());
            }
            if let Some(purpose) = purpose {
                tell("purpose", purpose.into());
            }
            if no_api || no_stream {
                tell("services", json!({"api": !no_api, "stream": !no_stream}));
            }
            if confidential {
                tell("confidential", true.into());
            }
            let body = Value::Object(body);
            let added = server.call(what, Method::Post, &["clients"], &[], Some(&body)).await?;
            print_with_secret(server, &added);
        }
        Command::Change { id, name, purpose, api, stream, yes } => {
            if [api, stream].contains(&Some(Switch::Off)) {
                yes.to("This ends the consents to what the client loses. Go on?")?;
            }
            let body = changes(name, purpose, api, stream);
            let what = "cannot change the client";
            let segments = ["clients", &id];
            let changed = server.call(what, Method::Patch, &segments, &[], Some(&body)).await?;
            server.print_one(&changed, &LINES);
        }
        Command::Secret { id, yes } => {
            yes.to("The client's secret of now is good no longer then. Go on?")?;
            let what = "cannot give the client another secret";
            let segments = ["clients", &id, "secret"];
            let renewed = server.call(what, Method::Post, &segments, &[], None).await?;
            print_with_secret(server, &renewed);
        }
        Command::Delete { id, yes } => {
            yes.to("This deletes the client, and ends every consent to it. Go on?")?;
            let what = "cannot delete the client";
            let segments = ["clients", &id];
            let ended = server.call(what, Method::Delete, &segments, &[], None).await?;
            if server.json {
                print_json(&ended);
            } else {
                output::note(&describe_end(&ended));
            }
        }
    }
    Ok(())
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::ThirdParty => "THIRD_PARTY",
            Self::ResourceServer => "RESOURCE_SERVER",
        }
    }
}

fn changes(
    name: Option<String>,
    purpose: Option<String>,
    api: Option<Switch>,
    stream: Option<Switch>,
) -> Value {
    let mut body = Map::new();
    body.extend(name.map(|name| ("name".to_owned(), name.into())));
    body.extend(purpose.map(|purpose| ("purpose".to_owned(), purpose.into())));
    let mut services = Map::new();
    for (service, switch) in [("api", api), ("stream", stream)] {
        services.extend(switch.map(|to| (service.to_owned(), (to == Switch::On).into())));
    }
    if !services.is_empty() {
        body.insert("services".to_owned(), services.into());
    }
    body.into()
}

fn print_with_secret(server: &Server, client: &Value) {
    server.print_one(client, &LINES);
    if client.get("client_secret").is_some() {
        once("secret");
    }
}
