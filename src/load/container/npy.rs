//! `.npy`: one NumPy array.
//!
//! ```text
//! \x93NUMPY  major minor  header length (u16, from version 2 on u32)  header  values
//! header: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
//! ```

use std::path::Path;

use super::half;
use crate::{Array, Error, Values};

const MAGIC: &[u8] = b"\x93NUMPY";

/// An array as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct NpyArray {
    /// The numbers, as f32 or as i32 indices.
    pub array: Array,
    /// The type in the file, if it is neither float32 nor int32: `float64` was rounded to f32,
    /// integers of other widths were checked to fit, `bool` became the indices 0 and 1.
    pub cast_from: Option<String>,
}

/// Reads an `.npy` file.
///
/// # Errors
///
/// If the file cannot be read, is damaged, or holds neither floating point numbers nor integers nor
/// truths.
pub fn read(path: impl AsRef<Path>) -> Result<NpyArray, Error> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
    parse(&bytes).map_err(|error| error.in_file(path))
}

/// Writes an array as float32 or int32, row-major, version 1.
///
/// # Errors
///
/// If the file cannot be written.
pub fn write(path: impl AsRef<Path>, array: &Array) -> Result<(), Error> {
    let path = path.as_ref();
    std::fs::write(path, encode(array)).map_err(|source| Error::Io { path: path.into(), source })
}

/// Reads the bytes of an `.npy` file.
///
/// # Errors
///
/// If they are damaged, or hold neither floating point numbers nor integers nor truths.
pub fn parse(bytes: &[u8]) -> Result<NpyArray, Error> {
    let (header, values) = split(bytes)?;
    let header = Header::parse(header)?;
    let count = header.shape.iter().try_fold(1_usize, |product, &axis| product.checked_mul(axis));
    let expected = count.and_then(|count| count.checked_mul(header.element.size));
    if expected != Some(values.len()) {
        return Err(Error::Shape {
            what: format!("the values of a {} array {:?}", header.element.name(), header.shape),
            expected: expected.map_or("fewer than fit in memory".into(), |n| format!("{n} bytes")),
            found: format!("{} bytes", values.len()),
        });
    }
    let element = header.element;
    let array = match element.kind {
        Kind::Float => {
            let values = element.floats(values);
            Array::new(&header.shape, in_c_order(values, &header))?
        }
        Kind::Signed | Kind::Unsigned | Kind::Bool => {
            let values = element.indices(values)?;
            Array::from_indices(&header.shape, in_c_order(values, &header))?
        }
    };
    let cast_from = (element.size != 4 || element.kind == Kind::Unsigned).then(|| element.name());
    Ok(NpyArray { array, cast_from })
}

/// The bytes of an `.npy` file.
///
/// # Panics
///
/// If the array has thousands of axes, which version 1 of the format has no room for.
#[must_use]
pub fn encode(array: &Array) -> Vec<u8> {
    let (descr, values): (_, Vec<u8>) = match array.values() {
        Values::F32(values) => ("<f4", values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Values::Index(values) => ("<i4", values.iter().flat_map(|v| v.to_le_bytes()).collect()),
    };
    let axes: Vec<String> = array.shape().iter().map(ToString::to_string).collect();
    let shape = match &axes[..] {
        [only] => format!("({only},)"),
        _ => format!("({})", axes.join(", ")),
    };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    // Values start at a multiple of 64 bytes; the padding ends in a newline.
    let unpadded = MAGIC.len() + 4 + header.len() + 1;
    header.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let length = u16::try_from(header.len()).expect("no array has thousands of axes");
    [MAGIC, &[1, 0], &length.to_le_bytes(), header.as_bytes(), &values].concat()
}

fn broken(problem: impl Into<String>) -> Error {
    Error::Format { container: "npy".into(), problem: problem.into() }
}

/// Takes the header and the values apart.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), Error> {
    let cut = || broken("the file ends inside its header");
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| broken("it does not begin like one"))?;
    let (length, rest) = match *rest {
        [1, _, a, b, ref rest @ ..] => (usize::from(u16::from_le_bytes([a, b])), rest),
        [2 | 3, _, a, b, c, d, ref rest @ ..] => {
            (usize::try_from(u32::from_le_bytes([a, b, c, d])).map_err(|_| cut())?, rest)
        }
        [major @ (0 | 4..), minor, ..] => {
            return Err(broken(format!("version {major}.{minor} is not known, only 1 to 3")));
        }
        _ => return Err(cut()),
    };
    let (header, values) = rest.split_at_checked(length).ok_or_else(cut)?;
    let header = std::str::from_utf8(header).map_err(|_| broken("its header is not text"))?;
    Ok((header, values))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Float,
    Signed,
    Unsigned,
    /// A byte that is 0 or 1.
    Bool,
}

/// What one number is: `<f4` and the like.
#[derive(Clone, Copy, Debug)]
struct Element {
    kind: Kind,
    size: usize,
    big_endian: bool,
}

impl Element {
    fn parse(descr: &str) -> Result<Self, Error> {
        let refused = || Error::Unsupported {
            what: format!("an array of '{descr}'"),
            advice: "save it as float32, or indices as int32".into(),
        };
        let (order, rest) = match descr.as_bytes() {
            [order @ (b'<' | b'>' | b'|' | b'='), rest @ ..] => (*order, rest),
            rest => (b'=', rest),
        };
        let (kind, size) = match rest {
            [b'f', size @ (b'2' | b'4' | b'8')] => (Kind::Float, size - b'0'),
            [b'i', size @ (b'1' | b'2' | b'4' | b'8')] => (Kind::Signed, size - b'0'),
            b"b1" => (Kind::Bool, 1),
            [b'u', size @ (b'1' | b'2' | b'4' | b'8')] => (Kind::Unsigned, size - b'0'),
            _ => return Err(refused()),
        };
        let big_endian = order == b'>' || (order == b'=' && cfg!(target_endian = "big"));
        Ok(Self { kind, size: size.into(), big_endian })
    }

    fn name(self) -> String {
        let kind = match self.kind {
            Kind::Float => "float",
            Kind::Signed => "int",
            Kind::Unsigned => "uint",
            Kind::Bool => return "bool".into(),
        };
        format!("{kind}{}", self.size * 8)
    }

    /// Each element's bytes, least significant first, zeros above.
    fn words(self, values: &[u8]) -> impl Iterator<Item = u64> {
        values.chunks_exact(self.size).map(move |bytes| {
            let join = |word, &byte: &u8| word << 8 | u64::from(byte);
            if self.big_endian {
                bytes.iter().fold(0, join)
            } else {
                bytes.iter().rev().fold(0, join)
            }
        })
    }

    #[allow(clippy::cast_possible_truncation, reason = "a word holds an element of this size")]
    fn floats(self, values: &[u8]) -> Vec<f32> {
        let words = self.words(values);
        match self.size {
            2 => words.map(|word| half::from_f16(word as u16)).collect(),
            4 => words.map(|word| f32::from_bits(word as u32)).collect(),
            _ => words.map(|word| half::from_f64(f64::from_bits(word))).collect(),
        }
    }

    fn indices(self, values: &[u8]) -> Result<Vec<i32>, Error> {
        let unused = 64 - 8 * u32::try_from(self.size).expect("at most 8");
        self.words(values)
            .map(|word| match self.kind {
                Kind::Bool if word > 1 => Err(word.to_string()),
                Kind::Unsigned | Kind::Bool => i32::try_from(word).map_err(|_| word.to_string()),
                _ => {
                    let value = (word << unused).cast_signed() >> unused;
                    i32::try_from(value).map_err(|_| value.to_string())
                }
            })
            .collect::<Result<_, _>>()
            .map_err(|value| Error::Shape {
                what: format!("an index in a {} array", self.name()),
                expected: match self.kind {
                    Kind::Bool => "0 or 1".into(),
                    _ => "a number that fits in int32".into(),
                },
                found: value,
            })
    }
}

/// What stands in front of the values.
#[derive(Debug)]
struct Header {
    element: Element,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Reads the three entries of the dictionary, which NumPy writes in any order.
    fn parse(text: &str) -> Result<Self, Error> {
        let bad = || broken(format!("its header is not what NumPy writes: {}", text.trim()));
        let mut rest = text.trim().strip_prefix('{').ok_or_else(bad)?;
        let (mut descr, mut order, mut shape) = (None, None, None);
        loop {
            rest = rest.trim_start();
            if let Some(end) = rest.strip_prefix('}') {
                if !end.trim().is_empty() {
                    return Err(bad());
                }
                break;
            }
            let (key, after) = quoted(rest).ok_or_else(bad)?;
            rest = after.trim_start().strip_prefix(':').ok_or_else(bad)?.trim_start();
            match key {
                "descr" => {
                    if rest.starts_with('[') {
                        return Err(Error::Unsupported {
                            what: "a structured array".into(),
                            advice: "save its fields as arrays of their own".into(),
                        });
                    }
                    let (value, after) = quoted(rest).ok_or_else(bad)?;
                    (descr, rest) = (Some(value), after);
                }
                "fortran_order" => {
                    let (value, after) =
                        match (rest.strip_prefix("True"), rest.strip_prefix("False")) {
                            (Some(after), _) => (true, after),
                            (_, Some(after)) => (false, after),
                            _ => return Err(bad()),
                        };
                    (order, rest) = (Some(value), after);
                }
                "shape" => {
                    let inside = rest.strip_prefix('(').ok_or_else(bad)?;
                    let (axes, after) = inside.split_once(')').ok_or_else(bad)?;
                    let axes: Result<Vec<usize>, _> = axes
                        .split(',')
                        .map(str::trim)
                        .filter(|axis| !axis.is_empty())
                        .map(|axis| axis.trim_end_matches('L').parse::<usize>())
                        .collect();
                    (shape, rest) = (Some(axes.map_err(|_| bad())?), after);
                }
                _ => return Err(bad()),
            }
            rest = rest.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        let (Some(descr), Some(fortran_order), Some(shape)) = (descr, order, shape) else {
            return Err(bad());
        };
        Ok(Self { element: Element::parse(descr)?, fortran_order, shape })
    }
}

/// A string in quotes at the beginning, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// Puts values that stand first axis fastest into the order last axis fastest.
fn in_c_order<T: Copy>(values: Vec<T>, header: &Header) -> Vec<T> {
    if !header.fortran_order || values.is_empty() {
        return values;
    }
    let shape = &header.shape;
    let mut strides = vec![1_usize; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let mut index = vec![0; shape.len()];
    let mut ordered = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        ordered
            .push(values[index.iter().zip(&strides).map(|(i, stride)| i * stride).sum::<usize>()]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(descr: &str, fortran: &str, shape: &str, values: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), values].concat()
    }

    #[test]
    fn what_is_written_is_read_back() {
        for shape in [&[][..], &[3], &[2, 3], &[2, 0, 3], &[2, 1, 3, 2]] {
            let count: usize = shape.iter().product();
            let values: Vec<f32> = (0..count).map(|i| i as f32 - 0.1).collect();
            let array = Array::new(shape, values).unwrap();
            let bytes = encode(&array);
            assert_eq!(bytes.len() % 64, 4 * count % 64, "values start at a multiple of 64");
            assert_eq!(parse(&bytes).unwrap(), NpyArray { array, cast_from: None });
        }
        let indices = Array::from_indices(&[3], vec![-1, 0, i32::MAX]).unwrap();
        assert_eq!(parse(&encode(&indices)).unwrap().array, indices);
    }

    #[test]
    fn other_types_are_cast_and_said() {
        let doubles: Vec<u8> = [0.1_f64, -2.5].iter().flat_map(|v| v.to_le_bytes()).collect();
        let read = parse(&file("<f8", "False", "(2,)", &doubles)).unwrap();
        assert_eq!(read.array.as_f32().unwrap(), [0.1_f32, -2.5]);
        assert_eq!(read.cast_from.as_deref(), Some("float64"));

        let big: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|v| v.to_be_bytes()).collect();
        let read = parse(&file(">f4", "False", "(2,)", &big)).unwrap();
        assert_eq!(read.array.as_f32().unwrap(), [1.5, -2.0]);
        assert_eq!(read.cast_from, None);

        let longs: Vec<u8> = [-7_i64, 9].iter().flat_map(|v| v.to_le_bytes()).collect();
        let read = parse(&file("<i8", "False", "(2, 1)", &longs)).unwrap();
        assert_eq!(read.array.as_indices().unwrap(), [-7, 9]);
        assert_eq!(
            parse(&file("|u1", "False", "(1,)", &[200])).unwrap().array.as_indices().unwrap(),
            [200]
        );
        assert_eq!(
            parse(&file("|i1", "False", "(1,)", &[200])).unwrap().array.as_indices().unwrap(),
            [-56]
        );

        let read = parse(&file("|b1", "False", "(3,)", &[1, 0, 1])).unwrap();
        assert_eq!(read.array.as_indices().unwrap(), [1, 0, 1]);
        assert_eq!(read.cast_from.as_deref(), Some("bool"));
        let error = parse(&file("|b1", "False", "(2,)", &[1, 2])).unwrap_err().to_string();
        assert!(error.contains("bool") && error.contains("0 or 1"), "{error}");

        let huge = 3_000_000_000_i64.to_le_bytes();
        let error = parse(&file("<i8", "False", "(1,)", &huge)).unwrap_err().to_string();
        assert!(error.contains("3000000000") && error.contains("int32"), "{error}");
        let error = parse(&file("<c8", "False", "(1,)", &huge)).unwrap_err().to_string();
        assert!(error.contains("<c8"), "{error}");
    }

    #[test]
    fn fortran_order_is_turned_round() {
        let values: Vec<u8> =
            [1.0_f32, 4.0, 2.0, 5.0, 3.0, 6.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let read = parse(&file("<f4", "True", "(2, 3)", &values)).unwrap();
        assert_eq!(read.array.as_f32().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn claims_beyond_the_bytes_are_refused() {
        for shape in ["(3,)", "(1000000000000,)", "(99999999999, 99999999999)", "(1,)"] {
            let error = parse(&file("<f4", "False", shape, &[0; 8])).unwrap_err();
            assert!(matches!(error, Error::Shape { .. }), "{shape}: {error}");
        }
        let whole = encode(&Array::new(&[2, 3], vec![1.0; 6]).unwrap());
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).is_err(), "{end} bytes");
        }
    }
}
