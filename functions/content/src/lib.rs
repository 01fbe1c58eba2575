//! Text and data from models.
