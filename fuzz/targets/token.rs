//! libFuzzer's way into [`cardata_fuzz::token`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cardata_fuzz::token::check(input));
