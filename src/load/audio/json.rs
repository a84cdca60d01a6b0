//! JSON objects that know their place in a file and refuse keys they do not know.

use serde_json::{Map, Value};

use crate::{Array, Error};

/// An object of a file.
#[derive(Clone)]
pub(super) struct Object<'a> {
    /// The kind of file.
    file: &'static str,
    place: String,
    map: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    pub(super) fn new(
        file: &'static str,
        place: impl Into<String>,
        value: &'a Value,
    ) -> Result<Self, Error> {
        let place = place.into();
        match value {
            Value::Object(map) => Ok(Self { file, place, map }),
            other => Err(mistyped(file, &place, "an object", other)),
        }
    }

    /// The same in a file whose kind is known by now; places are named from the top on.
    pub(super) fn of_file(&self, file: &'static str) -> Self {
        Self { file, place: String::new(), ..self.clone() }
    }

    /// Fails if there is a key that is not in the list.
    pub(super) fn know(&self, keys: &[&str]) -> Result<(), Error> {
        match self.map.keys().find(|key| !keys.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(self.unsupported(
                key,
                "the key",
                format!(
                    "it is not known here, and might change what is computed; there are: {}",
                    keys.join(", ")
                ),
            )),
        }
    }

    pub(super) fn at(&self, key: &str) -> String {
        if self.place.is_empty() { key.into() } else { format!("{}.{key}", self.place) }
    }

    pub(super) fn file(&self) -> &'static str {
        self.file
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// All keys, the first ones of many.
    pub(super) fn keys(&self) -> String {
        const SHOWN: usize = 20;
        let names: Vec<&str> = self.map.keys().map(String::as_str).take(SHOWN).collect();
        let more = if self.map.len() > SHOWN { ", ..." } else { "" };
        if names.is_empty() { "none".into() } else { format!("{}{more}", names.join(", ")) }
    }

    /// Every key and its value, in the order of the file.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.map.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The value of a key, if it is there and not null.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn need(&self, key: &str) -> Result<&'a Value, Error> {
        self.map.get(key).ok_or_else(|| self.wrong(key, "it is missing"))
    }

    pub(super) fn object(&self, key: &str) -> Result<Self, Error> {
        Object::new(self.file, self.at(key), self.need(key)?)
    }

    pub(super) fn list(&self, key: &str) -> Result<&'a [Value], Error> {
        match self.need(key)? {
            Value::Array(items) => Ok(items),
            other => Err(mistyped(self.file, &self.at(key), "a list", other)),
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<&'a str, Error> {
        let value = self.need(key)?;
        value.as_str().ok_or_else(|| mistyped(self.file, &self.at(key), "a text", value))
    }

    pub(super) fn count(&self, key: &str) -> Result<usize, Error> {
        count(self.file, &self.at(key), self.need(key)?)
    }

    pub(super) fn count_or(&self, key: &str, default: usize) -> Result<usize, Error> {
        match self.map.get(key) {
            None => Ok(default),
            Some(value) => count(self.file, &self.at(key), value),
        }
    }

    pub(super) fn number(&self, key: &str) -> Result<f64, Error> {
        let value = self.need(key)?;
        value.as_f64().ok_or_else(|| mistyped(self.file, &self.at(key), "a number", value))
    }

    /// Lists in lists down to numbers, all of one length at each depth.
    pub(super) fn array(&self, key: &str) -> Result<Array, Error> {
        array(self.file, &self.at(key), self.need(key)?)
    }

    /// The error that something is wrong with a key.
    pub(super) fn wrong(&self, key: &str, problem: impl Into<String>) -> Error {
        wrong(self.file, &self.at(key), problem)
    }

    /// The error that what a key says is not done here.
    pub(super) fn unsupported(&self, key: &str, what: &str, advice: impl Into<String>) -> Error {
        Error::Unsupported {
            what: format!("{}: {what} '{}'", self.file, self.at(key)),
            advice: advice.into(),
        }
    }
}

pub(super) fn wrong(file: &str, place: &str, problem: impl Into<String>) -> Error {
    Error::Format { container: format!("{file}: {place}"), problem: problem.into() }
}

pub(super) fn mistyped(file: &str, place: &str, expected: &str, found: &Value) -> Error {
    let found = match found {
        Value::Object(_) => "an object".into(),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::String(text) if text.chars().count() > 40 => "a long text".into(),
        other => other.to_string(),
    };
    wrong(file, place, format!("it is {found}, expected {expected}"))
}

pub(super) fn count(file: &str, place: &str, value: &Value) -> Result<usize, Error> {
    let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
    count.ok_or_else(|| mistyped(file, place, "a count", value))
}

/// Lists in lists down to numbers, all of one length at each depth. Memory grows with the numbers that
/// are there.
pub(super) fn array(file: &str, place: &str, value: &Value) -> Result<Array, Error> {
    let mut shape = Vec::new();
    let mut inside = value;
    while let Value::Array(items) = inside {
        shape.push(items.len());
        let Some(first) = items.first() else { break };
        inside = first;
    }
    if shape.is_empty() {
        return Err(mistyped(file, place, "a list of numbers", value));
    }
    let mut values = Vec::new();
    gather(file, place, value, &shape, &mut values)?;
    Array::new(&shape, values)
}

fn gather(
    file: &str,
    place: &str,
    value: &Value,
    shape: &[usize],
    values: &mut Vec<f32>,
) -> Result<(), Error> {
    let Some((&length, inner)) = shape.split_first() else {
        #[allow(clippy::cast_possible_truncation, reason = "what f32 cannot hold is refused")]
        let number = value.as_f64().map(|number| number as f32);
        match number.filter(|number| number.is_finite()) {
            Some(number) => values.push(number),
            None => return Err(mistyped(file, place, "a number that float32 holds", value)),
        }
        return Ok(());
    };
    match value {
        Value::Array(items) if items.len() == length => {
            items.iter().try_for_each(|item| gather(file, place, item, inner, values))
        }
        other => {
            let expected = format!("a list of {length} like the first at its depth");
            Err(mistyped(file, place, &expected, other))
        }
    }
}
