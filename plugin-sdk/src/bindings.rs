//! The contract's types and the export macro, generated from `wit/sender.wit`; nothing is written by hand here.

#![expect(missing_docs, reason = "generated; the words stand in wit/sender.wit")]

wit_bindgen::generate!({
    path: "wit/sender.wit",
    world: "plugin",
    pub_export_macro: true,
    default_bindings_module: "mag_plugin_sdk::bindings",
    additional_derives: [PartialEq],
});
