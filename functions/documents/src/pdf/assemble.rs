//! Pages out of one file or several into a new one.
//!
//! Only what a page needs to be seen goes along: its content, its resources, its size, and links to the
//! web. Everything that leads to other pages stays behind, because a file that is given to somebody must
//! not hold, unseen, the pages that were taken out of it.

use std::collections::{BTreeMap, VecDeque};

use lopdf::{Dictionary, Document, Object, ObjectId, dictionary};

use super::Pages;
use crate::job::{Limits, TypesetError};

/// Pages inherit these from the nodes above them (ISO 32000-2, table 31).
const INHERITED: [&[u8]; 4] = [b"Resources", b"MediaBox", b"CropBox", b"Rotate"];

/// What else of a page is taken along.
const KEPT: [&[u8]; 3] = [b"Contents", b"Group", b"UserUnit"];

/// Nodes above a page that are looked at; a chain that is longer goes round in circles.
const DEEPEST: usize = 64;

/// All pages of all files.
///
/// # Errors
/// [`TypesetError::TooManyPages`].
pub(super) fn all(sources: &[Document], limits: Limits) -> Result<Document, TypesetError> {
    let pages: usize = sources
        .iter()
        .map(|source| source.page_iter().count())
        .sum();
    let pages = u32::try_from(pages).unwrap_or(u32::MAX);
    if pages > limits.pages {
        return Err(TypesetError::TooManyPages {
            pages,
            limit: limits.pages,
        });
    }
    let mut made = Made::like(sources.first());
    for source in sources {
        made.take(source, source.page_iter());
    }
    Ok(made.finish())
}

/// Some pages of one file.
///
/// # Errors
/// [`TypesetError::Unreadable`] if it has fewer.
pub(super) fn some(source: &Document, pages: Pages) -> Result<Document, TypesetError> {
    let place = |page: u32| usize::try_from(page).unwrap_or(usize::MAX);
    let count = (place(pages.last) + 1).saturating_sub(place(pages.first));
    let wanted: Vec<ObjectId> = source
        .page_iter()
        .skip(place(pages.first).saturating_sub(1))
        .take(count)
        .collect();
    if wanted.is_empty() || wanted.len() < count {
        return Err(TypesetError::Unreadable { file: 0 });
    }
    let mut made = Made::like(Some(source));
    made.take(source, wanted.into_iter());
    Ok(made.finish())
}

/// The file that is being made.
struct Made {
    document: Document,
    tree: ObjectId,
    pages: Vec<Object>,
}

impl Made {
    /// An empty file with the title and the language of another one.
    fn like(source: Option<&Document>) -> Self {
        let mut document = Document::with_version("1.7");
        let tree = document.new_object_id();
        let mut catalog = dictionary! { "Type" => "Catalog", "Pages" => tree };
        let catalog_of = source.and_then(|source| source.catalog().ok());
        if let Some(Object::String(language, format)) =
            catalog_of.and_then(|catalog| catalog.get(b"Lang").ok())
        {
            catalog.set("Lang", Object::String(language.clone(), *format));
        }
        let root = document.add_object(catalog);
        document.trailer.set("Root", root);
        if let Some(title) = source.and_then(title) {
            let info = document.add_object(dictionary! { "Title" => title });
            document.trailer.set("Info", info);
        }
        Self {
            document,
            tree,
            pages: Vec::new(),
        }
    }

    fn take(&mut self, source: &Document, pages: impl Iterator<Item = ObjectId>) {
        let mut copy = Copy {
            source,
            known: BTreeMap::new(),
            open: VecDeque::new(),
        };
        for id in pages {
            let mut page = dictionary! { "Type" => "Page", "Parent" => self.tree };
            for key in INHERITED {
                if let Some(value) = inherited(source, id, key) {
                    page.set(key, copy.object(&mut self.document, value));
                }
            }
            if let Ok(old) = source.get_dictionary(id) {
                for key in KEPT {
                    if let Ok(value) = old.get(key) {
                        page.set(key, copy.object(&mut self.document, value));
                    }
                }
                let links = links(source, old);
                if !links.is_empty() {
                    page.set("Annots", links);
                }
            }
            copy.finish(&mut self.document);
            self.pages.push(self.document.add_object(page).into());
        }
    }

    fn finish(self) -> Document {
        let Self {
            mut document,
            tree,
            pages,
        } = self;
        let count = i64::try_from(pages.len()).unwrap_or(i64::MAX);
        let node = dictionary! { "Type" => "Pages", "Kids" => pages, "Count" => count };
        document.objects.insert(tree, node.into());
        document
    }
}

fn title(source: &Document) -> Option<Object> {
    let info = source.trailer.get_deref(b"Info", source).ok()?;
    let title = info.as_dict().ok()?.get_deref(b"Title", source).ok()?;
    title.as_str().is_ok().then(|| title.clone())
}

/// What a page has of its own or from the nodes above it.
pub(super) fn inherited<'a>(
    source: &'a Document,
    page: ObjectId,
    key: &[u8],
) -> Option<&'a Object> {
    let mut node = source.get_dictionary(page).ok()?;
    for _ in 0..DEEPEST {
        if let Ok(value) = node.get(key) {
            return Some(value);
        }
        let above = node.get(b"Parent").ok()?.as_reference().ok()?;
        node = source.get_dictionary(above).ok()?;
    }
    None
}

/// The links of a page that lead to the web; those to other pages may lead nowhere now.
fn links(source: &Document, page: &Dictionary) -> Vec<Object> {
    let listed = page.get_deref(b"Annots", source).and_then(Object::as_array);
    let Ok(listed) = listed else {
        return Vec::new();
    };
    listed.iter().filter_map(|one| link(source, one)).collect()
}

fn link(source: &Document, annotation: &Object) -> Option<Object> {
    let (_, annotation) = source.dereference(annotation).ok()?;
    let annotation = annotation.as_dict().ok()?;
    let action = annotation.get_deref(b"A", source).ok()?.as_dict().ok()?;
    let is = |dictionary: &Dictionary, key: &[u8], name: &[u8]| {
        let found = dictionary.get(key).and_then(Object::as_name);
        found.is_ok_and(|found| found == name)
    };
    if !is(annotation, b"Subtype", b"Link") || !is(action, b"S", b"URI") {
        return None;
    }
    let address = action.get_deref(b"URI", source).ok()?.as_str().ok()?;
    let corners = annotation
        .get_deref(b"Rect", source)
        .ok()?
        .as_array()
        .ok()?;
    let corners: Vec<Object> = corners
        .iter()
        .filter(|corner| corner.as_float().is_ok())
        .cloned()
        .collect();
    let link = dictionary! {
        "Type" => "Annot",
        "Subtype" => "Link",
        "Rect" => corners,
        "Border" => vec![0.into(), 0.into(), 0.into()],
        "F" => 4,
        "A" => dictionary! { "S" => "URI", "URI" => Object::string_literal(address) },
    };
    Some(link.into())
}

/// Takes objects of one file over into another, each once, and with it all that it leads to.
pub(super) struct Copy<'a> {
    pub(super) source: &'a Document,
    pub(super) known: BTreeMap<ObjectId, ObjectId>,
    pub(super) open: VecDeque<ObjectId>,
}

impl Copy<'_> {
    /// The object as it stands in the new file; what it leads to is still to come.
    pub(super) fn object(&mut self, into: &mut Document, object: &Object) -> Object {
        match object {
            Object::Reference(id) if self.leads_astray(*id) => Object::Null,
            Object::Reference(id) => {
                let new = *self.known.entry(*id).or_insert_with(|| {
                    self.open.push_back(*id);
                    into.new_object_id()
                });
                new.into()
            }
            Object::Array(items) => items
                .iter()
                .map(|item| self.object(into, item))
                .collect::<Vec<_>>()
                .into(),
            Object::Dictionary(dictionary) => self.dictionary(into, dictionary).into(),
            Object::Stream(stream) => {
                let mut copy = stream.clone();
                copy.dict = self.dictionary(into, &stream.dict);
                copy.into()
            }
            other => other.clone(),
        }
    }

    fn dictionary(&mut self, into: &mut Document, dictionary: &Dictionary) -> Dictionary {
        let mut copy = Dictionary::new();
        for (key, value) in dictionary {
            // Numbers in a tree of tags that is not taken along.
            if !matches!(key.as_slice(), b"StructParent" | b"StructParents") {
                copy.set(key.clone(), self.object(into, value));
            }
        }
        copy
    }

    /// Whether there is a page, or what leads to all of them.
    fn leads_astray(&self, id: ObjectId) -> bool {
        let kind = self
            .source
            .get_dictionary(id)
            .and_then(Dictionary::get_type);
        matches!(
            kind,
            Ok(b"Page" | b"Pages" | b"Catalog" | b"StructTreeRoot" | b"StructElem" | b"ObjStm")
        )
    }

    /// Takes over what is still to come.
    pub(super) fn finish(&mut self, into: &mut Document) {
        while let Some(id) = self.open.pop_front() {
            let copy = match self.source.get_object(id) {
                Ok(object) => self.object(into, object),
                Err(_) => Object::Null,
            };
            if let Some(new) = self.known.get(&id) {
                into.objects.insert(*new, copy);
            }
        }
    }
}
