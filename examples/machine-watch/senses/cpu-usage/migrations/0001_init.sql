-- One row per reading. `cores` holds the raw counters (JSON), from which the next usage is computed.
CREATE TABLE readings (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  cores TEXT NOT NULL,
  usage REAL,
  busiest REAL
);
CREATE INDEX readings_at ON readings (at);

-- One row per investigation that was asked for.
CREATE TABLE launches (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  busiest REAL NOT NULL
);
