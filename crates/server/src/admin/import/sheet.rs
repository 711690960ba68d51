//! Comma-separated values: a header that names the columns, and a line for each row.

use csv::{ReaderBuilder, StringRecord, Trim};

/// Lines that a sheet may have below its header.
pub(super) const LINES_MAX: usize = 100_000;

/// A sheet whose columns are known.
#[derive(Debug)]
pub(super) struct Sheet {
    columns: Vec<String>,
    rows: Vec<(u64, StringRecord)>,
    /// Lines that are none, with the reason.
    pub(super) unreadable: Vec<(u64, String)>,
}

/// A line of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    /// Its number, counted from 1; the header has one, too.
    pub(super) line: u64,
    columns: &'a [String],
    cells: &'a StringRecord,
}

impl Sheet {
    /// Reads `text`, whose header must have all `required` columns and no other but `optional` ones, in any order.
    ///
    /// # Errors
    /// The rest of a sentence on what is wrong with the header or the size.
    pub(super) fn read(text: &str, required: &[&str], optional: &[&str]) -> Result<Self, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let header = text.lines().next().unwrap_or_default();
        // What spreadsheets write where the comma stands in numbers.
        let delimiter = if header.contains(';') && !header.contains(',') { b';' } else { b',' };
        let mut reader = ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .trim(Trim::All)
            .from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| format!("has no header: {error}"))?;
        let columns: Vec<String> = header.iter().map(str::to_owned).collect();
        check(&columns, required, optional)?;
        let (mut rows, mut unreadable) = (Vec::new(), Vec::new());
        let mut lines = Lines { text: text.as_bytes(), offset: 0, line: 1 };
        for record in reader.into_records() {
            let record = record.map_err(|error| format!("can't be read: {error}"))?;
            let line = lines.at(record.position().map_or(0, csv::Position::byte));
            if record.len() == columns.len() {
                rows.push((line, record));
            } else {
                let reason =
                    format!("has {} cells, and the header has {}", record.len(), columns.len());
                unreadable.push((line, reason));
            }
            if rows.len() + unreadable.len() > LINES_MAX {
                return Err(format!("has more than {LINES_MAX} lines; split it"));
            }
        }
        Ok(Self { columns, rows, unreadable })
    }

    /// Its rows in their order.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|(line, cells)| Row { line: *line, columns: &self.columns, cells })
    }
}

impl<'a> Row<'a> {
    /// What stands in a column; nothing where the sheet has no such column, or the cell is empty.
    pub(super) fn cell(&self, column: &str) -> Option<&'a str> {
        let index = self.columns.iter().position(|known| known == column)?;
        self.cells.get(index).filter(|text| !text.is_empty())
    }
}

/// Numbers the lines of a text, from its beginning on.
struct Lines<'a> {
    text: &'a [u8],
    offset: usize,
    line: u64,
}

impl Lines<'_> {
    /// The number of the first line that is not empty, from byte `start` on: the reader tells where it began to look for
    /// a row, and passes over empty lines.
    fn at(&mut self, start: u64) -> u64 {
        let start = usize::try_from(start).unwrap_or(usize::MAX).min(self.text.len());
        while self.offset < start || matches!(self.text.get(self.offset), Some(b'\r' | b'\n')) {
            self.line += u64::from(self.text[self.offset] == b'\n');
            self.offset += 1;
        }
        self.line
    }
}

fn check(columns: &[String], required: &[&str], optional: &[&str]) -> Result<(), String> {
    let known = || [required, optional].concat().join(", ");
    for (index, column) in columns.iter().enumerate() {
        if !required.contains(&column.as_str()) && !optional.contains(&column.as_str()) {
            return Err(format!("has a column `{column}`; known are: {}", known()));
        }
        if columns[..index].contains(column) {
            return Err(format!("has the column `{column}` twice"));
        }
    }
    match required.iter().find(|name| !columns.iter().any(|column| column == *name)) {
        None => Ok(()),
        Some(missing) => Err(format!("has no column `{missing}`; known are: {}", known())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Sheet, String> {
        Sheet::read(text, &["a"], &["b"])
    }

    #[test]
    fn lines_are_numbered_as_in_an_editor_and_empty_cells_are_nothing() {
        for text in ["b,a\n1, 2 \n\n\"x\ny\",\n", "\u{feff}b;a\r\n1;2\r\n\r\n\"x\ny\";\r\n"] {
            let sheet = read(text).unwrap();
            let rows: Vec<_> =
                sheet.rows().map(|row| (row.line, row.cell("a"), row.cell("b"))).collect();
            assert_eq!(rows, [(2, Some("2"), Some("1")), (4, None, Some("x\ny"))]);
            assert_eq!(sheet.rows().next().unwrap().cell("c"), None);
        }
    }

    #[test]
    fn a_wrong_header_is_refused_by_its_column() {
        for (text, word) in
            [("", "`a`"), ("b\n", "`a`"), ("a,c\n", "`c`"), ("a,a\n", "twice"), ("a,b,\n", "``")]
        {
            let reason = read(text).unwrap_err();
            assert!(reason.contains(word), "{text}: {reason}");
        }
    }

    #[test]
    fn a_line_with_too_many_cells_is_told_and_a_sheet_with_too_many_lines_refused() {
        let sheet = read("a,b\n1,2\n1\n1,2,3\n").unwrap();
        assert_eq!(sheet.rows().count(), 1);
        let lines: Vec<_> = sheet.unreadable.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [3, 4]);
        let long = format!("a\n{}", "1\n".repeat(LINES_MAX + 1));
        assert!(read(&long).unwrap_err().contains("100000"));
    }
}
