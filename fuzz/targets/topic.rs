//! libFuzzer's way into [`cardata_fuzz::topic`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cardata_fuzz::topic::check(input));
