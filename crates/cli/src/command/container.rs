//! `cardata container`: a demo customer's containers.

use anyhow::Context as _;
use cardata_client::rest::{ContainerState, ContainerSummary, Rest, RestError};

use super::sign_in::SignInArgs;
use crate::output::{self, Advice, harmless};

/// Create, list or delete containers of a demo customer
///
/// A container is a named set of descriptors, such as `vehicle.vehicle.travelledDistance` (the odometer). A client gets
/// on the stream what its containers name, and nothing else.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Register a container and print its id
    #[command(
        after_help = "Example:\n  cardata container create --name trip --purpose \"see how far I get\" \\\n      \
        vehicle.drivetrain.batteryManagement.header vehicle.vehicle.travelledDistance"
    )]
    Create {
        /// What to call it
        #[arg(long)]
        name: String,
        /// What the data is for
        #[arg(long)]
        purpose: String,
        /// The signals that the client is to get
        #[arg(required = true, value_name = "DESCRIPTOR")]
        descriptors: Vec<String>,
        #[command(flatten)]
        sign_in: SignInArgs,
    },
    /// Print the containers, one a line
    List {
        #[command(flatten)]
        sign_in: SignInArgs,
    },
    /// Delete a container; what only it named stops at once
    Delete {
        /// The id that `create` and `list` print
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        sign_in: SignInArgs,
    },
}

/// Does what was asked for.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Create { name, purpose, descriptors, sign_in } => {
            let rest = rest(&sign_in).await?;
            let created = rest.create_container(&name, &purpose, &descriptors).await;
            let container =
                created.map_err(|error| advise(error, "cannot create the container"))?;
            output::data(&container.summary.container_id);
        }
        Command::List { sign_in } => {
            let listed = rest(&sign_in).await?.containers().await;
            let containers = listed.map_err(|error| advise(error, "cannot list the containers"))?;
            for line in table(&containers) {
                output::data(&line);
            }
        }
        Command::Delete { id, sign_in } => {
            let deleted = rest(&sign_in).await?.delete_container(&id).await;
            deleted.map_err(|error| advise(error, "cannot delete the container"))?;
        }
    }
    Ok(())
}

async fn rest(sign_in: &SignInArgs) -> anyhow::Result<Rest> {
    let signed_in = sign_in.sign_in().await?;
    Ok(Rest::new(signed_in.http, &signed_in.http_url, signed_in.tokens.access_token))
}

fn advise(error: RestError, what: &str) -> anyhow::Error {
    let mut advice = Advice::new(what);
    if let RestError::Refused(refusal) = &error {
        match refusal.id.as_str() {
            "CU-402" => {
                advice = advice
                    .remedy("names from the catalogue, such as vehicle.vehicle.travelledDistance");
            }
            "CU-124" => advice = advice.remedy("cardata container list, then delete one of them"),
            "CU-105" | "CU-121" => advice = advice.remedy("cardata container list"),
            _ => {}
        }
    }
    if error.needs_login() {
        advice = advice.remedy("the same command again, which signs in anew").usage();
    }
    Err::<(), _>(error).context(advice).expect_err("an error with context is one")
}

/// A line for each container below a heading, in columns.
fn table(containers: &[ContainerSummary]) -> Vec<String> {
    let heading = ["ID", "STATE", "CREATED", "NAME", "PURPOSE"].map(str::to_owned);
    let mut rows = vec![heading];
    rows.extend(containers.iter().map(|container| {
        let state = match container.state {
            ContainerState::Active => "ACTIVE",
            ContainerState::Inactive => "INACTIVE",
            ContainerState::Deleted => "DELETED",
        };
        let created = container.created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let (name, purpose) = (harmless(&container.name), harmless(&container.purpose));
        [container.container_id.clone(), state.to_owned(), created, name, purpose]
    }));
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_stand_in_columns() {
        let container = |id: &str, name: &str| ContainerSummary {
            container_id: id.to_owned(),
            name: name.to_owned(),
            purpose: "demo\u{7}".to_owned(),
            state: ContainerState::Active,
            created: "2025-10-06T06:08:13Z".parse().unwrap(),
        };
        let lines =
            table(&[container("W00J000D000AB", "Übersicht"), container("W00J000D000AC", "x")]);
        assert_eq!(
            lines,
            [
                "ID             STATE   CREATED               NAME       PURPOSE",
                "W00J000D000AB  ACTIVE  2025-10-06T06:08:13Z  Übersicht  demo·",
                "W00J000D000AC  ACTIVE  2025-10-06T06:08:13Z  x          demo·",
            ]
        );
    }
}
