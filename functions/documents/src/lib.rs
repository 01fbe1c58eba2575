//! Template and data to a document.
