;; A start function that hangs: it runs before any export.
;; in: start
;; fails: cpu
(func $start (loop (br 0)))
(start $start)
