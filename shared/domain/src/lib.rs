//! The words of the fleet: ids, e-mail, locale, roles, callers, events.
//!
//! No IO, no `async`, no AWS. What two capabilities must agree on stands here, so that neither imports
//! the other: the [`event`] vocabulary, and the records that one capability publishes for others to
//! read ([`account`], [`draft`], [`membership`]).

pub mod account;
pub mod caller;
pub mod draft;
pub mod email;
pub mod event;
pub mod id;
pub mod locale;
pub mod membership;
pub mod role;
pub mod text;

pub use account::Account;
pub use caller::Caller;
pub use email::Email;
pub use event::{Envelope, Event};
pub use id::Id;
pub use locale::Locale;
pub use membership::Membership;
pub use role::{OrganisationRole, PlatformRole};
pub use text::Text;
