#![no_main]
libfuzzer_sys::fuzz_target!(|leg: offhook_native_fuzz::tunnel::Leg| offhook_native_fuzz::tunnel::check(leg));
