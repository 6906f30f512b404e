// SPDX-License-Identifier: GPL-2.0

//! Options of drivers.

use super::holds;
use crate::options::{
    bytes,
    parse,
    switch, //
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select, //
};

const KEYS: [&[u8]; 2] = [b"path", b"discard"];

#[test]
fn what_is_well_formed_is_found() {
    let found = |text: &'static str| parse(text.as_bytes(), &KEYS);
    let (path, on): (&[u8], &[u8]) = (b"/dev/sdb", b"on");
    assert_eq!(found(""), Some([None, None]));
    assert_eq!(found("path=/dev/sdb"), Some([Some(path), None]));
    assert_eq!(found("discard=on"), Some([None, Some(on)]));
    let both = Some([Some(path), Some(on)]);
    assert_eq!(found("path=/dev/sdb,discard=on"), both);
    assert_eq!(found("discard=on,path=/dev/sdb"), both);
    let value: &[u8] = b"a=b";
    assert_eq!(found("path=a=b"), Some([Some(value), None]));
}

#[test]
fn what_is_malformed_is_refused() {
    for text in [
        ",",
        "path",
        "path=",
        "=x",
        "=",
        "path=x,",
        ",path=x",
        "path=x,,discard=on",
        "path=x,path=x",
        "paths=x",
        "pat=x",
        "PATH=x",
        " path=x",
        "path =x",
    ] {
        assert_eq!(parse(text.as_bytes(), &KEYS), None, "{text}");
    }
}

/// Text of the parts that options are made of, in any order.
fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let part = select(vec!["path", "discard", "=", ",", "x", "on", "\0", "\u{e9}"]);
    vec(part, 0..12).prop_map(|parts| parts.concat().into_bytes())
}

#[test]
fn what_is_found_makes_up_the_text() {
    holds(any_text(), |text| {
        let Some(values) = parse(&text, &KEYS) else {
            return Ok(());
        };
        let mut parts: Vec<Vec<u8>> = KEYS
            .iter()
            .zip(values)
            .filter_map(|(key, value)| Some([key, &b"="[..], value?].concat()))
            .collect();
        let mut given: Vec<Vec<u8>> = text
            .split(|byte| *byte == b',')
            .filter(|part| !part.is_empty())
            .map(<[u8]>::to_vec)
            .collect();
        parts.sort();
        given.sort();
        prop_assert_eq!(parts, given);
        Ok(())
    });
}

#[test]
fn sizes() {
    let units = [("", 0), ("K", 10), ("M", 20), ("G", 30), ("T", 40)];
    holds(
        (any::<u64>(), select(units.to_vec())),
        |(n, (unit, shift))| {
            let n = n >> (n % 64);
            let expected = u64::try_from(u128::from(n) << shift).ok();
            prop_assert_eq!(bytes(format!("{n}{unit}").as_bytes()), expected);
            Ok(())
        },
    );
    for text in ["", "K", "1k", "1KK", "-1", "+1", " 1", "0x10", "1.5M"] {
        assert_eq!(bytes(text.as_bytes()), None, "{text}");
    }
    assert_eq!(bytes(b"18446744073709551615"), Some(u64::MAX));
    assert_eq!(bytes(b"18446744073709551616"), None);
}

#[test]
fn switches() {
    assert_eq!(switch(b"on"), Some(true));
    assert_eq!(switch(b"off"), Some(false));
    for text in ["", "1", "yes", "ON", "on "] {
        assert_eq!(switch(text.as_bytes()), None, "{text}");
    }
}
