//! What an organisation's documents wear: from the first brand to none again.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use data_encoding::BASE64;
use documents::template::Template;
use lambda_http::http::StatusCode;
use lopdf::{Document, Object};
use moxcms::ColorProfile;
use page_validation::{ValidationOptions, ValidationProfile, validate_pdf_bytes};
use ports::faults::Fault;
use serde_json::{Value, json};

use crate::{Answer, Function, caller, event, owner, pictures, sample};

const PATH: &str = "/v1/brand";

fn brand(accent: &str, logo: Option<&[u8]>) -> Value {
    let logo =
        logo.map(|file| json!({ "data": BASE64.encode(file), "alt": "Empresa de Ejemplo, S. L." }));
    json!({ "accent": accent, "logo": logo })
}

impl Function {
    async fn wear(&self, caller: &Value, brand: &Value) -> Answer {
        self.handle(&event(caller, "PUT", PATH, Some(brand))).await
    }

    /// A brand that is taken on.
    #[track_caller]
    fn worn(&self, brand: &Value) -> impl Future<Output = Value> {
        let request = event(&owner(), "PUT", PATH, Some(brand));
        async move {
            let answer = self.handle(&request).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            answer.body
        }
    }

    /// The file of a document in this format.
    async fn file(&self, caller: &Value, template: &str, data: &Value, format: &str) -> Vec<u8> {
        let body = json!({ "template": template, "data": data, "format": format });
        let request = event(caller, "POST", "/v1/documents", Some(&body));
        let answer = self.handle(&request).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        let url = answer.body["download_url"].as_str().unwrap();
        self.blobs.follow(url, self.now()).unwrap().blob.bytes
    }
}

/// The rules of archiving and of reading aloud that a file breaks.
fn broken_rules(pdf: &[u8]) -> Vec<String> {
    let profiles = [ValidationProfile::PdfA2b, ValidationProfile::PdfUa1];
    profiles
        .into_iter()
        .flat_map(|profile| {
            let options = ValidationOptions::default().profile(profile);
            validate_pdf_bytes(pdf, &options).unwrap().failures
        })
        .map(|failure| format!("{failure:?}"))
        .collect()
}

/// What is said instead of each picture of a file.
fn alternatives(pdf: &[u8]) -> Vec<String> {
    let document = Document::load_mem(pdf).unwrap();
    let figures = document.objects.values().filter_map(|object| {
        let dictionary = object.as_dict().ok()?;
        let is_figure = dictionary.get(b"S").and_then(Object::as_name).ok()? == b"Figure";
        let said = dictionary
            .get(b"Alt")
            .and_then(lopdf::decode_text_string)
            .ok()?;
        is_figure.then_some(said)
    });
    figures.collect()
}

/// The families that a file's text is set in.
fn families(pdf: &[u8]) -> Vec<String> {
    let document = Document::load_mem(pdf).unwrap();
    let fonts = document.objects.values().filter_map(|object| {
        let dictionary = object.as_dict().ok()?;
        let name = dictionary.get(b"FontName").and_then(Object::as_name).ok()?;
        Some(String::from_utf8_lossy(name).into_owned())
    });
    fonts.collect()
}

/// The parts of an office file.
fn parts(file: Vec<u8>) -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(file)).unwrap();
    (0..archive.len())
        .map(|index| {
            let mut part = archive.by_index(index).unwrap();
            let mut octets = Vec::new();
            part.read_to_end(&mut octets).unwrap();
            (part.name().to_owned(), octets)
        })
        .collect()
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

#[tokio::test]
async fn every_template_shows_it_and_can_be_archived_and_read_aloud() {
    let files = [
        ("png", pictures::png(300, 90)),
        ("sixteen bits", pictures::deep_png()),
        ("few colours", pictures::png_with_text()),
        ("jpeg", pictures::jpeg(300, 90)),
        ("grey", pictures::grey_jpeg()),
        ("srgb", pictures::jpeg_in(&ColorProfile::new_srgb())),
    ];
    for (name, file) in files {
        let function = Function::new();
        function.worn(&brand("#8a1538", Some(&file))).await;
        for template in Template::ALL {
            for data in template.samples() {
                let pdf = function.file(&owner(), template.name(), &data, "pdf").await;

                assert_eq!(broken_rules(&pdf), [""; 0], "{template:?} with {name}");
                assert_eq!(
                    alternatives(&pdf),
                    ["Empresa de Ejemplo, S. L."],
                    "{template:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn every_kind_of_file_shows_it() {
    let function = Function::new();
    let logo = pictures::png(300, 90);
    let set = function.worn(&brand("#8a1538", Some(&logo))).await;
    let data = sample(Template::Invoice);

    let html = function.file(&owner(), "invoice", &data, "html").await;
    let docx = parts(function.file(&owner(), "invoice", &data, "docx").await);
    let xlsx = parts(function.file(&owner(), "invoice", &data, "xlsx").await);

    let html = text(&html);
    assert!(html.contains("--accent:#8A1538"));
    assert!(html.contains("default-src 'none'; style-src 'unsafe-inline'; img-src data:\""));
    assert!(html.contains(&format!(
        "<img src=\"data:image/png;base64,{}\" alt=\"Empresa de Ejemplo, S. L.\" width=\"213\" height=\"64\"/>",
        BASE64.encode(&logo)
    )));
    assert_eq!(docx["word/media/logo.png"], logo);
    assert!(text(&docx["word/document.xml"]).contains("descr=\"Empresa de Ejemplo, S. L.\""));
    assert!(text(&docx["word/_rels/document.xml.rels"]).contains("Target=\"media/logo.png\""));
    assert!(text(&docx["[Content_Types].xml"]).contains("ContentType=\"image/png\""));
    assert!(text(&docx["word/styles.xml"]).contains("w:val=\"8A1538\""));
    assert!(text(&xlsx["xl/styles.xml"]).contains("8A1538"));
    assert_eq!(
        (&set["logo"]["width"], &set["logo"]["kind"]),
        (&json!(300), &json!("png"))
    );
}

#[tokio::test]
async fn the_same_data_and_brand_give_the_same_bytes_and_no_brand_the_old_ones() {
    let (one, other) = (Function::new(), Function::new());
    let data = sample(Template::Letter);
    let plain = one.file(&owner(), "letter", &data, "pdf").await;
    let wanted = brand("#8a1538", Some(&pictures::png(300, 90)));

    let mut worn = Vec::new();
    for function in [&one, &other] {
        function.worn(&wanted).await;
        worn.push(function.file(&owner(), "letter", &data, "pdf").await);
    }
    let mut recoloured = wanted.clone();
    recoloured["accent"] = json!("#004d40");
    one.worn(&recoloured).await;
    let another = one.file(&owner(), "letter", &data, "pdf").await;
    let gone = one.ask(&owner(), "DELETE", PATH).await;
    let bare = one.file(&owner(), "letter", &data, "pdf").await;

    assert_eq!(worn[0], worn[1], "in another process");
    assert_ne!(worn[0], plain);
    assert_ne!(worn[0], another);
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(bare, plain);
    let id = |pdf: &[u8]| Document::load_mem(pdf).unwrap().trailer.get(b"ID").cloned();
    assert_ne!(id(&worn[0]).unwrap(), id(&plain).unwrap());
}

#[tokio::test]
async fn a_brand_is_read_with_its_logo_and_changed_by_whoever_read_it_last() {
    let function = Function::new();
    let logo = pictures::jpeg(120, 60);
    assert_eq!(
        function.ask(&owner(), "GET", PATH).await.status,
        StatusCode::NOT_FOUND
    );

    let set = function
        .wear(&owner(), &brand("#8A1538", Some(&logo)))
        .await;
    let read = function.ask(&caller(1, "viewer"), "GET", PATH).await;
    let mut stale = event(&owner(), "PUT", PATH, Some(&brand("#004d40", None)));
    stale["headers"]["if-match"] = json!("\"v7\"");
    let refused = function.handle(&stale).await;
    stale["headers"]["if-match"] = json!(set.headers["etag"].to_str().unwrap());
    let changed = function.handle(&stale).await;
    let again = function.handle(&stale).await;

    assert_eq!(set.headers["etag"], "\"v1\"");
    assert!(set.body["logo"].get("data").is_none());
    assert_eq!(read.headers["etag"], "\"v1\"");
    assert_eq!(read.body["accent"], "#8a1538");
    assert_eq!(read.body["font"], "Libertinus Serif");
    assert_eq!(read.body["logo"]["data"], BASE64.encode(&logo));
    assert_eq!(refused.body["code"], "version_mismatch");
    assert_eq!(changed.headers["etag"], "\"v2\"");
    assert_eq!(changed.body["logo"], Value::Null);
    assert_eq!(again.body["code"], "version_mismatch");
}

#[tokio::test]
async fn a_version_does_not_come_twice_when_a_brand_goes_and_another_comes() {
    let function = Function::new();
    function.worn(&brand("#8a1538", None)).await;

    let gone = function.ask(&owner(), "DELETE", PATH).await;
    let read = function.ask(&owner(), "GET", PATH).await;
    let again = function.ask(&owner(), "DELETE", PATH).await;
    let next = function.wear(&owner(), &brand("#004d40", None)).await;

    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(read.status, StatusCode::NOT_FOUND);
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    assert_eq!(next.headers["etag"], "\"v3\"");
}

#[tokio::test]
async fn a_logo_stays_without_being_sent_again_and_is_kept_a_while_when_it_goes() {
    let function = Function::new();
    function
        .worn(&brand("#8a1538", Some(&pictures::png(300, 90))))
        .await;
    let logos = || {
        let rows = function.table.rows();
        rows.into_iter()
            .filter(|row| row.key.sk.starts_with("brand-logo#"))
            .collect::<Vec<_>>()
    };

    let kept = json!({ "accent": "#004d40", "logo": { "alt": "Ejemplo" } });
    let recoloured = function.worn(&kept).await;
    let current = logos();
    function.worn(&brand("#004d40", None)).await;
    let old = logos();
    let missing = function.wear(&owner(), &kept).await;

    assert_eq!(recoloured["logo"]["alt"], "Ejemplo");
    assert_eq!(recoloured["logo"]["width"], 300);
    assert_eq!(current.len(), 1);
    assert_eq!(current[0].expires_at, None);
    let until = old[0].expires_at.unwrap();
    assert_eq!(until.to_string(), "2026-12-25T10:11:12Z");
    assert_eq!(missing.body["errors"][0]["pointer"], "/logo/data");
}

#[tokio::test]
async fn a_document_costs_one_more_read_and_the_logo_none_after_the_first() {
    let function = Function::new();
    function
        .worn(&brand("#8a1538", Some(&pictures::png(300, 90))))
        .await;
    let data = sample(Template::Letter);
    function.file(&owner(), "letter", &data, "pdf").await;
    let before = function.table.faults().calls();

    function.file(&owner(), "letter", &data, "pdf").await;

    assert_eq!(function.table.faults().calls() - before, 2);
}

#[tokio::test]
async fn another_organisation_neither_sees_it_nor_wears_it() {
    let function = Function::new();
    let stranger = caller(2, "owner");
    let data = sample(Template::Letter);
    let plain = function.file(&stranger, "letter", &data, "pdf").await;
    function
        .worn(&brand("#8a1538", Some(&pictures::png(300, 90))))
        .await;
    function.file(&owner(), "letter", &data, "pdf").await;

    let seen = function.ask(&stranger, "GET", PATH).await;
    let deleted = function.ask(&stranger, "DELETE", PATH).await;
    let theirs = function.file(&stranger, "letter", &data, "pdf").await;
    let taken = json!({ "accent": "#004d40", "logo": { "alt": "Mine now" } });
    let taken = function.wear(&stranger, &taken).await;

    assert_eq!(seen.status, StatusCode::NOT_FOUND);
    assert_eq!(deleted.status, StatusCode::NOT_FOUND);
    assert_eq!(theirs, plain);
    assert_eq!(taken.body["errors"][0]["pointer"], "/logo/data");
}

#[tokio::test]
async fn only_who_manages_the_organisation_changes_it() {
    let function = Function::new();
    for role in ["viewer", "editor"] {
        let member = caller(1, role);

        let set = function.wear(&member, &brand("#8a1538", None)).await;
        let deleted = function.ask(&member, "DELETE", PATH).await;

        assert_eq!(set.status, StatusCode::FORBIDDEN, "{role}");
        assert_eq!(deleted.status, StatusCode::FORBIDDEN, "{role}");
    }
    let set = function
        .wear(&caller(1, "admin"), &brand("#8a1538", None))
        .await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.body);
}

#[tokio::test]
async fn each_typeface_keeps_to_the_standards_and_says_what_it_cannot_show() {
    for (font, own, other) in [
        ("Libertinus Serif", "LibertinusSerif", "NotoSans"),
        ("Noto Sans", "NotoSans", "LibertinusSerif"),
    ] {
        let function = Function::new();
        let mut wanted = brand("#8a1538", Some(&pictures::png(300, 90)));
        wanted["font"] = json!(font);
        function.worn(&wanted).await;
        for template in Template::ALL {
            for data in template.samples() {
                let pdf = function.file(&owner(), template.name(), &data, "pdf").await;

                assert_eq!(broken_rules(&pdf), [""; 0], "{template:?} in {font}");
                let families = families(&pdf);
                assert!(
                    families.iter().any(|name| name.contains(own)),
                    "{families:?}"
                );
                assert!(
                    !families.iter().any(|name| name.contains(other)),
                    "{families:?}"
                );
            }
        }
        let mut hebrew = sample(Template::Letter);
        hebrew["paragraphs"][0] = json!("שלום");
        let answer = function.create(&owner(), "letter", &hebrew).await;
        let pointer = &answer.body["errors"][0]["pointer"];
        match font {
            "Noto Sans" => assert_eq!(pointer, "/data/paragraphs/0"),
            _ => assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body),
        }
    }
}

#[tokio::test]
async fn a_template_of_ones_own_finds_it_at_hand() {
    let function = Function::new();
    let source = r#"#import "/frame.typ": frame, accent
#show: frame.with(title: "Note", locale: "en", letterhead: none)
#show heading: set text(fill: accent)
= Note
#if brand == none [Plain.] else {
  [In #brand.accent and #brand.font.]
  image(brand.logo.path, alt: brand.logo.alt, width: 3cm)
}"#;
    let template = json!({ "name": "Note", "schema": {}, "source": source, "samples": [{}] });
    let request = event(&owner(), "POST", "/v1/document-templates", Some(&template));
    let made = function.handle(&request).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let id = made.body["id"].as_str().unwrap();

    let plain = function.file(&owner(), id, &json!({}), "pdf").await;
    let mut wanted = brand("#8a1538", Some(&pictures::png(300, 90)));
    wanted["font"] = json!("Noto Sans");
    function.worn(&wanted).await;
    let worn = function.file(&owner(), id, &json!({}), "pdf").await;

    assert_eq!(alternatives(&plain), [""; 0]);
    assert_eq!(alternatives(&worn), ["Empresa de Ejemplo, S. L."]);
    assert_eq!(broken_rules(&worn), [""; 0]);
    let page = Document::load_mem(&worn)
        .unwrap()
        .extract_text(&[1])
        .unwrap();
    assert!(page.contains("In #8a1538 and Noto Sans."), "{page}");
}

#[tokio::test]
async fn what_a_file_says_beside_its_pixels_is_not_kept() {
    let place = b"Exif\0\0 Calle Mayor 1";
    let photo = pictures::with_segment(&pictures::jpeg(60, 40), 0xe1, place);
    let profiled = pictures::jpeg_in(&ColorProfile::new_srgb());
    for file in [photo, profiled, pictures::png_with_text()] {
        let function = Function::new();
        let mut sent = file.clone();
        sent.extend(b"Calle Mayor 1");
        function.worn(&brand("#8a1538", Some(&sent))).await;

        let read = function.ask(&owner(), "GET", PATH).await;

        let kept = BASE64
            .decode(read.body["logo"]["data"].as_str().unwrap().as_bytes())
            .unwrap();
        assert!(kept.len() < file.len());
        for said in [&b"Calle"[..], b"ICC_PROFILE"] {
            assert!(!kept.windows(said.len()).any(|octets| octets == said));
        }
    }
}

#[tokio::test]
async fn whatever_is_wrong_is_named_at_once_in_the_language_of_the_request() {
    let function = Function::new();
    let bad = json!({ "accent": "#ff0000", "logo": { "data": "?", "alt": " " } });
    let mut request = event(&owner(), "PUT", PATH, Some(&bad));

    let english = function.handle(&request).await;
    request["headers"]["accept-language"] = json!("es");
    let spanish = function.handle(&request).await;

    assert_eq!(english.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(english.body["code"], "validation_failed");
    let errors = english.body["errors"].as_array().unwrap();
    let pointers: Vec<_> = errors.iter().map(|error| &error["pointer"]).collect();
    assert_eq!(pointers, ["/accent", "/logo/alt", "/logo/data"]);
    assert_eq!(
        english.body["errors"][0]["detail"],
        "Its contrast with the ground of table heads, #eef2f5, is 3.55:1; it must be at least 4.5:1"
    );
    assert_eq!(
        spanish.body["errors"][0]["detail"],
        "Su contraste con el fondo de los encabezados de tabla, #eef2f5, es de 3,55:1; debe ser de 4,5:1 como mínimo"
    );
    for (body, pointer) in [
        (json!({ "accent": "red" }), "/accent"),
        (
            json!({ "accent": "#8a1538", "font": "Comic Sans" }),
            "/font",
        ),
        (
            json!({ "accent": "#8a1538", "colour": "#8a1538" }),
            "/colour",
        ),
        (
            json!({ "accent": "#8a1538", "logo": { "data": "" } }),
            "/logo/alt",
        ),
    ] {
        let answer = function.wear(&owner(), &body).await;
        assert_eq!(
            answer.body["errors"][0]["pointer"], pointer,
            "{}",
            answer.body
        );
    }
    assert!(function.table.rows().is_empty());
}

#[tokio::test]
async fn a_hostile_picture_is_refused_and_the_next_request_is_answered() {
    let whole = pictures::png(300, 90);
    let photo = pictures::jpeg(300, 90);
    let mut bent = whole.clone();
    let middle = bent.len() / 2;
    bent[middle] ^= 0x40;
    let cases: [(&str, Vec<u8>, &str); 17] = [
        ("nothing", vec![], "Neither PNG nor JPEG"),
        (
            "SVG",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(),
            "Neither PNG nor JPEG",
        ),
        (
            "GIF",
            b"GIF89a\x01\0\x01\0".to_vec(),
            "Neither PNG nor JPEG",
        ),
        (
            "a signature",
            whole[..8].to_vec(),
            "Cannot be read to its end",
        ),
        (
            "half a PNG",
            whole[..whole.len() / 2].to_vec(),
            "Cannot be read to its end",
        ),
        ("a bent PNG", bent, "Cannot be read to its end"),
        (
            "half a JPEG",
            photo[..photo.len() / 2].to_vec(),
            "Cannot be read to its end",
        ),
        (
            "huge",
            pictures::png_that_claims(60_000, 60_000),
            "Has 60000 × 60000 pixels",
        ),
        (
            "too many pixels",
            pictures::png_that_claims(2000, 2000),
            "Has 2000 × 2000 pixels",
        ),
        ("too thin", pictures::png(2000, 15), "Has 2000 × 15 pixels"),
        (
            "a lie about its size",
            pictures::png_that_claims(400, 400),
            "Cannot be read to its end",
        ),
        ("animation", pictures::animation(), "Is an animation"),
        (
            "printing inks",
            pictures::cmyk_jpeg(),
            "Its colours are not sRGB",
        ),
        (
            "wide colours",
            pictures::png_in(&ColorProfile::new_display_p3()),
            "Its colours are not sRGB",
        ),
        (
            "other colours",
            pictures::jpeg_in(&ColorProfile::new_adobe_rgb()),
            "Its colours are not sRGB",
        ),
        (
            "grey profile",
            pictures::png_in(&ColorProfile::new_gray_with_gamma(1.0)),
            "Its colours are not sRGB",
        ),
        (
            "too large",
            vec![0; 256 * 1024 + 1],
            "Has 262145 octets; at most 262144",
        ),
    ];
    let function = Function::new();
    for (name, file, said) in cases {
        let answer = function
            .wear(&owner(), &brand("#8a1538", Some(&file)))
            .await;

        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{name}");
        let error = &answer.body["errors"][0];
        assert_eq!(error["pointer"], "/logo/data", "{name}");
        assert!(
            error["detail"].as_str().unwrap().starts_with(said),
            "{name}: {error}"
        );
    }
    function.worn(&brand("#8a1538", Some(&whole))).await;
}

#[tokio::test]
async fn a_bomb_takes_no_more_room_than_it_says_that_it_needs() {
    let function = Function::new();

    let answer = function
        .wear(&owner(), &brand("#8a1538", Some(&pictures::bomb())))
        .await;

    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.body["logo"]["width"], 100);
    function
        .worn(&brand("#8a1538", Some(&pictures::png(300, 90))))
        .await;
}

#[tokio::test]
async fn a_change_cut_anywhere_is_there_once_or_not_at_all() {
    let first = brand("#8a1538", Some(&pictures::png(300, 90)));
    let second = brand("#004d40", Some(&pictures::jpeg(120, 60)));
    for fault in [Fault::Before, Fault::After, Fault::Throttled] {
        // The brand, the logo that goes, and the transaction.
        for call in 0..3 {
            let function = Function::new();
            function.worn(&first).await;
            function.table.faults().fail_call(call, fault);
            let mut request = event(&owner(), "PUT", PATH, Some(&second));
            request["headers"]["idempotency-key"] = json!("brand-2");

            let mut answer = function.handle(&request).await;
            if answer.status == StatusCode::SERVICE_UNAVAILABLE {
                answer = function.handle(&request).await;
            }

            assert_eq!(
                answer.status,
                StatusCode::OK,
                "{call} {fault:?}: {}",
                answer.body
            );
            assert_eq!(answer.body["accent"], "#004d40");
            let read = function.ask(&owner(), "GET", PATH).await;
            assert_eq!(read.headers["etag"], "\"v2\"", "{call} {fault:?}");
            assert_eq!(read.body["logo"]["kind"], "jpeg");
        }
    }
}

#[tokio::test]
async fn a_request_that_comes_again_after_the_brand_changed_leaves_file_and_row_alike() {
    let function = Function::new();
    function.worn(&brand("#8a1538", None)).await;
    let body = json!({ "template": "letter", "data": sample(Template::Letter) });
    let mut request = event(&owner(), "POST", "/v1/documents", Some(&body));
    request["headers"]["idempotency-key"] = json!("letter-1");
    // The row is written, but nobody hears of it.
    function.table.faults().fail_call(1, Fault::After);
    function.table.faults().fail_call(2, Fault::Before);

    let cut = function.handle(&request).await;
    function.worn(&brand("#004d40", None)).await;
    let again = function.handle(&request).await;

    assert_eq!(cut.status, StatusCode::SERVICE_UNAVAILABLE, "{}", cut.body);
    assert_eq!(again.status, StatusCode::CREATED, "{}", again.body);
    let path = format!("/v1/documents/{}", again.body["id"].as_str().unwrap());
    let read = function.ask(&owner(), "GET", &path).await;
    let url = again.body["download_url"].as_str().unwrap();
    let file = function.blobs.follow(url, function.now()).unwrap();
    let sha256 = ring::digest::digest(&ring::digest::SHA256, &file.blob.bytes);
    assert_eq!(
        read.body["sha256"],
        data_encoding::HEXLOWER.encode(sha256.as_ref())
    );
    assert_eq!(read.body["sha256"], again.body["sha256"]);
}
