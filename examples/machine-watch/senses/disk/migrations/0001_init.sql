-- One row per reading, in bytes; `usage` from 0 to 1.
CREATE TABLE readings (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  total INTEGER NOT NULL,
  available INTEGER NOT NULL,
  usage REAL NOT NULL
);
CREATE INDEX readings_at ON readings (at);
