-- One shipment an order, ever.
CREATE TABLE shipments (
    order_id TEXT PRIMARY KEY,
    customer TEXT NOT NULL,
    at_ms    BIGINT NOT NULL
);

CREATE TABLE shipment_lines (
    order_id TEXT NOT NULL REFERENCES shipments (order_id),
    position BIGINT NOT NULL,
    sku      TEXT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, position)
);
