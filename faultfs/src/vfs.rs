//! The shim itself: SQLite's callbacks, each of which asks [`Control`], does the same at the `unix` file system, and
//! logs what happened. Here are those of the file system, in `file` those of a file.
//!
//! Memory: SQLite allocates [`ffi::sqlite3_vfs::szOsFile`] bytes for a file and never moves them. They hold a [`Shim`]
//! and, right behind it, the `unix` file system's own file object.

#![expect(unsafe_code, reason = "SQLite's file systems are tables of C callbacks; this is the one place for them")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::mem::size_of;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rusqlite::ffi;

use crate::control::{Control, Fault, Trouble};
use crate::log::{Kind, Operation, Part};

/// Calls the callback of the `unix` table; a table without it would be no file system.
macro_rules! call {
    ($table:expr, $method:ident ( $($argument:expr),* )) => {
        match $table.$method {
            // SAFETY: same arguments as SQLite gave to us, except for the object, which is the table's own.
            Some(method) => unsafe { method($($argument),*) },
            None => ffi::SQLITE_ERROR,
        }
    };
}

mod file;

use file::{METHODS, OpenFile, Shim, unix_file};

/// A file system of one test, registered at SQLite under a name of its own; gone when this is dropped.
pub struct FaultFs {
    name: String,
    control: Arc<Control>,
    registered: *mut ffi::sqlite3_vfs,
}

// SAFETY: the pointer is only read to take the file system off SQLite's list, which SQLite guards by a mutex.
unsafe impl Send for FaultFs {}
// SAFETY: as above; everything else in it is `Sync`.
unsafe impl Sync for FaultFs {}

/// What `pAppData` points to. It is never freed: a connection may outlive the test's handle, and then finds a dead
/// [`Weak`] here, never freed memory. That costs some hundred bytes for each file system.
struct Registered {
    control: Weak<Control>,
    unix: *mut ffi::sqlite3_vfs,
}

impl FaultFs {
    /// Registers a new file system that does nothing but log.
    ///
    /// # Panics
    ///
    /// SQLite has no `unix` file system, or no memory.
    #[must_use]
    pub fn register() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let name = format!("faultfs-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let control = Arc::new(Control::default());
        let c_name = CString::new(name.as_str()).expect("the name has no zero byte");
        // SAFETY: a plain look-up by a string that ends with zero. The list is SQLite's own and never freed.
        let unix = unsafe { ffi::sqlite3_vfs_find(c"unix".as_ptr()) };
        assert!(!unix.is_null(), "SQLite has no file system called unix");
        let data = Box::new(Registered { control: Arc::downgrade(&control), unix });
        // SAFETY: `unix` is a registered file system, valid as long as the process.
        let (unix_file, path_bytes) = unsafe { ((*unix).szOsFile, (*unix).mxPathname) };
        let vfs = Box::new(ffi::sqlite3_vfs {
            iVersion: 1,
            szOsFile: c_int::try_from(size_of::<Shim>()).expect("a small size") + unix_file,
            mxPathname: path_bytes,
            pNext: ptr::null_mut(),
            zName: c_name.into_raw(),
            pAppData: Box::into_raw(data).cast(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: Some(last_error),
            xCurrentTimeInt64: None,
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        });
        let registered = Box::into_raw(vfs);
        // SAFETY: the structure is complete, and it and all that it points to stay for ever.
        let code = unsafe { ffi::sqlite3_vfs_register(registered, 0) };
        assert_eq!(code, ffi::SQLITE_OK, "SQLite does not take the file system");
        Self { name, control, registered }
    }

    /// The name to open databases with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sets the failure to come, counting anew; or takes it back, so that all is well from now on.
    pub fn set(&self, fault: Option<Fault>) {
        self.control.set(fault);
    }

    /// How often the last fault that was set has struck.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.control.fired()
    }

    /// Waits until the fault has struck that often; `false` when it has not within the limit.
    #[must_use]
    pub fn wait_until_fired(&self, times: u64, limit: Duration) -> bool {
        self.control.wait_until_fired(times, limit)
    }

    /// From now on no sync returns, and none reaches the disk.
    pub fn hold_syncs(&self) {
        self.control.hold_syncs(true);
    }

    /// Lets the syncs that wait go on, and all later ones.
    pub fn release_syncs(&self) {
        self.control.hold_syncs(false);
    }

    /// Waits until a sync is held; `false` when there is none within the limit.
    #[must_use]
    pub fn wait_until_sync_is_held(&self, limit: Duration) -> bool {
        self.control.wait_until_sync_is_held(limit)
    }

    /// How many operations there were that this trouble could have struck.
    #[must_use]
    pub fn count(&self, trouble: Trouble) -> u64 {
        self.control.count(trouble)
    }

    /// Puts into the log what was done to a file past SQLite.
    pub fn note(&self, operation: Operation) {
        self.control.push(operation);
    }

    /// Does the same, for somebody who outlives this.
    pub fn notes(&self) -> impl Fn(Operation) + Send + Sync + 'static {
        let control = Arc::clone(&self.control);
        move |operation| control.push(operation)
    }

    /// How many operations are in the log.
    #[must_use]
    pub fn logged(&self) -> usize {
        self.control.logged()
    }

    /// Takes the log out.
    #[must_use]
    pub fn take_log(&self) -> Vec<Operation> {
        self.control.take_log()
    }
}

impl Drop for FaultFs {
    fn drop(&mut self) {
        // A sync that nobody can release any more would hang its thread.
        self.release_syncs();
        // SAFETY: it was registered in `register`, and SQLite only takes it off its list.
        unsafe { ffi::sqlite3_vfs_unregister(self.registered) };
    }
}

/// # Safety
///
/// `vfs` must be one that [`FaultFs::register`] made.
unsafe fn registered<'a>(vfs: *mut ffi::sqlite3_vfs) -> &'a Registered {
    // SAFETY: `pAppData` was made there and is never freed.
    unsafe { &*(*vfs).pAppData.cast::<Registered>() }
}

fn part_of(flags: c_int) -> Part {
    if flags & ffi::SQLITE_OPEN_MAIN_DB != 0 {
        Part::Database
    } else if flags & ffi::SQLITE_OPEN_WAL != 0 {
        Part::Wal
    } else if flags & ffi::SQLITE_OPEN_MAIN_JOURNAL != 0 {
        Part::Journal
    } else {
        Part::Temporary
    }
}

/// The part that a path is, by what SQLite adds to the database's name.
fn part_of_path(path: &CStr) -> Part {
    match path.to_bytes() {
        path if path.ends_with(b"-wal") => Part::Wal,
        path if path.ends_with(b"-journal") => Part::Journal,
        _ => Part::Temporary,
    }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives the file system that this callback belongs to and a file with `szOsFile` bytes. Without
    // methods SQLite does not close what could not be opened.
    let registered = unsafe {
        (*file).pMethods = ptr::null();
        (*unix_file(file)).pMethods = ptr::null();
        registered(vfs)
    };
    let Some(control) = registered.control.upgrade() else { return ffi::SQLITE_CANTOPEN };
    if let Err(code) = control.begin(Kind::Open) {
        return code;
    }
    let part = part_of(flags);
    // SAFETY: `unix` is valid for ever.
    let unix = unsafe { &*registered.unix };
    let mut there: c_int = 0;
    if !name.is_null() {
        call!(unix, xAccess(registered.unix, name, ffi::SQLITE_ACCESS_EXISTS, &raw mut there));
    }
    // SAFETY: the `unix` object's place in the allocation; `name` is passed on as it came, with its URI parameters.
    let inner = unsafe { unix_file(file) };
    let code = call!(unix, xOpen(registered.unix, name, inner, flags, out_flags));
    if code != ffi::SQLITE_OK {
        return code;
    }
    control.push(Operation::Open { part, created: there == 0 });
    let may_create = flags & ffi::SQLITE_OPEN_CREATE != 0;
    let folder_too = may_create && matches!(part, Part::Wal | Part::Journal);
    let open = Box::new(OpenFile { control, part, folder_too });
    // SAFETY: the allocation has room for a `Shim`, and SQLite reads the methods only after this returns.
    unsafe {
        (*file.cast::<Shim>()).open = Box::into_raw(open);
        (*file).pMethods = &raw const METHODS;
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    // SAFETY: the file system is ours, the name ends with zero.
    let (registered, path) = unsafe { (registered(vfs), CStr::from_ptr(name)) };
    let Some(control) = registered.control.upgrade() else { return ffi::SQLITE_IOERR_DELETE };
    if let Err(code) = control.begin(Kind::Delete) {
        return code;
    }
    // SAFETY: `unix` is valid for ever.
    let code = call!(unsafe { &*registered.unix }, xDelete(registered.unix, name, sync_folder));
    if code == ffi::SQLITE_OK {
        control.push(Operation::Delete { part: part_of_path(path), folder: sync_folder != 0 });
    }
    code
}

unsafe extern "C" fn access(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, flags: c_int, out: *mut c_int) -> c_int {
    // SAFETY: the file system is ours.
    let registered = unsafe { registered(vfs) };
    let Some(control) = registered.control.upgrade() else { return ffi::SQLITE_IOERR_ACCESS };
    if let Err(code) = control.begin(Kind::Look) {
        return code;
    }
    control.push(Operation::Look);
    // SAFETY: `unix` is valid for ever.
    call!(unsafe { &*registered.unix }, xAccess(registered.unix, name, flags, out))
}

unsafe extern "C" fn full_pathname(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    length: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: the file system is ours, `unix` is valid for ever.
    let (unix, table) = unsafe { (registered(vfs).unix, &*registered(vfs).unix) };
    call!(table, xFullPathname(unix, name, length, out))
}

unsafe extern "C" fn randomness(vfs: *mut ffi::sqlite3_vfs, length: c_int, out: *mut c_char) -> c_int {
    // SAFETY: the file system is ours, `unix` is valid for ever.
    let (unix, table) = unsafe { (registered(vfs).unix, &*registered(vfs).unix) };
    call!(table, xRandomness(unix, length, out))
}

unsafe extern "C" fn sleep(vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    // SAFETY: the file system is ours, `unix` is valid for ever.
    let (unix, table) = unsafe { (registered(vfs).unix, &*registered(vfs).unix) };
    // SQLite counts how often it slept, not how long; a test need not wait ten seconds for a lock that never comes.
    call!(table, xSleep(unix, microseconds / 100))
}

unsafe extern "C" fn current_time(vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: the file system is ours, `unix` is valid for ever.
    let (unix, table) = unsafe { (registered(vfs).unix, &*registered(vfs).unix) };
    call!(table, xCurrentTime(unix, out))
}

unsafe extern "C" fn last_error(vfs: *mut ffi::sqlite3_vfs, length: c_int, out: *mut c_char) -> c_int {
    // SAFETY: the file system is ours, `unix` is valid for ever.
    let (unix, table) = unsafe { (registered(vfs).unix, &*registered(vfs).unix) };
    call!(table, xGetLastError(unix, length, out))
}
