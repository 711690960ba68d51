//! What became of every row, by reason.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::path::Path;

use cardata_client::operator::Ingested;
use cardata_simulator::recording::stream::Damage;

use crate::output::harmless;

/// Kinds of reasons that are listed; what comes after them is counted together.
const REASONS_MAX: usize = 30;
/// Characters of a reason that are shown; a whole file may stand in one.
const REASON_LENGTH_MAX: usize = 200;

/// Where a row stands.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    file: String,
    place: Place,
    number: u64,
}

/// What is counted in a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Line,
    Message,
    Block,
}

impl Origin {
    pub(super) fn new(file: &Path, place: Place, number: u64) -> Self {
        Self { file: file_name(file), place, number }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            Place::Line => "line",
            Place::Message => "message",
            Place::Block => "block",
        };
        write!(f, "{place} {} of {}", self.number, self.file)
    }
}

/// A file's name without its folder, for people.
pub(super) fn file_name(file: &Path) -> String {
    harmless(&file.file_name().unwrap_or(file.as_os_str()).to_string_lossy())
}

/// How often something happened, by reason, with the first case of each.
#[derive(Debug, Default)]
struct Reasons {
    total: u64,
    kinds: Vec<Kind>,
    others: u64,
}

/// What happened for one reason.
#[derive(Debug)]
struct Kind {
    /// What all cases share.
    key: String,
    count: u64,
    reason: String,
    origin: Origin,
    /// More about the first case.
    detail: String,
}

impl Reasons {
    /// Counts a case of `reason`, which is the same text for all of its kind.
    fn count(&mut self, reason: &str, detail: &str, origin: &Origin) {
        self.count_by(reason.to_owned(), reason, detail, origin);
    }

    /// Counts a case of a reason in the server's words, which may have times in them: digits make no other kind.
    fn count_similar(&mut self, reason: &str, origin: &Origin) {
        let key = reason.chars().filter(|character| !character.is_ascii_digit()).collect();
        self.count_by(key, reason, "", origin);
    }

    fn count_by(&mut self, key: String, reason: &str, detail: &str, origin: &Origin) {
        self.total += 1;
        if let Some(kind) = self.kinds.iter_mut().find(|kind| kind.key == key) {
            kind.count += 1;
        } else if self.kinds.len() < REASONS_MAX {
            let (reason, detail, origin) = (shown(reason), shown(detail), origin.clone());
            self.kinds.push(Kind { key, count: 1, reason, origin, detail });
        } else {
            self.others += 1;
        }
    }

    fn describe(&self, [one, many]: [&str; 2], text: &mut String) {
        if self.total == 0 {
            return;
        }
        let mut line = |line: fmt::Arguments<'_>| {
            writeln!(text, "{line}").expect("writing to a string cannot fail");
        };
        line(format_args!("{} {}:", self.total, if self.total == 1 { one } else { many }));
        for Kind { count, reason, origin, detail, .. } in &self.kinds {
            let colon = if detail.is_empty() { "" } else { ": " };
            line(format_args!("{count:>9}  {reason}; the first is {origin}{colon}{detail}"));
        }
        if self.others > 0 {
            line(format_args!("{:>9}  other reasons", self.others));
        }
    }
}

/// `text` from elsewhere, short and without what a terminal would take for a command.
fn shown(text: &str) -> String {
    let mut text = harmless(text);
    if let Some((end, _)) = text.char_indices().nth(REASON_LENGTH_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The account of a replay: each row is an event or refused, each event acknowledged, refused by the server or pending.
#[derive(Debug, Default)]
pub(super) struct Summary {
    files: u64,
    rows: u64,
    events: u64,
    acknowledged: u64,
    /// Events that the server had already.
    known: u64,
    /// Requests that were sent again.
    pub(super) repeated: u64,
    unusable: Reasons,
    omitted: Reasons,
    refused: Reasons,
    entries_refused: Reasons,
}

impl Summary {
    /// The next file is played.
    pub(super) fn file_begins(&mut self) {
        self.files += 1;
    }

    /// A row became an event, perhaps without some of its values.
    pub(super) fn event(&mut self, omitted: impl IntoIterator<Item = String>, origin: &Origin) {
        self.rows += 1;
        self.events += 1;
        for omission in omitted {
            self.omitted.count(&omission, "", origin);
        }
    }

    /// A row became none.
    pub(super) fn unusable(&mut self, reason: &(dyn Error + 'static), origin: &Origin) {
        self.rows += 1;
        let detail = reason.source().map(ToString::to_string).unwrap_or_default();
        self.unusable.count(&reason.to_string(), &detail, origin);
    }

    /// A part of a file is lost.
    pub(super) fn damaged(&mut self, damage: &Damage, origin: &Origin) {
        self.rows += 1;
        let detail = format!("at byte {}, {} bytes are lost", damage.at, damage.length);
        self.unusable.count(&damage.fault.to_string(), &detail, origin);
    }

    /// The server answered to the events that came from `origins`.
    pub(super) fn answered(&mut self, ingested: &Ingested, origins: &[Origin]) {
        let of = |line: usize| line.checked_sub(1).and_then(|index| origins.get(index));
        self.acknowledged += ingested.accepted;
        self.known += ingested.repeated;
        let mut accounted = ingested.accepted;
        for refused in &ingested.refused {
            if let Some(origin) = of(refused.line) {
                self.refused.count_similar(&refused.reason, origin);
                accounted += 1;
            }
        }
        for entry in &ingested.entries_refused {
            if let Some(origin) = of(entry.line) {
                let reason = format!("{}: {}", entry.descriptor, entry.reason);
                self.entries_refused.count_similar(&reason, origin);
            }
        }
        let unexplained = (origins.len() as u64).saturating_sub(accounted);
        for origin in origins.iter().take(usize::try_from(unexplained).unwrap_or(0)) {
            self.refused.count_similar("the server did not say why", origin);
        }
    }

    /// How many rows became events.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// How many rows there were.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// How many events the server has, durably.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// The server's first reason to refuse an event, if it gave one.
    pub(super) fn first_refusal(&self) -> Option<&str> {
        self.refused.kinds.first().map(|kind| kind.reason.as_str())
    }

    /// Rows and events in a few words.
    pub(super) fn short(&self) -> String {
        let lost = self.unusable.total + self.refused.total;
        match lost {
            0 => format!("{} events acknowledged", self.acknowledged),
            _ => format!("{} events acknowledged, {lost} rows not used", self.acknowledged),
        }
    }

    /// The whole account.
    pub(super) fn describe(&self) -> String {
        let Self { files, rows, events, acknowledged, .. } = self;
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        let mut text = format!(
            "played {files} file{}: {rows} row{}, {events} event{} sent, {acknowledged} acknowledged\n",
            plural(*files),
            plural(*rows),
            plural(*events)
        );
        if self.repeated > 0 {
            writeln!(text, "{} request{} had to be repeated", self.repeated, plural(self.repeated))
                .expect("writing to a string cannot fail");
        }
        if self.known > 0 {
            writeln!(
                text,
                "{} event{} the server had taken in the last minutes already, and sent to nobody again; --now plays them at \
                 the present time",
                self.known,
                plural(self.known)
            )
            .expect("writing to a string cannot fail");
        }
        let rows = ["row could not be used", "rows could not be used"];
        self.unusable.describe(rows, &mut text);
        let omitted = [
            "value was left out of a row that could be used",
            "values were left out of rows that could be used",
        ];
        self.omitted.describe(omitted, &mut text);
        let events = ["event was refused by the server", "events were refused by the server"];
        self.refused.describe(events, &mut text);
        let values = ["value was refused by the server", "values were refused by the server"];
        self.entries_refused.describe(values, &mut text);
        text.truncate(text.trim_end().len());
        text
    }
}

#[cfg(test)]
mod tests {
    use cardata_client::operator::RefusedLine;
    use cardata_contract::stream::EventError;
    use cardata_simulator::recording::RowError;

    use super::*;

    fn line(line: u64) -> Origin {
        Origin::new(Path::new("/data/drive.csv"), Place::Line, line)
    }

    #[test]
    fn every_row_is_accounted_for_by_reason_with_the_first_case() {
        let mut summary = Summary::default();
        summary.event([], &line(2));
        summary.event(["column `lat` is blank".to_owned()], &line(3));
        summary.unusable(&RowError::NotANumber("speed_kmh"), &line(4));
        summary.unusable(&RowError::Empty, &line(5));
        summary.unusable(&RowError::NotANumber("speed_kmh"), &line(6));
        summary.event([], &line(7));
        summary.unusable(&RowError::NotAnEvent(EventError::Timestamp), &line(8));
        let refused = [(2, "2030 is too far ahead"), (3, "2031 is too far ahead")];
        let refused = refused.map(|(line, reason)| RefusedLine { line, reason: reason.to_owned() });
        let ingested =
            Ingested { accepted: 1, repeated: 1, refused: refused.into(), ..Ingested::default() };
        summary.answered(&ingested, &[line(2), line(3), line(7)]);
        summary.file_begins();
        summary.repeated = 1;
        assert_eq!(
            summary.describe(),
            "played 1 file: 7 rows, 3 events sent, 1 acknowledged\n\
             1 request had to be repeated\n\
             1 event the server had taken in the last minutes already, and sent to nobody again; --now plays them at the \
             present time\n\
             4 rows could not be used:\n        \
             2  not a number in column `speed_kmh`; the first is line 4 of drive.csv\n        \
             1  empty line; the first is line 5 of drive.csv\n        \
             1  not an event in the stream's own form; the first is line 8 of drive.csv: \
             `timestamp` is not an RFC 3339 time\n\
             1 value was left out of a row that could be used:\n        \
             1  column `lat` is blank; the first is line 3 of drive.csv\n\
             2 events were refused by the server:\n        \
             2  2030 is too far ahead; the first is line 3 of drive.csv"
        );
        assert_eq!(summary.first_refusal(), Some("2030 is too far ahead"));
    }

    #[test]
    fn an_event_that_an_answer_does_not_mention_is_not_taken_for_acknowledged() {
        let mut summary = Summary::default();
        summary.answered(&Ingested::default(), &[line(2), line(3)]);
        assert_eq!(summary.refused.total, 2);
    }

    #[test]
    fn the_account_stays_short_whatever_the_reasons_are() {
        let mut reasons = Reasons::default();
        for number in 0..1000_u64 {
            reasons.count(&format!("{number}{}", "x".repeat(5000)), "", &line(number));
        }
        let mut text = String::new();
        reasons.describe(["row", "rows"], &mut text);
        assert!(text.len() < 10_000, "{}", text.len());
        assert!(text.ends_with("970  other reasons\n"), "{text}");
    }
}
