//! What is answered where a handler gives no answer: it panics, or takes too long (wire §4.2).

use std::any::Any;
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::MethodRouter;
use cardata_contract::error_code::ErrorCode;
use tower_http::catch_panic::CatchPanicLayer;

use super::error::ApiError;

/// Sees to it that `methods` answer within `patience`, and that each answer can be read like any other.
pub(super) fn answered<S>(methods: MethodRouter<S>, patience: Duration) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    let in_time = move |request: Request, next: Next| async move {
        let answer = tokio::time::timeout(patience, next.run(request)).await;
        answer.unwrap_or_else(|_| too_late(patience))
    };
    let methods: MethodRouter<S> = methods.layer(CatchPanicLayer::custom(panicked));
    methods.layer(middleware::from_fn(in_time))
}

#[expect(clippy::needless_pass_by_value, reason = "the layer gives it away")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
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
