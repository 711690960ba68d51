//! Rules for the count of REST requests.

use std::sync::Arc;

use cardata_store::Directory;
use cardata_store::directory::DailyRequests;
use jiff::civil::date;

use super::samples::*;

fn requests(customer: u128, client: u128, requests: u32) -> DailyRequests {
    DailyRequests { gcid: gcid(customer), client_id: client_id(client), requests }
}

pub(crate) async fn requests_of_a_day_are_those_that_were_put_last(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    let (today, tomorrow) = (date(2026, 11, 28), date(2026, 11, 29));
    assert_eq!(directory.requests(today).await.unwrap(), []);
    let first = [requests(1, 1, 7), requests(1, 2, 1), requests(2, 1, u32::MAX)];
    directory.put_requests(today, &first).await.unwrap();
    assert_eq!(directory.requests(today).await.unwrap(), first);
    assert_eq!(directory.requests(tomorrow).await.unwrap(), []);
    directory.put_requests(today, &[requests(1, 1, 8)]).await.unwrap();
    assert_eq!(directory.requests(today).await.unwrap()[0], requests(1, 1, 8));
    directory.put_requests(tomorrow, &[requests(1, 1, 1)]).await.unwrap();
    assert_eq!(directory.requests(tomorrow).await.unwrap(), [requests(1, 1, 1)]);
}

pub(crate) async fn requests_of_who_is_gone_are_left_out(directory: Arc<impl Directory>) {
    populate(&*directory).await;
    let day = date(2026, 11, 28);
    let all = [requests(1, 1, 7), requests(9, 1, 7), requests(1, 9, 7), requests(2, 2, 7)];
    directory.put_requests(day, &all).await.unwrap();
    assert_eq!(directory.requests(day).await.unwrap(), [requests(1, 1, 7), requests(2, 2, 7)]);
    directory.delete_customer(gcid(1)).await.unwrap();
    assert_eq!(directory.requests(day).await.unwrap(), [requests(2, 2, 7)]);
    directory.put_requests(day, &[requests(1, 1, 8)]).await.unwrap();
    assert_eq!(directory.requests(day).await.unwrap(), [requests(2, 2, 7)]);
}
