//! `cardata admin mapping`.

use cardata_client::operator::Method;
use serde_json::json;

use super::{Server, Yes, describe_end, print_json};
use crate::output::{self, harmless};

/// Say whose a vehicle is, and end that
///
/// `customer show` and `vehicle show` print the links that there are.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Link a customer to a vehicle, as its PRIMARY unless told; open streams follow at once
    #[command(after_help = "Examples:\n  \
        cardata admin mapping set carla@example.com WBY00000000000001\n  \
        cardata admin mapping set ben@example.com WBY00000000000001 --secondary\n  \
        cardata admin mapping set dora@example.com WBY00000000000001 --hand-over")]
    Set {
        /// GCID or e-mail address
        #[arg(value_name = "CUSTOMER")]
        customer: String,
        /// The vehicle's number
        #[arg(value_name = "VIN")]
        vin: String,
        /// A further driver, who reads nothing of it
        #[arg(long, conflicts_with = "hand_over")]
        secondary: bool,
        /// End the link of the one who is PRIMARY now; what the vehicle sent until now is forgotten
        #[arg(long)]
        hand_over: bool,
        #[command(flatten)]
        yes: Yes,
    },
    /// End a customer's link to a vehicle; open streams stop showing it at once
    End {
        /// GCID or e-mail address
        #[arg(value_name = "CUSTOMER")]
        customer: String,
        /// The vehicle's number
        #[arg(value_name = "VIN")]
        vin: String,
        #[command(flatten)]
        yes: Yes,
    },
}

pub(super) async fn run(server: &Server, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Set { customer, vin, secondary, hand_over, yes } => {
            let what = "cannot link the customer to the vehicle";
            let found = server.get(what, &["customers", &customer]).await?;
            let mut links = found["mappings"].as_array().into_iter().flatten();
            let is_primary =
                links.any(|link| link["vin"] == vin.as_str() && link["type"] == "PRIMARY");
            if hand_over && !is_primary || secondary && is_primary {
                yes.to(&format!(
                    "This ends the link of the PRIMARY, and forgets what {} sent until now. Go on?",
                    harmless(&vin)
                ))?;
            }
            let kind = if secondary { "SECONDARY" } else { "PRIMARY" };
            let body =
                json!({"gcid": found["gcid"], "vin": vin, "type": kind, "hand_over": hand_over});
            let linked = server.call(what, Method::Put, &["mappings"], &[], Some(&body)).await?;
            let told = [
                ("customer", "/gcid"),
                ("VIN", "/vin"),
                ("type", "/type"),
                ("since", "/since"),
                ("change", "/change"),
                ("before", "/ended/gcid"),
            ];
            server.print_one(&linked, &told);
        }
        Command::End { customer, vin, yes } => {
            yes.to(&format!(
                "This ends the link of {} to {}; if it is the PRIMARY's, what the vehicle sent is forgotten. Go on?",
                harmless(&customer),
                harmless(&vin)
            ))?;
            let segments = ["mappings", &customer, &vin];
            let what = "cannot end the link";
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
