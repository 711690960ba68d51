//! Rules for what lets events in: sources, what they were answered, and vehicles' certificates.

use std::sync::Arc;

use cardata_store::Directory;
use cardata_store::directory::{IngestAnswer, Source, VehicleCertificate};

use super::samples::*;

pub(crate) async fn a_source_is_found_by_its_key_until_it_is_removed(
    directory: Arc<impl Directory>,
) {
    let any = Source { vins: None, ..source("b") };
    let none = Source { vins: Some(Vec::new()), ..source("c") };
    for one in [&any, &none, &source("a")] {
        assert!(directory.add_source(one).await.unwrap());
    }
    let taken = Source { key_hash: hash("other"), ..source("a") };
    assert!(!directory.add_source(&taken).await.unwrap());
    assert_eq!(directory.sources().await.unwrap(), [source("a"), any.clone(), none]);
    assert_eq!(directory.source(&any.key_hash).await.unwrap(), Some(any.clone()));
    assert_eq!(directory.source(&hash("other")).await.unwrap(), None);
    directory.put_ingest_answer(&answer("b", "k", 0), at(0)).await.unwrap();
    directory.put_ingest_answer(&answer("a", "k", 0), at(0)).await.unwrap();
    assert!(directory.remove_source("b").await.unwrap());
    assert!(!directory.remove_source("b").await.unwrap());
    assert_eq!(directory.source(&any.key_hash).await.unwrap(), None);
    assert_eq!(directory.ingest_answer(&any.key_hash, "k").await.unwrap(), None);
    assert!(directory.ingest_answer(&source("a").key_hash, "k").await.unwrap().is_some());
}

pub(crate) async fn an_answer_is_kept_for_its_sender_and_key_until_it_is_old(
    directory: Arc<impl Directory>,
) {
    let read = async |name: &str, key: &str| {
        directory.ingest_answer(&source(name).key_hash, key).await.unwrap()
    };
    directory.put_ingest_answer(&answer("a", "k", 1), at(0)).await.unwrap();
    assert_eq!(read("a", "k").await, Some(answer("a", "k", 1)));
    assert_eq!((read("a", "K").await, read("b", "k").await), (None, None));
    let again = IngestAnswer { status: 400, answer: "{}".into(), ..answer("a", "k", 2) };
    directory.put_ingest_answer(&again, at(0)).await.unwrap();
    assert_eq!(read("a", "k").await, Some(again.clone()));
    directory.put_ingest_answer(&answer("b", "k", 3), at(2)).await.unwrap();
    assert_eq!(read("a", "k").await, Some(again));
    directory.put_ingest_answer(&answer("b", "l", 4), at(3)).await.unwrap();
    assert_eq!(read("a", "k").await, None);
    assert_eq!(read("b", "k").await, Some(answer("b", "k", 3)));
}

pub(crate) async fn certificates_are_listed_by_their_serial_numbers_until_they_expire(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    let [first, second, third] =
        [certificate(3, 1, 10), certificate(1, 1, 20), certificate(2, 2, 30)];
    directory.add_certificates(&[first.clone(), second.clone()], at(0)).await.unwrap();
    directory.add_certificates(slice(&third), at(9)).await.unwrap();
    let list = async |of: Option<u32>, serial: Option<&str>, limit| {
        directory.certificates_after(of.map(vin), serial, limit).await.unwrap()
    };
    assert_eq!(list(None, None, 9).await, [second.clone(), third.clone(), first.clone()]);
    assert_eq!(list(Some(1), None, 9).await, [second.clone(), first.clone()]);
    assert_eq!(list(None, Some(&second.serial), 1).await, slice(&third));
    assert!(directory.add_certificates(slice(&first), at(0)).await.is_err(), "the same number");
    directory.add_certificates(&[], at(10)).await.unwrap();
    assert_eq!(list(None, None, 9).await, [second, third]);
    let unknown = certificate(4, 9, 10);
    assert!(directory.add_certificates(&[unknown], at(0)).await.is_err(), "no such vehicle");
}

pub(crate) async fn a_certificate_is_revoked_once_and_alone_or_with_all_of_its_vehicle(
    directory: Arc<impl Directory>,
) {
    populate(&*directory).await;
    let all = [certificate(1, 1, 10), certificate(2, 1, 20), certificate(3, 2, 30)];
    directory.add_certificates(&all, at(0)).await.unwrap();
    let revoke = async |of: u32, serial: Option<&str>, second| {
        directory.revoke_certificates(vin(of), serial, at(second)).await.unwrap()
    };
    let [first, second, third] = all.each_ref().map(|one| one.serial.clone());
    assert_eq!(revoke(2, Some(&first), 1).await, [""; 0], "another vehicle's");
    assert_eq!(revoke(1, Some(&first), 1).await, slice(&first));
    assert_eq!(revoke(1, Some(&first), 2).await, [""; 0]);
    assert_eq!(revoke(1, None, 3).await, slice(&second));
    let revoked = |one: &VehicleCertificate, second| VehicleCertificate {
        revoked_at: Some(at(second)),
        ..one.clone()
    };
    let expected = [revoked(&all[0], 1), revoked(&all[1], 3)];
    assert_eq!(directory.revoked_certificates(at(5)).await.unwrap(), expected);
    assert_eq!(directory.revoked_certificates(at(10)).await.unwrap(), expected[1..]);
    let kept = directory.certificates_after(Some(vin(2)), None, 9).await.unwrap();
    assert_eq!((kept.len(), &kept[0].serial, kept[0].revoked_at), (1, &third, None));
}

fn slice<T>(one: &T) -> &[T] {
    std::slice::from_ref(one)
}
