//! Sign-up, sign-in, sessions, and who a caller is.
