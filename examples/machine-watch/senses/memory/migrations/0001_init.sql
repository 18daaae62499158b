-- One row per reading, in bytes.
CREATE TABLE readings (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  total INTEGER NOT NULL,
  available INTEGER NOT NULL
);
CREATE INDEX readings_at ON readings (at);
