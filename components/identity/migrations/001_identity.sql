CREATE TABLE users (
    id        TEXT PRIMARY KEY,
    email     TEXT NOT NULL,
    -- The e-mail in lower case: Ada@example.com and ada@example.com are one mailbox.
    email_key TEXT NOT NULL UNIQUE,
    name      TEXT NOT NULL,
    -- Argon2id with its salt and parameters, as a PHC string.
    password  TEXT NOT NULL,
    made_ms   BIGINT NOT NULL
);

-- Who is signed in here, by the SHA-256 of the cookie.
CREATE TABLE sessions (
    digest           TEXT PRIMARY KEY,
    user_id          TEXT NOT NULL REFERENCES users (id),
    authenticated_ms BIGINT NOT NULL,
    expires_ms       BIGINT NOT NULL
);

CREATE INDEX sessions_by_user ON sessions (user_id, authenticated_ms);
CREATE INDEX sessions_by_expiry ON sessions (expires_ms);

-- What a user let a client do: one row from the authorization code to the last refresh token.
CREATE TABLE grants (
    id               TEXT PRIMARY KEY,
    client_id        TEXT NOT NULL,
    user_id          TEXT NOT NULL REFERENCES users (id),
    scope            TEXT NOT NULL,
    nonce            TEXT,
    redirect_uri     TEXT NOT NULL,
    challenge        TEXT NOT NULL,
    authenticated_ms BIGINT NOT NULL,
    -- SHA-256 of the code; it is kept when used, so that a second use is seen.
    code             TEXT NOT NULL UNIQUE,
    redeemed_ms      BIGINT,
    -- A refresh token has two parts. The first is the same in all tokens of this grant, the second is new in each:
    -- who knows the first but not the latest second shows an old token again.
    family           TEXT UNIQUE,
    refresh          TEXT,
    made_ms          BIGINT NOT NULL,
    expires_ms       BIGINT NOT NULL
);

CREATE INDEX grants_by_user ON grants (user_id, made_ms);
CREATE INDEX grants_by_expiry ON grants (expires_ms);

-- Private keys, encrypted under the secret `key`. The last one whose time has come signs.
CREATE TABLE signing_keys (
    id            TEXT PRIMARY KEY,
    sealed        TEXT NOT NULL,
    signs_from_ms BIGINT NOT NULL
);

-- Tries that failed, by account and by address.
CREATE TABLE throttles (
    key              TEXT PRIMARY KEY,
    failures         BIGINT NOT NULL,
    blocked_until_ms BIGINT NOT NULL,
    expires_ms       BIGINT NOT NULL
);

CREATE INDEX throttles_by_expiry ON throttles (expires_ms);
