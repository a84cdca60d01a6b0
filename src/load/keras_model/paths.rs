//! Where a layer's weights are in `model.weights.h5`.
//!
//! The parts of a path are class names in `snake_case`, counted in the order of the list: a layer
//! named `gru_1` may well be at `layers/gru`.

use std::collections::HashMap;

/// Counts names as Keras does when it writes a list of layers.
#[derive(Debug, Default)]
pub(super) struct Counter {
    seen: HashMap<String, usize>,
}

impl Counter {
    /// The part of the path of the next object of this class: `lstm`, `lstm_1`, ...
    pub(super) fn next(&mut self, class: &str) -> String {
        let name = snake_case(class);
        let count = self.seen.entry(name.clone()).or_insert(0);
        let part = if *count == 0 { name } else { format!("{name}_{count}") };
        *count += 1;
        part
    }
}

/// Keras's `to_snake_case`: a break before an upper-case letter that a lower-case letter or digit
/// follows, and between a lower-case and an upper-case letter.
fn snake_case(class: &str) -> String {
    let letters: Vec<char> = class.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut name = String::new();
    for (i, &letter) in letters.iter().enumerate() {
        let starts_word = |next: &char| next.is_ascii_lowercase() || next.is_ascii_digit();
        let breaks = letter.is_ascii_uppercase()
            && i > 0
            && (letters.get(i + 1).is_some_and(starts_word) || letters[i - 1].is_ascii_lowercase());
        if breaks {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_keras() {
        // What `keras.src.utils.naming.to_snake_case` returns.
        for (class, name) in [
            ("SimpleRNN", "simple_rnn"),
            ("LSTM", "lstm"),
            ("GRU", "gru"),
            ("TimeDistributed", "time_distributed"),
            ("LeakyReLU", "leaky_re_lu"),
            ("ReLU", "re_lu"),
            ("ELU", "elu"),
            ("StackedRNNCells", "stacked_rnn_cells"),
            ("SimpleRNNCell", "simple_rnn_cell"),
            ("GlobalAveragePooling1D", "global_average_pooling1d"),
            ("SpatialDropout1D", "spatial_dropout1d"),
            ("BatchNormalization", "batch_normalization"),
            ("InputLayer", "input_layer"),
            ("RepeatVector", "repeat_vector"),
        ] {
            assert_eq!(snake_case(class), name);
        }
        let mut counter = Counter::default();
        let parts = ["GRU", "LSTM", "GRU", "GRU"].map(|class| counter.next(class));
        assert_eq!(parts, ["gru", "lstm", "gru_1", "gru_2"]);
    }
}
