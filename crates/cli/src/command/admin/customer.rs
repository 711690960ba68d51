//! `cardata admin customer`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cardata_client::operator::Method;
use serde_json::{Map, Value, json};

use super::{Server, Yes, describe_end, once};
use crate::output::{self, Advice, harmless};

/// List, add and delete customers, and give them new passwords
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print all customers, one a line
    List,
    /// Print one customer, with their vehicles and how much there is of the rest
    Show {
        /// GCID or e-mail address
        #[arg(value_name = "CUSTOMER")]
        customer: String,
    },
    /// Add a customer; prints the GCID, and the password if it was made up
    #[command(after_help = "Examples:\n  \
        cardata admin customer add carla@example.com\n  \
        printf %s \"$PASSWORD\" | cardata admin customer add carla@example.com --password-file -")]
    Add {
        /// E-mail address, the name for log-in
        #[arg(value_name = "EMAIL")]
        email: String,
        #[command(flatten)]
        password: PasswordArgs,
        /// GCID that the customer has already, as in another system
        #[arg(long, value_name = "UUID")]
        gcid: Option<String>,
    },
    /// Give a customer another password; ends their log-ins and what clients may see of theirs
    #[command(
        after_help = "Example:\n  cardata admin customer password carla@example.com --keep-clients"
    )]
    Password {
        /// GCID or e-mail address
        #[arg(value_name = "CUSTOMER")]
        customer: String,
        #[command(flatten)]
        password: PasswordArgs,
        /// Let clients see on what they were let see
        #[arg(long)]
        keep_clients: bool,
        #[command(flatten)]
        yes: Yes,
    },
    /// Delete a customer with everything; nothing brings it back
    Delete {
        /// GCID or e-mail address
        #[arg(value_name = "CUSTOMER")]
        customer: String,
        #[command(flatten)]
        yes: Yes,
    },
}

/// Where a password comes from.
#[derive(Debug, clap::Args)]
pub(super) struct PasswordArgs {
    /// File with the password, `-` for standard input; without it, one is made up and printed
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordArgs {
    fn read(&self) -> anyhow::Result<Option<String>> {
        let Some(file) = &self.password_file else { return Ok(None) };
        let mut text = String::new();
        let read = if file == Path::new("-") {
            std::io::stdin().read_to_string(&mut text).map(drop)
        } else {
            std::fs::read_to_string(file).map(|read| text = read)
        };
        read.with_context(|| {
            Advice::new("cannot read the password").remedy("another --password-file").usage()
        })?;
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

const LINES: [(&str, &str); 9] = [
    ("GCID", "/gcid"),
    ("e-mail", "/email"),
    ("since", "/created_at"),
    ("password", "/password"),
    ("vehicles (PRIMARY)", "/counts/vehicles_primary"),
    ("vehicles (SECONDARY)", "/counts/vehicles_secondary"),
    ("clients", "/counts/clients"),
    ("active consents", "/counts/consents_active"),
    ("ended consents", "/counts/consents_ended"),
];

pub(super) async fn run(server: &Server, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List => {
            let customers = server.list("cannot list the customers", &["customers"]).await?;
            let columns = [("GCID", "/gcid"), ("E-MAIL", "/email"), ("SINCE", "/created_at")];
            server.print_rows(customers, &columns);
        }
        Command::Show { customer } => show(server, &customer).await?,
        Command::Add { email, password, gcid } => {
            let mut body = Map::new();
            body.insert("email".to_owned(), email.into());
            body.extend(password.read()?.map(|text| ("password".to_owned(), text.into())));
            body.extend(gcid.map(|gcid| ("gcid".to_owned(), gcid.into())));
            let what = "cannot add the customer";
            let body = Value::Object(body);
            let added = server.call(what, Method::Post, &["customers"], &[], Some(&body)).await?;
            server.print_one(&added, &LINES);
            note_password(&added);
        }
        Command::Password { customer, password, keep_clients, yes } => {
            let ends = if keep_clients { "" } else { ", and ends what clients may see" };
            yes.to(&format!("This logs {} out everywhere{ends}. Go on?", harmless(&customer)))?;
            let body = json!({"password": password.read()?, "keep_clients": keep_clients});
            let segments = ["customers", &customer, "password"];
            let what = "cannot change the password";
            let changed = server.call(what, Method::Post, &segments, &[], Some(&body)).await?;
            server.print_one(&changed, &LINES);
            if !server.json {
                output::note(&describe_end(&changed));
            }
            note_password(&changed);
        }
        Command::Delete { customer, yes } => {
            let what = "cannot delete the customer";
            let found = server.get(what, &["customers", &customer]).await?;
            let gcid = found["gcid"].as_str().unwrap_or_default().to_owned();
            let email = harmless(found["email"].as_str().unwrap_or_default());
            yes.to(&format!(
                "This deletes {email} ({}) with everything: consents, clients, and what the vehicles sent. Go on?",
                harmless(&gcid)
            ))?;
            let query = [("confirm", gcid.as_str())];
            let segments = ["customers", &gcid];
            let deleted = server.call(what, Method::Delete, &segments, &query, None).await?;
            if server.json {
                super::print_json(&deleted);
            }
        }
    }
    Ok(())
}

async fn show(server: &Server, customer: &str) -> anyhow::Result<()> {
    let found = server.get("cannot show the customer", &["customers", customer]).await?;
    server.print_one(&found, &LINES);
    let vehicles = found["mappings"].as_array().filter(|all| !all.is_empty());
    if let Some(vehicles) = vehicles.filter(|_| !server.json) {
        output::data("");
        server.print_rows(
            vehicles.clone(),
            &[("VIN", "/vin"), ("TYPE", "/type"), ("SINCE", "/since")],
        );
    }
    Ok(())
}

fn note_password(answer: &Value) {
    if answer.get("password").is_some() {
        once("password");
    }
}
