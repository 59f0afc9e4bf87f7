;; Wants 512 MiB before it runs.
;; in: start
;; fails: memory
;; memory: 8192
