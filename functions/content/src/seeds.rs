//! Several ids from the one seed of a request, so that a repeat of the request meets the same things.

use ring::digest::{SHA256, digest};
use uuid::{Builder, Uuid, Variant, Version};

/// The id number `n` of a request: the same moment, other chance.
pub fn nth(seed: Uuid, n: u32) -> Uuid {
    if n == 0 {
        return seed;
    }
    let mut octets = *seed.as_bytes();
    let input = [&octets[..], &n.to_be_bytes()].concat();
    octets[6..].copy_from_slice(&digest(&SHA256, &input).as_ref()[..10]);
    Builder::from_bytes(octets)
        .with_version(Version::SortRand)
        .with_variant(Variant::RFC4122)
        .into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_seed_differ_and_sort_beside_it() {
        let seed: Uuid = "019a0000-0000-7000-8000-000000000001".parse().unwrap();
        let ids: Vec<Uuid> = (0..5).map(|n| nth(seed, n)).collect();

        assert_eq!(ids, (0..5).map(|n| nth(seed, n)).collect::<Vec<_>>());
        assert!(
            ids.iter()
                .all(|id| id.as_bytes()[..6] == seed.as_bytes()[..6])
        );
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert!((1..5).all(|n| ids[..n].iter().all(|other| *other != ids[n])));
    }
}
