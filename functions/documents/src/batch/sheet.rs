//! Rows from a table with a header: CSV, or the first sheet of an XLSX workbook.
//!
//! A column's name is the way to its value inside the data, with dots: `buyer.name`, `lines.0.quantity`. What
//! a cell becomes is the schema's to say: where it wants a number, `12` is one, and where it wants a text it
//! is none. An empty cell is no value at all, and a row of empty cells is no row.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use calamine::{DataRef, ExcelDateTime, Reader, Xlsx};
use domain::Text;
use serde_json::{Map, Number, Value};

use super::{BatchError, MOST_ROWS};

/// The most columns of a table.
const MOST_COLUMNS: usize = 500;

/// The most places that a way has.
const DEEPEST: usize = 16;

/// The most elements of a list that columns name.
const LONGEST_LIST: usize = 500;

/// The most octets of a cell: the format takes 32,767 characters. A workbook keeps a text once and names it in
/// any number of cells, so that its own size says little.
const LONGEST_CELL: usize = 4 * 32_767;

/// The most octets that the files inside a workbook may unpack to.
const LARGEST_UNPACKED: u64 = 96 * 1024 * 1024;

/// The most files inside a workbook.
const MOST_FILES: usize = 1000;

/// A cell with something in it.
#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Text(String),
    Number(f64),
    Bool(bool),
}

/// A step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Name(String),
    Place(usize),
}

/// Which kinds of value a schema takes at a place; all false where it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Kinds {
    text: bool,
    number: bool,
    bool: bool,
}

#[derive(Clone, Debug)]
struct Column {
    way: Vec<Step>,
    kinds: Kinds,
}

/// Data under construction.
#[derive(Debug)]
enum Node {
    Leaf(Value),
    Object(BTreeMap<String, Self>),
    List(BTreeMap<usize, Self>),
}

/// Takes the rows of a table, one after the other.
pub trait Sink {
    /// Takes the next row.
    ///
    /// # Errors
    /// If it cannot be taken.
    fn take(&mut self, data: Value) -> Result<(), BatchError>;
}

/// The columns of a table, once its header is read.
struct Table<'a> {
    columns: Vec<Column>,
    sink: &'a mut dyn Sink,
    taken: u32,
}

fn bad(es: impl Into<String>, en: impl Into<String>) -> BatchError {
    BatchError::BadTable(Text::with(es.into(), en.into()))
}

/// Reads CSV (RFC 4180) in UTF-8, with commas, semicolons or tabs between its cells.
///
/// # Errors
/// [`BatchError::BadTable`] with the line and what is wrong there, and whatever the sink says.
pub fn csv(octets: &[u8], schema: &Value, sink: &mut dyn Sink) -> Result<(), BatchError> {
    let octets = octets.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(octets);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter(octets))
        .from_reader(octets);
    let mut table = None;
    for record in reader.records() {
        let record = record.map_err(|error| broken_csv(&error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let cells = record
            .iter()
            .enumerate()
            .map(|(place, text)| (place, text.trim()))
            .filter(|(_, text)| !text.is_empty())
            .map(|(place, text)| (place, Cell::Text(text.to_owned())));
        let cells: Vec<_> = cells.collect();
        if cells.is_empty() {
            continue;
        }
        match &mut table {
            None => table = Some(Table::of(cells, schema, &mut *sink)?),
            Some(table) => table.take(cells, line)?,
        }
    }
    match table {
        Some(_) => Ok(()),
        None => Err(bad("La tabla está vacía", "The table is empty")),
    }
}

/// What stands most often in the first line, outside of quotes.
fn delimiter(octets: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0)];
    for octet in octets {
        match octet {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            octet if !quoted => {
                for (delimiter, count) in &mut counts {
                    *count += usize::from(delimiter == octet);
                }
            }
            _ => {}
        }
    }
    let [comma, semicolon, tab] = counts;
    [comma, semicolon, tab]
        .into_iter()
        .rev()
        .max_by_key(|(_, count)| *count)
        .map_or(
            b',',
            |(delimiter, count)| if count == 0 { b',' } else { delimiter },
        )
}

fn broken_csv(error: &csv::Error) -> BatchError {
    let line = error.position().map_or(0, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => bad(
            format!("La línea {line} no es UTF-8"),
            format!("Line {line} is not UTF-8"),
        ),
        _ => bad(
            format!("La línea {line} no es CSV"),
            format!("Line {line} is not CSV"),
        ),
    }
}

/// Reads the first sheet of an XLSX workbook.
///
/// # Errors
/// [`BatchError::BadTable`] with what is wrong, and whatever the sink says.
pub fn xlsx(octets: &[u8], schema: &Value, sink: &mut dyn Sink) -> Result<(), BatchError> {
    check_size(octets)?;
    let broken = || {
        bad(
            "No es un libro XLSX legible",
            "Not a readable XLSX workbook",
        )
    };
    let mut workbook = Xlsx::new(Cursor::new(octets)).map_err(|_| broken())?;
    let name = workbook.sheet_names().first().cloned().ok_or_else(broken)?;
    let mut cells = workbook
        .worksheet_cells_reader(&name)
        .map_err(|_| broken())?;
    let mut table = None;
    let mut row: (u32, Vec<(usize, Cell)>) = (0, Vec::new());
    loop {
        let next = cells.next_cell().map_err(|_| broken())?;
        let place = next.as_ref().map(calamine::Cell::get_position);
        if place.is_none_or(|(line, _)| line != row.0) {
            let (line, cells) = std::mem::take(&mut row);
            match &mut table {
                _ if cells.is_empty() => {}
                None => table = Some(Table::of(cells, schema, &mut *sink)?),
                Some(table) => table.take(cells, u64::from(line) + 1)?,
            }
        }
        let (Some(cell), Some((line, column))) = (next, place) else {
            break;
        };
        row.0 = line;
        if row.1.len() > MOST_COLUMNS {
            return Err(bad(
                format!("La línea {} tiene más celdas que la cabecera", line + 1),
                format!("Line {} has more cells than the header", line + 1),
            ));
        }
        if let Some(cell) = of_sheet(cell.get_value(), line + 1)? {
            row.1.push((column as usize, cell));
        }
    }
    match table {
        Some(_) => Ok(()),
        None => Err(bad("La tabla está vacía", "The table is empty")),
    }
}

/// Unpacks every file of the workbook into nothing: what a workbook says of its own sizes is not believed.
fn check_size(octets: &[u8]) -> Result<(), BatchError> {
    let broken = || {
        bad(
            "No es un libro XLSX legible",
            "Not a readable XLSX workbook",
        )
    };
    let large = || bad("El libro es demasiado grande", "The workbook is too large");
    let mut archive = zip::ZipArchive::new(Cursor::new(octets)).map_err(|_| broken())?;
    if archive.len() > MOST_FILES {
        return Err(large());
    }
    let mut left = LARGEST_UNPACKED;
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(|_| broken())?;
        let read = std::io::copy(&mut file.take(left + 1), &mut std::io::sink());
        left = left
            .checked_sub(read.map_err(|_| broken())?)
            .ok_or_else(large)?;
    }
    Ok(())
}

/// A cell of a workbook; nothing if it is empty.
fn of_sheet(value: &DataRef<'_>, line: u32) -> Result<Option<Cell>, BatchError> {
    let text = |text: &str| {
        let text = text.trim();
        (!text.is_empty()).then(|| Cell::Text(text.to_owned()))
    };
    let octets = match value {
        DataRef::SharedString(value) => value.len(),
        DataRef::String(value) => value.len(),
        _ => 0,
    };
    if octets > LONGEST_CELL {
        return Err(bad(
            format!("Una celda de la fila {line} es demasiado larga"),
            format!("A cell of line {line} is too long"),
        ));
    }
    Ok(match value {
        DataRef::Empty => None,
        #[expect(
            clippy::cast_precision_loss,
            reason = "a workbook's numbers are floats"
        )]
        DataRef::Int(number) => Some(Cell::Number(*number as f64)),
        DataRef::Float(number) => Some(Cell::Number(*number)),
        DataRef::Bool(value) => Some(Cell::Bool(*value)),
        DataRef::SharedString(value) => text(value),
        DataRef::String(value) | DataRef::DateTimeIso(value) | DataRef::DurationIso(value) => {
            text(value)
        }
        DataRef::DateTime(value) if value.is_duration() => Some(Cell::Number(value.as_f64())),
        DataRef::DateTime(value) => Some(Cell::Text(date(value))),
        DataRef::Error(_) => {
            return Err(bad(
                format!("La fila {line} de la hoja tiene una fórmula con error"),
                format!("Line {line} of the sheet holds a formula with an error"),
            ));
        }
    })
}

/// RFC 3339; without its time if that is midnight.
fn date(value: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, _) = value.to_ymd_hms_milli();
    if (hour, minute, second) == (0, 0, 0) {
        format!("{year:04}-{month:02}-{day:02}")
    } else {
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

impl<'a> Table<'a> {
    /// Reads the header.
    fn of(
        cells: Vec<(usize, Cell)>,
        schema: &Value,
        sink: &'a mut dyn Sink,
    ) -> Result<Self, BatchError> {
        let mut columns = Vec::new();
        let mut shape = Node::Object(BTreeMap::new());
        for (expected, (place, cell)) in cells.into_iter().enumerate() {
            if place != expected || place >= MOST_COLUMNS {
                return Err(bad(
                    format!(
                        "La columna {} no tiene nombre, o hay más de {MOST_COLUMNS}",
                        expected + 1
                    ),
                    format!(
                        "Column {} has no name, or there are more than {MOST_COLUMNS}",
                        expected + 1
                    ),
                ));
            }
            let name = plain(&cell);
            let way = way(&name)?;
            if !shape.put(&way, Value::Null) {
                return Err(bad(
                    format!("La columna «{name}» está repetida o contradice a otra"),
                    format!("Column \"{name}\" stands twice or contradicts another"),
                ));
            }
            let kinds = kinds(schema, &way);
            columns.push(Column { way, kinds });
        }
        Ok(Self {
            columns,
            sink,
            taken: 0,
        })
    }

    fn take(&mut self, cells: Vec<(usize, Cell)>, line: u64) -> Result<(), BatchError> {
        if self.taken == MOST_ROWS {
            return Err(BatchError::TooManyRows);
        }
        let mut data = Node::Object(BTreeMap::new());
        for (place, cell) in cells {
            let column = self.columns.get(place).ok_or_else(|| {
                bad(
                    format!("La línea {line} tiene más celdas que la cabecera"),
                    format!("Line {line} has more cells than the header"),
                )
            })?;
            data.put(&column.way, column.kinds.value(cell));
        }
        self.taken += 1;
        self.sink.take(data.value())
    }
}

/// The steps of a column's name.
fn way(name: &str) -> Result<Vec<Step>, BatchError> {
    let steps: Vec<Step> = name
        .split('.')
        .map(|step| match step.parse::<usize>() {
            Ok(place) => Step::Place(place),
            Err(_) => Step::Name(step.to_owned()),
        })
        .collect();
    let fine = |step: &Step| match step {
        Step::Name(name) => !name.is_empty(),
        Step::Place(place) => *place < LONGEST_LIST,
    };
    let begins = matches!(steps.first(), Some(Step::Name(_)));
    if begins && steps.len() <= DEEPEST && steps.iter().all(fine) {
        Ok(steps)
    } else {
        Err(bad(
            format!("«{name}» no es un nombre de columna como cliente.nombre o lineas.0.precio"),
            format!("\"{name}\" is no name of a column such as buyer.name or lines.0.price"),
        ))
    }
}

/// What the schema takes at the end of a way.
fn kinds(schema: &Value, way: &[Step]) -> Kinds {
    let mut place = Some(schema);
    for step in way {
        place = place.and_then(|here| {
            let here = resolved(schema, here)?;
            match step {
                Step::Name(name) => here.get("properties")?.get(name),
                Step::Place(place) => here
                    .get("prefixItems")
                    .and_then(|items| items.get(place))
                    .or(here.get("items")),
            }
        });
    }
    let Some(here) = place.and_then(|here| resolved(schema, here)) else {
        return Kinds::default();
    };
    let mut kinds = Kinds::default();
    let named = match &here["type"] {
        Value::Array(names) => names.iter().collect(),
        one => vec![one],
    };
    for name in named.into_iter().filter_map(Value::as_str) {
        kinds.text |= name == "string";
        kinds.number |= name == "number" || name == "integer";
        kinds.bool |= name == "boolean";
    }
    for option in here["enum"].as_array().into_iter().flatten() {
        kinds.text |= option.is_string();
        kinds.number |= option.is_number();
        kinds.bool |= option.is_boolean();
    }
    kinds
}

/// Follows the references inside a schema; nothing if they lead out of it or in a circle.
fn resolved<'a>(schema: &'a Value, mut here: &'a Value) -> Option<&'a Value> {
    for _ in 0..DEEPEST {
        let Some(reference) = here.get("$ref").and_then(Value::as_str) else {
            return Some(here);
        };
        here = schema.pointer(reference.strip_prefix('#')?)?;
    }
    None
}

impl Kinds {
    /// A cell as the schema wants it. What is not of its kind stays what it is, and the schema says so.
    fn value(self, cell: Cell) -> Value {
        match cell {
            Cell::Bool(value) if self.bool || !self.text => Value::Bool(value),
            Cell::Number(number) if self.number || !self.text => {
                number_of(number).map_or(Value::Null, Value::Number)
            }
            Cell::Text(text) => self.of_text(text),
            other => Value::String(plain(&other)),
        }
    }

    fn of_text(self, text: String) -> Value {
        let number = || serde_json::from_str::<Number>(&text).ok();
        let bool = || match text.to_lowercase().as_str() {
            "true" | "verdadero" => Some(true),
            "false" | "falso" => Some(false),
            _ => None,
        };
        if self.number
            && let Some(number) = number()
        {
            return Value::Number(number);
        }
        if self.bool
            && let Some(bool) = bool()
        {
            return Value::Bool(bool);
        }
        Value::String(text)
    }
}

/// A float as the integer that it is, if it is one.
fn number_of(number: f64) -> Option<Number> {
    let whole = number.fract() == 0.0 && number.abs() < 1e15;
    if whole {
        format!("{number:.0}").parse::<i64>().ok().map(Number::from)
    } else {
        Number::from_f64(number)
    }
}

/// A cell as a text.
fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text.clone(),
        Cell::Number(number) => number_of(*number).map_or_else(String::new, |n| n.to_string()),
        Cell::Bool(value) => value.to_string(),
    }
}

impl Node {
    /// Puts a value at the end of a way; false if something else stands there or on the way.
    fn put(&mut self, way: &[Step], value: Value) -> bool {
        let Some((step, rest)) = way.split_first() else {
            return false;
        };
        let fresh = || match rest.first() {
            None => Self::Leaf(Value::Null),
            Some(Step::Name(_)) => Self::Object(BTreeMap::new()),
            Some(Step::Place(_)) => Self::List(BTreeMap::new()),
        };
        let (next, is_new) = match (self, step) {
            (Self::Object(members), Step::Name(name)) => {
                let is_new = !members.contains_key(name);
                (members.entry(name.clone()).or_insert_with(fresh), is_new)
            }
            (Self::List(elements), Step::Place(place)) => {
                let is_new = !elements.contains_key(place);
                (elements.entry(*place).or_insert_with(fresh), is_new)
            }
            _ => return false,
        };
        if rest.is_empty() {
            *next = Self::Leaf(value);
            is_new
        } else {
            next.put(rest, value)
        }
    }

    /// The data: elements that no cell named are left out of their lists.
    fn value(self) -> Value {
        match self {
            Self::Leaf(value) => value,
            Self::Object(members) => Value::Object(
                members
                    .into_iter()
                    .map(|(name, node)| (name, node.value()))
                    .collect::<Map<_, _>>(),
            ),
            Self::List(elements) => Value::Array(elements.into_values().map(Self::value).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Template;
    use domain::Locale;
    use serde_json::json;

    #[derive(Default)]
    struct Rows(Vec<Value>);

    impl Sink for Rows {
        fn take(&mut self, data: Value) -> Result<(), BatchError> {
            self.0.push(data);
            Ok(())
        }
    }

    fn schema() -> &'static Value {
        Template::Invoice.schema()
    }

    fn of_csv(text: &str) -> Result<Vec<Value>, String> {
        let mut rows = Rows::default();
        match csv(text.as_bytes(), schema(), &mut rows) {
            Ok(()) => Ok(rows.0),
            Err(BatchError::BadTable(detail)) => Err(detail.get(Locale::En).to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn names_lead_into_the_data_and_the_schema_says_what_a_cell_is() {
        let rows = of_csv(
            "\u{feff}number,buyer.name,buyer.address.0,lines.0.description,lines.0.quantity,lines.0.unit_price,lines.1.description\n\
             2026001,\"Ana, S.L.\",Calle 1,Thing,2,1250,\n\
             ,,,,,,\n\
             7,B,C,D,1.5,many,E\n",
        );

        assert_eq!(
            rows.unwrap(),
            [
                json!({
                    "number": "2026001",
                    "buyer": { "name": "Ana, S.L.", "address": ["Calle 1"] },
                    "lines": [{ "description": "Thing", "quantity": 2, "unit_price": 1250 }],
                }),
                json!({
                    "number": "7",
                    "buyer": { "name": "B", "address": ["C"] },
                    "lines": [
                        { "description": "D", "quantity": 1.5, "unit_price": "many" },
                        { "description": "E" },
                    ],
                }),
            ]
        );
    }

    #[test]
    fn semicolons_and_tabs_separate_cells_too() {
        for delimiter in [",", ";", "\t"] {
            let text =
                ["number", "buyer.name"].join(delimiter) + "\r\n" + &["7", "B"].join(delimiter);
            assert_eq!(
                of_csv(&text).unwrap(),
                [json!({ "number": "7", "buyer": { "name": "B" } })],
                "{delimiter:?}"
            );
        }
    }

    #[test]
    fn what_is_wrong_with_a_table_is_said_with_its_place() {
        for (text, said) in [
            ("", "The table is empty"),
            (
                "number,number\n1,2",
                "Column \"number\" stands twice or contradicts another",
            ),
            (
                "buyer,buyer.name\n1,2",
                "Column \"buyer.name\" stands twice or contradicts another",
            ),
            (
                "buyer.name,buyer.0\n1,2",
                "Column \"buyer.0\" stands twice or contradicts another",
            ),
            (
                "number,,buyer.name\n1,2,3",
                "Column 2 has no name, or there are more than 500",
            ),
            ("number\n1,2", "Line 2 has more cells than the header"),
            (
                "lines.9999999.unit\n1",
                "\"lines.9999999.unit\" is no name of a column such as buyer.name or lines.0.price",
            ),
            (
                "a..b\n1",
                "\"a..b\" is no name of a column such as buyer.name or lines.0.price",
            ),
        ] {
            assert_eq!(of_csv(text).unwrap_err(), said, "{text}");
        }
        let mut rows = Rows::default();
        let latin = csv(b"number\nA\xF1o\n", schema(), &mut rows);
        assert!(matches!(latin, Err(BatchError::BadTable(_))));
    }

    fn workbook(fill: impl FnOnce(&mut rust_xlsxwriter::Worksheet)) -> Vec<u8> {
        let mut book = rust_xlsxwriter::Workbook::new();
        fill(book.add_worksheet());
        book.save_to_buffer().unwrap()
    }

    fn of_xlsx(octets: &[u8]) -> Result<Vec<Value>, String> {
        let mut rows = Rows::default();
        match xlsx(octets, schema(), &mut rows) {
            Ok(()) => Ok(rows.0),
            Err(BatchError::BadTable(detail)) => Err(detail.get(Locale::En).to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_sheet_gives_texts_numbers_and_dates() {
        let octets = workbook(|sheet| {
            let names = [
                "number",
                "issue_date",
                "lines.0.quantity",
                "lines.0.unit_price",
            ];
            for (column, name) in (0..).zip(names) {
                sheet.write(0, column, name).unwrap();
            }
            sheet.write(2, 0, 2_026_001).unwrap();
            let date = rust_xlsxwriter::ExcelDateTime::from_ymd(2026, 11, 24).unwrap();
            let format = rust_xlsxwriter::Format::new().set_num_format("yyyy-mm-dd");
            sheet.write_with_format(2, 1, date, &format).unwrap();
            sheet.write(2, 2, "1.5").unwrap();
            sheet.write(2, 3, 1250).unwrap();
        });

        assert_eq!(
            of_xlsx(&octets).unwrap(),
            [json!({
                "number": "2026001", "issue_date": "2026-11-24",
                "lines": [{ "quantity": 1.5, "unit_price": 1250 }],
            })]
        );
    }

    #[test]
    fn a_cell_at_the_far_end_of_a_sheet_costs_nothing() {
        let octets = workbook(|sheet| {
            sheet.write(0, 0, "number").unwrap();
            sheet.write(1_048_575, 16_383, 1).unwrap();
        });

        assert_eq!(
            of_xlsx(&octets).unwrap_err(),
            "Line 1048576 has more cells than the header"
        );
    }

    #[test]
    fn a_workbook_that_unpacks_to_too_much_is_refused_before_it_is_read() {
        use std::io::Write;
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated);
        archive
            .start_file("xl/worksheets/sheet1.xml", options)
            .unwrap();
        let zeros = vec![0; 1024 * 1024];
        for _ in 0..97 {
            archive.write_all(&zeros).unwrap();
        }
        let octets = archive.finish().unwrap().into_inner();

        assert!(octets.len() < 200 * 1024);
        assert_eq!(of_xlsx(&octets).unwrap_err(), "The workbook is too large");
        assert_eq!(
            of_xlsx(b"PK nonsense").unwrap_err(),
            "Not a readable XLSX workbook"
        );
    }
}
