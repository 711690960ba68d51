//! How many REST requests a client may make in a day (wire §4.3).
//!
//! Counted here, one request after the other, and written to the directory each second: a crash gives away the requests
//! of one second, and an orderly stop none.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cardata_domain::{ClientId, Gcid};
use cardata_store::Directory;
use cardata_store::directory::{DailyRequests, DirectoryError};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::profile::Requests;

/// Counts requests by the UTC day.
pub struct Quota {
    limit: Requests,
    day: Mutex<Day>,
}

struct Day {
    date: Date,
    /// By customer, so that all clients of one are found.
    used: HashMap<Gcid, HashMap<ClientId, u32>>,
    /// What is not in the directory yet.
    changed: HashSet<(Gcid, ClientId)>,
}

/// Where somebody stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Requests of today that counted.
    pub used: u32,
    /// How many there may be; `None` without a limit.
    pub max: Option<u32>,
    /// Seconds until the day is over.
    pub resets_in_seconds: u64,
}

/// A request that was counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Charge {
    gcid: Gcid,
    client_id: ClientId,
    date: Date,
    /// Where the caller stands with it.
    pub(crate) standing: Standing,
}

/// Seconds of a day, which is what a quota lasts.
pub(crate) const DAY_SECONDS: u64 = 24 * 3600;

impl Quota {
    /// What the directory knows of today.
    ///
    /// # Errors
    /// [`DirectoryError`] when it can't be read.
    pub async fn open(
        directory: &dyn Directory,
        limit: Requests,
        now: Timestamp,
    ) -> Result<Self, DirectoryError> {
        let mut day = Day { date: date(now), used: HashMap::new(), changed: HashSet::new() };
        for one in directory.requests(day.date).await? {
            day.used.entry(one.gcid).or_default().insert(one.client_id, one.requests);
        }
        Ok(Self { limit, day: Mutex::new(day) })
    }

    /// Counts a request, unless there were as many as allowed.
    ///
    /// # Errors
    /// [`Standing`] when there were; nothing was counted then.
    pub(crate) fn charge(
        &self,
        gcid: Gcid,
        client_id: ClientId,
        now: Timestamp,
    ) -> Result<Charge, Standing> {
        let mut day = self.today(now);
        let before = self.standing_in(&day, gcid, client_id, now);
        if before.max.is_some_and(|max| before.used >= max) {
            return Err(before);
        }
        let used = day.used.entry(gcid).or_default().entry(client_id).or_default();
        *used = used.saturating_add(1);
        day.changed.insert((gcid, client_id));
        let standing = Standing { used: before.used.saturating_add(1), ..before };
        Ok(Charge { gcid, client_id, date: day.date, standing })
    }

    /// Takes a request back, since the server could not answer it.
    pub(crate) fn give_back(&self, charge: &Charge) -> Standing {
        let mut day = self.locked();
        let mut standing = charge.standing;
        if charge.date != day.date {
            return standing;
        }
        let used = day.used.get_mut(&charge.gcid).and_then(|of| of.get_mut(&charge.client_id));
        if let Some(used) = used {
            *used = used.saturating_sub(1);
            standing.used = standing.used.saturating_sub(1);
            day.changed.insert((charge.gcid, charge.client_id));
        }
        standing
    }

    /// Where a client stands with a customer.
    pub(crate) fn standing(&self, gcid: Gcid, client_id: ClientId, now: Timestamp) -> Standing {
        self.standing_in(&self.today(now), gcid, client_id, now)
    }

    /// Where a client would stand if it had used up the day's requests.
    pub(crate) fn used_up(&self, gcid: Gcid, client_id: ClientId, now: Timestamp) -> Standing {
        let standing = self.standing(gcid, client_id, now);
        let used = standing.max.map_or(standing.used, |max| standing.used.max(max));
        Standing { used, max: Some(standing.max.unwrap_or(used)), ..standing }
    }

    /// Requests of today by a client, for all customers together.
    pub(crate) fn used_by(&self, client_id: ClientId, now: Timestamp) -> u64 {
        let day = self.today(now);
        day.used.values().filter_map(|of| of.get(&client_id)).map(|used| u64::from(*used)).sum()
    }

    /// Whose requests are counted, and how many there may be.
    pub(crate) fn limit(&self) -> Requests {
        self.limit
    }

    /// Writes what changed. What can't be written is tried again at the next time.
    ///
    /// # Errors
    /// [`DirectoryError`] when the directory does not take it.
    pub async fn flush(&self, directory: &dyn Directory) -> Result<(), DirectoryError> {
        let (date, counted) = {
            let mut day = self.locked();
            let changed = std::mem::take(&mut day.changed);
            let of = |(gcid, client_id)| {
                let requests = *day.used.get(&gcid)?.get(&client_id)?;
                Some(DailyRequests { gcid, client_id, requests })
            };
            (day.date, changed.into_iter().filter_map(of).collect::<Vec<_>>())
        };
        if counted.is_empty() {
            return Ok(());
        }
        let written = directory.put_requests(date, &counted).await;
        if written.is_err() {
            let mut day = self.locked();
            if day.date == date {
                day.changed.extend(counted.iter().map(|one| (one.gcid, one.client_id)));
            }
        }
        written
    }

    fn standing_in(&self, day: &Day, gcid: Gcid, client_id: ClientId, now: Timestamp) -> Standing {
        let of = day.used.get(&gcid);
        let own = || of.and_then(|of| of.get(&client_id)).copied().unwrap_or(0);
        let all = || of.map_or(0, |of| of.values().fold(0, |sum, used| used.saturating_add(sum)));
        let (used, max) = match self.limit {
            Requests::Unlimited => (own(), None),
            Requests::PerClient(max) => (own(), Some(max)),
            Requests::PerCustomer(max) => (all(), Some(max)),
        };
        let into_day = now.as_second().rem_euclid(DAY_SECONDS.cast_signed());
        let resets_in_seconds = DAY_SECONDS - into_day.cast_unsigned();
        Standing { used, max, resets_in_seconds }
    }

    /// The day, begun anew if another one has come. A clock that is set back begins none.
    fn today(&self, now: Timestamp) -> MutexGuard<'_, Day> {
        let mut day = self.locked();
        let date = date(now);
        if day.date < date {
            *day = Day { date, used: HashMap::new(), changed: HashSet::new() };
        }
        day
    }

    fn locked(&self) -> MutexGuard<'_, Day> {
        self.day.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn date(now: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(now).date()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::test_platform::{Person, START, World, third_party};
    use jiff::SignedDuration;

    const BOTH: (Person, Person) = (Person::Anna, Person::Ben);

    async fn quota(world: &World, limit: Requests, now: Timestamp) -> Quota {
        Quota::open(&*world.platform.directory, limit, now).await.unwrap()
    }

    fn used(quota: &Quota, person: Person, now: Timestamp) -> u32 {
        quota.standing(person.gcid(), person.client_id(), now).used
    }

    #[tokio::test]
    async fn so_many_are_let_through_and_counted_however_many_come_at_once() {
        let world = World::new().await;
        let quota = Arc::new(quota(&world, Requests::PerClient(100), START).await);
        let (anna, ben) = BOTH;
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let quota = quota.clone();
                std::thread::spawn(move || {
                    let charge = || quota.charge(anna.gcid(), anna.client_id(), START).is_ok();
                    (0..50).filter(|_| charge()).count()
                })
            })
            .collect();
        let passed: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!((passed, used(&quota, anna, START)), (100, 100));
        assert_eq!(used(&quota, ben, START), 0);
        assert!(quota.charge(anna.gcid(), third_party(), START).is_ok(), "another client");
    }

    #[tokio::test]
    async fn a_customers_limit_is_one_for_all_clients() {
        let world = World::new().await;
        let quota = quota(&world, Requests::PerCustomer(2), START).await;
        let (anna, ben) = BOTH;
        quota.charge(anna.gcid(), anna.client_id(), START).unwrap();
        let second = quota.charge(anna.gcid(), third_party(), START).unwrap();
        let full = quota.charge(anna.gcid(), anna.client_id(), START).unwrap_err();
        assert_eq!((full.used, full.max), (2, Some(2)));
        quota.charge(ben.gcid(), third_party(), START).unwrap();
        assert_eq!(quota.used_by(third_party(), START), 2);
        assert_eq!(quota.give_back(&second).used, 1);
        quota.charge(anna.gcid(), anna.client_id(), START).unwrap();
    }

    #[tokio::test]
    async fn a_day_ends_at_midnight_utc_and_does_not_come_back() {
        let world = World::new().await;
        let quota = quota(&world, Requests::PerClient(1), START).await;
        let (anna, _) = BOTH;
        let charge = |now| quota.charge(anna.gcid(), anna.client_id(), now);
        let midnight: Timestamp = "2026-09-22T00:00:00Z".parse().unwrap();
        let last_second = midnight - SignedDuration::from_secs(1);
        let late = charge(last_second).unwrap();
        assert_eq!(late.standing.resets_in_seconds, 1);
        assert_eq!(charge(last_second).unwrap_err().resets_in_seconds, 1);
        assert_eq!(charge(midnight).unwrap().standing.resets_in_seconds, DAY_SECONDS);
        quota.give_back(&late);
        assert!(charge(midnight).is_err(), "what is given back late is yesterday's");
        assert!(charge(last_second).is_err(), "a clock that is set back begins no day");
    }

    #[tokio::test]
    async fn what_was_counted_survives_a_restart_for_the_day() {
        let world = World::new().await;
        let (anna, ben) = BOTH;
        let directory = &*world.platform.directory;
        let limit = Requests::PerClient(10);
        let first = quota(&world, limit, START).await;
        for _ in 0..3 {
            first.charge(anna.gcid(), anna.client_id(), START).unwrap();
        }
        first.flush(directory).await.unwrap();
        first.charge(ben.gcid(), ben.client_id(), START).unwrap();
        let charge = first.charge(anna.gcid(), anna.client_id(), START).unwrap();
        first.give_back(&charge);
        first.flush(directory).await.unwrap();
        let second = quota(&world, limit, START).await;
        assert_eq!((used(&second, anna, START), used(&second, ben, START)), (3, 1));
        let tomorrow = START + SignedDuration::from_hours(24);
        assert_eq!(used(&quota(&world, limit, tomorrow).await, anna, tomorrow), 0);
    }
}
