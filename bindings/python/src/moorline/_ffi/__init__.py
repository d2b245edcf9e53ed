# Made by `cargo xtask bindings`; the library lies beside it.
