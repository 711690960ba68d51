//! The fixture that the guide gives to users, with the real binary.

#[expect(unreachable_pub, reason = "it is written for the tests of others")]
#[path = "../../../docs/guides/testing-your-integration/cardata_sandbox.rs"]
mod cardata_sandbox;

use std::net::TcpStream;
use std::path::Path;

use cardata_sandbox::Sandbox;

#[test]
fn a_sandbox_is_there_while_it_is_held_and_gone_afterwards() {
    let sandbox = Sandbox::start(env!("CARGO_BIN_EXE_cardata")).unwrap();
    let (host, port) = sandbox.stream();
    assert!(TcpStream::connect((host, port)).is_ok());
    assert!(sandbox.text("/http_url").starts_with("https://"));
    assert!(Path::new(sandbox.text("/ca_file")).exists());
    assert_eq!(sandbox.run(&["token"]).unwrap().split('.').count(), 3);
    let descriptor = "vehicle.vehicle.travelledDistance";
    let container = ["container", "create", "--name", "test", "--purpose", "test", descriptor];
    let id = sandbox.run(&container).unwrap();
    assert!(sandbox.run(&["container", "list"]).unwrap().contains(&id));
    let error = sandbox.run(&["container", "delete", "nonsense"]).unwrap_err();
    assert!(error.to_string().contains("try:"), "{error}");

    let (address, folder) = ((host.to_owned(), port), sandbox.ready_file());
    drop(sandbox);
    assert!(!folder.exists());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_sandbox_that_does_not_start_says_why() {
    let error = Sandbox::start("false").unwrap_err();
    assert!(error.to_string().contains("did not start"), "{error}");
}
