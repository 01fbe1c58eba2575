//! The rows of a batch on their way through the bucket: JSON lines in objects of about a megabyte, so that
//! a worker that wants twenty of them reads one object and not the whole input.

use domain::Text;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BatchError, MOST_ROWS};

/// The most octets of one row as JSON.
pub const LARGEST_ROW: usize = 256 * 1024;

/// The most octets of all rows together: they stand in memory until they are kept.
pub const LARGEST_INPUT: usize = 64 * 1024 * 1024;

/// An object is closed once it holds this many octets.
const SEGMENT: usize = 768 * 1024;

/// Rows that are made into documents together: with the three or four writes of each and the chunk's own
/// they fit one transaction of a hundred.
pub const CHUNK: u32 = 20;

/// A row as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its place in the batch, counted from 0.
    pub row: u32,
    /// What the template's schema describes.
    pub data: Value,
}

/// The objects of an input while it is written.
#[derive(Debug, Default)]
pub struct Segments {
    closed: Vec<(u32, Vec<u8>)>,
    open: (u32, Vec<u8>),
    rows: u32,
    octets: usize,
}

impl Segments {
    /// Adds a row behind the others.
    ///
    /// # Errors
    /// [`BatchError::BadRow`] if it is too large or no object, [`BatchError::TooManyRows`],
    /// [`BatchError::TooLarge`] if all of them are together.
    pub fn push(&mut self, row: &Row) -> Result<(), BatchError> {
        let bad = |detail| BatchError::BadRow {
            row: row.row,
            detail,
        };
        if !row.data.is_object() {
            return Err(bad(Text::fixed("Debe ser un objeto", "Must be an object")));
        }
        let line = serde_json::to_vec(row)
            .map_err(|_| bad(Text::fixed("No se puede guardar", "Cannot be kept")))?;
        if line.len() > LARGEST_ROW {
            return Err(bad(Text::with(
                format!("Ocupa más de {} KiB", LARGEST_ROW / 1024),
                format!("Is larger than {} KiB", LARGEST_ROW / 1024),
            )));
        }
        if self.rows == MOST_ROWS {
            return Err(BatchError::TooManyRows);
        }
        self.octets += line.len();
        if self.octets > LARGEST_INPUT {
            return Err(BatchError::TooLarge);
        }
        self.rows += 1;
        let (rows, octets) = &mut self.open;
        *rows += 1;
        octets.extend_from_slice(&line);
        octets.push(b'\n');
        if octets.len() >= SEGMENT {
            self.closed.push(std::mem::take(&mut self.open));
        }
        Ok(())
    }

    /// How many rows there are.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// The objects, each with the number of its rows.
    ///
    /// # Errors
    /// [`BatchError::NoRows`].
    pub fn finish(mut self) -> Result<Vec<(u32, Vec<u8>)>, BatchError> {
        if self.open.0 > 0 {
            self.closed.push(self.open);
        }
        if self.closed.is_empty() {
            return Err(BatchError::NoRows);
        }
        Ok(self.closed)
    }
}

/// Some rows of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its place among the chunks of an attempt, counted from 0.
    pub number: u32,
    /// The object, counted from 0.
    pub segment: u32,
    /// The first line of the object that belongs to it, counted from 0.
    pub first: u32,
    /// Its lines, 1 to [`CHUNK`].
    pub rows: u32,
}

/// The chunks of an input with that many rows in each object: always the same, so that nothing has to
/// remember them.
pub fn chunks(segments: &[u32]) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    for (segment, lines) in (0_u32..).zip(segments) {
        for first in (0..*lines).step_by(CHUNK as usize) {
            chunks.push(Chunk {
                number: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
                segment,
                first,
                rows: CHUNK.min(lines - first),
            });
        }
    }
    chunks
}

/// The rows of an object from one line on, at most that many.
///
/// # Errors
/// If a line is none of ours.
pub fn read(octets: &[u8], first: u32, rows: u32) -> Result<Vec<Row>, serde_json::Error> {
    octets
        .split(|octet| *octet == b'\n')
        .skip(first as usize)
        .take(rows as usize)
        .map(serde_json::from_slice)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn segments(sizes: &[usize]) -> Vec<(u32, Vec<u8>)> {
        let mut segments = Segments::default();
        for (row, size) in (0..).zip(sizes) {
            let data = json!({ "text": "x".repeat(*size) });
            segments.push(&Row { row, data }).unwrap();
        }
        segments.finish().unwrap()
    }

    proptest! {
        #[test]
        fn every_row_stands_in_exactly_one_chunk(sizes in proptest::collection::vec(1_usize..40_000, 1..200)) {
            let segments = segments(&sizes);
            let counts: Vec<u32> = segments.iter().map(|(rows, _)| *rows).collect();

            let mut found = Vec::new();
            for chunk in chunks(&counts) {
                prop_assert!((1..=CHUNK).contains(&chunk.rows));
                let octets = &segments[chunk.segment as usize].1;
                let rows = read(octets, chunk.first, chunk.rows).unwrap();
                prop_assert_eq!(rows.len(), chunk.rows as usize);
                found.extend(rows.into_iter().map(|row| row.row));
            }

            prop_assert_eq!(found, (0..u32::try_from(sizes.len()).unwrap()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_object_is_closed_once_it_is_full() {
        let segments = segments(&[200_000; 10]);

        assert_eq!(segments.len(), 3);
        assert!(
            segments
                .iter()
                .all(|(_, octets)| octets.len() < SEGMENT + LARGEST_ROW)
        );
    }

    #[test]
    fn what_cannot_be_a_row_is_refused() {
        let mut segments = Segments::default();
        let large = json!({ "text": "x".repeat(LARGEST_ROW) });

        for data in [json!([1]), json!("text"), large] {
            let refused = segments.push(&Row { row: 7, data });
            assert!(matches!(refused, Err(BatchError::BadRow { row: 7, .. })));
        }
        assert!(matches!(segments.finish(), Err(BatchError::NoRows)));
    }

    #[test]
    fn ten_thousand_rows_and_not_one_more() {
        let mut segments = Segments::default();
        for row in 0..MOST_ROWS {
            segments
                .push(&Row {
                    row,
                    data: json!({}),
                })
                .unwrap();
        }

        let refused = segments.push(&Row {
            row: MOST_ROWS,
            data: json!({}),
        });

        assert!(matches!(refused, Err(BatchError::TooManyRows)));
        assert_eq!(segments.rows(), MOST_ROWS);
    }
}
