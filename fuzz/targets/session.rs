//! libFuzzer's way into [`cardata_fuzz::session`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cardata_fuzz::session::check(input));
