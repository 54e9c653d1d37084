"""The report of a model of a table: how good, what it looks at, where it errs, what was tried."""
