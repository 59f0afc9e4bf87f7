;; Traps in `prepare`.
;; in: prepare
;; fails: trap
(func $prepare (param i32 i32) (result i32) unreachable)
