//! HTML: one file that loads nothing and runs nothing, readable by a screen reader and on paper.

use data_encoding::BASE64;

use super::markup::escaped;
use super::{accent, is_sans};
use crate::brand::{Logo, Look};
use crate::flow::{Block, Cell, Flow, Table};

const STYLE: &str = "\
body{font:16px/1.5 Georgia,'Times New Roman',serif;color:#1a1f24;margin:0}\
main{max-width:48rem;margin:0 auto;padding:2rem 1.25rem}\
h1,h2,h3,h4{color:var(--accent);line-height:1.25}\
h1{font-size:1.9rem;border-bottom:2px solid var(--accent);padding-bottom:.4rem}\
p,li,td,dd{white-space:pre-line;overflow-wrap:anywhere}\
dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1.25rem}\
dt{color:#5b6670}dd{margin:0}\
address{font-style:normal}\
table{border-collapse:collapse;width:100%;margin:1rem 0}\
caption{text-align:left;color:#5b6670;padding-bottom:.4rem}\
th,td{padding:.4rem .5rem;text-align:left;vertical-align:top;border-bottom:1px solid #c3cad1}\
thead th{background:#eef2f5;color:var(--accent)}\
.n{text-align:right;font-variant-numeric:tabular-nums}\
tfoot th{text-align:right;font-weight:normal}\
tfoot tr:last-child>*{font-weight:bold;border-bottom:2px solid var(--accent)}\
@media print{main{padding:0}thead{display:table-header-group}tfoot{display:table-row-group}tr{break-inside:avoid}}";

/// Letters without serifs, laid over the style.
const SANS: &str = "body{font-family:'Noto Sans',Arial,Helvetica,sans-serif}";

/// The room that a logo has, in pixels of a screen.
const LOGO_ROOM: (u64, u64) = (240, 64);

/// The file.
pub fn write(flow: &Flow, look: Option<&Look>) -> String {
    let (title, author) = (escaped(&flow.title), escaped(&flow.author));
    let language = flow.language.tag();
    let body: String = flow
        .blocks
        .iter()
        .map(|block| self::block(block, flow))
        .collect();
    let logo = look.and_then(Look::emblem);
    let header = logo.map_or_else(String::new, |(logo, octets)| header(logo, octets));
    let images = if logo.is_some() {
        "; img-src data:"
    } else {
        ""
    };
    let style = if is_sans(look) { SANS } else { "" };
    let accent = accent(look);
    // A page that is opened from somewhere else may load nothing and run nothing, whatever it holds.
    format!(
        "<!DOCTYPE html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'{images}\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"author\" content=\"{author}\"/>\n<title>{title}</title>\n\
         <style>:root{{--accent:#{accent}}}{STYLE}{style}</style>\n</head>\n<body>\n<main>\n{header}{body}</main>\n</body>\n</html>\n"
    )
}

/// The logo, in the page itself: it loads nothing.
fn header(logo: &Logo, octets: &[u8]) -> String {
    let (width, height) = logo.picture.within(LOGO_ROOM.0, LOGO_ROOM.1);
    format!(
        "<img src=\"data:{};base64,{}\" alt=\"{}\" width=\"{width}\" height=\"{height}\"/>\n",
        logo.picture.kind.content_type(),
        BASE64.encode(octets),
        escaped(&logo.alt)
    )
}

fn block(block: &Block, flow: &Flow) -> String {
    match block {
        Block::Heading { level, text } => format!("<h{level}>{}</h{level}>\n", escaped(text)),
        Block::Paragraph(text) => format!("<p>{}</p>\n", escaped(text)),
        Block::Lines(lines) => {
            let lines: Vec<String> = lines.iter().map(|line| escaped(line)).collect();
            format!("<p>{}</p>\n", lines.join("<br/>"))
        }
        Block::Facts(facts) => {
            let rows: String = facts
                .iter()
                .map(|(label, cell)| {
                    let value = cell.shown(flow.language);
                    format!("<dt>{}</dt><dd>{}</dd>\n", escaped(label), escaped(&value))
                })
                .collect();
            format!("<dl>\n{rows}</dl>\n")
        }
        Block::List { numbered, items } => {
            let name = if *numbered { "ol" } else { "ul" };
            let items: String = items
                .iter()
                .map(|item| format!("<li>{}</li>\n", escaped(item)))
                .collect();
            format!("<{name}>\n{items}</{name}>\n")
        }
        Block::Table(table) => self::table(table, flow),
    }
}

fn table(table: &Table, flow: &Flow) -> String {
    let class = |right: bool| if right { " class=\"n\"" } else { "" };
    let head: String = table
        .columns
        .iter()
        .map(|column| {
            let title = escaped(&column.title);
            format!("<th scope=\"col\"{}>{title}</th>", class(column.right))
        })
        .collect();
    let cell = |cell: &Cell, right: bool| {
        format!(
            "<td{}>{}</td>",
            class(right),
            escaped(&cell.shown(flow.language))
        )
    };
    let rows: String = table
        .rows
        .iter()
        .map(|row| {
            let cells: String = row
                .iter()
                .zip(&table.columns)
                .map(|(one, column)| cell(one, column.right))
                .collect();
            format!("<tr>{cells}</tr>\n")
        })
        .collect();
    let span = table.columns.len().saturating_sub(1).max(1);
    let totals: String = table
        .totals
        .iter()
        .map(|(label, sum)| {
            format!(
                "<tr><th scope=\"row\" colspan=\"{span}\">{}</th>{}</tr>\n",
                escaped(label),
                cell(sum, true)
            )
        })
        .collect();
    let foot = if totals.is_empty() {
        totals
    } else {
        format!("<tfoot>\n{totals}</tfoot>\n")
    };
    format!(
        "<table>\n<caption>{}</caption>\n<thead>\n<tr>{head}</tr>\n</thead>\n<tbody>\n{rows}</tbody>\n{foot}</table>\n",
        escaped(&table.caption)
    )
}
