CREATE TABLE people (
    name TEXT PRIMARY KEY
);

CREATE TABLE delivered (
    position  INTEGER PRIMARY KEY,
    recipient TEXT NOT NULL,
    text      TEXT NOT NULL,
    attempt   BIGINT NOT NULL
);
