//! `/clients/{id}/stream`: which values a client is sent. Ticks are kept from step to step in the form itself, so that
//! searching, filtering and templates work without script, and nothing is stored before the customer saw what changes.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use cardata_domain::catalogue::{Category, Descriptor};
use cardata_domain::client::Client;
use cardata_domain::descriptor::has_form;
use cardata_domain::ledger::{Act, Actor, Record};
use cardata_domain::vehicle::Drivetrain;

use super::clients::of_customer;
use super::language::Language;
use super::page;
use super::problem::Problem;
use super::text::{Text, fill};
use super::vehicles::category_title;
use super::visit::{Fields, Frame, Sent, Visit};
use crate::endings::{self, EndError};

/// Descriptors that a customer may tick for one client; more than any catalogue lists.
const TICKED_MAX: usize = 1_000;

#[derive(Template)]
#[template(path = "stream.html")]
struct StreamPage {
    frame: Frame,
    title: String,
    client: Client,
    notice: Option<&'static str>,
    search: String,
    categories: Vec<Choice>,
    drivetrains: Vec<Choice>,
    templates: [(&'static str, &'static str); 6],
    rows: Vec<Row>,
    /// Ticked, and not among the rows.
    hidden: Vec<String>,
    count: String,
}

#[derive(Template)]
#[template(path = "stream_diff.html")]
struct DiffPage {
    frame: Frame,
    title: String,
    client: Client,
    ticked: Vec<String>,
    added: Vec<String>,
    removed: Vec<String>,
    added_count: String,
    removed_count: String,
}

struct Choice {
    value: &'static str,
    title: &'static str,
    is_chosen: bool,
}

struct Row {
    name: String,
    title: String,
    category: &'static str,
    unit: String,
    is_ticked: bool,
}

/// What the list is narrowed to.
struct Filter {
    search: String,
    category: Option<Category>,
    drivetrain: Option<Drivetrain>,
}

impl Filter {
    fn of(fields: &Fields) -> Self {
        let category =
            Category::LISTED.into_iter().find(|one| one.as_str() == fields.get("category"));
        Self {
            search: fields.get("search").chars().take(100).collect(),
            category,
            drivetrain: fields.get("drivetrain").parse().ok(),
        }
    }

    fn none() -> Self {
        Self { search: String::new(), category: None, drivetrain: None }
    }

    /// Whether `descriptor` is in the list; searched is what a row of it says, as the page's script does.
    fn shows(&self, descriptor: &Descriptor, language: Language) -> bool {
        let search = self.search.trim().to_lowercase();
        let category = category_title(descriptor.category, language.text());
        let unit = descriptor.unit.as_deref().unwrap_or_default();
        let texts = [&title(language, descriptor), category, &descriptor.name, unit];
        let is_found = texts.iter().any(|text| text.to_lowercase().contains(&search));
        let has = |drivetrain: Drivetrain| {
            let stated = &descriptor.drivetrains;
            stated.is_empty() || stated.iter().any(|one| **one == *drivetrain.as_str())
        };
        descriptor.streamable
            && is_found
            && self.category.is_none_or(|category| category == descriptor.category)
            && self.drivetrain.is_none_or(has)
    }
}

/// Sets of values that many programs need.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Preset {
    Charging,
    Location,
    Driving,
    Security,
    Tyres,
    Nothing,
}

impl Preset {
    const ALL: [Self; 6] =
        [Self::Charging, Self::Location, Self::Driving, Self::Security, Self::Tyres, Self::Nothing];

    fn as_str(self) -> &'static str {
        match self {
            Self::Charging => "charging",
            Self::Location => "location",
            Self::Driving => "driving",
            Self::Security => "security",
            Self::Tyres => "tyres",
            Self::Nothing => "nothing",
        }
    }

    fn title(self, t: &Text) -> &'static str {
        match self {
            Self::Charging => t.template_charging,
            Self::Location => t.template_location,
            Self::Driving => t.template_driving,
            Self::Security => t.template_security,
            Self::Tyres => t.template_tyres,
            Self::Nothing => t.template_nothing,
        }
    }

    fn has(self, descriptor: &Descriptor) -> bool {
        let name = &*descriptor.name;
        let has_any = |words: &[&str]| words.iter().any(|word| name.contains(word));
        match self {
            Self::Charging => descriptor.category == Category::BevPhevData,
            Self::Location => has_any(&[".currentLocation."]),
            Self::Driving => {
                descriptor.category == Category::UsageBased
                    || has_any(&[
                        "travelledDistance",
                        ".currentLocation.",
                        "isMoving",
                        "emainingRange",
                        "fuelSystem",
                    ])
            }
            Self::Security => has_any(&[
                ".door.",
                ".window.",
                ".trunk.",
                ".hood.",
                ".sunroof.",
                "antiTheft",
                "convertible",
            ]),
            Self::Tyres => descriptor.category == Category::TyreData,
            Self::Nothing => false,
        }
    }
}

pub(super) async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let client = of_customer(&visit, &id).await?;
    let ticked = stored(&visit, &client).await?;
    Ok(choose(&visit, client, &Filter::none(), &ticked, None))
}

async fn stored(visit: &Visit, client: &Client) -> Result<BTreeSet<String>, Problem> {
    let directory = &visit.platform.directory;
    Ok(directory.stream_configuration(visit.gcid(), client.id).await?.into_iter().collect())
}

pub(super) async fn submit(Path(id): Path<String>, sent: Sent) -> Result<Response, Problem> {
    let Sent { visit, fields } = sent;
    let client = of_customer(&visit, &id).await?;
    let mut ticked = ticked(&visit, &fields)?;
    let filter = Filter::of(&fields);
    let catalogue = &visit.platform.catalogue;
    let language = visit.language;
    let shown = || catalogue.listed().map(|(_, one)| one).filter(|one| filter.shows(one, language));
    match fields.get("action") {
        "review" => return diff(&visit, client, ticked).await,
        "save" => return save(&visit, client, ticked).await,
        "select" => ticked.extend(shown().map(|one| one.name.to_string())),
        "clear" => shown().for_each(|one| {
            ticked.remove(&*one.name);
        }),
        "filter" | "change" => {}
        action => {
            let wanted = action.strip_prefix("template-").ok_or(Problem::Unreadable)?;
            let template = Preset::ALL.into_iter().find(|one| one.as_str() == wanted);
            let template = template.ok_or(Problem::Unreadable)?;
            let listed = catalogue.listed().map(|(_, one)| one);
            ticked = listed
                .filter(|one| one.streamable && template.has(one))
                .map(|one| one.name.to_string())
                .collect();
        }
    }
    Ok(choose(&visit, client, &filter, &ticked, None))
}

/// What the form has ticked: listed streamable descriptors, and others that have the form of one.
fn ticked(visit: &Visit, fields: &Fields) -> Result<BTreeSet<String>, Problem> {
    let catalogue = &visit.platform.catalogue;
    let is_choosable = |name: &str| match catalogue.find(name) {
        Some(id) => catalogue.descriptor(id).streamable,
        None => has_form(name),
    };
    let ticked: BTreeSet<String> = fields.all("d").map(str::to_owned).collect();
    if ticked.len() > TICKED_MAX || !ticked.iter().all(|name| is_choosable(name)) {
        return Err(Problem::Unreadable);
    }
    Ok(ticked)
}

fn choose(
    visit: &Visit,
    client: Client,
    filter: &Filter,
    ticked: &BTreeSet<String>,
    notice: Option<&'static str>,
) -> Response {
    let t = visit.text();
    let listed = visit.platform.catalogue.listed().map(|(_, one)| one);
    let shown = listed.filter(|one| filter.shows(one, visit.language));
    let mut rows: Vec<_> = shown
        .map(|one| Row {
            title: title(visit.language, one),
            category: category_title(one.category, t),
            unit: one.unit.as_deref().unwrap_or_default().to_owned(),
            is_ticked: ticked.contains(&*one.name),
            name: one.name.to_string(),
        })
        .collect();
    rows.sort_by(|a, b| (a.category, &a.title).cmp(&(b.category, &b.title)));
    let visible: BTreeSet<_> = rows.iter().map(|row| row.name.as_str()).collect();
    let hidden: Vec<_> =
        ticked.iter().filter(|name| !visible.contains(name.as_str())).cloned().collect();
    let any = |is_chosen| Choice { value: "", title: t.any, is_chosen };
    let categories = Category::LISTED.map(|one| Choice {
        value: one.as_str(),
        title: category_title(one, t),
        is_chosen: filter.category == Some(one),
    });
    let drivetrains = [Drivetrain::Bev, Drivetrain::Phev, Drivetrain::Mhev, Drivetrain::Ice];
    let drivetrains = drivetrains.map(|one| Choice {
        value: one.as_str(),
        title: one.as_str(),
        is_chosen: filter.drivetrain == Some(one),
    });
    let counts = [rows.len(), ticked.len()].map(|count| count.to_string());
    let template = StreamPage {
        frame: frame(visit, &client),
        title: fill(t.stream_title, &[&client.name]),
        client,
        notice,
        search: filter.search.clone(),
        categories: std::iter::once(any(filter.category.is_none())).chain(categories).collect(),
        drivetrains: std::iter::once(any(filter.drivetrain.is_none())).chain(drivetrains).collect(),
        templates: Preset::ALL.map(|one| (one.as_str(), one.title(t))),
        rows,
        hidden,
        count: fill(t.shown_count, &[&counts[0], &counts[1]]),
    };
    page(StatusCode::OK, &template)
}

fn title(language: Language, descriptor: &Descriptor) -> String {
    match language {
        Language::English => descriptor.title.to_string(),
        Language::German => descriptor.title_de.to_string(),
    }
}

/// A change of the language leads to what is stored: what is ticked in a form stays behind.
fn frame(visit: &Visit, client: &Client) -> Frame {
    Frame { path: format!("/clients/{}/stream", client.id), ..visit.frame("clients") }
}

/// The titles of descriptors, sorted.
fn titles<'a>(visit: &Visit, names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let catalogue = &visit.platform.catalogue;
    let one = |name: &String| {
        let known = catalogue.find(name).map(|id| catalogue.descriptor(id));
        known.map_or_else(|| name.clone(), |known| title(visit.language, &known))
    };
    let mut titles: Vec<_> = names.map(one).collect();
    titles.sort();
    titles
}

/// Shows what would change.
async fn diff(
    visit: &Visit,
    client: Client,
    ticked: BTreeSet<String>,
) -> Result<Response, Problem> {
    let t = visit.text();
    let before = stored(visit, &client).await?;
    let added = titles(visit, ticked.difference(&before));
    let removed = titles(visit, before.difference(&ticked));
    let template = DiffPage {
        frame: frame(visit, &client),
        title: fill(t.stream_title, &[&client.name]),
        added_count: fill(t.diff_added, &[&added.len().to_string()]),
        removed_count: fill(t.diff_removed, &[&removed.len().to_string()]),
        client,
        ticked: ticked.into_iter().collect(),
        added,
        removed,
    };
    Ok(page(StatusCode::OK, &template))
}

async fn save(
    visit: &Visit,
    client: Client,
    ticked: BTreeSet<String>,
) -> Result<Response, Problem> {
    let before = stored(visit, &client).await?;
    let names = |one: &BTreeSet<String>, other: &BTreeSet<String>| -> Vec<String> {
        one.difference(other).cloned().collect()
    };
    let (gcid, client_id, now) = (visit.gcid(), client.id, visit.now());
    let descriptors: Vec<_> = ticked.iter().cloned().collect();
    let record = Record::new(now, Actor::Customer, Act::StreamConfigured)
        .of(gcid)
        .with_client(client_id)
        .with("added", names(&ticked, &before))
        .with("removed", names(&before, &ticked))
        .with("descriptors", descriptors.len());
    endings::change_entitlement(&visit.platform, gcid, client_id, async move |platform| {
        let directory = &platform.directory;
        let put = directory.put_stream_configuration(gcid, client_id, &descriptors, now).await;
        put.map_err(EndError::from)?;
        Ok::<_, EndError>(((), Some(record)))
    })
    .await?;
    let notice = Some(visit.text().stream_saved);
    Ok(choose(visit, client, &Filter::none(), &ticked, notice))
}
