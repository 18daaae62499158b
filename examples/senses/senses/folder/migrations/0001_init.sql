-- The files as they were at the last look.
CREATE TABLE files (
  path TEXT NOT NULL PRIMARY KEY,
  size INTEGER NOT NULL,
  changed_at REAL NOT NULL
);
