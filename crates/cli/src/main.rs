//! `cardata`: vehicle telematics, streamed to exactly those a customer chose.

mod clock;
mod command;
mod output;
mod secret_file;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use tracing_subscriber::EnvFilter;

/// See `docs/adr/0024-memory-comes-from-mimalloc.md`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// OpenCarData: vehicle telematics, streamed to exactly those a customer chose
///
/// Begin with `cardata dev`: it starts the whole service on this machine, with demo customers and vehicles that move, and
/// prints what to do next. The other commands talk to it from another terminal.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    /// What to log on standard error, such as `info` or `warn,cardata_server=debug`
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        default_value = "warn,cardata_server=info,cardata=info",
        env = "CARDATA_LOG"
    )]
    log: EnvFilter,
    /// How to log: for people, or one JSON object a line
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, env = "CARDATA_LOG_FORMAT")]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Dev(Box<command::dev::Args>),
    Record(command::record::Args),
    Replay(command::replay::Args),
    Inspect(command::inspect::Args),
    Simulate(command::simulate::Args),
    Token(command::token::Args),
    Container(command::container::Args),
    Admin(command::admin::Args),
    Fault(command::fault::Args),
    Bench(command::bench::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { log, log_format, command } = Cli::parse();
    let logger = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(log);
    match log_format {
        LogFormat::Text => logger.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => logger.json().init(),
    }
    output::finish(match command {
        Command::Dev(args) => command::dev::run(*args).await,
        Command::Record(args) => command::record::run(args).await,
        Command::Replay(args) => command::replay::run(args).await,
        Command::Inspect(args) => command::inspect::run(&args),
        Command::Simulate(args) => command::simulate::run(args),
        Command::Token(args) => command::token::run(args).await,
        Command::Container(args) => command::container::run(args).await,
        Command::Admin(args) => command::admin::run(args).await,
        Command::Fault(args) => command::fault::run(args).await,
        Command::Bench(args) => command::bench::run(args).await,
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
