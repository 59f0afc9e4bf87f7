//! Guests made on the spot: a core module in text, with one behaviour to try, wrapped into a component.
//!
//! Each function returns a pointer to zeroed memory unless told otherwise; read as the contract's records, zeros mean
//! empty texts, empty lists and success.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Address of 1 KiB of zeros.
const ZEROS: &str = "i32.const 1024";

/// What the functions of a guest do, as WebAssembly text.
pub(in crate::sender) struct Guest {
    pub(in crate::sender) describe: String,
    pub(in crate::sender) validate: String,
    pub(in crate::sender) prepare: String,
    pub(in crate::sender) send: String,
    /// Data segments, a start function.
    pub(in crate::sender) rest: String,
}

impl Default for Guest {
    fn default() -> Self {
        let zeros = || ZEROS.to_owned();
        Self { describe: zeros(), validate: zeros(), prepare: zeros(), send: zeros(), rest: String::new() }
    }
}

impl Guest {
    pub(in crate::sender) fn sending(body: &str) -> Self {
        Self { send: body.to_owned(), ..Self::default() }
    }

    /// The component.
    pub(in crate::sender) fn build(&self) -> Vec<u8> {
        let wit = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugin-sdk/wit/1.0.0");
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_dir(wit).unwrap();
        component(&resolve, package, "plugin", &self.text())
    }

    /// The same for a later contract that changes nothing of the records.
    pub(in crate::sender) fn build_for(&self, version: &str) -> Vec<u8> {
        let wit = include_str!("../../../../plugin-sdk/wit/1.0.0/sender.wit");
        let mut resolve = Resolve::default();
        let package = resolve.push_str("sender.wit", &wit.replace("@1.0.0", &format!("@{version}"))).unwrap();
        component(&resolve, package, "plugin", &self.text().replace("@1.0.0", &format!("@{version}")))
    }

    fn text(&self) -> String {
        let Self { describe, validate, prepare, send, rest } = self;
        format!(
            r#"(module
                (memory (export "memory") 1)
                (func (export "mag:sender/sender@1.0.0#describe") (result i32) {describe})
                (func (export "mag:sender/sender@1.0.0#validate") (param i32 i32) (result i32) {validate})
                (func (export "mag:sender/sender@1.0.0#prepare") (param i32 i32) (result i32) {prepare})
                (func (export "mag:sender/sender@1.0.0#send") (param i32) (result i32) {send})
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 8192)
                {rest})"#
        )
    }
}

/// A component with another contract than ours.
pub(in crate::sender) fn foreign(wit: &str, core: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("foreign.wit", wit).unwrap();
    component(&resolve, package, "foreign", core)
}

fn component(resolve: &Resolve, package: wit_parser::PackageId, world: &str, core: &str) -> Vec<u8> {
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut module = wat::parse_str(core).unwrap();
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

/// A data segment.
pub(in crate::sender) fn data(address: u32, bytes: &[u8]) -> String {
    let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!("(data (i32.const {address}) \"{escaped}\")")
}

/// Little-endian words, as pointers and lengths stand in memory.
pub(in crate::sender) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
