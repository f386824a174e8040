SET ROLE app;
ALTER TABLE products ADD PRIMARY KEY (product_id);
CREATE UNIQUE INDEX products_sku ON products (sku);
ALTER TABLE customers ADD PRIMARY KEY (customer_id);
CREATE UNIQUE INDEX customers_email ON customers (email);
CREATE INDEX customers_city ON customers (city, full_name);
ALTER TABLE orders ADD PRIMARY KEY (order_id);
CREATE INDEX orders_customer ON orders (customer_id, ordered_at);
ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers;
