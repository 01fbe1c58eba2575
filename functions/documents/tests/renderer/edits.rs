//! What becomes of finished files, in the real child: read again by a reader, judged by the validator.

use documents::job::{Limits, TypesetError};
use documents::pdf::{Edit, LIMITS, Lock, Pages, Permission};
use documents::template::Template;
use lopdf::{Document, Object, Stream, dictionary};
use page_validation::ValidationProfile;

use crate::conformance::broken_rules;
use crate::text::{squeezed, text_of};
use crate::{job, renderer, typst};

async fn invoice() -> Vec<u8> {
    let sample = Template::Invoice.samples()[0].clone();
    renderer()
        .render(&job(Template::Invoice, sample))
        .await
        .unwrap()
        .file
}

/// Three pages with a word each.
async fn three_pages() -> Vec<u8> {
    let source = "#set document(title: \"Three\")\n#set text(lang: \"es\")\nalpha#pagebreak()bravo#link(\"https://example.com/\")[web] #link((page: 1, x: 0pt, y: 0pt))[first]#pagebreak()charlie";
    renderer().render(&typst(source)).await.unwrap().file
}

async fn edited(edit: &Edit, files: &[&[u8]]) -> Result<Vec<u8>, TypesetError> {
    let made = renderer().edit(edit, files, LIMITS).await?;
    let read = Document::load_mem(&made.file);
    if let Ok(read) = read
        && !read.is_encrypted()
    {
        assert_eq!(made.pages, u32::try_from(read.get_pages().len()).ok());
    }
    Ok(made.file)
}

fn mark(text: &str) -> Edit {
    Edit::Watermark {
        text: text.to_owned(),
        opacity: 150,
    }
}

fn lock(permissions: &[Permission]) -> Edit {
    Edit::Encrypt(Lock {
        user_password: "the user's".to_owned(),
        owner_password: "the owner's".to_owned(),
        permissions: permissions.to_vec(),
        key: [7; 32],
    })
}

fn has_text(object: &Object) -> bool {
    match object {
        Object::String(..) => true,
        Object::Array(items) => items.iter().any(has_text),
        Object::Dictionary(members) => members.iter().any(|(_, member)| has_text(member)),
        _ => false,
    }
}

/// Every octet that a file holds, unpacked.
fn all_of(pdf: &[u8]) -> Vec<u8> {
    let mut document = Document::load_mem(pdf).unwrap();
    document.decompress();
    let mut all = Vec::new();
    document.save_to(&mut all).unwrap();
    all
}

#[tokio::test]
async fn merged_files_are_read_one_after_the_other() {
    let (one, other) = (three_pages().await, invoice().await);

    let made = edited(&Edit::Merge, &[&one, &other, &one]).await.unwrap();

    let expected = format!("{0}{1}{0}", text_of(&one), text_of(&other));
    assert_eq!(squeezed(&text_of(&made)), squeezed(&expected));
    let all = String::from_utf8_lossy(&made).into_owned();
    assert!(!all.contains("pdfaid"), "claims to be for archives");
    assert!(!all.contains("/MarkInfo"), "claims to be tagged");
}

#[tokio::test]
async fn pages_that_are_taken_out_leave_nothing_of_the_others() {
    let source = three_pages().await;
    for (first, last, words) in [
        (1, 1, "alpha"),
        (2, 3, "bravoweb first charlie"),
        (3, 3, "charlie"),
    ] {
        let take = Edit::Take(Pages { first, last });

        let made = edited(&take, &[&source]).await.unwrap();

        assert_eq!(squeezed(&text_of(&made)), squeezed(words));
        let document = Document::load_mem(&made).unwrap();
        let pages = document
            .objects
            .values()
            .filter(|object| object.as_dict().is_ok_and(|one| one.has_type(b"Page")));
        assert_eq!(pages.count(), usize::try_from(last - first + 1).unwrap());
        let all = all_of(&made);
        let has_link = all.windows(20).any(|part| part == b"https://example.com/");
        assert_eq!(has_link, first == 2, "the link of page 2");
        assert!(made.len() < source.len());
    }
}

#[tokio::test]
async fn a_page_that_is_not_there_cannot_be_taken() {
    let source = three_pages().await;
    for (first, last) in [(3, 4), (4, 4), (0, u32::MAX), (2, 1)] {
        let made = edited(&Edit::Take(Pages { first, last }), &[&source]).await;

        assert_eq!(
            made,
            Err(TypesetError::Unreadable { file: 0 }),
            "{first}-{last}"
        );
    }
}

#[tokio::test]
async fn a_marked_file_can_still_be_archived_and_read_aloud() {
    for source in [invoice().await, three_pages().await] {
        let made = edited(&mark("Borrador nº 1"), &[&source]).await.unwrap();

        for profile in [ValidationProfile::PdfA2b, ValidationProfile::PdfUa1] {
            assert_eq!(broken_rules(&made, profile), [""; 0]);
        }
        assert!(squeezed(&text_of(&made)).contains(&squeezed(&text_of(&source))));
        let document = Document::load_mem(&made).unwrap();
        for page in document.page_iter() {
            let content = document.get_page_content(page);
            let content = String::from_utf8_lossy(&content).into_owned();
            assert!(content.starts_with("q\n") && content.trim_end().ends_with("EMC"));
            assert!(content.contains("/Watermark Do"), "{content}");
            let (resources, _) = document.get_page_resources(page).unwrap();
            assert!(resources.unwrap().has(b"XObject"));
        }
    }
}

#[tokio::test]
async fn a_mark_that_no_font_shows_is_refused() {
    let made = edited(&mark("漢"), &[&three_pages().await]).await;

    assert_eq!(
        made,
        Err(TypesetError::MissingGlyph {
            pointer: "/data/text".to_owned(),
            character: '漢',
        })
    );
}

#[tokio::test]
async fn a_mark_is_text_and_never_markup() {
    let source = three_pages().await;

    let made = edited(&mark("#panic() $x$ [*a*]"), &[&source]).await;

    assert!(made.is_ok(), "{made:?}");
}

#[tokio::test]
async fn a_locked_file_opens_with_either_password_and_no_other() {
    let source = three_pages().await;

    let made = edited(&lock(&[Permission::Print]), &[&source])
        .await
        .unwrap();

    for secret in [&b"Three"[..], b"https://example.com/", b"the user's"] {
        assert!(!made.windows(secret.len()).any(|part| part == secret));
    }
    for password in ["the user's", "the owner's"] {
        let opened =
            Document::load_mem_with_options(&made, lopdf::LoadOptions::with_password(password))
                .unwrap();
        let text = opened.extract_text(&[1, 2, 3]).unwrap();
        assert_eq!(squeezed(&text), squeezed(&text_of(&source)));
        let rights = opened.encryption_state.unwrap().permissions();
        assert!(rights.contains(lopdf::Permissions::PRINTABLE));
        assert!(rights.contains(lopdf::Permissions::COPYABLE_FOR_ACCESSIBILITY));
        assert!(!rights.contains(lopdf::Permissions::MODIFIABLE));
        assert!(!rights.contains(lopdf::Permissions::COPYABLE));
    }
    // A reader takes a text in a stream's dictionary for encrypted, and there none is.
    let options = lopdf::LoadOptions::with_password("the user's");
    let opened = Document::load_mem_with_options(&made, options).unwrap();
    for stream in opened
        .objects
        .values()
        .filter_map(|one| one.as_stream().ok())
    {
        let text = stream
            .dict
            .iter()
            .find(|(key, value)| *key != b"ID" && has_text(value));
        assert_eq!(text, None);
    }
    for password in ["", "wrong", "the user"] {
        assert!(
            Document::load_mem_with_options(&made, lopdf::LoadOptions::with_password(password))
                .is_err(),
            "{password:?}"
        );
    }
}

#[tokio::test]
async fn nothing_is_made_of_a_locked_file() {
    let (plain, locked) = (
        three_pages().await,
        edited(&lock(&[]), &[&three_pages().await]).await.unwrap(),
    );
    let take = Edit::Take(Pages { first: 1, last: 1 });
    for edit in [take, mark("x"), lock(&[])] {
        let made = edited(&edit, &[&locked]).await;
        assert_eq!(made, Err(TypesetError::Protected { file: 0 }), "{edit:?}");
    }
    let made = edited(&Edit::Merge, &[&plain, &locked]).await;
    assert_eq!(made, Err(TypesetError::Protected { file: 1 }));
}

#[tokio::test]
async fn the_same_edit_gives_the_same_bytes_in_two_processes() {
    let (one, other) = (three_pages().await, invoice().await);
    for (edit, files) in [
        (Edit::Merge, vec![&one[..], &other]),
        (Edit::Take(Pages { first: 2, last: 3 }), vec![&one[..]]),
        (mark("Borrador"), vec![&other[..]]),
    ] {
        let first = edited(&edit, &files).await.unwrap();

        assert!(first == edited(&edit, &files).await.unwrap(), "{edit:?}");
    }
}

#[tokio::test]
async fn what_is_too_large_is_not_made() {
    let source = three_pages().await;
    let few = Limits { pages: 5, ..LIMITS };
    let small = Limits {
        bytes: 1000,
        ..LIMITS
    };
    let renderer = renderer();

    let pages = renderer.edit(&Edit::Merge, &[&source, &source], few).await;
    let bytes = renderer.edit(&Edit::Merge, &[&source], small).await;

    assert_eq!(
        pages,
        Err(TypesetError::TooManyPages { pages: 6, limit: 5 })
    );
    assert!(matches!(
        bytes,
        Err(TypesetError::TooBig { limit: 1000, .. })
    ));
}

/// A file with this page, whose tree of pages is as given.
fn crafted(change: impl FnOnce(&mut Document, lopdf::ObjectId, lopdf::ObjectId)) -> Vec<u8> {
    let mut document = Document::with_version("1.7");
    let (tree, page) = (document.new_object_id(), document.new_object_id());
    document.objects.insert(
        page,
        dictionary! {
            "Type" => "Page", "Parent" => tree,
            "MediaBox" => vec![0.into(), 0.into(), 100.into(), 100.into()],
        }
        .into(),
    );
    document.objects.insert(
        tree,
        dictionary! { "Type" => "Pages", "Kids" => vec![Object::from(page)], "Count" => 1 }.into(),
    );
    let root = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
    document.trailer.set("Root", root);
    change(&mut document, tree, page);
    let mut file = Vec::new();
    document.save_to(&mut file).unwrap();
    file
}

#[tokio::test]
async fn hostile_files_are_refused_or_harmless_and_the_next_is_made() {
    let of_page = |document: &mut Document, page, key: &str, value: Object| {
        document.get_dictionary_mut(page).unwrap().set(key, value);
    };
    let hostile = [
        ("empty", vec![]),
        ("no pdf", b"%PDF-1.7 and nothing else".to_vec()),
        (
            "a tree in a circle",
            crafted(|document, tree, _| {
                let kids = vec![Object::from(tree); 50];
                document.get_dictionary_mut(tree).unwrap().set("Kids", kids);
            }),
        ),
        (
            "a parent in a circle",
            crafted(|document, tree, page| {
                document
                    .get_dictionary_mut(tree)
                    .unwrap()
                    .set("Parent", tree);
                document
                    .get_dictionary_mut(page)
                    .unwrap()
                    .remove(b"MediaBox");
            }),
        ),
        (
            "a resource that is itself",
            crafted(|document, _, page| {
                let own = document.new_object_id();
                document.objects.insert(own, Object::Reference(own));
                of_page(document, page, "Resources", own.into());
            }),
        ),
        (
            "resources that lead to the page",
            crafted(|document, _, page| {
                of_page(document, page, "Resources", page.into());
            }),
        ),
        (
            "an array in itself",
            crafted(|document, _, page| {
                let own = document.add_object(Object::Array(vec![]));
                document
                    .objects
                    .insert(own, vec![Object::from(own); 100].into());
                of_page(document, page, "Annots", own.into());
                of_page(document, page, "Contents", own.into());
            }),
        ),
        (
            "a bomb",
            crafted(|document, _, page| {
                let mut bomb = Stream::new(dictionary! {}, vec![b' '; 100 * 1024 * 1024]);
                bomb.compress().unwrap();
                let bomb = document.add_object(bomb);
                of_page(document, page, "Contents", bomb.into());
            }),
        ),
        (
            "a size of letters",
            crafted(|document, _, page| {
                of_page(document, page, "MediaBox", Object::string_literal("large"));
            }),
        ),
    ];
    let good = three_pages().await;
    let renderer = renderer();
    for (name, file) in &hostile {
        for edit in [
            Edit::Merge,
            Edit::Take(Pages { first: 1, last: 1 }),
            mark("x"),
            lock(&[]),
        ] {
            match renderer.edit(&edit, &[file], LIMITS).await {
                Ok(made) => assert!(made.file.len() < 1024 * 1024, "{name}: {edit:?}"),
                Err(
                    TypesetError::Unreadable { file: 0 }
                    | TypesetError::Aborted
                    | TypesetError::TimedOut,
                ) => {}
                Err(other) => panic!("{name}: {edit:?}: {other}"),
            }
        }
        let next = renderer.edit(&Edit::Merge, &[&good], LIMITS).await;
        assert!(next.is_ok(), "after {name}: {next:?}");
    }
}
