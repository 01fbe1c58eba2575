//! Where the tags of loops and conditions belong. Their author puts them into texts; what they repeat or
//! leave out is whole runs, paragraphs or rows:
//!
//! * in one paragraph: what stands between them;
//! * in different paragraphs: whole paragraphs, and those that hold nothing but tags are left out;
//! * in different cells of a row: the row;
//! * in different rows: whole rows, and those that hold nothing but tags are left out.

use std::collections::{BTreeMap, BTreeSet};

use super::placeholders::{Placeholder, Tag};
use super::refused;
use super::tree::{Element, Node, TEXT};
use crate::job::TypesetError;

/// What may hold tags among its children: a flow of runs, of paragraphs or of rows.
const FLOWS: [&str; 13] = [
    "w:p",
    "w:hyperlink",
    "w:ins",
    "w:smartTag",
    "w:body",
    "w:tc",
    "w:hdr",
    "w:ftr",
    "w:footnote",
    "w:endnote",
    "w:txbxContent",
    "w:sdtContent",
    "w:tbl",
];

/// What is nothing to a reader if no text is left in it.
const FRAMES: [&str; 11] = [
    "w:p",
    "w:r",
    "w:t",
    "w:tr",
    "w:tc",
    "w:proofErr",
    "w:bookmarkStart",
    "w:bookmarkEnd",
    "w:lastRenderedPageBreak",
    "w:hyperlink",
    "w:smartTag",
];

/// The properties of an element, which are nothing to a reader either.
const PROPERTIES: [&str; 6] = [
    "w:pPr",
    "w:rPr",
    "w:trPr",
    "w:tcPr",
    "w:tblPrEx",
    "w:tblGrid",
];

/// The way to a node: its place among the children of each element on the way.
type Path = Vec<usize>;

/// The part a tag plays in its block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Opens,
    Divides,
    Closes,
}

/// A tag on its way out of its text.
struct Lifted {
    mark: usize,
    role: Role,
}

/// Every tag stands in one list with the tags of its block.
///
/// # Errors
/// [`TypesetError::Unfillable`] naming a tag that has no partner, or that stands where it cannot.
pub fn settle(mut root: Element, found: &[Placeholder]) -> Result<Element, TypesetError> {
    alone(&mut root, found);
    let mut marks = Vec::new();
    marks_in(&root, found, &mut Vec::new(), &mut marks);
    let mut plan = Plan {
        root: &root,
        found,
        goals: BTreeMap::new(),
        taken: BTreeSet::new(),
    };
    for block in paired(&marks, found)? {
        plan.block(&block)?;
    }
    plan.moved(&root, &mut Vec::new())
}

/// Gives each tag a run of its own, with the look of the run that it stood in.
fn alone(element: &mut Element, found: &[Placeholder]) {
    let children = std::mem::take(&mut element.children);
    for child in children {
        match child {
            Node::Element(run) if run.is("w:r") => {
                element
                    .children
                    .extend(runs(run, found).into_iter().map(Node::Element));
            }
            Node::Element(mut other) => {
                alone(&mut other, found);
                element.children.push(Node::Element(other));
            }
            other => element.children.push(other),
        }
    }
}

fn runs(mut run: Element, found: &[Placeholder]) -> Vec<Element> {
    if !run.children.iter().any(|child| has_tag(child, found)) {
        alone(&mut run, found);
        return vec![run];
    }
    let children = std::mem::take(&mut run.children);
    let (look, children): (Vec<Node>, Vec<Node>) = children
        .into_iter()
        .partition(|child| matches!(child, Node::Element(one) if one.is("w:rPr")));
    let with = |content: Vec<Node>| Element {
        children: look.iter().cloned().chain(content).collect(),
        ..run.clone()
    };
    let mut all = Vec::new();
    let mut open: Vec<Node> = Vec::new();
    for child in children {
        let Node::Element(mut child) = child else {
            continue;
        };
        if !child.is(TEXT) {
            alone(&mut child, found);
            open.push(Node::Element(child));
            continue;
        }
        for piece in child.children {
            let text = Node::Element(Element::text(vec![piece.clone()]));
            if is_tag(&piece, found) {
                all.extend((!open.is_empty()).then(|| with(std::mem::take(&mut open))));
                all.push(with(vec![text]));
            } else {
                open.push(text);
            }
        }
    }
    all.extend((!open.is_empty()).then(|| with(open)));
    all
}

fn has_tag(child: &Node, found: &[Placeholder]) -> bool {
    match child {
        Node::Element(text) if text.is(TEXT) => {
            text.children.iter().any(|piece| is_tag(piece, found))
        }
        _ => false,
    }
}

fn is_tag(node: &Node, found: &[Placeholder]) -> bool {
    matches!(node, Node::Mark(mark) if found[*mark].tag.is_block())
}

/// The tags in the order of reading, with the way to each.
fn marks_in(
    element: &Element,
    found: &[Placeholder],
    path: &mut Path,
    into: &mut Vec<(Path, usize)>,
) {
    for (index, child) in element.children.iter().enumerate() {
        path.push(index);
        match child {
            Node::Element(child) => marks_in(child, found, path, into),
            Node::Mark(mark) if found[*mark].tag.is_block() => into.push((path.clone(), *mark)),
            _ => {}
        }
        path.pop();
    }
}

/// The tags of one block, from the one that opens it to the one that closes it.
type Block = Vec<(Path, usize)>;

fn paired(marks: &[(Path, usize)], found: &[Placeholder]) -> Result<Vec<Block>, TypesetError> {
    let mut open: Vec<Block> = Vec::new();
    let mut all = Vec::new();
    for (path, mark) in marks {
        let here = (path.clone(), *mark);
        let opener = open.last().map(|block| &found[block[0].1].tag);
        let last = open.last().and_then(|block| block.last());
        let after_else = last.is_some_and(|(_, mark)| found[*mark].tag == Tag::Else);
        match (&found[*mark].tag, opener) {
            (Tag::For { .. } | Tag::If(_), _) => open.push(vec![here]),
            (Tag::ElseIf(_) | Tag::Else, Some(Tag::If(_))) if !after_else => {
                open.last_mut()
                    .into_iter()
                    .for_each(|block| block.push(here.clone()));
            }
            (Tag::EndFor, Some(Tag::For { .. })) | (Tag::EndIf, Some(Tag::If(_))) => {
                let mut block = open.pop().unwrap_or_default();
                block.push(here);
                all.push(block);
            }
            _ => return Err(lonely(&found[*mark])),
        }
    }
    match open.first() {
        Some(block) => Err(lonely(&found[block[0].1])),
        None => Ok(all),
    }
}

fn lonely(tag: &Placeholder) -> TypesetError {
    refused(
        format!("«{}» no tiene su pareja", tag.shown),
        format!("\"{}\" has no counterpart", tag.shown),
    )
}

/// Where each tag goes.
struct Plan<'a> {
    root: &'a Element,
    found: &'a [Placeholder],
    /// The elements that get tags before, behind or in place of them.
    goals: BTreeMap<Path, Vec<(Path, Lifted)>>,
    /// Where the tags are taken from.
    taken: BTreeSet<Path>,
}

impl Plan<'_> {
    fn block(&mut self, block: &[(Path, usize)]) -> Result<(), TypesetError> {
        let first = &block[0].0;
        let mut depth = block
            .iter()
            .map(|(path, _)| common(first, path))
            .min()
            .unwrap_or(0);
        // The first is compared with itself too, and nothing is above its own text.
        depth = depth.min(first.len() - 1);
        if self.name(&first[..depth]) == "w:tr" {
            depth = depth.saturating_sub(1);
        }
        if !FLOWS.contains(&self.name(&first[..depth])) {
            return Err(crossed(&self.found[block[0].1]));
        }
        for (place, (path, mark)) in block.iter().enumerate() {
            let role = match place {
                0 => Role::Opens,
                place if place + 1 == block.len() => Role::Closes,
                _ => Role::Divides,
            };
            self.taken.insert(path.clone());
            let goal = self.goals.entry(path[..=depth].to_vec()).or_default();
            goal.push((path.clone(), Lifted { mark: *mark, role }));
        }
        Ok(())
    }

    /// The name of the element at the end of a way.
    fn name(&self, path: &[usize]) -> &str {
        let mut at = self.root;
        for index in path {
            match at.children.get(*index) {
                Some(Node::Element(child)) => at = child,
                _ => return "",
            }
        }
        &at.name
    }

    /// The tree with its tags where they belong.
    fn moved(&self, element: &Element, path: &mut Path) -> Result<Element, TypesetError> {
        let mut children = Vec::new();
        for (index, child) in element.children.iter().enumerate() {
            path.push(index);
            if !self.taken.contains(path) {
                let child = match child {
                    Node::Element(child) => Node::Element(self.moved(child, path)?),
                    other => other.clone(),
                };
                self.placed(child, path, &mut children)?;
            }
            path.pop();
        }
        Ok(Element {
            children,
            ..element.clone()
        })
    }

    fn placed(&self, child: Node, path: &Path, into: &mut Vec<Node>) -> Result<(), TypesetError> {
        let Some(goal) = self.goals.get(path) else {
            into.push(child);
            return Ok(());
        };
        let mut tags: Vec<&(Path, Lifted)> = goal.iter().collect();
        tags.sort_by(|(one, _), (other, _)| one.cmp(other));
        let marks = |tags: &[&(Path, Lifted)]| -> Vec<Node> {
            tags.iter().map(|(_, tag)| Node::Mark(tag.mark)).collect()
        };
        if is_vacant(&child) {
            into.extend(marks(&tags));
            return Ok(());
        }
        let opening = tags
            .iter()
            .take_while(|(_, tag)| tag.role == Role::Opens)
            .count();
        let (before, behind) = tags.split_at(opening);
        if let Some((_, tag)) = behind.iter().find(|(_, tag)| tag.role != Role::Closes) {
            return Err(crossed(&self.found[tag.mark]));
        }
        into.extend(marks(before));
        into.push(child);
        into.extend(marks(behind));
        Ok(())
    }
}

fn crossed(tag: &Placeholder) -> TypesetError {
    refused(
        format!(
            "«{}» debe estar en un párrafo o una fila propios, o en el mismo párrafo o la misma fila que su pareja",
            tag.shown
        ),
        format!(
            "\"{}\" has to stand in a paragraph or a row of its own, or in the same one as its counterpart",
            tag.shown
        ),
    )
}

fn common(one: &[usize], other: &[usize]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

/// Whether nothing is left of it that a reader would miss.
fn is_vacant(node: &Node) -> bool {
    match node {
        Node::Mark(_) | Node::Value(_) => false,
        Node::Text(text) => text.trim().is_empty(),
        // A section ends with the paragraph that holds its properties.
        Node::Element(one) if PROPERTIES.contains(&&*one.name) => !holds_section(one),
        Node::Element(one) => FRAMES.contains(&&*one.name) && one.children.iter().all(is_vacant),
    }
}

fn holds_section(element: &Element) -> bool {
    element
        .children
        .iter()
        .any(|child| matches!(child, Node::Element(one) if one.is("w:sectPr")))
}
