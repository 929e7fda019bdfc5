#![no_main]
libfuzzer_sys::fuzz_target!(|life: offhook_native_fuzz::port::Life| offhook_native_fuzz::port::check(life));
