//! Nothing: the guests stand in `examples/`.
