//! Which passages are about a question: by their words, by their vectors, and by both.
//!
//! Words are ranked by BM25 ([`words`]), vectors by their cosine ([`vectors`]). Two rankings become one by
//! reciprocal rank fusion: a passage gets `1 / (60 + rank)` from each ranking that it stands in, so that no
//! scale has to be compared with another. <https://doi.org/10.1145/1571941.1572114>

pub mod vectors;
pub mod words;

use std::collections::HashMap;

/// What damps the difference between the first places of a ranking.
const K: f64 = 60.0;

/// How many places of a ranking count.
const PLACES: usize = 100;

/// Puts rankings together: the numbers of passages with their scores, the best first. Equal ones stand in
/// the order of their numbers.
pub fn fused(rankings: &[Vec<usize>]) -> Vec<(usize, f64)> {
    let mut scores: HashMap<usize, f64> = HashMap::new();
    for ranking in rankings {
        for (rank, passage) in (1_u32..).zip(ranking.iter().take(PLACES)) {
            *scores.entry(*passage).or_default() += 1.0 / (K + f64::from(rank));
        }
    }
    let mut fused: Vec<(usize, f64)> = scores.into_iter().collect();
    fused.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
    fused
}

/// The places of the scores that are above nothing, the best first.
pub fn ranked(scores: impl IntoIterator<Item = f64>) -> Vec<usize> {
    let mut ranked: Vec<(usize, f64)> = scores
        .into_iter()
        .enumerate()
        .filter(|(_, score)| *score > 0.0)
        .collect();
    ranked.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
    ranked.into_iter().map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_both_rankings_comes_before_the_first_of_one() {
        let fused = fused(&[vec![7, 3], vec![5, 3]]);

        let order: Vec<usize> = fused.iter().map(|(passage, _)| *passage).collect();
        assert_eq!(order, [3, 5, 7]);
        assert!((fused[0].1 - 2.0 / 62.0).abs() < 1e-12);
        assert!((fused[1].1 - 1.0 / 61.0).abs() < 1e-12);
    }

    #[test]
    fn what_has_no_score_has_no_rank() {
        assert_eq!(ranked([0.0, 2.0, 1.0, 2.0, -1.0]), [1, 3, 2]);
    }
}
