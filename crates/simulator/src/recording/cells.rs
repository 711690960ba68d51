//! A CSV row's cells by the names of their columns, and the numbers in them.

use cardata_domain::Value;
use csv::{ReaderBuilder, StringRecord, Trim};

use super::RowError;

/// Splits a line at its commas; cells may stand in double quotes (RFC 4180), and spaces around them don't count.
pub(super) fn split(line: &[u8]) -> Result<StringRecord, RowError> {
    let mut record = StringRecord::new();
    let read = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .buffer_capacity(256)
        .from_reader(line)
        .read_record(&mut record);
    // Reading from memory can't fail, and rows may have any length, so what is left is text that is none.
    match read {
        Ok(true) => Ok(record),
        Ok(false) => Err(RowError::Empty),
        Err(_) => Err(RowError::NotText),
    }
}

/// Where the columns of a form stand in a file.
#[derive(Debug, Clone, Default)]
pub(super) struct CsvLayout {
    places: Vec<(&'static str, usize)>,
    width: usize,
}

impl CsvLayout {
    /// The places of `columns` in `header`, which has all of them.
    pub(super) fn new(header: &StringRecord, columns: &[&'static str]) -> Self {
        let place = |name: &&'static str| {
            header.iter().position(|column| column == *name).map(|place| (*name, place))
        };
        Self { places: columns.iter().filter_map(place).collect(), width: header.len() }
    }

    /// The cells of a row.
    pub(super) fn cells<'a>(&'a self, record: &'a StringRecord) -> Result<Cells<'a>, RowError> {
        if record.len() == self.width {
            Ok(Cells { layout: self, record })
        } else {
            Err(RowError::Columns { expected: self.width, found: record.len() })
        }
    }
}

/// The cells of one row, which has as many as the header.
#[derive(Debug)]
pub(super) struct Cells<'a> {
    layout: &'a CsvLayout,
    record: &'a StringRecord,
}

impl Cells<'_> {
    /// The text of a cell; empty when it is blank.
    pub(super) fn text(&self, column: &'static str) -> &str {
        let (_, place) = self
            .layout
            .places
            .iter()
            .find(|(name, _)| *name == column)
            .expect("a form asks for its own columns only");
        &self.record[*place]
    }

    /// A cell with a number in it, or blank.
    pub(super) fn number(&self, column: &'static str) -> Result<Cell, RowError> {
        let text = self.text(column);
        let number = match text {
            "" => None,
            text => Some(Number::parse(text).ok_or(RowError::NotANumber(column))?),
        };
        Ok(Cell { column, number })
    }

    /// The same, for numbers within `range` only.
    pub(super) fn number_within(
        &self,
        column: &'static str,
        range: std::ops::RangeInclusive<f64>,
    ) -> Result<Cell, RowError> {
        let cell = self.number(column)?;
        match &cell.number {
            Some(number) if !range.contains(&number.value) => Err(RowError::OutOfRange(column)),
            _ => Ok(cell),
        }
    }
}

/// A cell that has a number or is blank.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) column: &'static str,
    pub(super) number: Option<Number>,
}

impl Cell {
    /// The number, unless the cell is blank.
    pub(super) fn value(&self) -> Option<f64> {
        self.number.as_ref().map(|number| number.value)
    }
}

/// A finite number and how it was written.
#[derive(Debug, Clone)]
pub(super) struct Number {
    pub(super) value: f64,
    written: String,
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        let value: f64 = text.parse().ok()?;
        value.is_finite().then(|| Self { value, written: text.to_owned() })
    }

    /// The number in the digits of the file where JSON allows them, since a replayed value should be the recorded one.
    pub(super) fn as_written(&self) -> Value {
        let digits = if is_json(&self.written) {
            self.written.as_str().into()
        } else {
            self.value.to_string().into()
        };
        Value::Number(digits)
    }

    /// The nearest whole number, halves away from zero.
    pub(super) fn rounded(&self) -> Value {
        Value::decimal(self.value.round() + 0.0, 0).expect("the number is finite")
    }
}

/// Whether a text that is a number for Rust is one for JSON, too: no `+5`, `.5`, `5.` or `05` (RFC 8259 §6).
fn is_json(number: &str) -> bool {
    let unsigned = number.strip_prefix('-').unwrap_or(number);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(fraction) && (whole == "0" || !whole.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Option<String> {
        Number::parse(text).map(|number| number.as_written().to_json().into_owned())
    }

    #[test]
    fn a_number_keeps_its_digits_where_json_allows_them() {
        for same in ["0", "-0.50", "100.0", "33.986225", "-6.725523"] {
            assert_eq!(written(same).as_deref(), Some(same));
        }
        assert_eq!(written("+5").as_deref(), Some("5"));
        assert_eq!(written(".5").as_deref(), Some("0.5"));
        assert_eq!(written("007").as_deref(), Some("7"));
        assert_eq!(written("1e3").as_deref(), Some("1000"));
    }

    #[test]
    fn what_is_not_finite_is_no_number() {
        for text in ["NaN", "inf", "-infinity", "1e999", "0x10", "1,5", "--1", "eleven"] {
            assert_eq!(written(text), None, "{text}");
        }
    }

    #[test]
    fn halves_are_rounded_away_from_zero() {
        let rounded = |text: &str| Number::parse(text).unwrap().rounded();
        assert_eq!(rounded("78.5"), Value::integer(79));
        assert_eq!(rounded("79.5"), Value::integer(80));
        assert_eq!(rounded("79.49"), Value::integer(79));
        assert_eq!(rounded("-0.2"), Value::integer(0));
    }

    #[test]
    fn quotes_and_spaces_do_not_belong_to_a_cell() {
        let record = split(b"\"1.5\", 2 ,\"a,\"\"b\"\"\"").unwrap();
        assert_eq!(record.iter().collect::<Vec<_>>(), ["1.5", "2", "a,\"b\""]);
        assert_eq!(split(b"1,\xff\xfe,2"), Err(RowError::NotText));
    }
}
