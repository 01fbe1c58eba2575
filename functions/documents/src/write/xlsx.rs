//! XLSX (ISO/IEC 29500): numbers are numbers with a format, dates are dates, and a text is never a formula.

use domain::Locale;
use rust_xlsxwriter::{
    Color, DocProperties, ExcelDateTime, Format, FormatAlign, FormatBorder, Workbook, Worksheet,
    XlsxError,
};

use super::WriteError;
use crate::flow::{Block, Cell, Flow, Table, words};

/// What a spreadsheet takes for the beginning of a formula when a text is typed or pasted.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A sheet's name has at most that many characters.
const LONGEST_NAME: usize = 31;

/// The file.
///
/// # Errors
/// If the library refuses what it is given.
pub fn write(flow: &Flow, accent: &str) -> Result<Vec<u8>, WriteError> {
    workbook(flow, accent).map_err(|error| WriteError(error.to_string()))
}

/// Where the next block goes, and how it looks.
struct Pen<'a> {
    sheet: &'a mut Worksheet,
    row: u32,
    language: Locale,
    accent: Color,
}

fn workbook(flow: &Flow, accent: &str) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    let properties = DocProperties::new()
        .set_title(&flow.title)
        .set_author(&flow.author)
        // The library takes the clock if nobody says otherwise.
        .set_creation_datetime(&ExcelDateTime::from_ymd(2000, 1, 1)?);
    book.set_properties(&properties);
    let sheet = book.add_worksheet();
    sheet.set_name(sheet_name(&flow.title))?;
    sheet.set_landscape().set_print_fit_to_pages(1, 0);
    let columns = flow.blocks.iter().map(|block| match block {
        Block::Table(table) => table.columns.len(),
        Block::Facts(_) => 2,
        _ => 1,
    });
    let columns = u16::try_from(columns.max().unwrap_or(1)).unwrap_or(1);
    sheet.set_column_width(0, 48)?;
    for column in 1..columns {
        sheet.set_column_width(column, 20)?;
    }
    let mut place = Pen {
        sheet,
        row: 0,
        language: flow.language,
        accent: Color::RGB(u32::from_str_radix(accent, 16).unwrap_or(0)),
    };
    for block in &flow.blocks {
        place.block(block)?;
    }
    book.save_to_buffer()
}

impl Pen<'_> {
    fn block(&mut self, block: &Block) -> Result<(), XlsxError> {
        match block {
            Block::Heading { level, text } => {
                self.row += u32::from(self.row > 0);
                let size = [20.0, 14.0, 12.0, 11.0][usize::from(*level - 1).min(3)];
                let format = Format::new()
                    .set_bold()
                    .set_font_size(size)
                    .set_font_color(self.accent);
                self.text(0, text, &format)?;
                self.row += 1;
            }
            Block::Paragraph(text) => self.line(text)?,
            Block::Lines(lines) => lines.iter().try_for_each(|line| self.line(line))?,
            Block::Facts(facts) => {
                for (label, cell) in facts {
                    self.text(
                        0,
                        label,
                        &Format::new().set_font_color(Color::RGB(0x005B_6670)),
                    )?;
                    self.cell(1, cell, &Format::new().set_align(FormatAlign::Left))?;
                    self.row += 1;
                }
            }
            Block::List { numbered, items } => {
                for (index, item) in items.iter().enumerate() {
                    if *numbered {
                        self.line(&format!("{}. {item}", index + 1))?;
                    } else {
                        self.line(&format!("• {item}"))?;
                    }
                }
            }
            Block::Table(table) => self.table(table)?,
        }
        Ok(())
    }

    fn line(&mut self, text: &str) -> Result<(), XlsxError> {
        let format = Format::new().set_text_wrap().set_align(FormatAlign::Top);
        self.text(0, text, &format)?;
        self.row += 1;
        Ok(())
    }

    fn table(&mut self, table: &Table) -> Result<(), XlsxError> {
        self.line(&table.caption)?;
        let first = self.row;
        for (column, title) in (0..).zip(&table.columns) {
            let format = side(title.right)
                .set_bold()
                .set_text_wrap()
                .set_font_color(self.accent)
                .set_background_color(Color::RGB(0x00EE_F2F5))
                .set_border_bottom(FormatBorder::Thin);
            self.text(column, &title.title, &format)?;
        }
        self.sheet.set_repeat_rows(first, first)?;
        self.row += 1;
        for row in &table.rows {
            for ((column, cell), head) in (0..).zip(row).zip(&table.columns) {
                let format = side(head.right).set_text_wrap().set_align(FormatAlign::Top);
                self.cell(column, cell, &format)?;
            }
            self.row += 1;
        }
        let last = u16::try_from(table.columns.len().saturating_sub(1)).unwrap_or(0);
        for (index, (label, sum)) in table.totals.iter().enumerate() {
            let mut format = side(true);
            if index + 1 == table.totals.len() {
                format = format.set_bold().set_border_top(FormatBorder::Thin);
            }
            self.text(last.saturating_sub(1), label, &format)?;
            self.cell(last, sum, &format)?;
            self.row += 1;
        }
        Ok(())
    }

    /// A text is written as a text, and one that would be a formula where it is typed keeps the mark that
    /// makes it a text there too, when the sheet is edited or saved in another format.
    fn text(&mut self, column: u16, text: &str, format: &Format) -> Result<(), XlsxError> {
        let format = if text.starts_with(FORMULA) {
            format.clone().set_quote_prefix()
        } else {
            format.clone()
        };
        self.sheet
            .write_string_with_format(self.row, column, text, &format)
            .map(|_| ())
    }

    fn cell(&mut self, column: u16, cell: &Cell, format: &Format) -> Result<(), XlsxError> {
        let format = format.clone();
        let (number, pattern) = match cell {
            Cell::Text(text) => return self.text(column, text, &format),
            Cell::Date(iso) => return self.date(column, iso, format),
            Cell::Amount {
                minor,
                places,
                currency,
            } => (
                scaled(*minor, *places),
                amount_pattern(*places, currency, self.language),
            ),
            Cell::Percent(bps) => (scaled(*bps, 4), percent_pattern(*bps)),
            Cell::Quantity { thousandths, unit } => (
                scaled(*thousandths, 3),
                quantity_pattern(*thousandths, unit),
            ),
        };
        self.sheet
            .write_number_with_format(self.row, column, number, &format.set_num_format(pattern))
            .map(|_| ())
    }

    fn date(&mut self, column: u16, iso: &str, format: Format) -> Result<(), XlsxError> {
        let pattern = match self.language {
            Locale::Es => "dd/mm/yyyy",
            Locale::En => "d mmm yyyy",
        };
        match ExcelDateTime::parse_from_str(iso) {
            Ok(day) => {
                let format = format.set_num_format(pattern);
                self.sheet
                    .write_datetime_with_format(self.row, column, &day, &format)?;
            }
            // Before 1900 a spreadsheet has no days.
            Err(_) => self.text(column, iso, &format)?,
        }
        Ok(())
    }
}

fn side(right: bool) -> Format {
    Format::new().set_align(if right {
        FormatAlign::Right
    } else {
        FormatAlign::Left
    })
}

/// An integer with implied decimals as the nearest number that a spreadsheet holds.
fn scaled(value: i64, places: u32) -> f64 {
    let digits = format!(
        "{:0>width$}",
        value.unsigned_abs(),
        width = places as usize + 1
    );
    let (whole, decimals) = digits.split_at(digits.len() - places as usize);
    let number: f64 = format!("{whole}.{decimals}0").parse().unwrap_or(f64::NAN);
    if value < 0 { -number } else { number }
}

fn amount_pattern(places: u32, currency: &str, language: Locale) -> String {
    let number = if places == 0 {
        "#,##0".to_owned()
    } else {
        format!("#,##0.{}", "0".repeat(places as usize))
    };
    match (language, words::symbol(currency)) {
        (Locale::Es, symbol) => format!("{number} {}", literal(symbol.unwrap_or(currency))),
        (Locale::En, Some(symbol)) => format!("{}{number}", literal(symbol)),
        (Locale::En, None) => format!("{} {number}", literal(currency)),
    }
}

fn percent_pattern(bps: i64) -> String {
    match (bps % 100, bps % 10) {
        (0, _) => "0%",
        (_, 0) => "0.0%",
        _ => "0.00%",
    }
    .to_owned()
}

fn quantity_pattern(thousandths: i64, unit: &str) -> String {
    let decimals = match thousandths % 1000 {
        0 => "",
        rest if rest % 100 == 0 => ".0",
        rest if rest % 10 == 0 => ".00",
        _ => ".000",
    };
    if unit.is_empty() {
        format!("#,##0{decimals}")
    } else {
        format!("#,##0{decimals} {}", literal(unit))
    }
}

/// A text of the client inside a number's pattern, where a quotation mark would end it.
fn literal(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\\\"\""))
}

/// The title without what a sheet's name cannot hold.
fn sheet_name(title: &str) -> String {
    let name: String = title
        .chars()
        .map(|c| {
            if "[]:*?/\\".contains(c) || c.is_control() {
                '-'
            } else {
                c
            }
        })
        .take(LONGEST_NAME)
        .collect();
    let name = name.trim_matches(|c| c == '\'' || c == ' ').to_owned();
    if name.is_empty() || name.eq_ignore_ascii_case("history") {
        "Document".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_the_nearest_number_there_is() {
        #[expect(clippy::float_cmp, reason = "the nearest number is one number")]
        {
            assert_eq!(scaled(106_250, 2), 1062.5);
            assert_eq!(scaled(-1, 2), -0.01);
            assert_eq!(scaled(7, 0), 7.0);
            assert_eq!(scaled(2100, 4), 0.21);
        }
    }

    #[test]
    fn a_unit_cannot_leave_its_place_in_a_pattern() {
        assert_eq!(quantity_pattern(1_500, "h"), "#,##0.0 \"h\"");
        assert_eq!(quantity_pattern(2_000, ""), "#,##0");
        assert_eq!(literal("a\"b"), "\"a\"\\\"\"b\"");
    }

    #[test]
    fn a_sheet_has_a_name_that_a_sheet_may_have() {
        assert_eq!(sheet_name("Factura A/1: [x]"), "Factura A-1- -x-");
        assert_eq!(sheet_name("'''"), "Document");
        assert_eq!(sheet_name(&"x".repeat(99)).len(), 31);
    }
}
