//! What SQLite does to an open file: the shim's callbacks for it.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;

use rusqlite::ffi;

use crate::control::Control;
use crate::log::{Kind, Operation, Part};

/// The shim's part of a file; `base` is first, because SQLite sees only that. Two pointers, so what follows is aligned too.
#[repr(C)]
pub(super) struct Shim {
    base: ffi::sqlite3_file,
    /// From `Box::into_raw` in [`super::open`]; freed in [`close`].
    pub(super) open: *mut OpenFile,
}

pub(super) struct OpenFile {
    pub(super) control: Arc<Control>,
    pub(super) part: Part,
    /// As in the `unix` file system: the first sync of a new journal or WAL also syncs the folder.
    pub(super) folder_too: bool,
}

pub(super) static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // No `xFetch`: reads and writes through a mapping could not be seen.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// The `unix` file system's own file object, behind the shim's.
///
/// # Safety
///
/// `file` must be what SQLite gave to [`super::open`].
pub(super) unsafe fn unix_file(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: `szOsFile` asked for room for both, so the place behind the shim is in the same allocation.
    unsafe { file.cast::<Shim>().add(1).cast() }
}

/// The methods of the `unix` file object.
///
/// # Safety
///
/// `file` must have been opened by [`super::open`] with success.
unsafe fn unix_methods(file: *mut ffi::sqlite3_file) -> &'static ffi::sqlite3_io_methods {
    // SAFETY: a file that was opened has its methods, which are static in SQLite.
    unsafe { &*(*unix_file(file)).pMethods }
}

/// What the shim knows of a file.
///
/// # Safety
///
/// `file` must have been opened by [`super::open`] with success and not be closed; SQLite uses a file from one thread at a
/// time, so the reference is the only one.
unsafe fn shim<'a>(file: *mut ffi::sqlite3_file) -> &'a mut OpenFile {
    // SAFETY: `open` put a valid pointer there, which `close` frees last.
    unsafe { &mut *(*file.cast::<Shim>()).open }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once, and only one that was opened.
    let (methods, inner) = unsafe { (unix_methods(file), unix_file(file)) };
    let code = call!(methods, xClose(inner));
    // SAFETY: made by `Box::into_raw` in `open`, and nobody uses it after this.
    drop(unsafe { Box::from_raw((*file.cast::<Shim>()).open) });
    code
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, out: *mut c_void, length: c_int, offset: i64) -> c_int {
    // SAFETY: an open file.
    let (shim, methods, inner) = unsafe { (shim(file), unix_methods(file), unix_file(file)) };
    if let Err(code) = shim.control.begin(Kind::Read) {
        return code;
    }
    let (part, offset_, length_) = (shim.part, offset.unsigned_abs(), usize::try_from(length).unwrap_or_default());
    shim.control.push(Operation::Read { part, offset: offset_, length: length_ });
    call!(methods, xRead(inner, out, length, offset))
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, data: *const c_void, length: c_int, offset: i64) -> c_int {
    // SAFETY: an open file.
    let (shim, methods, inner) = unsafe { (shim(file), unix_methods(file), unix_file(file)) };
    if let Err(code) = shim.control.begin(Kind::Write) {
        return code;
    }
    let code = call!(methods, xWrite(inner, data, length, offset));
    if code == ffi::SQLITE_OK {
        // SAFETY: SQLite gives `length` readable bytes.
        let bytes = unsafe { std::slice::from_raw_parts(data.cast(), usize::try_from(length).unwrap_or_default()) };
        let (part, offset) = (shim.part, offset.unsigned_abs());
        shim.control.push(Operation::Write { part, offset, bytes: Arc::from(bytes) });
    }
    code
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: an open file.
    let (shim, methods, inner) = unsafe { (shim(file), unix_methods(file), unix_file(file)) };
    if let Err(code) = shim.control.begin(Kind::Truncate) {
        return code;
    }
    let code = call!(methods, xTruncate(inner, size));
    if code == ffi::SQLITE_OK {
        shim.control.push(Operation::Truncate { part: shim.part, size: size.unsigned_abs() });
    }
    code
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: an open file.
    let (shim, methods, inner) = unsafe { (shim(file), unix_methods(file), unix_file(file)) };
    if let Err(code) = shim.control.begin(Kind::Sync) {
        if code == ffi::SQLITE_IOERR_FSYNC {
            shim.control.push(Operation::FailedSync { part: shim.part });
        }
        return code;
    }
    let code = call!(methods, xSync(inner, flags));
    if code == ffi::SQLITE_OK {
        let folder = std::mem::take(&mut shim.folder_too);
        shim.control.push(Operation::Sync { part: shim.part, folder });
    }
    code
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    // SAFETY: an open file.
    let (shim, methods, inner) = unsafe { (shim(file), unix_methods(file), unix_file(file)) };
    if let Err(code) = shim.control.begin(Kind::Look) {
        return code;
    }
    shim.control.push(Operation::Look);
    call!(methods, xFileSize(inner, out))
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    let (shim, methods, inner) = unsafe { (shim(file), unix_methods(file), unix_file(file)) };
    if let Err(code) = shim.control.begin(Kind::Lock) {
        return code;
    }
    shim.control.push(Operation::Lock);
    call!(methods, xLock(inner, level))
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    let (methods, inner) = unsafe { (unix_methods(file), unix_file(file)) };
    call!(methods, xUnlock(inner, level))
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: an open file.
    let (methods, inner) = unsafe { (unix_methods(file), unix_file(file)) };
    call!(methods, xCheckReservedLock(inner, out))
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, op: c_int, argument: *mut c_void) -> c_int {
    // SAFETY: an open file.
    let (methods, inner) = unsafe { (unix_methods(file), unix_file(file)) };
    call!(methods, xFileControl(inner, op, argument))
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: an open file.
    let (methods, inner) = unsafe { (unix_methods(file), unix_file(file)) };
    call!(methods, xSectorSize(inner))
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: an open file.
    let (methods, inner) = unsafe { (unix_methods(file), unix_file(file)) };
    call!(methods, xDeviceCharacteristics(inner))
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    page_bytes: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file.
    let (shim, methods, inner) = unsafe { (shim(file), unix_methods(file), unix_file(file)) };
    if let Err(code) = shim.control.begin(Kind::ShmMap) {
        // SAFETY: as the `unix` file system does when it fails.
        unsafe { *out = ptr::null_mut() };
        return code;
    }
    shim.control.push(Operation::ShmMap);
    call!(methods, xShmMap(inner, page, page_bytes, extend, out))
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, n: c_int, flags: c_int) -> c_int {
    // SAFETY: an open file.
    let (shim, methods, inner) = unsafe { (shim(file), unix_methods(file), unix_file(file)) };
    if flags & ffi::SQLITE_SHM_LOCK != 0 {
        if let Err(code) = shim.control.begin(Kind::ShmLock) {
            return code;
        }
        shim.control.push(Operation::ShmLock);
    }
    call!(methods, xShmLock(inner, offset, n, flags))
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: an open file.
    let (methods, inner) = unsafe { (unix_methods(file), unix_file(file)) };
    if let Some(barrier) = methods.xShmBarrier {
        // SAFETY: as SQLite asked.
        unsafe { barrier(inner) };
    }
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: an open file.
    let (methods, inner) = unsafe { (unix_methods(file), unix_file(file)) };
    call!(methods, xShmUnmap(inner, delete))
}
