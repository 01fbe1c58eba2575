//! Profiles, organisations and their members.
