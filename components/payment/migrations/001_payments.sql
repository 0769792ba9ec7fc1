-- One payment an order, ever.
CREATE TABLE payments (
    order_id TEXT PRIMARY KEY,
    customer TEXT NOT NULL,
    amount   BIGINT NOT NULL CHECK (amount >= 0),
    status   TEXT NOT NULL CHECK (status IN ('completed', 'declined')),
    reason   TEXT,
    at_ms    BIGINT NOT NULL
);
