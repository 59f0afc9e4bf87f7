;; Is made of more core modules than it may.
;; in: start
;; instances: 1
;; fails: instances
