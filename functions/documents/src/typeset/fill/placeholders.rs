//! The placeholders of a part. Word splits a text over as many runs as it likes, so a placeholder is looked
//! for in the text of a whole paragraph, and stands where it begins.

use std::ops::Range;

use super::refused;
use super::tree::{Element, Node, TEXT};
use crate::job::TypesetError;

/// Characters of a placeholder that a message shows.
const SHOWN: usize = 80;

/// A placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholder {
    /// How it is named in messages.
    pub shown: String,
    /// What it says.
    pub tag: Tag,
}

/// What a placeholder says; an expression is its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tag {
    /// `{{ … }}`: the value.
    Print(String),
    /// `{% for name in … %}`: once for each.
    For {
        /// What each is called.
        name: String,
        /// The list.
        list: String,
    },
    /// `{% if … %}`.
    If(String),
    /// `{% elif … %}`.
    ElseIf(String),
    /// `{% else %}`.
    Else,
    /// `{% endfor %}`.
    EndFor,
    /// `{% endif %}`.
    EndIf,
}

impl Tag {
    /// Its expression, if it has one.
    pub fn expression(&self) -> Option<&str> {
        match self {
            Self::Print(text) | Self::If(text) | Self::ElseIf(text) => Some(text),
            Self::For { list, .. } => Some(list),
            Self::Else | Self::EndFor | Self::EndIf => None,
        }
    }

    /// Whether it prints nothing and belongs to others.
    pub fn is_block(&self) -> bool {
        !matches!(self, Self::Print(_))
    }
}

/// Puts marks where the placeholders are, and gives them.
///
/// # Errors
/// [`TypesetError::Unfillable`] naming what cannot be read.
pub fn find(root: &mut Element) -> Result<Vec<Placeholder>, TypesetError> {
    let mut found = Vec::new();
    walk(root, &mut found)?;
    Ok(found)
}

fn walk(element: &mut Element, found: &mut Vec<Placeholder>) -> Result<(), TypesetError> {
    if element.is("w:p") {
        paragraph(element, found)?;
    }
    element
        .elements_mut()
        .try_for_each(|child| walk(child, found))
}

fn paragraph(paragraph: &mut Element, found: &mut Vec<Placeholder>) -> Result<(), TypesetError> {
    let mut texts = Vec::new();
    texts_of(paragraph, &mut texts);
    let whole: String = texts.iter().map(|text| text_in(text)).collect();
    let mut marks = Vec::new();
    for (range, placeholder) in scan(&whole)? {
        marks.push((range, found.len()));
        found.push(placeholder);
    }
    let mut begin = 0;
    for text in texts {
        let end = begin + text_in(text).len();
        mark(text, &whole, begin..end, &marks);
        begin = end;
    }
    Ok(())
}

/// The texts of a paragraph, but not those of a text box in it, which has paragraphs of its own.
fn texts_of<'a>(element: &'a mut Element, into: &mut Vec<&'a mut Element>) {
    for child in element.elements_mut() {
        if child.is(TEXT) {
            into.push(child);
        } else if !child.is("w:p") {
            texts_of(child, into);
        }
    }
}

fn text_in(element: &Element) -> &str {
    match element.children.first() {
        Some(Node::Text(text)) => text,
        _ => "",
    }
}

/// Gives a text its marks, and leaves out of it what belongs to a placeholder that began before it.
fn mark(text: &mut Element, whole: &str, own: Range<usize>, marks: &[(Range<usize>, usize)]) {
    let touched = marks
        .iter()
        .filter(|(range, _)| range.start < own.end && range.end > own.start);
    let mut children = Vec::new();
    let mut at = own.start;
    for (range, number) in touched.clone() {
        if range.start > at {
            children.push(Node::Text(whole[at..range.start].into()));
        }
        if range.start >= own.start {
            children.push(Node::Mark(*number));
        }
        at = range.end.min(own.end);
    }
    if touched.count() == 0 {
        return;
    }
    if at < own.end {
        children.push(Node::Text(whole[at..own.end].into()));
    }
    *text = Element::text(children);
}

fn scan(whole: &str) -> Result<Vec<(Range<usize>, Placeholder)>, TypesetError> {
    let mut all = Vec::new();
    let mut at = 0;
    while let Some((begin, end_mark)) = next(whole, at) {
        let Some(length) = whole[begin + 2..].find(end_mark) else {
            let shown: String = whole[begin..].chars().take(SHOWN).collect();
            return Err(refused(
                format!("«{shown}» no está cerrado con {end_mark} en su párrafo"),
                format!("\"{shown}\" is not closed by {end_mark} in its paragraph"),
            ));
        };
        let end = begin + 2 + length + 2;
        all.push((begin..end, placeholder(&whole[begin..end])?));
        at = end;
    }
    Ok(all)
}

/// Where the next placeholder begins, and what it has to end with.
fn next(whole: &str, from: usize) -> Option<(usize, &'static str)> {
    let printed = whole[from..].find("{{").map(|at| (from + at, "}}"));
    let block = whole[from..].find("{%").map(|at| (from + at, "%}"));
    printed.into_iter().chain(block).min()
}

fn placeholder(text: &str) -> Result<Placeholder, TypesetError> {
    let text = typed(text);
    let inside = text[2..text.len() - 2].trim();
    let shown: String = text.chars().take(SHOWN).collect();
    let tag = if text.starts_with("{{") {
        Some(Tag::Print(inside.to_owned()))
    } else {
        block(inside)
    };
    match tag {
        Some(tag) => Ok(Placeholder { shown, tag }),
        None => Err(refused(
            format!("«{shown}» no es una de: for … in …, endfor, if …, elif …, else, endif"),
            format!("\"{shown}\" is none of: for … in …, endfor, if …, elif …, else, endif"),
        )),
    }
}

/// As somebody would have typed it who has no word processor: Word makes quotation marks curly and spaces
/// unbreakable.
fn typed(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{ab}' | '\u{bb}' => '"',
            '\u{2018}' | '\u{2019}' | '\u{201a}' => '\'',
            other if other.is_whitespace() => ' ',
            other => other,
        })
        .collect()
}

fn block(inside: &str) -> Option<Tag> {
    let (word, rest) = inside.split_once(' ').unwrap_or((inside, ""));
    let rest = rest.trim();
    match (word, rest) {
        ("else", "") => Some(Tag::Else),
        ("endfor", "") => Some(Tag::EndFor),
        ("endif", "") => Some(Tag::EndIf),
        ("if", condition) if !condition.is_empty() => Some(Tag::If(condition.to_owned())),
        ("elif", condition) if !condition.is_empty() => Some(Tag::ElseIf(condition.to_owned())),
        ("for", rest) => {
            let (name, list) = rest.split_once(" in ")?;
            let name = name.trim();
            is_name(name).then(|| Tag::For {
                name: name.to_owned(),
                list: list.trim().to_owned(),
            })
        }
        _ => None,
    }
}

/// `loop` is what a loop says of itself.
fn is_name(name: &str) -> bool {
    name != "loop"
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> Option<Tag> {
        placeholder(text).ok().map(|one| one.tag)
    }

    #[test]
    fn what_word_makes_of_quotation_marks_and_spaces_is_undone() {
        assert_eq!(
            tag("{{\u{a0}total | money(\u{201c}EUR\u{201d}) }}"),
            Some(Tag::Print("total | money(\"EUR\")".to_owned()))
        );
    }

    #[test]
    fn a_block_is_one_of_few() {
        let each = Tag::For {
            name: "line".to_owned(),
            list: "order.lines".to_owned(),
        };
        assert_eq!(tag("{% for line in order.lines %}"), Some(each));
        assert_eq!(tag("{%endfor%}"), Some(Tag::EndFor));
        for text in [
            "{% set x = 1 %}",
            "{% include \"a\" %}",
            "{% for loop in x %}",
            "{% for 1 in x %}",
            "{% for a, b in x %}",
            "{% if %}",
            "{% else x %}",
            "{%%}",
        ] {
            assert_eq!(tag(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_closed_is_named() {
        for text in ["a {{ b", "{{}", "{%}", "{{ a }"] {
            assert!(scan(text).is_err(), "{text}");
        }
        assert_eq!(scan("a { b }} %}").unwrap(), []);
    }
}
