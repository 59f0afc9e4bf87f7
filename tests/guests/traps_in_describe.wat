;; Traps in `describe`.
;; in: start
;; fails: trap
(func $describe (result i32) unreachable)
