//! `cardata admin consent`.

use cardata_client::operator::Method;

use super::{Server, Yes, describe_end, print_json};
use crate::output;

/// List what a customer lets clients see, and end it
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print a customer's consents, one a line, also those that ended
    List {
        /// GCID or e-mail address
        #[arg(value_name = "CUSTOMER")]
        customer: String,
    },
    /// End a consent with its tokens and streams
    End {
        /// The id that `list` prints
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        yes: Yes,
    },
}

pub(super) async fn run(server: &Server, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { customer } => {
            let what = "cannot list the consents";
            let mut found = server.get(what, &["customers", &customer, "consents"]).await?;
            let consents = found["consents"].as_array_mut().map(std::mem::take);
            let columns = [
                ("ID", "/consent_id"),
                ("STATE", "/state"),
                ("CLIENT", "/client_id"),
                ("SINCE", "/granted_at"),
                ("UNTIL", "/expires_at"),
                ("ENDED BY", "/end_reason"),
                ("PURPOSE", "/purpose"),
            ];
            server.print_rows(consents.unwrap_or_default(), &columns);
        }
        Command::End { id, yes } => {
            yes.to("This ends the client's access at once; it has to be let in anew. Go on?")?;
            let what = "cannot end the consent";
            let segments = ["consents", &id];
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
