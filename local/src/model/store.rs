//! Where what was fetched and built is kept: under `target/`, and once more in the user's cache directory, so
//! that a second checkout neither fetches nor builds again. Without that directory everything works the same.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    console::note,
    failure::{Outcome, While},
    layout::Layout,
};

/// Files by name, each complete or absent.
#[derive(Clone, Debug)]
pub struct Store {
    near: PathBuf,
    far: Option<PathBuf>,
}

impl Store {
    /// The store of a checkout, over that of its user.
    pub fn of(layout: &Layout) -> Self {
        let far = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|cache| cache.is_absolute())
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
            .map(|cache| cache.join("fleet"));
        Self::at(layout.store(), far)
    }

    fn at(near: PathBuf, far: Option<PathBuf>) -> Self {
        let far = far.filter(|far| fs::create_dir_all(far).is_ok());
        Self { near, far }
    }

    /// A file, if it is here; one of the user's cache is looked at by `accept` before it is taken.
    pub fn get(&self, name: &str, accept: impl Fn(&Path) -> Outcome) -> Option<PathBuf> {
        let near = self.near.join(name);
        if near.is_file() {
            return Some(near);
        }
        let far = self.far.as_ref()?.join(name);
        if !far.is_file() {
            return None;
        }
        let taken = accept(&far).and_then(|()| place(&far, &near));
        match taken {
            Ok(()) => Some(near),
            Err(failure) => {
                note(format_args!(
                    "{:>10}  {} is not used: {failure}",
                    "model",
                    far.display()
                ));
                None
            }
        }
    }

    /// Where to write a file that is not complete yet.
    pub fn draft(&self, name: &str) -> Outcome<PathBuf> {
        fs::create_dir_all(&self.near).during("making the model's store")?;
        Ok(self.near.join(format!("{name}.partial")))
    }

    /// Takes a complete draft in, and answers where it is from now on.
    pub fn put(&self, draft: &Path, name: &str) -> Outcome<PathBuf> {
        let near = self.near.join(name);
        fs::rename(draft, &near).during("keeping what was fetched")?;
        if let Some(far) = &self.far
            && let Err(failure) = place(&near, &far.join(name))
        {
            note(format_args!(
                "{:>10}  not kept for other checkouts: {failure}",
                "model"
            ));
        }
        Ok(near)
    }

    /// Waits until nobody else installs into this user's store. The lock ends with the file, or the process.
    pub fn lock(&self, mut waiting: impl FnMut() -> Outcome) -> Outcome<File> {
        let home = self.far.as_ref().unwrap_or(&self.near);
        fs::create_dir_all(home).during("making the model's store")?;
        let lock = File::create(home.join("install.lock")).during("locking the model's store")?;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) => waiting()?,
                Err(TryLockError::Error(error)) => {
                    return Err(error).during("locking the model's store");
                }
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}

/// Links a file to a second place, or copies it to another file system; whoever looks sees it whole or not at all.
fn place(from: &Path, to: &Path) -> Outcome {
    let doing = format!("copying to {}", to.display());
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory).during(&doing)?;
    }
    let draft = to.with_added_extension(format!("{}.partial", std::process::id()));
    fs::hard_link(from, &draft)
        .or_else(|_| fs::copy(from, &draft).map(|_bytes| ()))
        .during(&doing)?;
    fs::rename(&draft, to).during(&doing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{failure::Failure, model::testing::scratch};

    #[test]
    fn what_one_checkout_built_a_second_one_finds() {
        let home = scratch("store");
        let far = Some(home.join("cache"));
        let first = Store::at(home.join("one"), far.clone());
        let second = Store::at(home.join("two"), far);
        assert_eq!(second.get("server", |_| Ok(())), None);
        let draft = first.draft("server").unwrap();
        fs::write(&draft, b"bytes").unwrap();

        first.put(&draft, "server").unwrap();

        let found = second.get("server", |_| Ok(())).unwrap();
        assert!(found.starts_with(home.join("two")));
        assert_eq!(fs::read(found).unwrap(), b"bytes");
    }

    #[test]
    fn a_file_of_the_cache_that_is_not_accepted_is_not_taken() {
        let home = scratch("spoilt");
        let store = Store::at(home.join("near"), Some(home.join("far")));
        fs::write(home.join("far/model"), b"spoilt").unwrap();

        let found = store.get("model", |_| Err(Failure::new("wrong hash")));

        assert_eq!(found, None);
        assert!(!home.join("near/model").exists());
    }

    #[test]
    fn without_a_cache_directory_everything_stays_under_target() {
        let home = scratch("alone");
        let store = Store::at(home.join("near"), None);
        let draft = store.draft("model").unwrap();
        fs::write(&draft, b"bytes").unwrap();

        store.put(&draft, "model").unwrap();

        assert!(store.get("model", |_| Ok(())).is_some());
        let _alone = store.lock(|| panic!("nobody else is there")).unwrap();
    }

    #[test]
    fn only_one_installs_at_a_time() {
        let home = scratch("lock");
        let store = Store::at(home.join("near"), Some(home.join("far")));
        let held = store.lock(|| Ok(())).unwrap();

        let refused = store.lock(|| Err(Failure::new("taken"))).unwrap_err();

        assert_eq!(refused.to_string(), "taken");
        drop(held);
        store.lock(|| Err(Failure::new("taken"))).unwrap();
    }
}
