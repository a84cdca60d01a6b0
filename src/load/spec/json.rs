//! JSON objects that know their place and refuse keys they do not know.

use serde_json::{Map, Value};

use crate::Error;

/// An object of a specification.
pub(super) struct Object<'a> {
    place: String,
    map: &'a Map<String, Value>,
}

/// The error that something is wrong at `place`.
pub(super) fn wrong(place: impl Into<String>, problem: impl Into<String>) -> Error {
    Error::Spec { place: place.into(), problem: problem.into() }
}

impl<'a> Object<'a> {
    /// Takes the object at `place`, which is empty at the top.
    pub(super) fn new(place: impl Into<String>, value: &'a Value) -> Result<Self, Error> {
        let place = place.into();
        match value {
            Value::Object(map) => Ok(Self { place, map }),
            other => Err(mistyped(&place, "an object", other)),
        }
    }

    /// Fails if there is a key that is in none of the lists.
    pub(super) fn know(&self, keys: &[&[&str]]) -> Result<(), Error> {
        let known = || keys.iter().copied().flatten().copied();
        let Some(key) = self.map.keys().find(|key| known().all(|known| known != *key)) else {
            return Ok(());
        };
        let mut list: Vec<&str> = Vec::new();
        known().filter(|key| !key.is_empty()).for_each(|key| {
            if !list.contains(&key) {
                list.push(key);
            }
        });
        Err(wrong(
            self.at(key),
            format!("this key is not known here; there are: {}", list.join(", ")),
        ))
    }

    /// The place of a key.
    pub(super) fn at(&self, key: &str) -> String {
        if self.place.is_empty() { key.into() } else { format!("{}.{key}", self.place) }
    }

    /// The place of the object itself.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Whether a key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// The value of a key that must be there.
    pub(super) fn need(&self, key: &str) -> Result<&'a Value, Error> {
        self.map.get(key).ok_or_else(|| wrong(self.at(key), "it is missing"))
    }

    /// A list that must be there.
    pub(super) fn list(&self, key: &str) -> Result<&'a [Value], Error> {
        match self.need(key)? {
            Value::Array(items) => Ok(items),
            other => Err(mistyped(&self.at(key), "a list", other)),
        }
    }

    /// A text that must be there.
    pub(super) fn text(&self, key: &str) -> Result<&'a str, Error> {
        text(&self.at(key), self.need(key)?)
    }

    /// A text, if it is there.
    pub(super) fn text_if(&self, key: &str) -> Result<Option<&'a str>, Error> {
        self.map.get(key).map(|value| text(&self.at(key), value)).transpose()
    }

    /// A count that must be there.
    pub(super) fn count(&self, key: &str) -> Result<usize, Error> {
        count(&self.at(key), self.need(key)?)
    }

    /// A count, if it is there.
    pub(super) fn count_if(&self, key: &str) -> Result<Option<usize>, Error> {
        self.map.get(key).map(|value| count(&self.at(key), value)).transpose()
    }

    /// A number that is positive in f32, if it is there.
    pub(super) fn positive_if(&self, key: &str) -> Result<Option<f32>, Error> {
        let Some(value) = self.map.get(key) else { return Ok(None) };
        #[allow(clippy::cast_possible_truncation, reason = "what f32 cannot hold is refused")]
        let number = value.as_f64().map(|number| number as f32);
        match number.filter(|number| *number > 0.0 && number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(mistyped(&self.at(key), "a positive number", value)),
        }
    }

    /// A number that is finite in f32, if it is there.
    pub(super) fn number_if(&self, key: &str) -> Result<Option<f32>, Error> {
        let Some(value) = self.map.get(key) else { return Ok(None) };
        #[allow(clippy::cast_possible_truncation, reason = "what f32 cannot hold is refused")]
        let number = value.as_f64().map(|number| number as f32);
        match number.filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(mistyped(&self.at(key), "a number", value)),
        }
    }

    /// A row number of an embedding, if it is there.
    pub(super) fn index_if(&self, key: &str) -> Result<Option<i32>, Error> {
        let Some(value) = self.map.get(key) else { return Ok(None) };
        match value.as_i64().and_then(|index| i32::try_from(index).ok()) {
            Some(index) => Ok(Some(index)),
            None => Err(mistyped(&self.at(key), "an index", value)),
        }
    }

    /// A switch, or what it is when it is not there.
    pub(super) fn switch(&self, key: &str, default: bool) -> Result<bool, Error> {
        match self.map.get(key) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(other) => Err(mistyped(&self.at(key), "true or false", other)),
        }
    }

    /// What one of some words stands for, or the first if it is not there.
    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Result<T, Error> {
        let Some(found) = self.text_if(key)? else { return Ok(words[0].1) };
        words.iter().find(|(word, _)| *word == found).map(|&(_, value)| value).ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            wrong(self.at(key), format!("it is '{found}'; there are: {}", known.join(", ")))
        })
    }

    /// Two counts, if they are there.
    pub(super) fn range_if(&self, key: &str) -> Result<Option<(usize, usize)>, Error> {
        let Some(value) = self.map.get(key) else { return Ok(None) };
        let place = self.at(key);
        match value.as_array().map(Vec::as_slice) {
            Some([start, end]) => Ok(Some((count(&place, start)?, count(&place, end)?))),
            _ => Err(mistyped(&place, "two counts [start, end]", value)),
        }
    }
}

/// A text at a place.
pub(super) fn text<'a>(place: &str, value: &'a Value) -> Result<&'a str, Error> {
    value.as_str().ok_or_else(|| mistyped(place, "a text", value))
}

/// A count at a place.
pub(super) fn count(place: &str, value: &Value) -> Result<usize, Error> {
    value
        .as_u64()
        .and_then(|count| usize::try_from(count).ok())
        .ok_or_else(|| mistyped(place, "a count", value))
}

/// The error that a value is of another type.
pub(super) fn mistyped(place: &str, expected: &str, found: &Value) -> Error {
    let place = if place.is_empty() { "the top" } else { place };
    let found = match found {
        Value::Object(_) => "an object".into(),
        Value::Array(_) => "a list".into(),
        other => other.to_string(),
    };
    wrong(place, format!("it is {found}, expected {expected}"))
}
