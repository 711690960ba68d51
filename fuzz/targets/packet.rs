//! libFuzzer's way into [`cardata_fuzz::packet`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cardata_fuzz::packet::check(input));
