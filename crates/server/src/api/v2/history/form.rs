//! The forms of a page: JSON lines, CSV, Parquet.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use cardata_domain::{Entry, Value};
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use thiserror::Error;

/// What a page is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A JSON object a line.
    JsonLines,
    /// RFC 4180, with a line of names.
    Csv,
    /// Columns, for tools that analyse tables.
    Parquet,
}

/// Why a page can't be written.
#[derive(Debug, Error)]
pub(super) enum PageError {
    #[error("the CSV can't be written")]
    Csv(#[from] csv::Error),
    #[error("the Parquet file can't be written")]
    Parquet(#[from] ParquetError),
}

impl Form {
    /// The one with this name in the parameter `format`.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "jsonl" => Some(Self::JsonLines),
            "csv" => Some(Self::Csv),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// The first that `Accept` names; JSON lines where it names none.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let kinds = accepted.flat_map(|value| value.split(','));
        let mut kinds = kinds.filter_map(|range| range.split(';').next().map(str::trim));
        let all = [Self::Csv, Self::Parquet, Self::JsonLines];
        let named = |kind: &str| {
            all.into_iter().find(|form| {
                let own = form.content_type().split(';').next().unwrap_or_default();
                kind.eq_ignore_ascii_case(own)
            })
        };
        kinds.find_map(named).unwrap_or(Self::JsonLines)
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::JsonLines => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// A page that is being written.
pub(super) struct Page {
    length: usize,
    body: Body,
}

enum Body {
    JsonLines(Vec<u8>),
    Csv(Box<csv::Writer<Vec<u8>>>),
    Parquet(Columns),
}

impl Page {
    pub(super) fn new(form: Form) -> Self {
        let body = match form {
            Form::JsonLines => Body::JsonLines(Vec::new()),
            Form::Csv => Body::Csv(Box::new(csv::Writer::from_writer(Vec::new()))),
            Form::Parquet => Body::Parquet(Columns::default()),
        };
        Self { length: 0, body }
    }

    /// How many values it has.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn add(&mut self, entry: &Entry) {
        match &mut self.body {
            Body::JsonLines(lines) => put_line(entry, lines),
            Body::Csv(writer) => {
                if self.length == 0 {
                    put_record(writer, NAMES);
                }
                let at = entry.at().to_string();
                let unit = entry.unit().unwrap_or_default();
                put_record(writer, [&at, entry.name(), entry.value().as_plain(), unit]);
            }
            Body::Parquet(columns) => columns.add(entry),
        }
        self.length += 1;
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, PageError> {
        match self.body {
            Body::JsonLines(lines) => Ok(lines),
            Body::Csv(mut writer) => {
                if self.length == 0 {
                    put_record(&mut writer, NAMES);
                }
                writer.into_inner().map_err(|error| csv::Error::from(error.into_error()).into())
            }
            Body::Parquet(columns) => Ok(columns.finish()?),
        }
    }
}

/// The columns of a CSV page.
const NAMES: [&str; 4] = ["timestamp", "descriptor", "value", "unit"];

fn put_record(writer: &mut csv::Writer<Vec<u8>>, record: [&str; 4]) {
    writer.write_record(record).expect("memory takes a record of four fields");
}

/// `{"descriptor":"…","timestamp":"…","value":…,"unit":"…"}`: the stream's `"…":{…}` in another order.
fn put_line(entry: &Entry, lines: &mut Vec<u8>) {
    let (name, rest) = entry.fragment().split_at(entry.name().len() + 2);
    lines.extend_from_slice(b"{\"descriptor\":");
    lines.extend_from_slice(name.as_bytes());
    lines.push(b',');
    // Without `:{`.
    lines.extend_from_slice(&rest.as_bytes()[2..]);
    lines.push(b'\n');
}

/// A Parquet file that is being written.
#[derive(Default)]
struct Columns {
    at: Vec<i64>,
    descriptor: Vec<ByteArray>,
    value: Vec<ByteArray>,
    /// The values that are numbers, and for each value whether it is one.
    numbers: Vec<f64>,
    is_number: Vec<i16>,
    units: Vec<ByteArray>,
    has_unit: Vec<i16>,
}

/// `number` is the value where it is one.
const SCHEMA: &str = "message history {
    required int64 timestamp (TIMESTAMP(MICROS, true));
    required binary descriptor (STRING);
    required binary value (STRING);
    optional double number;
    optional binary unit (STRING);
}";

impl Columns {
    fn add(&mut self, entry: &Entry) {
        self.at.push(entry.at().as_microsecond());
        self.descriptor.push(entry.name().into());
        self.value.push(entry.value().as_plain().into());
        let number: Option<f64> = match entry.value() {
            Value::Number(digits) => digits.parse().ok(),
            _ => None,
        };
        self.is_number.push(i16::from(number.is_some()));
        self.numbers.extend(number);
        self.has_unit.push(i16::from(entry.unit().is_some()));
        self.units.extend(entry.unit().map(ByteArray::from));
    }

    fn finish(self) -> Result<Vec<u8>, ParquetError> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
        let mut group = writer.next_row_group()?;
        let mut number = 0;
        while let Some(mut column) = group.next_column()? {
            match number {
                0 => column.typed::<Int64Type>().write_batch(&self.at, None, None)?,
                1 => column.typed::<ByteArrayType>().write_batch(&self.descriptor, None, None)?,
                2 => column.typed::<ByteArrayType>().write_batch(&self.value, None, None)?,
                3 => {
                    let levels = Some(&*self.is_number);
                    column.typed::<DoubleType>().write_batch(&self.numbers, levels, None)?
                }
                _ => {
                    let levels = Some(&*self.has_unit);
                    column.typed::<ByteArrayType>().write_batch(&self.units, levels, None)?
                }
            };
            column.close()?;
            number += 1;
        }
        group.close()?;
        writer.into_inner()
    }
}
