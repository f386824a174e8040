#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vdb_fuzz::engine_body::engine_body(data));
