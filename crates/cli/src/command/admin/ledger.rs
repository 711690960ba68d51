//! `cardata admin ledger`.

use cardata_client::operator::Method;

use super::{Server, advise};
use crate::output;

/// Read and export what happened
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print the newest lines
    List {
        /// How many lines
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Only lines before this number
        #[arg(long, value_name = "NUMBER")]
        before: Option<u64>,
        /// Only the record of consents: who let whom see what
        #[arg(long)]
        consents: bool,
    },
    /// Print all lines as JSON, one a line, the newest first; the export itself leaves a line
    #[command(after_help = "Example:\n  \
        cardata admin ledger export --customer carla@example.com --consents > carla.jsonl")]
    Export {
        /// Only one customer's (GCID or e-mail address)
        #[arg(long, value_name = "CUSTOMER")]
        customer: Option<String>,
        /// Only the record of consents: who let whom see what
        #[arg(long)]
        consents: bool,
    },
}

pub(super) async fn run(server: &Server, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { limit, before, consents } => {
            let (limit, before) = (limit.to_string(), before.map(|before| before.to_string()));
            let mut query = vec![("limit", limit.as_str())];
            query.extend(before.as_deref().map(|before| ("before", before)));
            query.extend(consents.then_some(("consents", "true")));
            let what = "cannot read the ledger";
            let mut page = server.call(what, Method::Get, &["ledger"], &query, None).await?;
            let lines = page["lines"].as_array_mut().map(std::mem::take);
            let columns = [
                ("NUMBER", "/number"),
                ("AT", "/at"),
                ("WHO", "/actor"),
                ("WHAT", "/act"),
                ("CUSTOMER", "/gcid"),
                ("CLIENT", "/client_id"),
                ("DETAIL", "/detail"),
            ];
            server.print_rows(lines.unwrap_or_default(), &columns);
        }
        Command::Export { customer, consents } => {
            let mut query = Vec::new();
            query.extend(consents.then_some(("consents", "true")));
            let segments = if let Some(customer) = &customer {
                vec!["customers", customer.as_str(), "ledger"]
            } else {
                query.push(("format", "jsonl"));
                vec!["ledger"]
            };
            let exported = server.admin.export(&segments, &query, output::raw).await;
            exported.map_err(|error| advise(error, "cannot export the ledger"))?;
        }
    }
    Ok(())
}
