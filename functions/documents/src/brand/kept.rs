//! Where brands stand: read by every document, changed seldom.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::BASE64;
use domain::Id;
use domain::id::Organisation;
use ports::PortError;
use ports::table::{If, Item, Key, Write};
use serde::{Deserialize, Serialize};

use super::{Brand, BrandRecord, LOGO_KEPT, Logo, Look, NewBrand};
use crate::{Documents, DocumentsError, Owner};

/// How many logos a process keeps at hand: 2 MiB of them at the most.
const AT_HAND: usize = 8;

/// Logos that were read before, the last one last. A logo's key names its content, so that none is ever stale.
#[derive(Debug, Default)]
pub struct Logos(Mutex<VecDeque<(Key, Arc<Vec<u8>>)>>);

impl Logos {
    fn find(&self, key: &Key) -> Option<Arc<Vec<u8>>> {
        let logos = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = logos.iter().find(|(known, _)| known == key);
        found.map(|(_, octets)| octets.clone())
    }

    fn keep(&self, key: Key, octets: Arc<Vec<u8>>) {
        let mut logos = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logos.retain(|(known, _)| *known != key);
        logos.push_back((key, octets));
        if logos.len() > AT_HAND {
            logos.pop_front();
        }
    }
}

/// The octets of a logo as a row.
#[derive(Debug, Serialize, Deserialize)]
struct LogoRecord {
    /// In base64.
    file: String,
}

/// What stands where an organisation's brand stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    record: Option<BrandRecord>,
    row: Option<Item>,
}

impl Standing {
    /// The brand, if there is one.
    pub fn brand(&self) -> Option<&Brand> {
        self.record.as_ref()?.brand.as_ref()
    }

    /// The brand with who changed it when, if there is one.
    pub fn record(&self) -> Option<&BrandRecord> {
        self.record.as_ref().filter(|record| record.brand.is_some())
    }

    /// Counts the changes; 0 if there never was a brand.
    pub fn version(&self) -> u64 {
        self.row.as_ref().map_or(0, |row| row.version)
    }
}

impl Documents {
    /// The brand of an organisation, if it has one.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn brand(&self, org: Id<Organisation>) -> Result<Option<Brand>, PortError> {
        let standing = self.standing_brand(org).await?;
        Ok(standing.record.and_then(|record| record.brand))
    }

    /// The brand of an organisation, with its row for the next change.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn standing_brand(&self, org: Id<Organisation>) -> Result<Standing, PortError> {
        let row = self.table.get(&brand_key(org)).await?;
        let record = row.as_ref().map(Item::parse).transpose()?;
        Ok(Standing { record, row })
    }

    /// The brand with its logo at hand. A logo is read once by a process.
    ///
    /// # Errors
    /// A port's failure.
    pub async fn dressed(&self, org: Id<Organisation>, brand: Brand) -> Result<Look, PortError> {
        let logo = match &brand.logo {
            Some(logo) => Some(self.logo(org, logo).await?),
            None => None,
        };
        Ok(Look { brand, logo })
    }

    async fn logo(&self, org: Id<Organisation>, logo: &Logo) -> Result<Arc<Vec<u8>>, PortError> {
        let key = logo_key(org, logo);
        if let Some(octets) = self.logos.find(&key) {
            return Ok(octets);
        }
        let lost = || PortError::Refused {
            port: ports::Port::Table,
            cause: "the logo of a brand is gone".to_owned(),
        };
        let row = self.table.get(&key).await?.ok_or_else(lost)?;
        let record: LogoRecord = row.parse()?;
        let octets = BASE64.decode(record.file.as_bytes()).map_err(|_| lost())?;
        let octets = Arc::new(octets);
        self.logos.keep(key, octets.clone());
        Ok(octets)
    }

    /// Lets an organisation's documents wear this brand from now on. What is worn already is not written again.
    ///
    /// # Errors
    /// [`DocumentsError::BadBrand`] with every fault, or a failure.
    pub async fn set_brand(
        &self,
        owner: &Owner,
        standing: Standing,
        new: NewBrand,
    ) -> Result<Standing, DocumentsError> {
        let look = self.admit_brand(new, standing.brand()).await?;
        if standing.brand() == Some(&look.brand) {
            return Ok(standing);
        }
        let arriving = look.emblem().map(|(logo, octets)| {
            let record = LogoRecord {
                file: BASE64.encode(octets),
            };
            Item::new(logo_key(owner.org, logo), &record)
        });
        self.change_brand(owner, standing, Some(look.brand), arriving)
            .await
    }

    /// Lets an organisation's documents wear nothing from now on.
    ///
    /// # Errors
    /// [`DocumentsError::NotFound`], or a failure.
    pub async fn delete_brand(
        &self,
        owner: &Owner,
        standing: Standing,
    ) -> Result<(), DocumentsError> {
        if standing.brand().is_none() {
            return Err(DocumentsError::NotFound);
        }
        self.change_brand(owner, standing, None, None)
            .await
            .map(|_| ())
    }

    /// Writes the next state of a brand with the logo that comes and the one that goes, if nobody changed it since
    /// it was read.
    async fn change_brand(
        &self,
        owner: &Owner,
        standing: Standing,
        brand: Option<Brand>,
        arriving: Option<Item>,
    ) -> Result<Standing, DocumentsError> {
        let org = owner.org;
        let stays = brand.as_ref().and_then(|brand| brand.logo.as_ref());
        let goes = standing.brand().and_then(|brand| brand.logo.as_ref());
        let goes = goes.filter(|logo| stays.is_none_or(|stays| stays.sha256 != logo.sha256));
        let leaving = match goes {
            Some(logo) => self.leaving(org, logo).await?,
            None => None,
        };
        let record = BrandRecord {
            brand,
            updated_by: owner.user,
            updated_at: self.clock.now(),
        };
        let (row, condition) = match &standing.row {
            Some(row) => (row.next(&record), If::VersionIs(row.version)),
            None => (Item::new(brand_key(org), &record), If::Absent),
        };
        let mut parts = vec![Write::Put(row.clone(), condition)];
        let logos = arriving.into_iter().chain(leaving);
        parts.extend(logos.map(|logo| Write::Put(logo, If::Always)));
        match self.table.write(parts).await {
            Ok(()) => Ok(Standing {
                record: Some(record),
                row: Some(row),
            }),
            Err(error) => {
                // If what stands there is what was to be written, only the answer was lost.
                let now = self.standing_brand(org).await?;
                if now.record.as_ref() == Some(&record) {
                    Ok(now)
                } else {
                    Err(error.into())
                }
            }
        }
    }

    /// The row of a logo that is worn no more: what was taken on with it can still be made for a while.
    async fn leaving(&self, org: Id<Organisation>, logo: &Logo) -> Result<Option<Item>, PortError> {
        let row = self.table.get(&logo_key(org, logo)).await?;
        let until = self.clock.now().saturating_add(LOGO_KEPT);
        Ok(row.map(|row| {
            let version = row.version + 1;
            match until {
                Ok(until) => Item { version, ..row }.expiring(until),
                Err(_) => row,
            }
        }))
    }
}

fn brand_key(org: Id<Organisation>) -> Key {
    Key::new(org, "brand")
}

fn logo_key(org: Id<Organisation>, logo: &Logo) -> Key {
    Key::new(org, format!("brand-logo#{}", logo.sha256))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_keeps_the_last_logos_at_hand() {
        let logos = Logos::default();
        let key = |n: usize| Key::new("org_1", format!("brand-logo#{n}"));
        for n in 0..=AT_HAND {
            logos.keep(key(n), Arc::new(vec![0]));
        }

        assert!(logos.find(&key(0)).is_none());
        assert!((1..=AT_HAND).all(|n| logos.find(&key(n)).is_some()));
    }
}
