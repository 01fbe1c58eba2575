//! What a Word file must not hold: programs, files in it, parts that are fetched when it is opened, and
//! fields that reach outside it. Each is refused by name when a template is taken on.

use roxmltree::{Document, Node, ParsingOptions};

use super::package::Part;
use super::{no_docx, refused};
use crate::job::TypesetError;
use crate::typeset::links;

/// The most nodes of a part.
const MOST_NODES: u32 = 500_000;

/// The namespaces of Word's own elements: transitional and strict (ISO/IEC 29500-4 and -1).
const WORD: [&str; 2] = [
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "http://purl.oclc.org/ooxml/wordprocessingml/main",
];

/// How the types of content of Word's parts begin.
const CONTENT: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.";

/// The part that a reader begins with.
const MAIN: &str = "document.main+xml";

/// The parts besides it whose placeholders are filled.
const FILLED: [&str; 4] = ["header+xml", "footer+xml", "footnotes+xml", "endnotes+xml"];

/// The fields that only say something of the document itself.
const FIELDS: [&str; 36] = [
    "=",
    "AUTHOR",
    "BIBLIOGRAPHY",
    "CITATION",
    "COMMENTS",
    "CREATEDATE",
    "DATE",
    "DOCPROPERTY",
    "FILENAME",
    "FORMCHECKBOX",
    "FORMDROPDOWN",
    "FORMTEXT",
    "HYPERLINK",
    "INDEX",
    "KEYWORDS",
    "LISTNUM",
    "MERGEFIELD",
    "NOTEREF",
    "NUMPAGES",
    "NUMWORDS",
    "PAGE",
    "PAGEREF",
    "PRINTDATE",
    "REF",
    "SAVEDATE",
    "SECTION",
    "SECTIONPAGES",
    "SEQ",
    "STYLEREF",
    "SUBJECT",
    "SYMBOL",
    "TC",
    "TIME",
    "TITLE",
    "TOC",
    "XE",
];

/// The relations that a file must not have, with what is said of them.
const RELATIONS: [(&str, &str, &str); 9] = [
    ("vbaProject", "macros", "macros"),
    ("wordVbaData", "macros", "macros"),
    ("oleObject", "un objeto incrustado", "an embedded object"),
    ("package", "un archivo incrustado", "an embedded file"),
    ("control", "un control ActiveX", "an ActiveX control"),
    ("aFChunk", "un documento importado", "an imported document"),
    ("subDocument", "un subdocumento", "a subdocument"),
    ("extensibility", "una cinta propia", "a ribbon of its own"),
    ("origin", "una firma digital", "a digital signature"),
];

/// The relations that may not lead outside, with what is said of them.
const REMOTE: [(&str, &str, &str); 4] = [
    (
        "attachedTemplate",
        "una plantilla adjunta",
        "an attached template",
    ),
    ("image", "una imagen remota", "a remote image"),
    ("oleObject", "un objeto vinculado", "a linked object"),
    ("frame", "un marco remoto", "a remote frame"),
];

/// Whether this is the namespace of Word's own elements.
pub fn is_word(namespace: &str) -> bool {
    WORD.contains(&namespace)
}

/// Nothing of it is refused; the places of the parts whose placeholders are filled, the main one first.
///
/// # Errors
/// [`TypesetError::Unfillable`] at the first that is.
pub fn check(parts: &[Part]) -> Result<Vec<usize>, TypesetError> {
    let types = types(parts)?;
    for (part, kind) in parts.iter().zip(&types) {
        names(part, kind)?;
        if has_end(part, "rels") {
            relations(&parsed(part.text()?)?)?;
        } else if is_xml(part, kind) {
            let document = parsed(part.text()?)?;
            fields(&document)?;
            settings(&document)?;
        }
    }
    let main = of_kind(MAIN, &types);
    if main.len() != 1 {
        return Err(refused(
            "No es un documento de Word (.docx)",
            "Is no Word document (.docx)",
        ));
    }
    let others = FILLED.into_iter().flat_map(|kind| of_kind(kind, &types));
    Ok(main.into_iter().chain(others).collect())
}

/// The places of the parts of one of Word's kinds.
fn of_kind(wanted: &str, types: &[String]) -> Vec<usize> {
    let is_wanted = |kind: &String| kind.strip_prefix(CONTENT) == Some(wanted);
    (0..types.len())
        .filter(|index| is_wanted(&types[*index]))
        .collect()
}

/// The type of content of each part; empty for one that has none.
fn types(parts: &[Part]) -> Result<Vec<String>, TypesetError> {
    let list = parts
        .iter()
        .find(|part| part.name == "[Content_Types].xml")
        .ok_or_else(no_docx)?;
    let document = parsed(list.text()?)?;
    let told = |element: &str, key: &str, value: &str| {
        document
            .descendants()
            .filter(|node| node.tag_name().name() == element)
            .find(|node| {
                node.attribute(key)
                    .is_some_and(|one| one.trim_start_matches('/').eq_ignore_ascii_case(value))
            })
            .and_then(|node| node.attribute("ContentType"))
            .map(str::to_owned)
    };
    let kind = |part: &Part| {
        let (_, end) = part.name.rsplit_once('.').unwrap_or_default();
        told("Override", "PartName", &part.name)
            .or_else(|| told("Default", "Extension", end))
            .unwrap_or_default()
    };
    Ok(parts.iter().map(kind).collect())
}

fn is_xml(part: &Part, kind: &str) -> bool {
    kind.ends_with("xml") || has_end(part, "xml")
}

/// Whether the name ends so; to OPC, letters of either case are the same.
fn has_end(part: &Part, end: &str) -> bool {
    let (_, own) = part.name.rsplit_once('.').unwrap_or_default();
    own.eq_ignore_ascii_case(end)
}

/// What a part is, by its name and its type.
fn names(part: &Part, kind: &str) -> Result<(), TypesetError> {
    let (name, kind) = (part.name.to_lowercase(), kind.to_lowercase());
    let either = |text: &str| name.contains(text) || kind.contains(text);
    if either("vbaproject") || either("vbadata") || either("macroenabled") {
        return Err(holds("macros", "macros"));
    }
    if either("activex") {
        return Err(holds("un control ActiveX", "an ActiveX control"));
    }
    if name.contains("/embeddings/") || kind.contains("oleobject") {
        return Err(holds("un archivo incrustado", "an embedded file"));
    }
    if kind.ends_with("template.main+xml") {
        return Err(refused(
            "Es una plantilla de Word (.dotx); guárdala como documento (.docx)",
            "Is a Word template (.dotx); save it as a document (.docx)",
        ));
    }
    Ok(())
}

/// Where the parts of a file lead.
fn relations(document: &Document<'_>) -> Result<(), TypesetError> {
    let all = document
        .descendants()
        .filter(|node| node.tag_name().name() == "Relationship");
    for one in all {
        let kind = one.attribute("Type").unwrap_or_default();
        let kind = kind.rsplit('/').next().unwrap_or_default();
        let target = one.attribute("Target").unwrap_or_default();
        let inside = matches!(one.attribute("TargetMode"), None | Some("Internal"));
        if !inside || target.contains("://") || target.starts_with("\\\\") {
            leads_out(kind, target)?;
        } else if let Some((_, es, en)) = RELATIONS.iter().find(|(name, ..)| *name == kind) {
            return Err(holds(es, en));
        }
    }
    Ok(())
}

/// Only a reader's click leads out, and only to a page, a letter or a call.
fn leads_out(kind: &str, target: &str) -> Result<(), TypesetError> {
    if kind != "hyperlink" {
        let known = REMOTE.iter().find(|(name, ..)| *name == kind);
        return Err(match known {
            Some((_, es, en)) => holds(es, en),
            None => holds("una relación externa", "an external relationship"),
        });
    }
    if !links::is_allowed(target) {
        return Err(bad_link());
    }
    if target.contains("{{") || target.to_ascii_lowercase().contains("%7b%7b") {
        return Err(refused(
            "Hay un marcador en la dirección de un enlace, donde no se rellena ninguno",
            "A placeholder stands in the address of a link, where none is filled",
        ));
    }
    Ok(())
}

fn bad_link() -> TypesetError {
    refused(
        "Un enlace no lleva a http, https, mailto o tel",
        "A link leads elsewhere than to http, https, mailto or tel",
    )
}

/// The addresses of a mail merge are fetched when the document is opened.
fn settings(document: &Document<'_>) -> Result<(), TypesetError> {
    let mut all = document.descendants();
    if all.any(|node| is_named(node, "mailMerge")) {
        return Err(holds("una combinación de correspondencia", "a mail merge"));
    }
    Ok(())
}

/// Every field is one of those that only say something of the document itself. Its code may be spread over
/// runs, and is complete where its result begins. A deleted one comes back when its reader undoes that.
///
/// # Errors
/// [`TypesetError::Unfillable`] at the first that is not.
pub fn fields(document: &Document<'_>) -> Result<(), TypesetError> {
    let mut open: Vec<Field> = Vec::new();
    for node in document.descendants() {
        if is_named(node, "fldSimple") {
            code(&attribute(node, "instr"))?;
        } else if is_named(node, "instrText") || is_named(node, "delInstrText") {
            if let Some(field) = open.last_mut() {
                field.code.push_str(node.text().unwrap_or_default());
            } else {
                code(node.text().unwrap_or_default())?;
            }
        } else if is_named(node, "fldChar") {
            step(&attribute(node, "fldCharType"), &mut open)?;
        }
    }
    open.iter().try_for_each(|field| code(&field.code))
}

/// A field that has begun.
#[derive(Default)]
struct Field {
    code: String,
    /// Its code is complete.
    shows: bool,
}

fn step(kind: &str, open: &mut Vec<Field>) -> Result<(), TypesetError> {
    match kind {
        "begin" if open.last().is_some_and(|field| !field.shows) => Err(holds(
            "un campo dentro del código de otro",
            "a field in the code of another",
        )),
        "begin" => {
            open.push(Field::default());
            Ok(())
        }
        "separate" => match open.last_mut() {
            Some(field) => {
                field.shows = true;
                code(&field.code)
            }
            None => Ok(()),
        },
        _ => open.pop().map_or(Ok(()), |field| code(&field.code)),
    }
}

/// The code of a field: its name, and where it leads.
fn code(text: &str) -> Result<(), TypesetError> {
    let text = text.trim();
    let name = text.split_whitespace().next().unwrap_or_default();
    let name = if text.starts_with('=') { "=" } else { name };
    let upper = name.to_uppercase();
    if !upper.is_empty() && !FIELDS.contains(&upper.as_str()) {
        let shown: String = upper.chars().take(24).collect();
        return Err(holds(
            &format!("el campo {shown}"),
            &format!("the field {shown}"),
        ));
    }
    if upper != "HYPERLINK" {
        return Ok(());
    }
    let target = text[name.len()..].trim_start();
    let target = target.strip_prefix('"').unwrap_or(target);
    // With `\l` before anything else it leads to a place of the document.
    if target.is_empty() || target.starts_with("\\l") || links::is_allowed(target) {
        Ok(())
    } else {
        Err(bad_link())
    }
}

fn is_named(node: Node<'_, '_>, name: &str) -> bool {
    node.tag_name().name() == name && node.tag_name().namespace().is_some_and(is_word)
}

fn attribute(node: Node<'_, '_>, name: &str) -> String {
    node.attributes()
        .find(|one| one.name() == name)
        .map_or_else(String::new, |one| one.value().to_owned())
}

/// A part as XML, without a DTD and therefore without entities.
///
/// # Errors
/// [`TypesetError::Unfillable`].
pub fn parsed(text: &str) -> Result<Document<'_>, TypesetError> {
    let options = ParsingOptions {
        nodes_limit: MOST_NODES,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(text, options).map_err(|error| match error {
        roxmltree::Error::DtdDetected => holds("una DTD", "a DTD"),
        roxmltree::Error::NodesLimitReached => refused(
            format!("Una parte tiene más de {MOST_NODES} elementos y textos"),
            format!("A part has more than {MOST_NODES} elements and texts"),
        ),
        _ => refused(
            "Una parte no es XML válido",
            "A part is not well-formed XML",
        ),
    })
}

fn holds(es: &str, en: &str) -> TypesetError {
    refused(
        format!("Contiene {es}, que no se admite"),
        format!("Holds {en}, which is not accepted"),
    )
}
