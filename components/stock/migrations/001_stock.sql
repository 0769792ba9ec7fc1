-- What is available is never stored: it is what was received and is neither reserved nor shipped.
CREATE TABLE products (
    sku      TEXT PRIMARY KEY,
    position BIGINT NOT NULL,
    name     TEXT NOT NULL,
    price    BIGINT NOT NULL CHECK (price >= 0),
    received BIGINT NOT NULL,
    reserved BIGINT NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    shipped  BIGINT NOT NULL DEFAULT 0 CHECK (shipped >= 0),
    CHECK (received >= reserved + shipped)
);

-- What is held for an order, and what became of it.
CREATE TABLE reservations (
    order_id TEXT NOT NULL,
    sku      TEXT NOT NULL REFERENCES products (sku),
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    state    TEXT NOT NULL CHECK (state IN ('reserved', 'released', 'shipped')),
    PRIMARY KEY (order_id, sku)
);
