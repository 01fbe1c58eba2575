//! Walks a tree with the data at hand: a value where it is printed, what a loop repeats as often as its
//! list is long, what a condition leaves out not at all.

use std::collections::BTreeMap;

use domain::Locale;
use minijinja::Value;
use minijinja::value::ValueKind;

use super::expression::{Expressions, told, value};
use super::placeholders::{Placeholder, Tag};
use super::tree::{Element, Node};
use crate::job::{Limits, TypesetError};

/// The most nodes that are written, and the most expressions that are worked out, in one document.
const MOST_STEPS: u64 = 1_000_000;

/// Octets of XML for each octet that the file may have. XML packs into a quarter and less, and what it takes in
/// memory while it is written is a few times as much.
const PACKED: u64 = 4;

/// What is left of what one document may become.
pub struct Budget {
    steps: u64,
    octets: u64,
    limits: Limits,
}

impl Budget {
    /// The whole of it.
    pub fn of(limits: Limits) -> Self {
        Self {
            steps: MOST_STEPS,
            octets: limits.bytes.saturating_mul(PACKED),
            limits,
        }
    }

    /// One step more, and so many octets.
    fn spend(&mut self, octets: usize) -> Result<(), TypesetError> {
        let steps = self.steps.checked_sub(1).ok_or(TypesetError::TimedOut)?;
        let octets = self.octets.checked_sub(octets as u64);
        let octets = octets.ok_or(TypesetError::TooBig {
            bytes: self.limits.bytes.saturating_mul(PACKED),
            limit: self.limits.bytes,
        })?;
        (self.steps, self.octets) = (steps, octets);
        Ok(())
    }
}

/// The tree with the values of the data.
///
/// # Errors
/// [`TypesetError::Unfillable`] naming the placeholder that cannot be filled, or the budget's end.
pub fn expand(
    root: &Element,
    found: &[Placeholder],
    data: &serde_json::Value,
    language: Locale,
    budget: &mut Budget,
) -> Result<Element, TypesetError> {
    let engine = super::expression::engine(language);
    let expressions = Expressions::of(&engine, found)?;
    let scope = Scope::of(&value(data));
    let mut walk = Walk {
        found,
        expressions: &expressions,
        language,
        budget,
    };
    walk.element(root, &scope)
}

/// The names that an expression can use.
struct Scope {
    names: BTreeMap<String, Value>,
    all: Value,
}

impl Scope {
    fn of(data: &Value) -> Self {
        let names = data.try_iter().ok().map(|keys| {
            keys.filter_map(|key| Some((key.as_str()?.to_owned(), data.get_item(&key).ok()?)))
                .collect()
        });
        Self::named(names.unwrap_or_default())
    }

    fn named(names: BTreeMap<String, Value>) -> Self {
        let all = Value::from(names.clone());
        Self { names, all }
    }

    /// The scope of one turn of a loop.
    fn turn(&self, name: &str, item: &Value, index: usize, length: usize) -> Self {
        let mut names = self.names.clone();
        names.insert(name.to_owned(), item.clone());
        let turn = [
            ("index", Value::from(index + 1)),
            ("first", Value::from(index == 0)),
            ("last", Value::from(index + 1 == length)),
            ("length", Value::from(length)),
        ];
        names.insert("loop".to_owned(), Value::from_pairs(turn));
        Self::named(names)
    }
}

struct Walk<'a> {
    found: &'a [Placeholder],
    expressions: &'a Expressions<'a>,
    language: Locale,
    budget: &'a mut Budget,
}

impl Walk<'_> {
    fn element(&mut self, element: &Element, scope: &Scope) -> Result<Element, TypesetError> {
        self.budget.spend(element.open.len() + element.name.len())?;
        let mut children = Vec::new();
        self.list(&element.children, scope, &mut children)?;
        Ok(Element {
            children,
            ..element.clone()
        })
    }

    fn list(
        &mut self,
        nodes: &[Node],
        scope: &Scope,
        into: &mut Vec<Node>,
    ) -> Result<(), TypesetError> {
        let mut at = 0;
        while let Some(node) = nodes.get(at) {
            at += match node {
                Node::Element(element) => {
                    into.push(Node::Element(self.element(element, scope)?));
                    1
                }
                Node::Text(text) | Node::Value(text) => {
                    self.budget.spend(text.len())?;
                    into.push(node.clone());
                    1
                }
                Node::Mark(mark) => self.tag(*mark, &nodes[at..], scope, into)?,
            };
        }
        Ok(())
    }

    /// A tag at the head of the nodes, and how many of them it is answerable for.
    fn tag(
        &mut self,
        mark: usize,
        nodes: &[Node],
        scope: &Scope,
        into: &mut Vec<Node>,
    ) -> Result<usize, TypesetError> {
        match &self.found[mark].tag {
            Tag::Print(_) => {
                let text = self.text(mark, scope)?;
                self.budget.spend(text.len())?;
                into.push(Node::Value(text.into()));
                Ok(1)
            }
            Tag::For { name, .. } => {
                let end = self.ends(nodes).last().copied().unwrap_or(nodes.len() - 1);
                let items = self.items(mark, scope)?;
                for (index, item) in items.iter().enumerate() {
                    self.budget.spend(0)?;
                    let turn = scope.turn(name, item, index, items.len());
                    self.list(&nodes[1..end], &turn, into)?;
                }
                Ok(end + 1)
            }
            _ => self.condition(nodes, scope, into),
        }
    }

    /// The first branch that holds.
    fn condition(
        &mut self,
        nodes: &[Node],
        scope: &Scope,
        into: &mut Vec<Node>,
    ) -> Result<usize, TypesetError> {
        let ends = self.ends(nodes);
        let mut begin = 0;
        for end in &ends {
            if self.holds(&nodes[begin], scope)? {
                self.list(&nodes[begin + 1..*end], scope, into)?;
                break;
            }
            begin = *end;
        }
        Ok(ends.last().map_or(nodes.len(), |end| end + 1))
    }

    /// Where the branches of the block at the head of the nodes end: at each tag of its own after the first.
    fn ends(&self, nodes: &[Node]) -> Vec<usize> {
        let mut depth = 0_usize;
        let mut ends = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            let Node::Mark(mark) = node else { continue };
            match &self.found[*mark].tag {
                Tag::For { .. } | Tag::If(_) => depth += 1,
                Tag::EndFor | Tag::EndIf if depth == 1 => {
                    ends.push(at);
                    return ends;
                }
                Tag::EndFor | Tag::EndIf => depth = depth.saturating_sub(1),
                Tag::ElseIf(_) | Tag::Else if depth == 1 => ends.push(at),
                Tag::ElseIf(_) | Tag::Else | Tag::Print(_) => {}
            }
        }
        ends
    }

    fn holds(&mut self, node: &Node, scope: &Scope) -> Result<bool, TypesetError> {
        match node {
            Node::Mark(mark) if self.found[*mark].tag != Tag::Else => {
                Ok(self.value(*mark, scope)?.is_true())
            }
            _ => Ok(true),
        }
    }

    /// The value of a placeholder. What the data does not have is an error and not an empty place.
    fn value(&mut self, mark: usize, scope: &Scope) -> Result<Value, TypesetError> {
        self.budget.spend(0)?;
        let value = self.expressions.value(mark, scope.all.clone())?;
        if value.is_undefined() {
            return Err(told(
                &self.found[mark],
                "los datos no tienen este campo",
                "the data has no such field",
            ));
        }
        Ok(value)
    }

    fn items(&mut self, mark: usize, scope: &Scope) -> Result<Vec<Value>, TypesetError> {
        let list = self.value(mark, scope)?;
        let items = match list.kind() {
            ValueKind::Seq | ValueKind::Iterable => list.try_iter().ok(),
            _ => None,
        };
        items
            .map(Iterator::collect)
            .ok_or_else(|| told(&self.found[mark], "no es una lista", "is no list"))
    }

    fn text(&mut self, mark: usize, scope: &Scope) -> Result<String, TypesetError> {
        let value = self.value(mark, scope)?;
        match value.kind() {
            ValueKind::None => Ok(String::new()),
            ValueKind::Bool => Ok(yes_or_no(value.is_true(), self.language).to_owned()),
            ValueKind::String | ValueKind::Number => {
                Ok(value.to_string().replace("\r\n", "\n").replace('\r', "\n"))
            }
            _ => Err(told(
                &self.found[mark],
                "es una lista o un objeto, y no un texto",
                "is a list or an object, and no text",
            )),
        }
    }
}

const fn yes_or_no(flag: bool, language: Locale) -> &'static str {
    match (flag, language) {
        (true, Locale::Es) => "sí",
        (true, Locale::En) => "yes",
        (false, _) => "no",
    }
}
