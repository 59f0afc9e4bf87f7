;; A loop without end where it looks at its config.
;; in: start
;; fails: cpu
(func $validate (param i32 i32) (result i32) (loop (br 0)) unreachable)
