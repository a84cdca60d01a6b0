//! The wire format of protocol buffers: a message is a list of numbered fields.
//!
//! Nothing is copied: a field of bytes is a part of the file.

use crate::Error;

/// A message, of which fields are read one by one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    rest: &'a [u8],
    /// What it is, for messages.
    what: &'static str,
}

/// The content of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

impl<'a> Message<'a> {
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    /// The next field and its number; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Field<'a>)>, Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(self.array()?),
            2 => {
                let length = self.varint()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed32(self.array()?),
            other => return Err(self.broken(&format!("a field of wire type {other}"))),
        };
        match key >> 3 {
            0 => Err(self.broken("a field with the number 0")),
            number => Ok(Some((number, field))),
        }
    }

    fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0_u64;
        for place in 0..10 {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.broken("a number of more than ten bytes"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let Some((bytes, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.broken("an end in the middle of a field"));
        };
        self.rest = rest;
        Ok(*bytes)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Error> {
        let parts =
            usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let Some((bytes, rest)) = parts else {
            let problem = format!("a field of {length} bytes where {} are left", self.rest.len());
            return Err(self.broken(&problem));
        };
        self.rest = rest;
        Ok(bytes)
    }

    fn broken(&self, problem: &str) -> Error {
        Error::Format { container: self.what.into(), problem: format!("it has {problem}") }
    }
}

impl<'a> Field<'a> {
    /// The bytes of a field that should be bytes.
    pub(super) fn bytes(self, what: &'static str) -> Result<&'a [u8], Error> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            other => Err(other.not("bytes", what)),
        }
    }

    /// The text of a field.
    pub(super) fn text(self, what: &'static str) -> Result<&'a str, Error> {
        std::str::from_utf8(self.bytes(what)?).map_err(|_| Error::Format {
            container: what.into(),
            problem: "a text in it is not UTF-8".into(),
        })
    }

    /// The number of a field that holds one integer.
    pub(super) fn integer(self, what: &'static str) -> Result<i64, Error> {
        match self {
            Self::Varint(number) => Ok(number.cast_signed()),
            other => Err(other.not("an integer", what)),
        }
    }

    /// The number of a field that holds one f32.
    pub(super) fn float(self, what: &'static str) -> Result<f32, Error> {
        match self {
            Self::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            other => Err(other.not("a float", what)),
        }
    }

    /// Adds the numbers of a repeated field of integers, one or many at once.
    pub(super) fn integers(self, into: &mut Vec<i64>, what: &'static str) -> Result<(), Error> {
        let Self::Bytes(bytes) = self else {
            into.push(self.integer(what)?);
            return Ok(());
        };
        let mut packed = Message::new(bytes, what);
        while !packed.rest.is_empty() {
            into.push(packed.varint()?.cast_signed());
        }
        Ok(())
    }

    /// Adds the numbers of a repeated field of f32, one or many at once.
    pub(super) fn floats(self, into: &mut Vec<f32>, what: &'static str) -> Result<(), Error> {
        let Self::Bytes(bytes) = self else {
            into.push(self.float(what)?);
            return Ok(());
        };
        let (numbers, []) = bytes.as_chunks::<4>() else { return Err(self.not("floats", what)) };
        into.extend(numbers.iter().map(|&bytes| f32::from_le_bytes(bytes)));
        Ok(())
    }

    /// Adds the numbers of a repeated field of f64, one or many at once.
    pub(super) fn doubles(self, into: &mut Vec<f64>, what: &'static str) -> Result<(), Error> {
        match self {
            Self::Fixed64(bytes) => into.push(f64::from_le_bytes(bytes)),
            Self::Bytes(bytes) => {
                let (numbers, []) = bytes.as_chunks::<8>() else {
                    return Err(self.not("doubles", what));
                };
                into.extend(numbers.iter().map(|&bytes| f64::from_le_bytes(bytes)));
            }
            other => return Err(other.not("a double", what)),
        }
        Ok(())
    }

    fn not(self, expected: &str, what: &'static str) -> Error {
        let found = match self {
            Self::Varint(_) => "an integer",
            Self::Fixed64(_) => "8 bytes",
            Self::Bytes(_) => "a field of bytes",
            Self::Fixed32(_) => "4 bytes",
        };
        Error::Format {
            container: what.into(),
            problem: format!("it has {found} where {expected} should be"),
        }
    }
}
