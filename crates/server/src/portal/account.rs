//! `/account`: the password, my data, and the end of the account.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use cardata_domain::consent::EndReason;
use cardata_domain::customer::Customer;
use cardata_domain::ledger::{Act, Actor, Record};

use super::language::date_and_time;
use super::login::{PASSWORD_LENGTH, password_hash};
use super::page;
use super::problem::Problem;
use super::text::Text;
use super::visit::{Frame, Sent, Visit};
use crate::attempts::Peer;
use crate::endings;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    notice: Option<&'static str>,
    trouble: Option<&'static str>,
    gcid: String,
    since: String,
}

#[derive(Template)]
#[template(path = "account_delete.html")]
struct DeletePage {
    frame: Frame,
    trouble: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "account_deleted.html")]
struct DeletedPage {
    t: &'static Text,
}

pub(super) async fn show(visit: Visit) -> Result<Response, Problem> {
    account_page(&visit, StatusCode::OK, None, None).await
}

async fn account_page(
    visit: &Visit,
    status: StatusCode,
    notice: Option<&'static str>,
    trouble: Option<&'static str>,
) -> Result<Response, Problem> {
    let customer = customer(visit).await?;
    let template = AccountPage {
        frame: visit.frame("account"),
        notice,
        trouble,
        gcid: customer.gcid.to_string(),
        since: date_and_time(customer.created_at),
    };
    Ok(page(status, &template))
}

async fn customer(visit: &Visit) -> Result<Customer, Problem> {
    visit.platform.directory.customer(visit.gcid()).await?.ok_or(Problem::NotFound)
}

/// Whether `password` is the customer's own; a wrong one counts as a guess.
async fn knows_password(visit: &Visit, peer: Peer, password: &str) -> Result<bool, Problem> {
    let visitors = &visit.platform.visitors;
    let customer = customer(visit).await?;
    if !visitors.may_guess_password(peer, &customer.email, visit.now()) {
        return Err(Problem::TooManyTries);
    }
    let password: String = password.chars().take(PASSWORD_LENGTH.end() + 1).collect();
    let fits = visitors.password_fits(Some(&customer), password).await;
    if fits {
        visitors.password_was_right(peer, &customer.email);
    }
    Ok(fits)
}

/// Changes the password. Other browsers are logged out, and programs too unless the customer keeps them.
pub(super) async fn change_password(peer: Peer, sent: Sent) -> Result<Response, Problem> {
    let Sent { visit, fields } = sent;
    let t = visit.text();
    let refuse = async |trouble| {
        account_page(&visit, StatusCode::UNPROCESSABLE_ENTITY, None, Some(trouble)).await
    };
    let fresh = fields.get("new_password").to_owned();
    if !PASSWORD_LENGTH.contains(&fresh.chars().count()) {
        return refuse(t.bad_new_password).await;
    }
    if fresh != fields.get("repeat_password") {
        return refuse(t.bad_repeat).await;
    }
    if !knows_password(&visit, peer, fields.get("password")).await? {
        return refuse(t.bad_current_password).await;
    }
    let hash = tokio::task::spawn_blocking(move || password_hash(&fresh)).await;
    let hash = hash.map_err(|_| Problem::Failed)?;
    let (platform, gcid) = (&visit.platform, visit.gcid());
    platform.directory.set_password(gcid, &hash).await?;
    platform.visitors.log_out_everywhere(gcid, Some(&visit.visitor));
    let mut ended = 0;
    if !fields.has("keep_clients") {
        let mut consents = platform.directory.consents_of(gcid).await?;
        let now = visit.now();
        consents.retain(|consent| consent.is_active(now));
        let (why, actor) = (EndReason::PasswordChanged, Actor::Customer);
        ended = endings::end_consents(platform, consents, why, actor).await?.consents;
    }
    let record = Record::new(visit.now(), Actor::Customer, Act::PasswordChanged)
        .of(gcid)
        .with("consents_ended", ended);
    platform.directory.append_to_ledger(&[record]).await?;
    account_page(&visit, StatusCode::OK, Some(t.password_changed), None).await
}

pub(super) async fn ask_delete(visit: Visit) -> Response {
    page(StatusCode::OK, &DeletePage { frame: visit.frame("account"), trouble: None })
}

/// Deletes the account with everything.
pub(super) async fn delete(peer: Peer, sent: Sent) -> Result<Response, Problem> {
    let Sent { visit, fields } = sent;
    if !knows_password(&visit, peer, fields.get("password")).await? {
        let trouble = Some(visit.text().bad_current_password);
        let template = DeletePage { frame: visit.frame("account"), trouble };
        return Ok(page(StatusCode::UNPROCESSABLE_ENTITY, &template));
    }
    endings::delete_customer(&visit.platform, visit.gcid(), Actor::Customer).await?;
    let nobody = visit.platform.visitors.log_out(&visit.visitor);
    Ok(nobody.mark(page(StatusCode::OK, &DeletedPage { t: visit.text() })))
}
