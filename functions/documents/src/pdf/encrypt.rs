//! A file that opens with a password only.

use std::collections::BTreeMap;
use std::sync::Arc;

use lopdf::encryption::crypt_filters::{Aes256CryptFilter, CryptFilter};
use lopdf::{Document, EncryptionState, EncryptionVersion, Object, Permissions};

use super::{Lock, Permission};
use crate::job::TypesetError;

/// The name of the filter for all that is encrypted (ISO 32000-2, 7.6.6).
const FILTER: &[u8] = b"StdCF";

/// Encrypts every text and every stream. What claimed that the file may be archived goes: an archive
/// takes no encrypted file (ISO 19005-2, 6.1.3).
///
/// # Errors
/// [`TypesetError::Unreadable`] if the file does not let itself be encrypted.
pub(super) fn lock(document: &mut Document, lock: &Lock) -> Result<(), TypesetError> {
    let unreadable = |_| TypesetError::Unreadable { file: 0 };
    document
        .catalog_mut()
        .map_err(unreadable)?
        .remove(b"Metadata");
    let drop: Vec<_> = document
        .objects
        .iter()
        .filter(|(_, object)| {
            object
                .as_stream()
                .is_ok_and(|one| one.dict.has_type(b"Metadata"))
        })
        .map(|(id, _)| *id)
        .collect();
    for id in drop {
        document.objects.remove(&id);
    }
    part_texts_from_streams(document);
    let filter: Arc<dyn CryptFilter> = Arc::new(Aes256CryptFilter);
    let version = EncryptionVersion::V5 {
        encrypt_metadata: true,
        crypt_filters: BTreeMap::from([(FILTER.to_vec(), filter)]),
        file_encryption_key: &lock.key,
        stream_filter: FILTER.to_vec(),
        string_filter: FILTER.to_vec(),
        owner_password: &lock.owner_password,
        user_password: &lock.user_password,
        permissions: permissions(&lock.permissions),
    };
    let state = EncryptionState::try_from(version).map_err(unreadable)?;
    "2.0".clone_into(&mut document.version);
    document.encrypt(&state).map_err(unreadable)
}

/// Texts that stand in the dictionary of a stream become objects of their own: the library encrypts a
/// stream's content, and of texts only those outside streams, so that a reader would take the others for
/// encrypted and find them broken (ISO 32000-2, 7.6.2).
fn part_texts_from_streams(document: &mut Document) {
    let mut parted = Vec::new();
    for object in document.objects.values_mut() {
        let Object::Stream(stream) = object else {
            continue;
        };
        for (_, value) in &mut stream.dict {
            if holds_text(value) {
                document.max_id += 1;
                let id = (document.max_id, 0);
                parted.push((id, std::mem::replace(value, Object::Reference(id))));
            }
        }
    }
    document.objects.extend(parted);
}

fn holds_text(object: &Object) -> bool {
    match object {
        Object::String(..) => true,
        Object::Array(items) => items.iter().any(holds_text),
        Object::Dictionary(members) => members.iter().any(|(_, member)| holds_text(member)),
        _ => false,
    }
}

fn permissions(allowed: &[Permission]) -> Permissions {
    let aloud = Permissions::COPYABLE_FOR_ACCESSIBILITY;
    allowed.iter().fold(aloud, |all, one| {
        all | match one {
            Permission::Print => Permissions::PRINTABLE | Permissions::PRINTABLE_IN_HIGH_QUALITY,
            Permission::Copy => Permissions::COPYABLE,
            Permission::Modify => Permissions::MODIFIABLE,
            Permission::Annotate => Permissions::ANNOTABLE | Permissions::FILLABLE,
            Permission::Assemble => Permissions::ASSEMBLABLE,
        }
    })
}
