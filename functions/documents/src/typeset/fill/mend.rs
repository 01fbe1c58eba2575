//! What a part must not lack for Word to open it: loops and conditions may leave a cell without a paragraph
//! or a table without a row, and repeat a drawing with its number.

use std::collections::BTreeSet;

use super::tree::{Element, Node};

/// What has to end with a paragraph.
const ENDS_WITH_PARAGRAPH: [&str; 6] = [
    "w:tc",
    "w:hdr",
    "w:ftr",
    "w:txbxContent",
    "w:footnote",
    "w:endnote",
];

/// The element whose number no other drawing of a part may have.
const DRAWING: &str = "wp:docPr";

/// Adds what is missing.
pub fn mend(root: &mut Element) {
    structure(root);
    let mut known = BTreeSet::new();
    numbers(root, &mut known);
}

fn structure(element: &mut Element) {
    element.elements_mut().for_each(structure);
    element
        .children
        .retain(|child| !matches!(child, Node::Element(one) if is_empty_table(one)));
    let paragraph = |node: &Node| matches!(node, Node::Element(one) if one.is("w:p"));
    let last = element
        .children
        .iter()
        .rev()
        .find(|child| matches!(child, Node::Element(_)));
    if ENDS_WITH_PARAGRAPH.contains(&&*element.name) && !last.is_some_and(paragraph) {
        let added = Element::new("w:p", vec![]);
        element.children.push(Node::Element(added));
    }
}

fn is_empty_table(element: &Element) -> bool {
    let filled = |node: &Node| match node {
        Node::Element(one) => !matches!(&*one.name, "w:tblPr" | "w:tblGrid"),
        _ => false,
    };
    element.is("w:tbl") && !element.children.iter().any(filled)
}

/// Gives a drawing that was repeated a number that none before it has.
fn numbers(element: &mut Element, known: &mut BTreeSet<u32>) {
    if element.is(DRAWING)
        && let Some((before, number, behind)) = number_of(&element.open)
        && !known.insert(number)
    {
        let free = known.last().map_or(1, |last| last.saturating_add(1));
        known.insert(free);
        element.open = format!("{before}{free}{behind}").into();
    }
    element
        .elements_mut()
        .for_each(|child| numbers(child, known));
}

/// The number in a start tag, with what stands before and behind it.
fn number_of(open: &str) -> Option<(&str, u32, &str)> {
    let begin = open.find(" id=")? + " id=\"".len();
    let length = open[begin..].find(['"', '\''])?;
    let number = open[begin..begin + length].parse().ok()?;
    Some((&open[..begin], number, &open[begin + length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(element: &Element) -> Vec<String> {
        element
            .children
            .iter()
            .filter_map(|child| match child {
                Node::Element(one) => Some(one.open.to_string()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_cell_ends_with_a_paragraph_and_a_table_has_rows() {
        let table = Node::Element(Element::new("w:tbl", vec![]));
        let mut cell = Element::new("w:tc", vec![table]);

        mend(&mut cell);

        assert_eq!(names(&cell), ["<w:p"]);
    }

    #[test]
    fn a_drawing_that_is_repeated_gets_a_number_of_its_own() {
        let drawing = |number: u32| {
            let mut one = Element::new(DRAWING, vec![]);
            one.open = format!("<wp:docPr id=\"{number}\" name=\"a\"").into();
            Node::Element(one)
        };
        let mut root = Element::new("w:r", vec![drawing(7), drawing(7), drawing(8)]);

        mend(&mut root);

        let found: BTreeSet<String> = names(&root).into_iter().collect();
        assert_eq!(found.len(), 3, "{found:?}");
    }
}
