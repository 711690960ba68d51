//! `cardata simulate`: lives of simulated cars without a server, and how they compare with recorded drives.

mod compare;
mod plot;
mod run;

use std::path::PathBuf;

use anyhow::Context as _;
use cardata_simulator::Scenario;
use clap::Subcommand;

use crate::output::{self, Advice};

/// Try out scenarios without a server: check them, let years pass, compare cars with recorded drives
///
/// A scenario says which cars there are, how their owners live with them, and how they report; it is a file in TOML, or
/// one of those that are shipped. `cardata dev --scenario` lets its cars live in the sandbox.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cardata simulate show family > my-family.toml\n  \
    cardata simulate check my-family.toml\n  \
    cardata simulate run five-owners --days 365\n  \
    cardata simulate compare recordings/ --plot comparison.svg\n  \
    cardata dev --scenario my-family.toml --speed 600")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell whether a scenario can be used, and what is in it
    Check {
        /// A file, or the name of a shipped scenario
        scenario: String,
    },
    /// Print a shipped scenario, to begin an own one with; without a name, the names
    Show {
        /// Which one
        name: Option<String>,
    },
    /// Let time pass and tell what the cars did, and how long that took to compute
    Run(run::Args),
    /// Drive a simulated BMW i3 over the speeds and heights of recorded drives, and tell what both took
    Compare {
        /// Recorded drives: CSV files, or folders with them
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Also draw it, into this file
        #[arg(long, value_name = "FILE.svg")]
        plot: Option<PathBuf>,
    },
}

/// Does what was asked for; none of it needs a server.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Check { scenario } => check(&scenario),
        Command::Show { name: None } => {
            output::data(&Scenario::shipped_names().collect::<Vec<_>>().join("\n"));
            Ok(())
        }
        Command::Show { name: Some(name) } => {
            let text = Scenario::shipped_text(&name).ok_or_else(|| unknown(&name))?;
            output::data(text.trim_end());
            Ok(())
        }
        Command::Run(args) => run::run(&args),
        Command::Compare { paths, plot } => compare::run(&paths, plot.as_deref()),
    }
}

/// The scenario in the file `name`, or the shipped one of that name.
pub(crate) fn scenario(name: &str) -> anyhow::Result<Scenario> {
    let text = match Scenario::shipped_text(name) {
        Some(text) => text,
        None if looks_like_a_file(name) => std::fs::read_to_string(name)
            .with_context(|| format!("the scenario {name} can't be read"))?,
        None => return Err(unknown(name).into()),
    };
    Scenario::parse(&text).map_err(|error| {
        let place = error.line.map_or_else(|| name.to_owned(), |line| format!("{name}:{line}"));
        let what = format!("{}: {}", place, output::harmless(&error.message));
        let remedy = "see docs/guides/scenarios.md, or begin with `cardata simulate show commuter`";
        Advice::new(what).remedy(remedy).usage().into()
    })
}

fn looks_like_a_file(name: &str) -> bool {
    name.contains(['/', '.']) || std::path::Path::new(name).exists()
}

fn unknown(name: &str) -> Advice {
    let what = format!("there is no shipped scenario `{}`", output::harmless(name));
    let names = || Scenario::shipped_names().collect::<Vec<_>>().join(", ");
    let remedy = Scenario::nearest_shipped(name).map_or_else(
        || format!("name a file, or one of {}", names()),
        |meant| format!("did you mean `{meant}`?"),
    );
    Advice::new(what).remedy(remedy).usage()
}

fn check(name: &str) -> anyhow::Result<()> {
    let scenario = scenario(name)?;
    for car in &scenario.cars {
        let count = car.outings.len();
        let outings = if count == 1 { "outing" } else { "outings" };
        output::data(&format!(
            "{}: {}, {count} {outings}",
            output::harmless(&car.name),
            car.drivetrain()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_shipped_is_answered_with_the_one_that_was_meant() {
        for (name, told) in
            [("comuter", "`commuter`"), ("five-onwers", "`five-owners`"), ("x", "name a file")]
        {
            let error = scenario(name).unwrap_err();
            let advice = format!("{:?}", error.downcast_ref::<Advice>());
            assert!(advice.contains(told), "{name}: {advice}");
        }
        assert!(scenario("family").is_ok());
        assert!(scenario("./nowhere.toml").unwrap_err().to_string().contains("can't be read"));
    }

    #[test]
    fn a_mistake_in_a_file_is_told_with_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.toml");
        let text = Scenario::shipped_text("commuter").unwrap();
        std::fs::write(&file, text.replace("home_charger", "home_charge")).unwrap();
        let told = scenario(file.to_str().unwrap()).unwrap_err().to_string();
        assert!(told.contains("mine.toml:5: "), "{told}");
        assert!(told.contains("did you mean `home_charger`?"), "{told}");
    }
}
