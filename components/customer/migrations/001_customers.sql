CREATE TABLE customers (
    id        TEXT PRIMARY KEY,
    name      TEXT NOT NULL,
    email     TEXT NOT NULL,
    -- The e-mail in lower case: Ada@example.com and ada@example.com are one mailbox.
    email_key TEXT NOT NULL UNIQUE,
    made_ms   BIGINT NOT NULL
);

-- One notification for each end that an order comes to.
CREATE TABLE notifications (
    customer_id TEXT NOT NULL REFERENCES customers (id),
    order_id    TEXT NOT NULL,
    message     TEXT NOT NULL,
    at_ms       BIGINT NOT NULL,
    PRIMARY KEY (customer_id, order_id)
);

CREATE INDEX notifications_by_time ON notifications (customer_id, at_ms);
