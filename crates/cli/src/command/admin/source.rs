//! `cardata admin source`.

use cardata_client::operator::Method;
use serde_json::json;

use super::{Server, Yes, once, print_json};
use crate::output;

/// List, add and remove the programs that may report events of vehicles over HTTPS
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print all sources, one a line
    List,
    /// Add a source; its key is shown this once, and opens ingest and nothing else
    #[command(after_help = "Examples:\n  \
        cardata admin source add 'back office'\n  \
        cardata admin source add 'test bench' --vin WBY00000000000001")]
    Add {
        /// What it is called
        #[arg(value_name = "NAME")]
        name: String,
        /// A vehicle that it may report for; any vehicle unless told
        #[arg(long = "vin", value_name = "VIN")]
        vins: Vec<String>,
    },
    /// Remove a source; its key is good no longer
    Remove {
        /// What it is called
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        yes: Yes,
    },
}

const LINES: [(&str, &str); 4] =
    [("name", "/name"), ("key", "/key"), ("vehicles", "/vins"), ("since", "/created_at")];

pub(super) async fn run(server: &Server, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List => {
            let mut found = server.get("cannot list the sources", &["sources"]).await?;
            let sources = found["sources"].as_array_mut().map(std::mem::take);
            let columns = [("NAME", "/name"), ("SINCE", "/created_at"), ("VEHICLES", "/vins")];
            server.print_rows(sources.unwrap_or_default(), &columns);
        }
        Command::Add { name, vins } => {
            let mut body = json!({"name": name});
            if !vins.is_empty() {
                body["vins"] = vins.into();
            }
            let what = "cannot add the source";
            let added = server.call(what, Method::Post, &["sources"], &[], Some(&body)).await?;
            server.print_one(&added, &LINES);
            once("key");
        }
        Command::Remove { name, yes } => {
            yes.to("What the source sends is refused then. Go on?")?;
            let what = "cannot remove the source";
            let segments = ["sources", &name];
            let removed = server.call(what, Method::Delete, &segments, &[], None).await?;
            if server.json {
                print_json(&removed);
            } else {
                output::note("the source was removed");
            }
        }
    }
    Ok(())
}
