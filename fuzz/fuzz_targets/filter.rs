#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vdb_fuzz::filter::filter(data));
