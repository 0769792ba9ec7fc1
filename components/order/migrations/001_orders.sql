CREATE TABLE orders (
    id        TEXT PRIMARY KEY,
    customer  TEXT NOT NULL,
    total     BIGINT NOT NULL CHECK (total >= 0),
    placed_ms BIGINT NOT NULL
);

CREATE INDEX orders_by_customer ON orders (customer, placed_ms, id);

CREATE TABLE order_lines (
    order_id TEXT NOT NULL REFERENCES orders (id),
    position BIGINT NOT NULL,
    sku      TEXT NOT NULL,
    name     TEXT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity BETWEEN 1 AND 10000),
    price    BIGINT NOT NULL CHECK (price >= 0),
    PRIMARY KEY (order_id, position)
);

-- Each status once; the status of an order is the furthest of its history and stands nowhere else.
CREATE TABLE history (
    order_id TEXT NOT NULL REFERENCES orders (id),
    status   TEXT NOT NULL CHECK (status IN ('pending', 'reserved', 'paid', 'shipped', 'cancelled')),
    at_ms    BIGINT NOT NULL,
    reason   TEXT,
    PRIMARY KEY (order_id, status)
);
