SET ROLE app;
ALTER TABLE order_items ADD PRIMARY KEY (order_id, line);
CREATE INDEX order_items_product ON order_items (product_id);
