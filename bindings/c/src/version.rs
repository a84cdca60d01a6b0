//! Which version this is.

use std::ffi::{CStr, c_char};

/// The version that this header is of: a change of it breaks programs, while it is 0 so does one of
/// #RIT_VERSION_MINOR.
pub const RIT_VERSION_MAJOR: u32 = 0;
/// The second number of the version.
pub const RIT_VERSION_MINOR: u32 = 1;
/// The third number of the version.
pub const RIT_VERSION_PATCH: u32 = 0;

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version has no zero"),
    };

/// The version of the library that is linked, such as "0.1.0".
///
/// @return text that is always valid.
///
/// Real time: may be called.
#[unsafe(no_mangle)]
pub extern "C" fn rit_version() -> *const c_char {
    VERSION.as_ptr()
}

/// The version of the library that is linked as one number: major × 1000000 + minor × 1000 + patch.
///
/// Real time: may be called.
#[unsafe(no_mangle)]
pub extern "C" fn rit_version_number() -> u32 {
    RIT_VERSION_MAJOR * 1_000_000 + RIT_VERSION_MINOR * 1000 + RIT_VERSION_PATCH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_package() {
        let numbers = format!("{RIT_VERSION_MAJOR}.{RIT_VERSION_MINOR}.{RIT_VERSION_PATCH}");
        assert_eq!(numbers, env!("CARGO_PKG_VERSION"));
    }
}
