//! The command line, and a server that is not there.

use clap::Parser as _;

use super::*;

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn parse(line: &str) -> Result<Args, String> {
    let words = std::iter::once("admin").chain(line.split_whitespace());
    Line::try_parse_from(words).map(|line| line.args).map_err(|error| error.to_string())
}

#[test]
fn each_act_has_its_words() {
    for line in [
        "customer list",
        "customer show anna@example.com",
        "customer add anna@example.com --password-file - --gcid aa111192-d570-4d3d-8835-656ee00edcd7",
        "customer password anna@example.com --keep-clients --yes",
        "customer delete anna@example.com -y",
        "vehicle list",
        "vehicle show WBY00000000000001",
        "vehicle add WBY00000000000001 BEV --model-name i4 --doors 4",
        "mapping set anna@example.com WBY00000000000001",
        "mapping set anna@example.com WBY00000000000001 --secondary",
        "mapping set anna@example.com WBY00000000000001 --hand-over --yes",
        "mapping end anna@example.com WBY00000000000001 --yes",
        "client list",
        "client show x",
        "client add name --owner anna@example.com --no-api",
        "client add name --kind third-party --purpose p --confidential",
        "client add name --kind resource-server",
        "client change x --name y --purpose p --api on --stream off --yes",
        "client secret x --yes",
        "client delete x --yes",
        "consent list anna@example.com",
        "consent end x --yes",
        "key list",
        "key rotate",
        "key remove x --yes",
        "ledger list --limit 5 --before 7 --consents",
        "ledger export --customer anna@example.com --consents",
        "import customers people.csv --dry-run",
    ] {
        assert!(parse(line).is_ok(), "{line}: {:?}", parse(line).err());
        let everywhere = format!("{line} --json --admin-url http://127.0.0.1:1 --data-dir d");
        assert!(parse(&everywhere).unwrap().server.json, "{everywhere}");
    }
}

#[test]
fn a_wrong_line_is_refused_by_its_word() {
    for (line, word) in [
        ("customer", "list"),
        ("customer show", "<CUSTOMER>"),
        ("vehicle add WBY00000000000001", "<DRIVETRAIN>"),
        ("mapping set a b --secondary --hand-over", "--hand-over"),
        ("client add x --kind personal", "personal"),
        ("client add x --kind third-party --owner a", "--owner"),
        ("client change x --api maybe", "maybe"),
        ("ledger list --limit 0", "--limit"),
        ("import cars x.csv", "cars"),
        ("customer list --yes", "--yes"),
    ] {
        let message = parse(line).unwrap_err();
        assert!(message.contains(word), "{line}: {message}");
    }
}

#[test]
fn where_nobody_can_be_asked_an_act_needs_its_yes() {
    assert!(Yes { yes: true }.to("Go on?").is_ok());
    // Tests have no terminal.
    let error = Yes { yes: false }.to("Go on?").unwrap_err();
    assert!(error.to_string().contains("Go on?"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_and_a_token_that_is_none_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let line = |rest: &str| {
        let (folder, token) = (folder.path().display(), token.display());
        format!("customer list --data-dir {folder} --admin-token-file {token} {rest}")
    };
    let told = async |line: String| run(parse(&line).unwrap()).await.unwrap_err().to_string();
    assert_eq!(told(line("")).await, "found no running server");
    let other = "--admin-url http://127.0.0.1:1";
    assert!(told(line(other)).await.starts_with("cannot read the operator's token in "));
    std::fs::write(&token, "t0ken\n").unwrap();
    assert_eq!(told(line(other)).await, "cannot list the customers");
}

#[test]
fn a_refusal_becomes_advice_and_an_exit_code() {
    let refused = |status| AdminError::Refused {
        status,
        reason: "`vin` is missing".to_owned(),
        remedy: "send it".to_owned(),
        answer: Value::Null,
    };
    let error = advise(refused(400), "cannot add the vehicle");
    assert_eq!(format!("{error:#}"), "cannot add the vehicle: `vin` is missing (HTTP 400)");
    assert!(error.downcast_ref::<Advice>().is_some());
}
