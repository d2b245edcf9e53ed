//! Makes the bindings, for `cargo xtask bindings`: `codes` prints the table of error codes, everything else is UniFFI's.

#![expect(clippy::print_stdout, reason = "what it prints is read by xtask")]

fn main() {
    if std::env::args().nth(1).as_deref() == Some("codes") {
        for failure in moorline_mobile::error_codes() {
            println!(
                "{}\t{}\t{:?}\t{}\t{}",
                failure.number, failure.code, failure.kind, failure.retryable, failure.message
            );
        }
    } else {
        uniffi::uniffi_bindgen_main();
    }
}
