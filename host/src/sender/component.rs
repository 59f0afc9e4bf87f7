//! Looks into a plugin's file before anything is compiled: is it a component, what does it import, what does it export.
//!
//! Milliseconds for any file: types are checked, function bodies are not; the compiler does that later.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use wasmparser::component_types::ComponentEntityType;
use wasmparser::{
    BinaryReaderError, ComponentExternalKind, Encoding, Parser, Payload, Validator, WasmFeatures, types::Types,
};

use super::{ComponentHash, contract_v1 as contract};
use crate::file::{self, Unread};
use crate::limits;

/// Packages whose interfaces the host serves, in any compatible version. Of mag's own there is none to import: types.
const SERVED: [&str; 7] =
    ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:http", "wasi:io", "wasi:random", "wasi:sockets"];
/// The version of them that the host serves; any 0.2 is compatible.
const SERVED_VERSION: &str = "0.2.";

/// Why a file is no plugin.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It cannot be read.
    #[error("cannot read it: {0}")]
    Read(#[from] Unread),
    /// It is larger than any plugin.
    #[error("it is larger than {} MiB", limits::PLUGIN_FILE_BYTES / (1024 * 1024))]
    TooLarge,
    /// It does not begin as WebAssembly does.
    #[error("it is not a WebAssembly component")]
    NotWasm,
    /// It is WebAssembly, but not a component.
    #[error("it is a core module, not a component; build it for wasm32-wasip2")]
    CoreModule,
    /// One of its functions is longer than any that people write.
    #[error(
        "one of its functions has {0} bytes of code, and may have {max}: compiling it would take too long",
        max = limits::PLUGIN_FUNCTION_BYTES
    )]
    LongFunction(u32),
    /// All of its functions together are longer than any that a language's kit makes.
    #[error(
        "its functions have {0} bytes of code or more, and may have {max} together: compiling it would take too long",
        max = limits::PLUGIN_CODE_BYTES
    )]
    MuchCode(u32),
    /// It has more functions than any other.
    #[error("it has more than {} functions: compiling it would take too long", limits::PLUGIN_FUNCTIONS)]
    Functions,
    /// It is damaged, or uses what this version does not know.
    #[error("it is not a valid component: {0}")]
    Malformed(String),
    /// Components stand in components, very many levels of them.
    #[error("more than {} levels of components stand in each other", limits::PLUGIN_DEPTH)]
    TooDeep,
    /// The contract's interface is not exported.
    #[error("it does not export {interface}@{version}; it exports {found}")]
    MissingExport {
        /// The contract's interface.
        interface: &'static str,
        /// The version this host serves.
        version: &'static str,
        /// What there is instead.
        found: String,
    },
    /// The contract's interface is exported without one of its functions.
    #[error("its export {interface} has no function {function}")]
    MissingFunction {
        /// As it is exported.
        interface: String,
        /// What is missing.
        function: &'static str,
    },
    /// It is made for another version of the contract.
    #[error(
        "it is made for another contract, {found}, and this mag serves {interface}@{version}: take a mag that serves it, or \
         build the plugin for this one"
    )]
    WrongVersion {
        /// As it is exported.
        found: String,
        /// The contract's interface.
        interface: &'static str,
        /// The version this host serves.
        version: &'static str,
    },
    /// It needs something of a later contract.
    #[error("it needs {0} of a newer contract, which this mag does not serve: take a newer mag")]
    Newer(String),
    /// It needs something that nobody serves.
    #[error("it imports {0}, which this mag does not serve")]
    UnknownImport(String),
}

/// A component that was looked into; all senders that run it have the same bytes.
pub(super) type Shared = Arc<Cow<'static, [u8]>>;

/// What stays of a component for which there may be no sender any more.
type Kept = Weak<Cow<'static, [u8]>>;

/// Checks that a component fits the contract, once for all senders that have it: a large one is megabytes for each, and
/// milliseconds. `hash` is that of the bytes.
pub(super) fn checked(bytes: Cow<'static, [u8]>, hash: ComponentHash) -> Result<Shared, Unfit> {
    /// Those that somebody has, by hash.
    static KNOWN: Mutex<BTreeMap<ComponentHash, Kept>> = Mutex::new(BTreeMap::new());
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(shared) = known().get(&hash).and_then(Weak::upgrade) {
        return Ok(shared);
    }
    inspect(&bytes)?;
    let shared = Arc::new(bytes);
    let mut known = known();
    known.retain(|_, component| component.strong_count() > 0);
    known.insert(hash, Arc::downgrade(&shared));
    Ok(shared)
}

/// Reads a plugin's file, as far as any plugin can be long.
pub(super) fn read(path: &Path) -> Result<Cow<'static, [u8]>, Unfit> {
    match file::read(path, limits::PLUGIN_FILE_BYTES) {
        Ok(bytes) => Ok(Cow::Owned(bytes)),
        Err(Unread::TooLong(_)) => Err(Unfit::TooLarge),
        Err(error) => Err(error.into()),
    }
}

/// What the outermost component imports and exports by name.
#[derive(Default)]
struct Surface {
    imports: Vec<String>,
    exports: Vec<String>,
}

/// Checks that a component fits the contract.
pub(super) fn inspect(bytes: &[u8]) -> Result<(), Unfit> {
    match (bytes.get(..4), bytes.get(6..8)) {
        (Some(b"\0asm"), Some([1, 0])) => {}
        (Some(b"\0asm"), Some([0, 0])) => return Err(Unfit::CoreModule),
        _ => return Err(Unfit::NotWasm),
    }
    let (surface, types) = surface(bytes)?;
    let types = types.ok_or_else(|| Unfit::Malformed("it has no end".to_owned()))?;
    let export = surface.export()?;
    functions(&types, export)?;
    match surface.imports.into_iter().find(|name| !is_served(name, &types)) {
        Some(newer) if newer.starts_with(contract::PACKAGE) => Err(Unfit::Newer(newer)),
        Some(unknown) => Err(Unfit::UnknownImport(unknown)),
        None => Ok(()),
    }
}

/// The imports of a component that fits, and which of its exports is the contract's.
pub(super) fn imports(bytes: &[u8]) -> (Vec<String>, Option<String>) {
    let Ok((surface, _)) = surface(bytes) else { return (Vec::new(), None) };
    let export = surface.export().ok().map(str::to_owned);
    (surface.imports, export)
}

fn surface(bytes: &[u8]) -> Result<(Surface, Option<Types>), Unfit> {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let (mut surface, mut types, mut depth) = (Surface::default(), None, 0_usize);
    let (mut functions, mut code) = (0_u32, 0_u32);
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        match &payload {
            Payload::Version { encoding: Encoding::Component | Encoding::Module, .. } => {
                depth += 1;
                // Before the validator sees it: what it keeps and does for a level grows with the levels above.
                if depth > limits::PLUGIN_DEPTH {
                    return Err(Unfit::TooDeep);
                }
            }
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section.clone() {
                    surface.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section.clone() {
                    let export = export?;
                    if export.kind == ComponentExternalKind::Instance {
                        surface.exports.push(export.name.name.to_owned());
                    }
                }
            }
            Payload::CodeSectionStart { count, size, .. } => {
                // As long as the section says that it is, before any of it is looked at.
                code = code.saturating_add(*size);
                if code > limits::PLUGIN_CODE_BYTES {
                    return Err(Unfit::MuchCode(code));
                }
                functions = functions.saturating_add(*count);
                if functions > limits::PLUGIN_FUNCTIONS {
                    return Err(Unfit::Functions);
                }
            }
            Payload::CodeSectionEntry(body) => {
                let bytes = u32::try_from(body.range().len()).unwrap_or(u32::MAX);
                if bytes > limits::PLUGIN_FUNCTION_BYTES {
                    return Err(Unfit::LongFunction(bytes));
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if let wasmparser::ValidPayload::End(found) = validator.payload(&payload)? {
            types = Some(found);
        }
    }
    Ok((surface, types))
}

impl Surface {
    fn export(&self) -> Result<&str, Unfit> {
        let (interface, version) = (contract::INTERFACE, contract::VERSION);
        let ours: Vec<_> = self.exports.iter().filter(|e| e.split('@').next() == Some(interface)).collect();
        if let Some(fits) = ours.iter().find(|export| major(export) == major(&format!("@{version}"))) {
            return Ok(fits);
        }
        match ours.first() {
            Some(found) => Err(Unfit::WrongVersion { found: (*found).clone(), interface, version }),
            None => {
                let found = if self.exports.is_empty() { "nothing".to_owned() } else { self.exports.join(", ") };
                Err(Unfit::MissingExport { interface, version, found })
            }
        }
    }
}

impl From<BinaryReaderError> for Unfit {
    fn from(error: BinaryReaderError) -> Self {
        Self::Malformed(error.message().to_owned())
    }
}

/// The part of `name@MAJOR.…` that must be the same.
fn major(name: &str) -> Option<&str> {
    name.split_once('@')?.1.split('.').next()
}

fn functions(types: &Types, export: &str) -> Result<(), Unfit> {
    let types = types.as_ref();
    let exported = types.component_item_for_export(export).map(|item| item.ty);
    let Some(ComponentEntityType::Instance(id)) = exported else {
        return Err(Unfit::Malformed(format!("{export} is no interface")));
    };
    for function in contract::FUNCTIONS {
        let item = types.get(id).and_then(|instance| instance.exports.get(function));
        if !matches!(item.map(|item| item.ty), Some(ComponentEntityType::Func(_))) {
            return Err(Unfit::MissingFunction { interface: export.to_owned(), function });
        }
    }
    Ok(())
}

/// Whether an import finds its counterpart; interfaces that hold nothing but types need none.
fn is_served(name: &str, types: &Types) -> bool {
    let package = name.split('/').next().unwrap_or_default();
    let version = name.split_once('@').map(|(_, version)| version).unwrap_or_default();
    if SERVED.contains(&package) {
        return version.starts_with(SERVED_VERSION);
    }
    let types = types.as_ref();
    match types.component_item_for_import(name).map(|item| item.ty) {
        Some(ComponentEntityType::Instance(id)) => types.get(id).is_some_and(|instance| {
            instance.exports.values().all(|item| matches!(item.ty, ComponentEntityType::Type { .. }))
        }),
        Some(ComponentEntityType::Type { .. }) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
