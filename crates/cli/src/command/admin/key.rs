//! `cardata admin key`.

use cardata_client::operator::Method;

use super::{Server, Yes, print_json};
use crate::output;

/// List, change and remove the keys that sign id tokens
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print all keys, the newest first
    List,
    /// Make a new key, which signs from now on; tokens of older keys stay good until they expire
    Rotate,
    /// Remove a key that signs no longer; tokens that it signed are good no longer
    Remove {
        /// The key's name
        #[arg(value_name = "KID")]
        kid: String,
        #[command(flatten)]
        yes: Yes,
    },
}

const COLUMNS: [(&str, &str); 3] = [("KID", "/kid"), ("SIGNS", "/signs"), ("SINCE", "/created_at")];

pub(super) async fn run(server: &Server, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List => {
            let mut found = server.get("cannot list the keys", &["keys"]).await?;
            let keys = found["keys"].as_array_mut().map(std::mem::take);
            server.print_rows(keys.unwrap_or_default(), &COLUMNS);
        }
        Command::Rotate => {
            let what = "cannot change the key";
            let key = server.call(what, Method::Post, &["keys", "rotate"], &[], None).await?;
            server.print_one(&key, &COLUMNS);
        }
        Command::Remove { kid, yes } => {
            yes.to("Tokens that this key signed are good no longer then. Go on?")?;
            let segments = ["keys", &kid];
            let what = "cannot remove the key";
            let removed = server.call(what, Method::Delete, &segments, &[], None).await?;
            if server.json {
                print_json(&removed);
            } else {
                output::note("the key was removed");
            }
        }
    }
    Ok(())
}
