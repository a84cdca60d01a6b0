//! An array of f32 out of an `.npz` that is not compressed, as fixtures are, for programs that read
//! text.

use std::path::Path;

/// The numbers of an array, one per line, as they are read back to the bit.
pub(super) fn as_csv(path: &Path, name: &str) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|reason| format!("{}: {reason}", path.display()))?;
    let numbers = numbers(&bytes, name);
    let numbers = numbers.ok_or_else(|| format!("{}: no array '{name}' of f32", path.display()))?;
    Ok(numbers.iter().map(|number| format!("{number:e}\n")).collect())
}

fn numbers(bytes: &[u8], name: &str) -> Option<Vec<f32>> {
    let array = after(bytes, format!("{name}.npy").as_bytes())?;
    // Magic, version 1.0, the length of a text that says type and shape.
    let array = after(array, b"\x93NUMPY\x01\x00")?;
    let (length, rest) = array.split_first_chunk::<2>()?;
    let (text, numbers) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    let text = std::str::from_utf8(text).ok().filter(|text| text.contains("'<f4'"))?;
    let shape = text.split_once("'shape': (")?.1.split_once(')')?.0;
    let axes = shape.split(',').map(str::trim).filter(|axis| !axis.is_empty());
    let count = axes.map(|axis| axis.parse::<usize>().ok()).product::<Option<usize>>()?;
    let (numbers, _) = numbers.get(..count.checked_mul(4)?)?.as_chunks::<4>();
    Some(numbers.iter().map(|&number| f32::from_le_bytes(number)).collect())
}

/// What follows the first `mark`.
fn after<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    bytes.get(at + mark.len()..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixture_is_read() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
        let case = fixtures.join("mono-lstm/case.npz");
        for name in ["input.x", "output.y"] {
            let text = as_csv(&case, name).expect("the array is there");
            assert_eq!(text.lines().count(), 500);
            assert!(text.lines().all(|line| line.parse::<f32>().is_ok_and(|x| x.abs() < 10.0)));
        }
        assert!(as_csv(&case, "input.z").is_err());
    }
}
