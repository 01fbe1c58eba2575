//! A part as a tree that can be changed and written again. Start tags are kept letter by letter, so that
//! what is not touched is written as it was read.

use std::rc::Rc;

use roxmltree::NodeType;

use super::{guard, refused};
use crate::job::TypesetError;
use crate::write::markup::escaped;

/// The element that holds the text of a run.
pub const TEXT: &str = "w:t";

/// The start tag of a text whose spaces count.
const SPACED: &str = "<w:t xml:space=\"preserve\"";

/// One place of a part.
#[derive(Clone, Debug)]
pub enum Node {
    /// An element.
    Element(Element),
    /// A text of the file.
    Text(Rc<str>),
    /// A text of the data, whose line breaks and tabs are shown as such.
    Value(Rc<str>),
    /// A placeholder, by its number.
    Mark(usize),
}

/// An element with what it holds.
#[derive(Clone, Debug)]
pub struct Element {
    /// Its name with the prefix, as it stands in the file.
    pub name: Rc<str>,
    /// Its start tag without the end of it: `<w:p w:rsidR="1"`.
    pub open: Rc<str>,
    /// What it holds.
    pub children: Vec<Node>,
}

impl Element {
    /// An element of Word without attributes.
    pub fn new(name: &str, children: Vec<Node>) -> Self {
        Self {
            name: name.into(),
            open: format!("<{name}").into(),
            children,
        }
    }

    /// A text whose spaces count.
    pub fn text(children: Vec<Node>) -> Self {
        Self {
            name: TEXT.into(),
            open: SPACED.into(),
            children,
        }
    }

    /// Whether it has this name.
    pub fn is(&self, name: &str) -> bool {
        &*self.name == name
    }

    /// The elements in it.
    pub fn elements_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        self.children.iter_mut().filter_map(|child| match child {
            Node::Element(element) => Some(element),
            Node::Text(_) | Node::Value(_) | Node::Mark(_) => None,
        })
    }
}

/// The tree of a part. Comments and processing instructions are left out.
///
/// # Errors
/// [`TypesetError::Unfillable`] if it is not well formed, has a DTD, or holds a placeholder where none is
/// filled.
pub fn read(text: &str) -> Result<Element, TypesetError> {
    if text.contains("<![CDATA[") {
        return Err(refused(
            "Tiene una sección CDATA, que Word no escribe",
            "Has a CDATA section, which Word does not write",
        ));
    }
    let document = guard::parsed(text)?;
    element(document.root_element(), text)
}

fn element(node: roxmltree::Node<'_, '_>, text: &str) -> Result<Element, TypesetError> {
    let whole = &text[node.range()];
    let open = match node.first_child() {
        Some(first) => &text[node.range().start..first.range().start],
        // Either `<a/>` or `<a></a>`: no `<` stands inside a tag.
        None => whole.rfind("</").map_or(whole, |end| &whole[..end]),
    };
    let open = open.trim_end_matches('>').trim_end_matches('/').trim_end();
    let name = open[1..]
        .split(|c: char| c.is_ascii_whitespace())
        .next()
        .unwrap_or_default();
    checked(node, name)?;
    let mut children = Vec::new();
    for child in node.children() {
        match child.node_type() {
            NodeType::Element => children.push(Node::Element(element(child, text)?)),
            NodeType::Text => {
                let text = child.text().unwrap_or_default();
                if name != TEXT && is_placeholder(text) {
                    return Err(unfilled(name));
                }
                children.push(Node::Text(text.into()));
            }
            NodeType::Root | NodeType::Comment | NodeType::PI => {}
        }
    }
    Ok(Element {
        name: name.into(),
        open: open.into(),
        children,
    })
}

/// The prefix `w` is the one of Word's own elements, as in every file that Word writes, and no attribute
/// holds a placeholder.
fn checked(node: roxmltree::Node<'_, '_>, name: &str) -> Result<(), TypesetError> {
    let of_word = node.tag_name().namespace().is_some_and(guard::is_word);
    if of_word != name.starts_with("w:") {
        return Err(refused(
            "Los elementos de Word no llevan el prefijo «w»",
            "Word's elements do not have the prefix \"w\"",
        ));
    }
    if node.attributes().any(|one| is_placeholder(one.value())) {
        return Err(unfilled(name));
    }
    Ok(())
}

fn is_placeholder(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

fn unfilled(name: &str) -> TypesetError {
    refused(
        format!("Hay un marcador donde no se rellena ninguno: en {name}"),
        format!("A placeholder stands where none is filled: in {name}"),
    )
}

/// The part as XML.
pub fn write(root: &Element) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n");
    write_element(root, &mut out);
    out
}

fn write_element(element: &Element, out: &mut String) {
    out.push_str(&element.open);
    if element.children.is_empty() {
        out.push_str("/>");
        return;
    }
    out.push('>');
    for child in &element.children {
        match child {
            Node::Element(element) => write_element(element, out),
            Node::Text(text) => out.push_str(&escaped(text)),
            Node::Value(text) => write_value(text, out),
            Node::Mark(_) => {}
        }
    }
    out.push_str("</");
    out.push_str(&element.name);
    out.push('>');
}

/// A value stands in a text of a run, which ends before a line break or a tab and goes on behind it.
fn write_value(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(['\n', '\t']) {
        out.push_str(&escaped(&rest[..at]));
        let shown = if rest[at..].starts_with('\n') {
            "<w:br/>"
        } else {
            "<w:tab/>"
        };
        out.push_str(&format!("</{TEXT}>{shown}{SPACED}>"));
        rest = &rest[at + 1..];
    }
    out.push_str(&escaped(rest));
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: &str = "http://schemas.openxmlformats.org/wordprocessingml/2006/main";

    #[test]
    fn what_is_read_is_written_as_it_was() {
        let inside = "<w:body><w:p w:a='1 > 0'  /><w:r><w:t xml:space=\"preserve\"> a &amp; b</w:t></w:r></w:body>";
        let text = format!("<w:document xmlns:w=\"{W}\">{inside}</w:document>");

        let written = write(&read(&text).unwrap());

        assert!(
            written.ends_with(&text.replace("'  />", "'/>")),
            "{written}"
        );
    }

    #[test]
    fn a_placeholder_that_would_stay_is_refused() {
        for inside in [
            "<w:instrText>{{ a }}</w:instrText>",
            "<w:docPr w:descr=\"{{ a }}\"/>",
        ] {
            let text = format!("<w:document xmlns:w=\"{W}\">{inside}</w:document>");
            assert!(read(&text).is_err(), "{inside}");
        }
    }
}
