;; Names memory that it does not have, where the host asks it for room.
;; in: start
;; fails: trap
(func $realloc (param i32 i32 i32 i32) (result i32) (i32.const -16))
