//! Recorded drives and charges, turned line by line into events of one vehicle.
//!
//! Nothing here opens a file or waits: the caller hands over lines and sends what comes back when its time has come.
//! What stands in a row is the business of one module for each form; when it happened is that of [`timeline`].

pub mod cells;
pub mod stream;
pub mod timeline;

mod bmw_i3;
mod bmw_i3_charging;
mod jsonl;
mod trip;
mod twizy;

use std::fmt;
use std::sync::Arc;

use cardata_contract::stream::{EntryError, EventError};
use cardata_domain::{Catalogue, Entry, Event, Value, Vin};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use thiserror::Error;

use self::cells::{Cell, Cells, CsvLayout};
use self::jsonl::JsonLines;
use self::timeline::{RecordedTime, Start, Timeline};
use self::trip::Odometer;

/// The forms of recordings that can be read, recognised by their first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Drives of a BMW i3, one row a second.
    BmwI3,
    /// Drives of a Renault Twizy with positions.
    Twizy,
    /// A BMW i3 that charges.
    BmwI3Charging,
    /// Messages in the stream's own form, one JSON object a line.
    JsonLines,
}

impl Form {
    const CSV: [Self; 3] = [Self::BmwI3, Self::Twizy, Self::BmwI3Charging];

    /// Every column that is read; all of them are needed, in any order, others may stand beside them.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::BmwI3 => &bmw_i3::COLUMNS,
            Self::Twizy => &twizy::COLUMNS,
            Self::BmwI3Charging => &bmw_i3_charging::COLUMNS,
            Self::JsonLines => &[],
        }
    }

    /// The two columns by which a header is told from those of the other forms.
    fn marks(self) -> [&'static str; 2] {
        match self {
            Self::BmwI3 => ["t_s", "speed_kmh"],
            Self::Twizy => ["time_local", "speed_kmh"],
            Self::BmwI3Charging => ["t_s", "chg_status"],
            Self::JsonLines => ["", ""],
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BmwI3 => "BMW i3 drive (CSV)",
            Self::Twizy => "Renault Twizy drive (CSV)",
            Self::BmwI3Charging => "BMW i3 charging (CSV)",
            Self::JsonLines => "stream messages (JSON lines)",
        })
    }
}

/// A file's form and where its columns stand.
#[derive(Debug, Clone)]
pub struct Layout {
    form: Form,
    csv: CsvLayout,
}

/// Why a first line tells no form.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// Neither a known header nor the beginning of a JSON object.
    #[error(
        "the first line is neither the header of a known CSV form (with the columns {}) nor a message in the stream's \
         own form (a JSON object)",
        known_marks()
    )]
    Unknown,
    /// A known header that lacks columns.
    #[error("looks like a {form}, but its header lacks {}", .missing.join(", "))]
    Columns {
        /// The form that the header resembles.
        form: Form,
        /// The columns that it lacks.
        missing: Vec<&'static str>,
    },
}

fn known_marks() -> String {
    Form::CSV.map(|form| form.marks().join(" and ")).join(", or ")
}

impl Layout {
    /// Tells the form of a file by the first line that is not empty, without its line ending.
    ///
    /// # Errors
    /// [`LayoutError`] when it is the beginning of no recording that can be read.
    pub fn recognise(first_line: &[u8]) -> Result<Self, LayoutError> {
        if first_line.trim_ascii_start().starts_with(b"{") {
            return Ok(Self { form: Form::JsonLines, csv: CsvLayout::default() });
        }
        let header = cells::split(first_line).map_err(|_| LayoutError::Unknown)?;
        let has = |name: &str| header.iter().any(|column| column == name);
        let form = Form::CSV
            .into_iter()
            .find(|form| form.marks().into_iter().all(has))
            .ok_or(LayoutError::Unknown)?;
        let missing: Vec<_> = form.columns().iter().copied().filter(|name| !has(name)).collect();
        if missing.is_empty() {
            Ok(Self { form, csv: CsvLayout::new(&header, form.columns()) })
        } else {
            Err(LayoutError::Columns { form, missing })
        }
    }

    /// Which form it is.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Whether the first line is a header, so that the rows begin with the next one.
    pub fn has_header(&self) -> bool {
        self.form != Form::JsonLines
    }
}

/// A row that became an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The number that the caller gave the line.
    pub line: u64,
    /// What the vehicle is to send.
    pub event: Event,
    /// What the row had, but the event has not.
    pub omitted: Vec<Omission>,
}

/// A part of a row that could not be used while the rest could.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Omission {
    /// The cell is blank.
    #[error("column `{0}` is blank")]
    Blank(&'static str),
    /// The cell has a word that is not known.
    #[error("column `{0}` has a word that maps to no value")]
    UnknownWord(&'static str),
    /// An entry of a stream message.
    #[error("entry `{descriptor}` can't be used")]
    Entry {
        /// Its name in the message.
        descriptor: String,
        /// What is wrong with it.
        #[source]
        error: EntryError,
    },
}

/// Why a row became no event. The text is the same for all rows of one kind, so that they can be counted by it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RowError {
    /// Nothing but spaces.
    #[error("empty line")]
    Empty,
    /// The caller did not read all of it.
    #[error("line longer than {0} bytes")]
    TooLong(usize),
    /// Not UTF-8.
    #[error("not text in UTF-8")]
    NotText,
    /// Half a row, or two in one.
    #[error("{found} columns instead of {expected}")]
    Columns {
        /// As many as the header has.
        expected: usize,
        /// As many as the row has.
        found: usize,
    },
    /// Not a number, or one that isn't finite.
    #[error("not a number in column `{0}`")]
    NotANumber(&'static str),
    /// A number that the column can't have, such as a negative speed or a latitude beyond the pole.
    #[error("out of range in column `{0}`")]
    OutOfRange(&'static str),
    /// The time can't be read.
    #[error("not a time in column `{0}`")]
    NotATime(&'static str),
    /// At or before the time of the last row that was used.
    #[error("time not after the row before")]
    TimeNotRising,
    /// Beyond the times that can be written.
    #[error("time out of range")]
    TimeOutOfRange,
    /// Every cell that maps to a descriptor is blank.
    #[error("no value that maps to a descriptor")]
    NothingMapped,
    /// A JSON line that is no stream message.
    #[error("not an event in the stream's own form")]
    NotAnEvent(#[source] EventError),
    /// A JSON line about another vehicle than the first one of its file; mixing two would make a car that never was.
    #[error("a message of another vehicle than the first one in the file")]
    OtherVehicle,
}

/// One descriptor's value, before it has a time.
#[derive(Debug, Clone, PartialEq)]
struct Reading {
    name: &'static str,
    value: Value,
    unit: Option<&'static str>,
}

/// What was read from one row.
#[derive(Debug, Default)]
struct Readings {
    values: Vec<Reading>,
    omitted: Vec<Omission>,
}

impl Readings {
    fn put(&mut self, name: &'static str, value: Value, unit: Option<&'static str>) {
        self.values.push(Reading { name, value, unit });
    }

    /// A computed number; one that is not finite has no form on the wire and is left out.
    fn decimal(&mut self, name: &'static str, number: f64, digits: usize, unit: &'static str) {
        if let Some(value) = Value::decimal(number, digits) {
            self.put(name, value, Some(unit));
        }
    }

    /// A cell's number in the digits of the file; a blank cell is noted.
    fn cell(&mut self, name: &'static str, cell: &Cell, unit: &'static str) {
        match &cell.number {
            Some(number) => self.put(name, number.as_written(), Some(unit)),
            None => self.blank(cell),
        }
    }

    fn blank(&mut self, cell: &Cell) {
        self.omitted.push(Omission::Blank(cell.column));
    }
}

/// One of the CSV forms: reads a file's rows in their order.
trait CsvForm: fmt::Debug + Send {
    /// When the row was recorded.
    fn time(&self, cells: &Cells<'_>) -> Result<RecordedTime, RowError>;

    /// The values of the row at `at`. A row that gives an error leaves nothing behind, neither here nor on the odometer.
    fn read(
        &mut self,
        cells: &Cells<'_>,
        at: Timestamp,
        odometer: &mut Odometer,
    ) -> Result<Readings, RowError>;

    /// What the last row of the file says beside its own values.
    fn ending(&self) -> Vec<Reading> {
        Vec::new()
    }
}

#[derive(Debug)]
enum Reader {
    Csv(CsvLayout, Box<dyn CsvForm>),
    JsonLines(JsonLines),
}

/// Plays recordings as one vehicle: files one after the other, also the same ones again, while times and odometer go on
/// and never jump back.
///
/// For each file call [`open`](Self::open), then [`line`](Self::line) for each line below the header, then
/// [`close`](Self::close). Each line becomes either a [`Row`] or a [`RowError`].
#[derive(Debug)]
pub struct Player {
    catalogue: Arc<Catalogue>,
    vin: Vin,
    zone: TimeZone,
    timeline: Timeline,
    odometer: Odometer,
    reader: Option<Reader>,
    /// The last row waits until it is known whether another one follows, since the last one of a trip says more.
    waiting: Option<Draft>,
}

#[derive(Debug)]
struct Draft {
    line: u64,
    at: Timestamp,
    entries: Vec<Entry>,
    omitted: Vec<Omission>,
}

impl Player {
    /// A player whose events carry `vin`.
    ///
    /// Times without a zone are local times of `zone`. `odometer_km` is what the odometer shows at the first row, for the
    /// forms that record none.
    pub fn new(
        catalogue: Arc<Catalogue>,
        vin: Vin,
        start: Start,
        zone: TimeZone,
        odometer_km: f64,
    ) -> Self {
        Self {
            catalogue,
            vin,
            zone,
            timeline: Timeline::new(start),
            odometer: Odometer::new(odometer_km),
            reader: None,
            waiting: None,
        }
    }

    /// Begins a file. Rows that wait from one that was not [closed](Self::close) are lost.
    pub fn open(&mut self, layout: &Layout) {
        self.timeline.begin_file();
        self.waiting = None;
        let form: Box<dyn CsvForm> = match layout.form {
            Form::BmwI3 => Box::new(bmw_i3::Drive::default()),
            Form::Twizy => Box::new(twizy::Drive::new(self.zone.clone())),
            Form::BmwI3Charging => Box::new(bmw_i3_charging::Charge),
            Form::JsonLines => {
                self.reader = Some(Reader::JsonLines(JsonLines::default()));
                return;
            }
        };
        self.reader = Some(Reader::Csv(layout.csv.clone(), form));
    }

    /// Takes the next line, without its line ending, and gives the row before it, if there is one.
    ///
    /// # Errors
    /// [`RowError`] when this line becomes no event; the row before it still waits.
    ///
    /// # Panics
    /// When no file is [open](Self::open).
    pub fn line(&mut self, number: u64, line: &[u8]) -> Result<Option<Row>, RowError> {
        if line.trim_ascii().is_empty() {
            return Err(RowError::Empty);
        }
        let reader = self.reader.as_mut().expect("a file is open");
        let (place, draft) = match reader {
            Reader::Csv(layout, form) => {
                let record = cells::split(line)?;
                let cells = layout.cells(&record)?;
                let place = self.timeline.place(form.time(&cells)?)?;
                let readings = form.read(&cells, place.at(), &mut self.odometer)?;
                let entries = entries(&self.catalogue, place.at(), readings.values);
                let omitted = readings.omitted;
                (place, Draft { line: number, at: place.at(), entries, omitted })
            }
            Reader::JsonLines(lines) => {
                let (place, entries, omitted) =
                    lines.read(line, &self.catalogue, &self.timeline, &mut self.odometer)?;
                (place, Draft { line: number, at: place.at(), entries, omitted })
            }
        };
        if draft.entries.is_empty() {
            return Err(RowError::NothingMapped);
        }
        self.timeline.commit(place);
        Ok(self.waiting.replace(draft).map(|before| self.row(before)))
    }

    /// Ends the file and gives its last row, if it had one.
    pub fn close(&mut self) -> Option<Row> {
        let mut last = self.waiting.take();
        if let Some(Reader::Csv(_, form)) = self.reader.take()
            && let Some(last) = &mut last
        {
            last.entries.extend(entries(&self.catalogue, last.at, form.ending()));
        }
        last.map(|draft| self.row(draft))
    }

    fn row(&self, draft: Draft) -> Row {
        let Draft { line, at, entries, omitted } = draft;
        let event = Event::new(self.vin, at, entries).expect("only rows with entries wait");
        Row { line, event, omitted }
    }
}

fn entries(catalogue: &Catalogue, at: Timestamp, readings: Vec<Reading>) -> Vec<Entry> {
    let entry = |Reading { name, value, unit }| {
        let descriptor = catalogue.find(name).expect("recordings map to listed descriptors only");
        Entry::new(catalogue, descriptor, at, value, unit)
    };
    readings.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests;
