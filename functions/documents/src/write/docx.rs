//! DOCX (ISO/IEC 29500, transitional): headings, lists and tables by style, a language, table heads that
//! repeat on every page and are marked as such. Written part by part, because the libraries at hand know
//! neither a language nor the head of a table.

mod logo;

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::markup::escaped;
use super::{WriteError, accent, is_sans};
use crate::brand::{Logo, Look};
use crate::flow::{Block, Cell, Flow, Table};
use domain::Locale;

/// The width of the text on an A4 page with margins of 2.2 cm, in twentieths of a point.
const TEXT_WIDTH: usize = 9411;

const W: &str = "http://schemas.openxmlformats.org/wordprocessingml/2006/main";
const R: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";

/// The file.
///
/// # Errors
/// If the archive cannot be written.
pub fn write(flow: &Flow, look: Option<&Look>) -> Result<Vec<u8>, WriteError> {
    let logo = look.and_then(Look::emblem);
    let parts = [
        ("[Content_Types].xml", content_types(logo)),
        ("_rels/.rels", package_relations()),
        ("docProps/core.xml", core(flow)),
        ("docProps/app.xml", app()),
        ("word/document.xml", document(flow, logo)),
        ("word/styles.xml", styles(flow, look)),
        ("word/numbering.xml", numbering(flow)),
        ("word/settings.xml", settings(flow)),
        ("word/footer1.xml", footer(flow)),
        ("word/_rels/document.xml.rels", document_relations(logo)),
    ];
    archive(&parts, logo).map_err(|error| WriteError(error.to_string()))
}

/// The parts under a date that is always the same.
fn archive(
    parts: &[(&str, String)],
    logo: Option<(&Logo, &[u8])>,
) -> zip::result::ZipResult<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default());
    for (name, text) in parts {
        zip.start_file(*name, options)?;
        zip.write_all(text.as_bytes())?;
    }
    if let Some((logo, octets)) = logo {
        zip.start_file(format!("word/{}", logo::target(logo)), options)?;
        zip.write_all(octets)?;
    }
    Ok(zip.finish()?.into_inner())
}

fn tag(flow: &Flow) -> &'static str {
    match flow.language {
        Locale::Es => "es-ES",
        Locale::En => "en-GB",
    }
}

fn content_types(logo: Option<(&Logo, &[u8])>) -> String {
    let picture = logo.map_or_else(String::new, |(logo, _)| logo::content_type(logo));
    let word = "application/vnd.openxmlformats-officedocument.wordprocessingml";
    let overrides: String = [
        ("/word/document.xml", format!("{word}.document.main+xml")),
        ("/word/styles.xml", format!("{word}.styles+xml")),
        ("/word/numbering.xml", format!("{word}.numbering+xml")),
        ("/word/settings.xml", format!("{word}.settings+xml")),
        ("/word/footer1.xml", format!("{word}.footer+xml")),
        (
            "/docProps/core.xml",
            "application/vnd.openxmlformats-package.core-properties+xml".to_owned(),
        ),
        (
            "/docProps/app.xml",
            "application/vnd.openxmlformats-officedocument.extended-properties+xml".to_owned(),
        ),
    ]
    .iter()
    .map(|(part, kind)| format!("<Override PartName=\"{part}\" ContentType=\"{kind}\"/>"))
    .collect();
    format!(
        "{HEAD}<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\">\
         <Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>\
         <Default Extension=\"xml\" ContentType=\"application/xml\"/>{picture}{overrides}</Types>"
    )
}

fn relations(all: &[(&str, &str)]) -> String {
    let rows: String = all
        .iter()
        .enumerate()
        .map(|(index, (kind, target))| {
            let id = index + 1;
            format!("<Relationship Id=\"rId{id}\" Type=\"{kind}\" Target=\"{target}\"/>")
        })
        .collect();
    format!(
        "{HEAD}<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">{rows}</Relationships>"
    )
}

fn package_relations() -> String {
    relations(&[
        (&format!("{R}/officeDocument"), "word/document.xml"),
        (
            "http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties",
            "docProps/core.xml",
        ),
        (&format!("{R}/extended-properties"), "docProps/app.xml"),
    ])
}

/// The number of the logo among the relations of the document.
const LOGO: usize = 5;

/// The footer is the fourth and the logo the fifth: the document names them by their numbers.
fn document_relations(logo: Option<(&Logo, &[u8])>) -> String {
    let kind = |name| format!("{R}/{name}");
    let mut all = vec![
        (kind("styles"), "styles.xml".to_owned()),
        (kind("numbering"), "numbering.xml".to_owned()),
        (kind("settings"), "settings.xml".to_owned()),
        (kind("footer"), "footer1.xml".to_owned()),
    ];
    all.extend(logo.map(|(logo, _)| (kind("image"), logo::target(logo))));
    let all: Vec<(&str, &str)> = all
        .iter()
        .map(|(kind, target)| (kind.as_str(), target.as_str()))
        .collect();
    relations(&all)
}

/// The metadata says no date: the file has none that would not be a clock's.
fn core(flow: &Flow) -> String {
    format!(
        "{HEAD}<cp:coreProperties xmlns:cp=\"http://schemas.openxmlformats.org/package/2006/metadata/core-properties\" \
         xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><dc:title>{}</dc:title><dc:creator>{}</dc:creator>\
         <dc:language>{}</dc:language></cp:coreProperties>",
        escaped(&flow.title),
        escaped(&flow.author),
        tag(flow)
    )
}

fn app() -> String {
    format!(
        "{HEAD}<Properties xmlns=\"http://schemas.openxmlformats.org/officeDocument/2006/extended-properties\">\
         <Application>Fleet</Application></Properties>"
    )
}

fn settings(flow: &Flow) -> String {
    format!(
        "{HEAD}<w:settings xmlns:w=\"{W}\"><w:defaultTabStop w:val=\"708\"/><w:compat>\
         <w:compatSetting w:name=\"compatibilityMode\" w:uri=\"http://schemas.microsoft.com/office/word\" w:val=\"15\"/>\
         </w:compat><w:themeFontLang w:val=\"{}\"/></w:settings>",
        tag(flow)
    )
}

fn styles(flow: &Flow, look: Option<&Look>) -> String {
    let accent = accent(look);
    let face = if is_sans(look) { "Arial" } else { "Georgia" };
    let mut styles = format!(
        "{HEAD}<w:styles xmlns:w=\"{W}\"><w:docDefaults><w:rPrDefault><w:rPr>\
         <w:rFonts w:ascii=\"{face}\" w:hAnsi=\"{face}\" w:cs=\"Times New Roman\"/><w:sz w:val=\"21\"/>\
         <w:lang w:val=\"{tag}\" w:eastAsia=\"{tag}\" w:bidi=\"he-IL\"/></w:rPr></w:rPrDefault>\
         <w:pPrDefault><w:pPr><w:spacing w:after=\"120\" w:line=\"276\" w:lineRule=\"auto\"/></w:pPr></w:pPrDefault></w:docDefaults>\
         <w:style w:type=\"paragraph\" w:default=\"1\" w:styleId=\"Normal\"><w:name w:val=\"Normal\"/><w:qFormat/></w:style>\
         <w:style w:type=\"table\" w:default=\"1\" w:styleId=\"TableNormal\"><w:name w:val=\"Normal Table\"/>\
         <w:tblPr><w:tblInd w:w=\"0\" w:type=\"dxa\"/></w:tblPr></w:style>",
        tag = tag(flow)
    );
    for (level, size) in [(1, 44), (2, 28), (3, 24), (4, 22)] {
        styles.push_str(&format!(
            "<w:style w:type=\"paragraph\" w:styleId=\"Heading{level}\"><w:name w:val=\"heading {level}\"/>\
             <w:basedOn w:val=\"Normal\"/><w:next w:val=\"Normal\"/><w:qFormat/><w:pPr><w:keepNext/>\
             <w:spacing w:before=\"240\" w:after=\"120\"/><w:outlineLvl w:val=\"{outline}\"/></w:pPr>\
             <w:rPr><w:b/><w:color w:val=\"{accent}\"/><w:sz w:val=\"{size}\"/></w:rPr></w:style>",
            outline = level - 1
        ));
    }
    styles.push_str(&format!(
        "<w:style w:type=\"paragraph\" w:styleId=\"ListParagraph\"><w:name w:val=\"List Paragraph\"/><w:basedOn w:val=\"Normal\"/></w:style>\
         <w:style w:type=\"paragraph\" w:styleId=\"Caption\"><w:name w:val=\"caption\"/><w:basedOn w:val=\"Normal\"/>\
         <w:pPr><w:keepNext/></w:pPr><w:rPr><w:color w:val=\"5B6670\"/><w:sz w:val=\"19\"/></w:rPr></w:style>\
         <w:style w:type=\"paragraph\" w:styleId=\"Footer\"><w:name w:val=\"footer\"/><w:basedOn w:val=\"Normal\"/>\
         <w:pPr><w:jc w:val=\"right\"/></w:pPr><w:rPr><w:color w:val=\"5B6670\"/><w:sz w:val=\"17\"/></w:rPr></w:style>\
         <w:style w:type=\"table\" w:styleId=\"Grid\"><w:name w:val=\"Table Grid\"/><w:basedOn w:val=\"TableNormal\"/><w:tblPr>\
         <w:tblBorders><w:top w:val=\"single\" w:sz=\"4\" w:color=\"C3CAD1\"/><w:bottom w:val=\"single\" w:sz=\"4\" w:color=\"C3CAD1\"/>\
         <w:insideH w:val=\"single\" w:sz=\"4\" w:color=\"C3CAD1\"/></w:tblBorders>\
         <w:tblCellMar><w:left w:w=\"100\" w:type=\"dxa\"/><w:right w:w=\"100\" w:type=\"dxa\"/></w:tblCellMar></w:tblPr>\
         <w:tblStylePr w:type=\"firstRow\"><w:rPr><w:b/><w:color w:val=\"{accent}\"/></w:rPr>\
         <w:tcPr><w:shd w:val=\"clear\" w:color=\"auto\" w:fill=\"EEF2F5\"/></w:tcPr></w:tblStylePr></w:style></w:styles>"
    ));
    styles
}

/// One numbering for all bullets, and one for each numbered list, so that each begins at 1.
fn numbering(flow: &Flow) -> String {
    let level = |format: &str, text: &str| {
        format!(
            "<w:lvl w:ilvl=\"0\"><w:start w:val=\"1\"/><w:numFmt w:val=\"{format}\"/><w:lvlText w:val=\"{text}\"/>\
             <w:lvlJc w:val=\"left\"/><w:pPr><w:ind w:left=\"567\" w:hanging=\"283\"/></w:pPr></w:lvl>"
        )
    };
    let numbered = flow
        .blocks
        .iter()
        .filter(|block| matches!(block, Block::List { numbered: true, .. }))
        .count();
    let nums: String = (0..numbered)
        .map(|index| {
            format!(
                "<w:num w:numId=\"{}\"><w:abstractNumId w:val=\"1\"/><w:lvlOverride w:ilvl=\"0\">\
                 <w:startOverride w:val=\"1\"/></w:lvlOverride></w:num>",
                index + 2
            )
        })
        .collect();
    format!(
        "{HEAD}<w:numbering xmlns:w=\"{W}\"><w:abstractNum w:abstractNumId=\"0\">{}</w:abstractNum>\
         <w:abstractNum w:abstractNumId=\"1\">{}</w:abstractNum>\
         <w:num w:numId=\"1\"><w:abstractNumId w:val=\"0\"/></w:num>{nums}</w:numbering>",
        level("bullet", "•"),
        level("decimal", "%1.")
    )
}

fn footer(flow: &Flow) -> String {
    let (page, of) = match flow.language {
        Locale::Es => ("Página ", " de "),
        Locale::En => ("Page ", " of "),
    };
    let field = |name: &str| {
        format!("<w:fldSimple w:instr=\"{name}\"><w:r><w:t>1</w:t></w:r></w:fldSimple>")
    };
    format!(
        "{HEAD}<w:ftr xmlns:w=\"{W}\"><w:p><w:pPr><w:pStyle w:val=\"Footer\"/></w:pPr>{}{}{}{}</w:p></w:ftr>",
        run(page),
        field("PAGE"),
        run(of),
        field("NUMPAGES")
    )
}

fn document(flow: &Flow, logo: Option<(&Logo, &[u8])>) -> String {
    let mut numbered = 1;
    let mut body = logo.map_or_else(String::new, |(logo, _)| logo::paragraph(logo, LOGO));
    for block in &flow.blocks {
        match block {
            Block::Heading { level, text } => {
                body.push_str(&paragraph(
                    &format!("<w:pStyle w:val=\"Heading{level}\"/>"),
                    text,
                ));
            }
            Block::Paragraph(text) => body.push_str(&paragraph("", text)),
            Block::Lines(lines) => body.push_str(&paragraph("", &lines.join("\n"))),
            Block::Facts(facts) => body.push_str(&facts_of(facts, flow)),
            Block::List {
                numbered: counted,
                items,
            } => {
                if *counted {
                    numbered += 1;
                }
                let id = if *counted { numbered } else { 1 };
                let style = format!(
                    "<w:pStyle w:val=\"ListParagraph\"/><w:numPr><w:ilvl w:val=\"0\"/><w:numId w:val=\"{id}\"/></w:numPr>"
                );
                body.extend(items.iter().map(|item| paragraph(&style, item)));
            }
            Block::Table(table) => body.push_str(&self::table(table, flow)),
        }
    }
    format!(
        "{HEAD}<w:document xmlns:w=\"{W}\" xmlns:r=\"{R}\"><w:body>{body}<w:sectPr>\
         <w:footerReference w:type=\"default\" r:id=\"rId4\"/><w:pgSz w:w=\"11906\" w:h=\"16838\"/>\
         <w:pgMar w:top=\"1247\" w:right=\"1247\" w:bottom=\"1361\" w:left=\"1247\" w:header=\"708\" w:footer=\"708\" w:gutter=\"0\"/>\
         </w:sectPr></w:body></w:document>"
    )
}

/// A run whose line breaks and tabs are what they were.
fn run(text: &str) -> String {
    styled_run("", text)
}

fn styled_run(style: &str, text: &str) -> String {
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| {
            let pieces: Vec<String> = line
                .trim_end_matches('\r')
                .split('\t')
                .map(|piece| format!("<w:t xml:space=\"preserve\">{}</w:t>", escaped(piece)))
                .collect();
            pieces.join("<w:tab/>")
        })
        .collect();
    let style = if style.is_empty() {
        String::new()
    } else {
        format!("<w:rPr>{style}</w:rPr>")
    };
    format!("<w:r>{style}{}</w:r>", lines.join("<w:br/>"))
}

fn paragraph(properties: &str, text: &str) -> String {
    format!("<w:p><w:pPr>{properties}</w:pPr>{}</w:p>", run(text))
}

/// Labels with their values, one a line: no table, because it has no columns with headings.
fn facts_of(facts: &[(String, Cell)], flow: &Flow) -> String {
    facts
        .iter()
        .map(|(label, cell)| {
            format!(
                "<w:p><w:pPr><w:spacing w:after=\"40\"/></w:pPr>{}{}</w:p>",
                styled_run("<w:b/>", &format!("{label}: ")),
                run(&cell.shown(flow.language))
            )
        })
        .collect()
}

fn table(table: &Table, flow: &Flow) -> String {
    let widths = widths(table);
    let grid: String = widths
        .iter()
        .map(|width| format!("<w:gridCol w:w=\"{width}\"/>"))
        .collect();
    let cell = |width: usize, span: usize, right: bool, style: &str, text: &str| {
        let span = if span > 1 {
            format!("<w:gridSpan w:val=\"{span}\"/>")
        } else {
            String::new()
        };
        let side = if right { "right" } else { "left" };
        format!(
            "<w:tc><w:tcPr><w:tcW w:w=\"{width}\" w:type=\"dxa\"/>{span}</w:tcPr><w:p><w:pPr>\
             <w:spacing w:before=\"40\" w:after=\"40\"/><w:jc w:val=\"{side}\"/></w:pPr>{}</w:p></w:tc>",
            styled_run(style, text)
        )
    };
    let head: String = table
        .columns
        .iter()
        .zip(&widths)
        .map(|(column, width)| cell(*width, 1, column.right, "", &column.title))
        .collect();
    let mut rows = format!("<w:tr><w:trPr><w:cantSplit/><w:tblHeader/></w:trPr>{head}</w:tr>");
    for row in &table.rows {
        let cells: String = row
            .iter()
            .zip(&table.columns)
            .zip(&widths)
            .map(|((one, column), width)| {
                cell(*width, 1, column.right, "", &one.shown(flow.language))
            })
            .collect();
        rows.push_str(&format!(
            "<w:tr><w:trPr><w:cantSplit/></w:trPr>{cells}</w:tr>"
        ));
    }
    let last = table.totals.len().saturating_sub(1);
    let label_width: usize = widths.iter().rev().skip(1).sum();
    for (index, (label, sum)) in table.totals.iter().enumerate() {
        let style = if index == last { "<w:b/>" } else { "" };
        let width = widths.last().copied().unwrap_or(TEXT_WIDTH);
        rows.push_str(&format!(
            "<w:tr><w:trPr><w:cantSplit/></w:trPr>{}{}</w:tr>",
            cell(
                label_width,
                widths.len().saturating_sub(1),
                true,
                style,
                label
            ),
            cell(width, 1, true, style, &sum.shown(flow.language))
        ));
    }
    let caption = escaped(&table.caption);
    // A table is followed by a paragraph, or a reader joins it with the next one.
    format!(
        "{}<w:tbl><w:tblPr><w:tblStyle w:val=\"Grid\"/><w:tblW w:w=\"{TEXT_WIDTH}\" w:type=\"dxa\"/>\
         <w:tblLayout w:type=\"fixed\"/>\
         <w:tblLook w:val=\"0020\" w:firstRow=\"1\" w:lastRow=\"0\" w:firstColumn=\"0\" w:lastColumn=\"0\" w:noHBand=\"1\" w:noVBand=\"1\"/>\
         <w:tblCaption w:val=\"{caption}\"/></w:tblPr><w:tblGrid>{grid}</w:tblGrid>{rows}</w:tbl><w:p/>",
        paragraph("<w:pStyle w:val=\"Caption\"/>", &table.caption)
    )
}

/// Columns of numbers are narrow; the others share what is left.
fn widths(table: &Table) -> Vec<usize> {
    let columns = table.columns.len().max(1);
    let right = table.columns.iter().filter(|column| column.right).count();
    let left = columns - right;
    let narrow = if left == 0 {
        TEXT_WIDTH / columns
    } else {
        (TEXT_WIDTH / (columns + 1)).min(1700)
    };
    let wide = (TEXT_WIDTH - narrow * right) / left.max(1);
    table
        .columns
        .iter()
        .map(|column| if column.right { narrow } else { wide })
        .collect()
}
