;; A loop without end while it signs in.
;; in: prepare
;; fails: cpu
(func $prepare (param i32 i32) (result i32) (loop (br 0)) unreachable)
