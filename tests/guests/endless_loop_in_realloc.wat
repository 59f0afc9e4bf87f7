;; Hangs where the host asks it for room.
;; in: start
;; fails: cpu
(func $realloc (param i32 i32 i32 i32) (result i32) (loop (br 0)) unreachable)
