//! How often passwords and codes may be tried, and mail be asked for.
//!
//! Each limit is counted per address *and* origin: an attacker who uses up the tries for a victim's
//! address uses up their own, and the victim, who comes from elsewhere, can still sign in. An unknown
//! address counts like a known one. Across origins the user pool slows the tries for one account down.

use std::net::IpAddr;

use data_encoding::HEXLOWER;
use domain::Email;
use ring::digest;
use runtime::Platform;
use runtime::rate_limit::{Denied, Limiter, Policy};

/// Passwords and codes that one origin may try for one address.
const TRIES: Policy = Policy {
    name: "auth-tries",
    quota: 20,
    minutes: 5,
};

/// Messages that one origin may have sent to one address.
const MAILS: Policy = Policy {
    name: "auth-mails",
    quota: 10,
    minutes: 15,
};

/// Either, over all addresses: an office behind one address passes, a list of leaked passwords does not.
const ORIGIN: Policy = Policy {
    name: "auth-origin",
    quota: 300,
    minutes: 5,
};

/// The limits of the public routes.
pub struct Limits {
    tries: Limiter,
    mails: Limiter,
    origin: Limiter,
}

impl Limits {
    /// Limits counted in the platform's table.
    pub fn new(platform: &Platform) -> Self {
        let limiter =
            |policy| Limiter::new(platform.requests.clone(), platform.clock.clone(), policy);
        Self {
            tries: limiter(TRIES),
            mails: limiter(MAILS),
            origin: limiter(ORIGIN),
        }
    }

    /// Counts a password or code that is tried for an address.
    pub(crate) async fn try_secret(&self, email: &Email, ip: &str) -> Result<(), Denied> {
        self.count(&self.tries, email, ip).await
    }

    /// Counts a message that is asked for.
    pub(crate) async fn ask_for_mail(&self, email: &Email, ip: &str) -> Result<(), Denied> {
        self.count(&self.mails, email, ip).await
    }

    async fn count(&self, limiter: &Limiter, email: &Email, ip: &str) -> Result<(), Denied> {
        let origin = origin(ip);
        limiter
            .admit(&format!("{}:{origin}", pseudonym(email)))
            .await?;
        self.origin.admit(&origin).await.map(drop)
    }
}

/// Addresses do not stand in keys: a hash is enough to count by.
fn pseudonym(email: &Email) -> String {
    let hash = digest::digest(&digest::SHA256, email.as_str().as_bytes());
    HEXLOWER.encode(&hash.as_ref()[..16])
}

/// A household has 2^64 IPv6 addresses to choose from; they count as one.
fn origin(ip: &str) -> String {
    match ip.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_none() => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::")
        }
        _ => ip.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ports::clock::ManualClock;
    use ports::ids::SequentialIds;
    use ports::table::MemoryTable;
    use std::time::Duration;

    #[tokio::test]
    async fn an_attacker_uses_up_their_own_tries_and_not_the_victims() {
        let clock = ManualClock::at_text("2026-01-02T03:04:05Z");
        let platform = Platform {
            requests: MemoryTable::shared(),
            clock: clock.clone(),
            ids: SequentialIds::shared(),
        };
        let limits = Limits::new(&platform);
        let victim: Email = "ana@example.com".parse().unwrap();

        for _ in 0..20 {
            assert!(limits.try_secret(&victim, "192.0.2.1").await.is_ok());
        }

        assert!(limits.try_secret(&victim, "192.0.2.1").await.is_err());
        assert!(limits.try_secret(&victim, "192.0.2.2").await.is_ok());
        assert!(
            limits
                .try_secret(&"bea@example.com".parse().unwrap(), "192.0.2.1")
                .await
                .is_ok()
        );
        clock.advance(Duration::from_secs(400));
        assert!(limits.try_secret(&victim, "192.0.2.1").await.is_ok());
    }

    #[tokio::test]
    async fn one_origin_cannot_go_through_a_list_of_addresses() {
        let clock = ManualClock::at_text("2026-01-02T03:04:05Z");
        let platform = Platform {
            requests: MemoryTable::shared(),
            clock,
            ids: SequentialIds::shared(),
        };
        let limits = Limits::new(&platform);
        let mut admitted = 0;

        for n in 0..400 {
            let email = format!("person{n}@example.com").parse().unwrap();
            admitted += usize::from(
                limits
                    .try_secret(&email, &format!("2001:db8:1:2::{n:x}"))
                    .await
                    .is_ok(),
            );
        }

        assert_eq!(admitted, 300);
    }
}
