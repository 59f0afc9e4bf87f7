//! The contract's types and the export macro, generated from `wit/1.0.0/sender.wit`; nothing is written by hand here.

#![expect(missing_docs, reason = "generated; the words stand in wit/1.0.0/sender.wit")]

wit_bindgen::generate!({
    path: "wit/1.0.0/sender.wit",
    world: "plugin",
    pub_export_macro: true,
    default_bindings_module: "mag_plugin_sdk::bindings",
    additional_derives: [PartialEq],
});
