#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| offhook_native_fuzz::bed::check(data));
