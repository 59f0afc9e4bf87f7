;; A loop without end.
;; in: send
;; fails: cpu
(func $send (param i32) (result i32) (loop (br 0)) unreachable)
