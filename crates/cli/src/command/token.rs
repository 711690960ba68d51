//! `cardata token`: a fresh token of a demo customer, for the shell.

use super::sign_in::SignInArgs;
use crate::output;

/// Print a fresh token of a demo customer
///
/// Signs in through the device code flow, as any client does, and approves that as the customer would in the browser.
/// Only the token is printed, so that it can be used within another command.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    mosquitto_sub -h localhost -p 9000 --cafile cardata-data/ca.pem -u GCID -P \"$(cardata token)\" -t 'GCID/+'\n  \
    curl --cacert cardata-data/ca.pem -H \"Authorization: Bearer $(cardata token --kind access)\" \\\n       \
    https://localhost:8443/customers/vehicles/mappings")]
pub(crate) struct Args {
    /// Which token: `id` is the password on the stream, `access` opens the REST API
    #[arg(long, value_enum, default_value_t = Kind::Id)]
    kind: Kind,
    #[command(flatten)]
    sign_in: SignInArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Id,
    Access,
}

/// Prints the token.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let tokens = args.sign_in.sign_in().await?.tokens;
    let token = match args.kind {
        Kind::Id => &tokens.id_token,
        Kind::Access => &tokens.access_token,
    };
    output::data(token.expose());
    Ok(())
}
