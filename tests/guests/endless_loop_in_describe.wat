;; A loop without end where it says what it is.
;; in: start
;; fails: cpu
(func $describe (result i32) (loop (br 0)) unreachable)
