#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| offhook_fuzz_targets::srtp(bytes));
