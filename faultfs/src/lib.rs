//! A file system for SQLite that fails on purpose, and remembers what a power loss would have left: for tests only.
//!
//! [`FaultFs`] is a shim over SQLite's own `unix` file system. It logs what SQLite does to the database, its WAL and
//! its journal ([`Operation`]), can fail an operation ([`Fault`]) and can hold syncs back. From the log a [`Disk`]
//! says what a power loss after any operation would have left: an [`Image`], which a test writes into a folder to open
//! a store on it.
//!
//! The only place of the project with `unsafe` code, all of it in `vfs.rs`. It must never become a dependency of
//! anything but tests.

#![deny(unsafe_op_in_unsafe_fn)]

mod control;
mod disk;
mod image;
mod log;
#[cfg(test)]
mod tests;
mod vfs;

pub use control::{Fault, Trouble};
pub use disk::{Disk, FailedSync, Loss};
pub use image::{Image, folder};
pub use log::{Kind, Operation, Part};
pub use vfs::FaultFs;
