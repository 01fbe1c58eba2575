//! Files: uploaded and downloaded without passing through a function.
