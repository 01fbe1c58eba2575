//! What every store that takes files straight from their owners must do.

use std::collections::BTreeMap;
use std::time::Duration;

use ring::digest::{SHA256, digest};

use crate::blobs::SMALLEST_PART;
use crate::blobs::uploads::{Agreed, Head, Sha256, Ticket, Uploads};
use crate::blobs::{Blob, LONGEST_LINK};
use crate::contract::assert_refused;

const VALID: Duration = Duration::from_mins(1);

/// Sends octets to a URL with these headers over plain HTTP, and gives the status of the answer.
pub type Send<'a> = &'a dyn Fn(&Ticket, &[u8]) -> u16;

/// Runs every check on an empty store.
pub async fn holds_for(blobs: &dyn Uploads, send: Send<'_>) {
    only_the_agreed_file_gets_in(blobs, send).await;
    a_ticket_of_more_than_the_rule_is_refused(blobs).await;
    a_file_is_read_in_pieces(blobs).await;
    parts_become_one_file(blobs, send).await;
    parts_that_were_given_up_are_gone(blobs, send).await;
    a_copy_is_a_file_of_its_own(blobs).await;
}

async fn only_the_agreed_file_gets_in(blobs: &dyn Uploads, send: Send<'_>) {
    let (key, body) = ("org_1/fil_1", b"exactly these octets".as_slice());
    let ticket = blobs
        .ticket(key, &agreed(body), VALID)
        .await
        .expect("a ticket");
    let with = |name: &str, value: &str| {
        let mut headers = ticket.headers.clone();
        headers.insert(name.to_owned(), value.to_owned());
        Ticket {
            headers,
            ..ticket.clone()
        }
    };
    let without = |name: &str| {
        let mut headers: BTreeMap<_, _> = ticket.headers.clone();
        headers.remove(name);
        Ticket {
            headers,
            ..ticket.clone()
        }
    };
    let longer = [body, b"!"].concat();

    assert_eq!(blobs.head(key).await, Ok(None));
    assert_eq!(send(&with("content-length", "21"), &longer), 403, "longer");
    assert_eq!(
        send(&with("content-length", "19"), &body[..19]),
        403,
        "shorter"
    );
    assert_eq!(
        send(&with("content-type", "text/html"), body),
        403,
        "another type"
    );
    assert_eq!(send(&without("content-type"), body), 403, "no type");
    assert_eq!(
        send(&ticket, b"exactly those octets"),
        400,
        "another content"
    );
    assert_eq!(
        send(&without("x-amz-checksum-sha256"), body),
        403,
        "no checksum"
    );
    let elsewhere = Ticket {
        url: ticket.url.replace("fil_1", "fil_2"),
        ..ticket.clone()
    };
    assert_eq!(send(&elsewhere, body), 403, "another key");
    assert_eq!(
        blobs.head(key).await,
        Ok(None),
        "nothing of that was stored"
    );

    assert_eq!(send(&ticket, body), 200);
    let stored = blobs.get(key).await.expect("a read").expect("a file");
    assert_eq!(stored.bytes, body);
    let head = Head {
        bytes: 20,
        content_type: "text/plain".into(),
    };
    assert_eq!(blobs.head(key).await, Ok(Some(head)));
}

async fn a_ticket_of_more_than_the_rule_is_refused(blobs: &dyn Uploads) {
    let longer = LONGEST_LINK + Duration::from_secs(1);
    let ticket = blobs.ticket("org_1/fil_3", &agreed(b"x"), longer).await;
    assert_refused(ticket, "a ticket of more than 15 minutes");
}

async fn a_file_is_read_in_pieces(blobs: &dyn Uploads) {
    let key = "org_1/fil_4";
    put(blobs, key, b"0123456789").await;

    for (from, at_most, expected) in [(0, 4, "0123"), (4, 4, "4567"), (8, 4, "89"), (10, 4, "")] {
        let piece = blobs.read(key, from, at_most).await.expect("a read");
        assert_eq!(piece.as_deref(), Some(expected.as_bytes()), "from {from}");
    }
    assert_eq!(blobs.read("org_1/fil_none", 0, 4).await, Ok(None));
}

async fn parts_become_one_file(blobs: &dyn Uploads, send: Send<'_>) {
    let key = "org_1/fil_5";
    let length = usize::try_from(SMALLEST_PART).expect("a length");
    let (first, last) = (vec![7_u8; length], b"and the rest".to_vec());
    let upload = blobs
        .begin_parts(key, "video/mp4")
        .await
        .expect("a beginning");
    let ticket = async |number, body: &[u8]| {
        let part = (body.len() as u64, sha256(body));
        let ticket = blobs.part_ticket(key, &upload, number, part, VALID).await;
        ticket.expect("a ticket")
    };
    let (one, two) = (ticket(1, &first).await, ticket(2, &last).await);

    assert_eq!(send(&two, b"and the best"), 400, "another content");
    assert_eq!(send(&two, &last), 200);
    assert_eq!(send(&one, &first), 200);
    let parts = blobs
        .parts(key, &upload)
        .await
        .expect("a list")
        .expect("an upload");
    let seen: Vec<_> = parts.iter().map(|part| (part.number, part.bytes)).collect();
    assert_eq!(seen, [(1, SMALLEST_PART), (2, 12)]);
    assert_eq!(blobs.head(key).await, Ok(None), "no file before the end");
    let mut strange = parts.clone();
    strange[1].number = 3;
    assert_refused(
        blobs.finish_parts(key, &upload, &strange).await,
        "a part that never arrived",
    );

    for time in ["first", "again"] {
        let finished = blobs.finish_parts(key, &upload, &parts).await;
        assert_eq!(finished, Ok(()), "{time}");
    }
    assert_eq!(blobs.parts(key, &upload).await, Ok(None));
    let head = Head {
        bytes: SMALLEST_PART + 12,
        content_type: "video/mp4".into(),
    };
    assert_eq!(blobs.head(key).await, Ok(Some(head)));
    let end = blobs
        .read(key, SMALLEST_PART - 1, 100)
        .await
        .expect("a read");
    assert_eq!(end.expect("a file"), [&[7], last.as_slice()].concat());
}

async fn parts_that_were_given_up_are_gone(blobs: &dyn Uploads, send: Send<'_>) {
    let key = "org_1/fil_6";
    let upload = blobs
        .begin_parts(key, "video/mp4")
        .await
        .expect("a beginning");
    let part = (4, sha256(b"part"));
    let ticket = blobs
        .part_ticket(key, &upload, 1, part, VALID)
        .await
        .expect("a ticket");

    assert_eq!(blobs.parts(key, &upload).await, Ok(Some(vec![])));
    assert_eq!(blobs.abort_parts(key, &upload).await, Ok(()));
    assert_eq!(blobs.abort_parts(key, &upload).await, Ok(()), "again");
    assert_eq!(blobs.parts(key, &upload).await, Ok(None));
    assert_eq!(send(&ticket, b"part"), 404);
    assert_eq!(blobs.head(key).await, Ok(None));
}

async fn a_copy_is_a_file_of_its_own(blobs: &dyn Uploads) {
    let (from, to) = ("org_1/fil_7", "org_1/fil_8");
    put(blobs, from, b"the same").await;

    assert_eq!(blobs.copy("org_1/fil_none", to).await, Ok(false));
    assert_eq!(blobs.head(to).await, Ok(None));
    assert_eq!(blobs.copy(from, to).await, Ok(true));
    blobs.delete(from).await.expect("a deletion");
    let copy = blobs.get(to).await.expect("a read").expect("a file");
    assert_eq!(
        (copy.bytes.as_slice(), copy.content_type.as_str()),
        (b"the same".as_slice(), "text/plain")
    );
}

async fn put(blobs: &dyn Uploads, key: &str, bytes: &[u8]) {
    let blob = Blob {
        bytes: bytes.to_vec(),
        content_type: "text/plain".into(),
    };
    blobs.put(key, blob).await.expect("a file");
}

fn agreed(body: &[u8]) -> Agreed {
    Agreed {
        bytes: body.len() as u64,
        content_type: "text/plain".into(),
        sha256: sha256(body),
    }
}

fn sha256(body: &[u8]) -> Sha256 {
    let mut octets = [0; 32];
    octets.copy_from_slice(digest(&SHA256, body).as_ref());
    octets
}
