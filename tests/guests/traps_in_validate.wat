;; Traps in `validate`.
;; in: start
;; fails: trap
(func $validate (param i32 i32) (result i32) unreachable)
