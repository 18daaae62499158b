CREATE TABLE checks (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  -- HTTP status, null when there was no answer.
  status INTEGER,
  milliseconds REAL NOT NULL
);
