//! `cardata`: vehicle telematics, streamed to exactly those a customer chose.

mod clock;
mod command;
mod output;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser;

/// OpenCarData: vehicle telematics, streamed to exactly those a customer chose
///
/// Begin with `cardata dev`: it starts the whole service on this machine, with demo customers and vehicles that move, and
/// prints what to do next. The other commands talk to it from another terminal.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Dev(command::dev::Args),
    Replay(command::replay::Args),
    Token(command::token::Args),
    Container(command::container::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(tracing_subscriber::EnvFilter::new("warn,cardata_server=info"))
        .init();
    output::finish(match Cli::parse().command {
        Command::Dev(args) => command::dev::run(args).await,
        Command::Replay(args) => command::replay::run(args).await,
        Command::Token(args) => command::token::run(args).await,
        Command::Container(args) => command::container::run(args).await,
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_wrong_flag_is_refused_by_name() {
        let refused = |line: &str| {
            let arguments = line.split_whitespace();
            Cli::try_parse_from(arguments).unwrap_err().to_string()
        };
        let replay = "cardata replay drive.csv --vin WBY00000000000001";
        assert!(refused("cardata replay drive.csv --vin short").contains("--vin"));
        assert!(refused("cardata replay --vin WBY00000000000001").contains("<FILE>"));
        for wrong in
            ["--speed -1", "--speed NaN", "--start yesterday", "--time-zone Mars", "--odometer -5"]
        {
            let message = refused(&format!("{replay} {wrong}"));
            assert!(message.contains(wrong.split(' ').next().unwrap()), "{message}");
        }
        assert!(Cli::try_parse_from(format!("{replay} --speed max").split(' ')).is_ok());
        assert!(refused("cardata token --client-id 5").contains("--client-id"));
        assert!(refused("cardata container create --name x --purpose y").contains("<DESCRIPTOR>"));
    }
}
