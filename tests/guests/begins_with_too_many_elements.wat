;; Wants 900,000 table elements before it runs.
;; in: start
;; fails: tables
(table 900000 funcref)
