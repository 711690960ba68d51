//! What is answered where a handler gives no answer: it panics, or takes too long (wire §4.2).

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use cardata_contract::error_code::ErrorCode;
use futures_util::FutureExt as _;

use super::error::ApiError;

/// What `answering` gives within `patience`, or else an answer that can be read like any other.
pub(super) async fn answer(
    answering: impl Future<Output = Response>,
    patience: Duration,
) -> Response {
    // What a panic leaves behind is dropped with the request.
    match tokio::time::timeout(patience, AssertUnwindSafe(answering).catch_unwind()).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => panicked(&*panic),
        Err(_) => too_late(patience),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
    ApiError::panicked(words.unwrap_or("without a word")).into_response()
}

/// Whether it was the client, with its body, or the server that took so long, nobody knows here; both may do better the
/// next time.
fn too_late(patience: Duration) -> Response {
    let seconds = patience.as_secs();
    let note = format!("there was no answer within {seconds} seconds; try again");
    ApiError::new(ErrorCode::Unavailable, note).into_response()
}
