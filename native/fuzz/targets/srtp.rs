#![no_main]
libfuzzer_sys::fuzz_target!(|life: offhook_native_fuzz::srtp::Life| offhook_native_fuzz::srtp::check(life));
