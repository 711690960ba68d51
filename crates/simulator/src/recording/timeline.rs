//! When recorded rows happen again.

use jiff::{SignedDuration, Timestamp};

use super::RowError;

/// When the first row happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At this time, whatever the recording says.
    At(Timestamp),
    /// When the recording says; or at this time, if it counts only from its own beginning.
    Recorded {
        /// Usually the present.
        otherwise: Timestamp,
    },
}

/// A row's time as its file gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordedTime {
    /// Since some beginning that the file does not tell.
    Since(SignedDuration),
    /// A point in time.
    At(Timestamp),
}

/// From the end of one file to the beginning of the next, where their own times don't say.
const BETWEEN_FILES: SignedDuration = SignedDuration::from_secs(1);

/// Puts the rows of files, one after the other, on one line of time that never goes back between two files.
#[derive(Debug)]
pub struct Timeline {
    start: Start,
    /// What is added to points in time, once it is decided.
    shift: Option<SignedDuration>,
    /// The latest time that was given to a row of any file.
    latest: Option<Timestamp>,
    file: Option<File>,
}

#[derive(Debug, Clone, Copy)]
struct File {
    /// The first row that was used: when it was recorded, and when it happens.
    anchor: (RecordedTime, Timestamp),
    last: RecordedTime,
}

/// A row's time, before it is certain that the row is used.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    at: Timestamp,
    file: File,
}

impl Place {
    /// When the row happens.
    pub fn at(self) -> Timestamp {
        self.at
    }

    /// When something else of the same row happens that was recorded at `recorded`.
    pub(super) fn also(self, recorded: Timestamp) -> Result<Timestamp, RowError> {
        later(self.file.anchor.1, since(self.file.anchor.0, RecordedTime::At(recorded)))
    }
}

impl Timeline {
    /// A line of time on which nothing happened yet.
    pub fn new(start: Start) -> Self {
        let shift = match start {
            Start::At(_) => None,
            Start::Recorded { .. } => Some(SignedDuration::ZERO),
        };
        Self { start, shift, latest: None, file: None }
    }

    /// The next row is the first one of a file.
    pub fn begin_file(&mut self) {
        self.file = None;
    }

    /// When a row happens that was recorded at `recorded`, for forms whose rows follow each other in time.
    ///
    /// # Errors
    /// [`RowError::TimeNotRising`] unless it is after the last row that was used.
    pub fn place(&self, recorded: RecordedTime) -> Result<Place, RowError> {
        match &self.file {
            Some(file) if since(file.last, recorded) <= SignedDuration::ZERO => {
                Err(RowError::TimeNotRising)
            }
            _ => self.place_in_any_order(recorded),
        }
    }

    /// The same for forms whose rows may share a time or come late.
    ///
    /// # Errors
    /// [`RowError::TimeOutOfRange`] when there is no such time.
    pub fn place_in_any_order(&self, recorded: RecordedTime) -> Result<Place, RowError> {
        let anchor = match &self.file {
            Some(file) => file.anchor,
            None => (recorded, self.begin_at(recorded)?),
        };
        let at = later(anchor.1, since(anchor.0, recorded))?;
        Ok(Place { at, file: File { anchor, last: recorded } })
    }

    /// The row at `place` is used.
    pub fn commit(&mut self, place: Place) {
        if self.file.is_none()
            && let (RecordedTime::At(recorded), at) = place.file.anchor
        {
            self.shift = Some(at.duration_since(recorded));
        }
        self.file = Some(place.file);
        self.latest = self.latest.max(Some(place.at));
    }

    /// When the first row of a file happens.
    ///
    /// Files that tell points in time keep the pause between them, unless that would go back.
    fn begin_at(&self, recorded: RecordedTime) -> Result<Timestamp, RowError> {
        let own = match (recorded, self.shift) {
            (RecordedTime::At(recorded), Some(shift)) => Some(later(recorded, shift)?),
            _ => None,
        };
        match (own, self.latest, self.start) {
            (Some(own), Some(latest), _) if own > latest => Ok(own),
            (_, Some(latest), _) => later(latest, BETWEEN_FILES),
            (Some(own), None, _) => Ok(own),
            (None, None, Start::At(start) | Start::Recorded { otherwise: start }) => Ok(start),
        }
    }
}

fn since(earlier: RecordedTime, later: RecordedTime) -> SignedDuration {
    match (earlier, later) {
        (RecordedTime::Since(earlier), RecordedTime::Since(later)) => {
            later.checked_sub(earlier).unwrap_or(SignedDuration::MAX)
        }
        (RecordedTime::At(earlier), RecordedTime::At(later)) => later.duration_since(earlier),
        // One file has one kind of times, and each file an anchor of its own.
        _ => SignedDuration::ZERO,
    }
}

fn later(time: Timestamp, by: SignedDuration) -> Result<Timestamp, RowError> {
    time.checked_add(by).map_err(|_| RowError::TimeOutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-23T12:00:00Z";

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn at(text: &str) -> RecordedTime {
        RecordedTime::At(time(text))
    }

    fn seconds(seconds: i64) -> RecordedTime {
        RecordedTime::Since(SignedDuration::from_secs(seconds))
    }

    fn take(timeline: &mut Timeline, recorded: RecordedTime) -> String {
        let place = timeline.place(recorded).unwrap();
        timeline.commit(place);
        place.at().to_string()
    }

    #[test]
    fn seconds_begin_now_and_points_in_time_where_they_were() {
        let recorded = Start::Recorded { otherwise: time(NOW) };
        let mut timeline = Timeline::new(recorded);
        assert_eq!(take(&mut timeline, seconds(5)), NOW);
        assert_eq!(take(&mut timeline, seconds(7)), "2026-11-23T12:00:02Z");
        let mut timeline = Timeline::new(recorded);
        assert_eq!(take(&mut timeline, at("2021-03-29T11:13:45Z")), "2021-03-29T11:13:45Z");
    }

    #[test]
    fn a_given_start_is_the_time_of_the_first_row_and_pauses_are_kept() {
        let mut timeline = Timeline::new(Start::At(time(NOW)));
        assert_eq!(take(&mut timeline, at("2021-03-29T11:00:00Z")), NOW);
        timeline.begin_file();
        assert_eq!(take(&mut timeline, at("2021-03-29T12:30:00Z")), "2026-11-23T13:30:00Z");
    }

    #[test]
    fn the_same_file_again_follows_itself() {
        let mut timeline = Timeline::new(Start::Recorded { otherwise: time(NOW) });
        for (first, last) in [
            ("2021-03-29T11:00:00Z", "2021-03-29T11:00:10Z"),
            ("2021-03-29T11:00:11Z", "2021-03-29T11:00:21Z"),
            ("2021-03-29T11:00:22Z", "2021-03-29T11:00:32Z"),
        ] {
            timeline.begin_file();
            assert_eq!(take(&mut timeline, at("2021-03-29T11:00:00Z")), first);
            assert_eq!(take(&mut timeline, at("2021-03-29T11:00:10Z")), last);
        }
    }

    #[test]
    fn a_row_that_is_not_later_is_refused_and_an_unused_one_leaves_no_trace() {
        let mut timeline = Timeline::new(Start::At(time(NOW)));
        timeline.place(seconds(99)).unwrap();
        assert_eq!(take(&mut timeline, seconds(1)), NOW);
        assert_eq!(timeline.place(seconds(1)).unwrap_err(), RowError::TimeNotRising);
        assert_eq!(timeline.place(seconds(-4)).unwrap_err(), RowError::TimeNotRising);
        assert!(timeline.place_in_any_order(seconds(1)).is_ok());
    }

    #[test]
    fn a_time_that_cannot_be_written_is_refused() {
        let mut timeline = Timeline::new(Start::At(time(NOW)));
        take(&mut timeline, seconds(0));
        assert_eq!(timeline.place(seconds(i64::MAX)).unwrap_err(), RowError::TimeOutOfRange);
    }
}
