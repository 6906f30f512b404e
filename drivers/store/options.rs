// SPDX-License-Identifier: GPL-2.0

//! The options of a driver: `key=value,...`.
//!
//! This file is pure logic: the same source runs on the host.

/// Finds the values of `keys`, in their order, `None` for those that are not
/// given.
///
/// Returns `None` if the text is malformed: a part without `=`, an empty value,
/// a key that is not among `keys`, or one that is given twice. A value cannot
/// have a comma.
pub(crate) fn parse<'a, const N: usize>(
    text: &'a [u8],
    keys: &[&[u8]; N],
) -> Option<[Option<&'a [u8]>; N]> {
    let mut values = [None; N];
    if text.is_empty() {
        return Some(values);
    }
    for part in text.split(|byte| *byte == b',') {
        let equals = part.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (part.get(..equals)?, part.get(equals + 1..)?);
        let at = keys.iter().position(|known| *known == key)?;
        let slot = values.get_mut(at)?;
        if value.is_empty() || slot.is_some() {
            return None;
        }
        *slot = Some(value);
    }
    Some(values)
}

/// Reads `on` or `off`.
pub(crate) fn switch(value: &[u8]) -> Option<bool> {
    match value {
        b"on" => Some(true),
        b"off" => Some(false),
        _ => None,
    }
}

/// Reads a number of bytes: decimal digits, and K, M, G or T for a power of
/// 1024.
pub(crate) fn bytes(value: &[u8]) -> Option<u64> {
    let (digits, shift) = match value.split_last()? {
        (b'K', digits) => (digits, 10),
        (b'M', digits) => (digits, 20),
        (b'G', digits) => (digits, 30),
        (b'T', digits) => (digits, 40),
        _ => (value, 0),
    };
    if digits.is_empty() {
        return None;
    }
    let mut number = 0u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number
            .checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))?;
    }
    number.checked_mul(1 << shift)
}
