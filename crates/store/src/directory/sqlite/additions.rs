//! What an operator adds at once: customers, vehicles, mappings, and the ledger's lines about them.

use cardata_domain::customer::Customer;
use cardata_domain::vehicle::{Mapping, MappingType};
use sqlx::{SqliteConnection, SqlitePool};

use super::row::micros;
use super::{Failure, begin, customers, ledger};
use crate::directory::{AddError, Additions};

/// Adds all, or tells why nothing was added.
pub(super) async fn add(
    writer: &SqlitePool,
    additions: &Additions,
) -> Result<Option<AddError>, Failure> {
    let mut transaction = begin(writer).await?;
    for customer in &additions.customers {
        if !add_customer(&mut transaction, customer).await? {
            return Ok(Some(AddError::EmailTaken));
        }
    }
    for vehicle in &additions.vehicles {
        customers::put_vehicle(&mut *transaction, vehicle).await?;
    }
    for mapping in &additions.mappings {
        if has_other_primary(&mut transaction, mapping).await? {
            return Ok(Some(AddError::SecondPrimary(mapping.vin)));
        }
        customers::put_mapping(&mut *transaction, mapping).await?;
    }
    ledger::append_within(&mut transaction, &additions.records).await?;
    transaction.commit().await?;
    Ok(None)
}

/// Whether there was none with this address.
async fn add_customer(
    transaction: &mut SqliteConnection,
    customer: &Customer,
) -> Result<bool, Failure> {
    let done = sqlx::query(
        "INSERT INTO customers (gcid, email, email_folded, password_hash, created_at)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (email_folded) DO NOTHING",
    )
    .bind(customer.gcid.to_string())
    .bind(&customer.email)
    .bind(customer.email.to_lowercase())
    .bind(&customer.password_hash)
    .bind(micros(customer.created_at))
    .execute(transaction)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Whether `mapping` would be its vehicle's second PRIMARY. Nobody else writes until the transaction ends.
async fn has_other_primary(
    transaction: &mut SqliteConnection,
    mapping: &Mapping,
) -> Result<bool, Failure> {
    if mapping.mapping_type != MappingType::Primary {
        return Ok(false);
    }
    let other = sqlx::query(
        "SELECT 1 FROM mappings WHERE vin = $1 AND gcid <> $2 AND mapping_type = 'PRIMARY'",
    )
    .bind(mapping.vin.as_str())
    .bind(mapping.gcid.to_string())
    .fetch_optional(transaction)
    .await?;
    Ok(other.is_some())
}

#[cfg(test)]
mod tests {
    use cardata_domain::ledger::{Act, Actor, Record};
    use cardata_domain::vehicle::{Build, Drivetrain, Vehicle};
    use cardata_domain::{Gcid, Vin};
    use jiff::Timestamp;

    use super::*;
    use crate::directory::sqlite::SqliteDirectory;
    use crate::directory::{Directory as _, LedgerQuery};

    fn gcid(first: char) -> Gcid {
        format!("{first}a111192-d570-4d3d-8835-656ee00edcd7").parse().unwrap()
    }

    fn customer(first: char, email: &str) -> Customer {
        let (email, password_hash) = (email.to_owned(), String::new());
        Customer { gcid: gcid(first), email, password_hash, created_at: Timestamp::UNIX_EPOCH }
    }

    fn vehicle(number: u32) -> Vehicle {
        let vin = format!("WBY{number:014}").parse().unwrap();
        Vehicle { vin, drivetrain: Drivetrain::Bev, build: Build::unknown(Drivetrain::Bev) }
    }

    fn link(first: char, vin: Vin, mapping_type: MappingType) -> Mapping {
        Mapping { gcid: gcid(first), vin, mapping_type, since: Timestamp::UNIX_EPOCH }
    }

    /// Two customers, three vehicles, and the first customer's link to the first vehicle.
    async fn directory() -> SqliteDirectory {
        let directory = SqliteDirectory::in_memory().await.unwrap();
        let additions = Additions {
            customers: vec![customer('a', "anna@x"), customer('b', "ben@x")],
            vehicles: (1..=3).map(vehicle).collect(),
            mappings: vec![link('a', vehicle(1).vin, MappingType::Primary)],
            records: vec![Record::new(Timestamp::UNIX_EPOCH, Actor::Operator, Act::CustomerAdded)],
        };
        directory.add(&additions).await.unwrap();
        directory
    }

    #[tokio::test]
    async fn additions_are_added_whole_and_read_by_page() {
        let directory = directory().await;
        let vins = async |after| {
            let page = directory.vehicles_after(after, 2).await.unwrap();
            page.into_iter().map(|vehicle| vehicle.vin).collect::<Vec<_>>()
        };
        assert_eq!(vins(None).await, [vehicle(1).vin, vehicle(2).vin]);
        assert_eq!(vins(Some(vehicle(2).vin)).await, [vehicle(3).vin]);
        let first = directory.customers_after(None, 1).await.unwrap();
        assert_eq!(first, [customer('a', "anna@x")]);
        let rest = directory.customers_after(Some(gcid('a')), 9).await.unwrap();
        assert_eq!(rest, [customer('b', "ben@x")]);
        let query = LedgerQuery { limit: 9, ..LedgerQuery::default() };
        assert_eq!(directory.ledger(query).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_second_primary_or_a_taken_address_keeps_all_of_it_out() {
        let directory = directory().await;
        let of_ben = |number, mapping_type| link('b', vehicle(number).vin, mapping_type);
        let second = Additions {
            vehicles: vec![vehicle(4)],
            mappings: vec![of_ben(2, MappingType::Primary), of_ben(1, MappingType::Primary)],
            ..Additions::default()
        };
        let refused = directory.add(&second).await;
        assert!(matches!(refused, Err(AddError::SecondPrimary(vin)) if vin == vehicle(1).vin));
        let taken = Additions {
            vehicles: vec![vehicle(4)],
            customers: vec![customer('c', "Anna@X")],
            ..Additions::default()
        };
        assert!(matches!(directory.add(&taken).await, Err(AddError::EmailTaken)));
        assert_eq!(directory.mappings(gcid('b')).await.unwrap(), []);
        assert_eq!(directory.vehicle(vehicle(4).vin).await.unwrap(), None);
        let secondary = Additions {
            mappings: vec![
                of_ben(1, MappingType::Secondary),
                link('a', vehicle(1).vin, MappingType::Primary),
            ],
            ..Additions::default()
        };
        directory.add(&secondary).await.unwrap();
    }
}
