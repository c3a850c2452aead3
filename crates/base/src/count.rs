//! Counters over closed lists of labels: one atomic number for each combination, all made at the start.
//!
//! Whoever counts keeps an `Arc<Counts>`; whoever shows the figures reads it. Counting takes no lock and no memory.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers by up to a few labels.
#[derive(Debug)]
pub struct Counts {
    labels: Vec<Label>,
    cells: Box<[AtomicU64]>,
}

#[derive(Debug)]
struct Label {
    name: &'static str,
    words: Vec<Cow<'static, str>>,
}

impl Counts {
    /// Zero for each combination of the words of `labels`, a name and a closed list each. A list may end with a word
    /// such as `other`: it stands for all that are not in the list. The product of the lengths is the memory, in words
    /// of 8 bytes.
    pub fn new<W: Into<Cow<'static, str>>>(labels: impl IntoIterator<Item = (&'static str, Vec<W>)>) -> Self {
        let labels: Vec<_> = labels
            .into_iter()
            .map(|(name, words)| Label { name, words: words.into_iter().map(Into::into).collect() })
            .collect();
        let size = labels.iter().map(|label| label.words.len()).product();
        Self { labels, cells: (0..size).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Counts one at the place that `words` name by their numbers, one for each label; a number past the end of its
    /// list is the last word.
    pub fn add(&self, words: &[usize]) {
        let numbered = self.labels.iter().zip(words);
        let at = numbered
            .fold(0, |at, (label, word)| at * label.words.len() + (*word).min(label.words.len().max(1) - 1));
        if let Some(cell) = self.cells.get(at) {
            cell.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The number of `word` in the list of the label with the number `label`; the last one for an unknown word.
    pub fn find(&self, label: usize, word: &str) -> usize {
        let Some(label) = self.labels.get(label) else { return 0 };
        label.words.iter().position(|known| known == word).unwrap_or(label.words.len().max(1) - 1)
    }

    /// The count at `words`.
    pub fn get(&self, words: &[&str]) -> u64 {
        let mut found = 0;
        self.each(|labels, count| {
            if labels.iter().map(|(_, word)| *word).eq(words.iter().copied()) {
                found = count;
            }
        });
        found
    }

    /// Shows every combination with its count, in the order of the lists.
    pub fn each(&self, mut show: impl FnMut(&[(&'static str, &str)], u64)) {
        let mut named = Vec::with_capacity(self.labels.len());
        for (at, cell) in self.cells.iter().enumerate() {
            let mut rest = at;
            named.clear();
            for label in self.labels.iter().rev() {
                named.push((label.name, &*label.words[rest % label.words.len()]));
                rest /= label.words.len();
            }
            named.reverse();
            show(&named, cell.load(Ordering::Relaxed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_has_its_own_number() {
        let counts = Counts::new([("fruit", vec!["apple", "pear", "other"]), ("ripe", vec!["yes", "no"])]);
        counts.add(&[counts.find(0, "pear"), counts.find(1, "no")]);
        counts.add(&[1, 1]);
        counts.add(&[counts.find(0, "a word that nobody listed"), 0]);
        counts.add(&[99, 0]);
        let mut seen = Vec::new();
        counts.each(|labels, count| seen.push((labels[0].1.to_owned(), labels[1].1.to_owned(), count)));
        let expected = [
            ("apple", "yes", 0),
            ("apple", "no", 0),
            ("pear", "yes", 0),
            ("pear", "no", 2),
            ("other", "yes", 2),
            ("other", "no", 0),
        ];
        assert_eq!(seen, expected.map(|(fruit, ripe, count)| (fruit.to_owned(), ripe.to_owned(), count)));
        assert_eq!((counts.get(&["pear", "no"]), counts.get(&["plum", "no"])), (2, 0));
    }

    #[test]
    fn without_labels_there_is_one_number() {
        let counts = Counts::new::<&str>([]);
        counts.add(&[]);
        assert_eq!(counts.get(&[]), 1);
    }

    #[test]
    fn an_empty_list_counts_nothing_and_does_no_harm() {
        let counts = Counts::new([("nothing", Vec::<&str>::new())]);
        counts.add(&[0]);
        assert_eq!(counts.find(0, "x"), 0);
        counts.each(|_, _| unreachable!());
    }
}
