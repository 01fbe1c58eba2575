//! What a document is made by: the template that a request names, and the brand that it wears.

use domain::Id;
use domain::id::Organisation;
use ring::digest::{SHA256, digest};

use crate::brand::{Brand, Look};
use crate::check::Checked;
use crate::job::{Job, Output};
use crate::layout::Layout;
use crate::{Documents, DocumentsError};

/// A layout with what it wears.
#[derive(Clone, Debug)]
pub struct Design {
    /// The template.
    pub layout: Layout,
    /// The brand, if the organisation has one and the template shows it.
    pub look: Option<Look>,
}

impl Design {
    /// The brand without its logo's octets, as what is made later remembers it.
    pub fn brand(&self) -> Option<Brand> {
        self.look.as_ref().map(|look| look.brand.clone())
    }

    /// The job of such data. What a document wears is part of its input: another brand, another name of the file.
    pub(crate) fn job(&self, checked: Checked, output: Output) -> Job {
        let job = self.layout.job(checked, output);
        let Some(look) = &self.look else {
            return job;
        };
        let input = format!("{}\n{}", job.ident, look.brand.sha256());
        Job {
            ident: data_encoding::HEXLOWER.encode(digest(&SHA256, input.as_bytes()).as_ref()),
            look: Some(look.clone()),
            ..job
        }
    }
}

impl Documents {
    /// What a request's documents are made by, with the brand of this moment.
    ///
    /// # Errors
    /// [`DocumentsError::UnknownTemplate`], or a port's failure.
    pub async fn design(
        &self,
        org: Id<Organisation>,
        template: &str,
    ) -> Result<Design, DocumentsError> {
        let brand = async { self.brand(org).await.map_err(DocumentsError::from) };
        let (layout, brand) = futures::try_join!(self.layout(org, template), brand)?;
        Ok(self.worn(org, layout, brand).await?)
    }

    /// What documents are made by that were taken on with this brand.
    ///
    /// # Errors
    /// As [`Self::design`].
    pub async fn design_with(
        &self,
        org: Id<Organisation>,
        template: &str,
        brand: Option<Brand>,
    ) -> Result<Design, DocumentsError> {
        let layout = self.layout(org, template).await?;
        Ok(self.worn(org, layout, brand).await?)
    }

    /// This layout with this brand, if it shows any.
    ///
    /// # Errors
    /// A port's failure.
    pub(crate) async fn worn(
        &self,
        org: Id<Organisation>,
        layout: Layout,
        brand: Option<Brand>,
    ) -> Result<Design, ports::PortError> {
        let look = match brand.filter(|_| layout.shows_brand()) {
            Some(brand) => Some(self.dressed(org, brand).await?),
            None => None,
        };
        Ok(Design { layout, look })
    }
}
