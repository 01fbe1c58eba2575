//! A text across every page, drawn with a font of the house that travels with the file.
//!
//! The text is marked as an artifact, so that a reader who listens does not hear it on every page, and
//! all else stays as it was: a file that could be archived before still can.

use std::collections::{BTreeMap, VecDeque};

use lopdf::{Dictionary, Document, Object, ObjectId, Stream, dictionary};

use super::assemble::{Copy, inherited};
use crate::job::TypesetError;
use crate::typeset;

/// How much of a page's diagonal the text takes.
const SHARE: f32 = 0.7;

/// The largest letters, as a multiple of those of the stamp: a short text is not blown up to fill a page.
const LARGEST: f32 = 2.5;

/// Paints the text over each page.
///
/// # Errors
/// [`TypesetError::Unreadable`] for a page without a size, or what the compiler says of the text.
pub(super) fn paint(document: &mut Document, text: &str, opacity: u16) -> Result<(), TypesetError> {
    let stamp = Stamp::take(document, text)?;
    let opacity = f32::from(opacity) / 1000.0;
    let state = document
        .add_object(dictionary! { "Type" => "ExtGState", "ca" => opacity, "CA" => opacity });
    let before = document.add_object(content("q\n".to_owned()));
    let pages: Vec<ObjectId> = document.page_iter().collect();
    for page in pages {
        paint_page(document, page, &stamp, state, before)
            .ok_or(TypesetError::Unreadable { file: 0 })?;
    }
    Ok(())
}

/// The text as a form that pages refer to.
struct Stamp {
    form: ObjectId,
    width: f32,
    height: f32,
}

impl Stamp {
    fn take(document: &mut Document, text: &str) -> Result<Self, TypesetError> {
        let unreadable = || TypesetError::Refused {
            message: "the text of the watermark cannot be painted".to_owned(),
            place: None,
        };
        let file = typeset::stamp(text)?;
        let source = Document::load_mem(&file).map_err(|_| unreadable())?;
        let page = source.page_iter().next().ok_or_else(unreadable)?;
        let area = area(&source, page, b"MediaBox").ok_or_else(unreadable)?;
        let content = source.get_page_content(page);
        let resources = inherited(&source, page, b"Resources").ok_or_else(unreadable)?;
        let mut copy = Copy {
            source: &source,
            known: BTreeMap::new(),
            open: VecDeque::new(),
        };
        let resources = copy.object(document, resources);
        copy.finish(document);
        let form = dictionary! {
            "Type" => "XObject",
            "Subtype" => "Form",
            "BBox" => area.map(Object::from).to_vec(),
            "Resources" => resources,
            // One thing to the eye: letters that overlap do not darken each other.
            "Group" => dictionary! { "S" => "Transparency", "CS" => "DeviceRGB", "I" => true },
        };
        let mut form = Stream::new(form, content);
        form.compress().map_err(|_| unreadable())?;
        Ok(Self {
            form: document.add_object(form),
            width: area[2] - area[0],
            height: area[3] - area[1],
        })
    }
}

fn paint_page(
    document: &mut Document,
    page: ObjectId,
    stamp: &Stamp,
    state: ObjectId,
    before: ObjectId,
) -> Option<()> {
    let seen = area(document, page, b"CropBox").or_else(|| area(document, page, b"MediaBox"))?;
    let turned = inherited(document, page, b"Rotate").and_then(|turn| turn.as_i64().ok());
    let mut resources =
        resolved(document, inherited(document, page, b"Resources")).unwrap_or_default();
    let form = add(
        document,
        &mut resources,
        b"XObject",
        "Watermark",
        stamp.form,
    );
    let state = add(
        document,
        &mut resources,
        b"ExtGState",
        "WatermarkState",
        state,
    );
    let after = document.add_object(content(format!(
        "\nQ\n/Artifact <</Type /Pagination /Subtype /Watermark>> BDC\nq\n/{state} gs\n{} cm\n/{form} Do\nQ\nEMC\n",
        matrix(seen, stamp, turned.unwrap_or(0)),
    )));
    let mut contents: Vec<Object> = vec![before.into()];
    contents.extend(
        document
            .get_page_contents(page)
            .into_iter()
            .map(Object::from),
    );
    contents.push(after.into());
    let page = document.get_dictionary_mut(page).ok()?;
    page.set("Contents", contents);
    page.set("Resources", resources);
    Some(())
}

/// From the form's own place to the middle of the page, along its rising diagonal.
fn matrix(seen: [f32; 4], stamp: &Stamp, turned: i64) -> String {
    let [left, bottom, right, top] = seen;
    let (width, height) = (right - left, top - bottom);
    let scale = (width.hypot(height) * SHARE / stamp.width.max(1.0)).min(LARGEST);
    let angle = if turned.rem_euclid(180) == 0 {
        height.atan2(width)
    } else {
        width.atan2(height)
    };
    let turn = u16::try_from(turned.rem_euclid(360)).unwrap_or(0);
    let angle = angle + f32::from(turn).to_radians();
    let (sine, cosine) = (angle.sin() * scale, angle.cos() * scale);
    let (half_width, half_height) = (stamp.width / 2.0, stamp.height / 2.0);
    let x = f32::midpoint(left, right) - cosine * half_width + sine * half_height;
    let y = f32::midpoint(bottom, top) - sine * half_width - cosine * half_height;
    format!(
        "{cosine:.4} {sine:.4} {:.4} {cosine:.4} {x:.2} {y:.2}",
        -sine
    )
}

fn content(text: String) -> Stream {
    Stream::new(Dictionary::new(), text.into_bytes())
}

/// Adds a resource under a name that is still free, and says under which.
fn add(
    document: &Document,
    resources: &mut Dictionary,
    kind: &[u8],
    name: &str,
    object: ObjectId,
) -> String {
    let mut all = resolved(document, resources.get(kind).ok()).unwrap_or_default();
    let mut free = name.to_owned();
    while all.has(free.as_bytes()) {
        free.push('1');
    }
    all.set(free.clone(), object);
    resources.set(kind, all);
    free
}

fn resolved(document: &Document, object: Option<&Object>) -> Option<Dictionary> {
    let (_, object) = document.dereference(object?).ok()?;
    object.as_dict().ok().cloned()
}

/// The corners of a page, the lower left one first.
fn area(document: &Document, page: ObjectId, key: &[u8]) -> Option<[f32; 4]> {
    let (_, corners) = document.dereference(inherited(document, page, key)?).ok()?;
    let [one, two, three, four] = corners.as_array().ok()?.as_slice() else {
        return None;
    };
    let number = |object: &Object| {
        let (_, object) = document.dereference(object).ok()?;
        object.as_float().ok().filter(|number| number.is_finite())
    };
    let (x, y, u, v) = (number(one)?, number(two)?, number(three)?, number(four)?);
    Some([x.min(u), y.min(v), x.max(u), y.max(v)])
}
