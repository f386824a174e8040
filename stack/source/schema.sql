-- Roles get their passwords when an instance starts; the cache holds none.
CREATE ROLE app LOGIN;
CREATE ROLE reporting LOGIN;
CREATE ROLE vdb_replicator LOGIN REPLICATION IN ROLE pg_monitor;
CREATE ROLE rates_subscriber LOGIN REPLICATION;
CREATE DATABASE largedb OWNER app;
CREATE DATABASE ledger OWNER app;
ALTER DATABASE largedb SET timezone = 'UTC';

\connect largedb
SET ROLE app;
CREATE TABLE products (
    product_id integer NOT NULL,
    sku text NOT NULL,
    name text NOT NULL,
    category text NOT NULL,
    price_cents integer NOT NULL CHECK (price_cents > 0)
);
CREATE TABLE customers (
    customer_id integer NOT NULL,
    full_name text NOT NULL,
    email text NOT NULL,
    phone text NOT NULL,
    street text NOT NULL,
    city text NOT NULL,
    country char(2) NOT NULL,
    newsletter boolean NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE TABLE orders (
    order_id bigint NOT NULL,
    customer_id integer NOT NULL,
    status text NOT NULL CHECK (status IN ('new', 'paid', 'shipped', 'delivered', 'returned', 'cancelled')),
    currency char(3) NOT NULL,
    ordered_at timestamptz NOT NULL,
    shipped_at timestamptz,
    carrier text,
    note text
);
CREATE TABLE order_items (
    order_id bigint NOT NULL,
    line smallint NOT NULL,
    product_id integer NOT NULL,
    quantity smallint NOT NULL CHECK (quantity > 0),
    price_cents integer NOT NULL,
    discount_percent smallint NOT NULL,
    tax_percent numeric(4, 2) NOT NULL,
    description text NOT NULL
);
-- Filled over the subscription.
CREATE TABLE exchange_rates (currency char(3) PRIMARY KEY, per_euro numeric(12, 6) NOT NULL, noted_at timestamptz NOT NULL);
-- The same number for the same row on every machine: a hash, not a random number.
CREATE FUNCTION pick(row_number bigint, salt bigint, choices bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN abs(hashint8extended(row_number, salt) % choices);
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reporting;

\connect ledger
SET ROLE app;
CREATE TABLE exchange_rates (currency char(3) PRIMARY KEY, per_euro numeric(12, 6) NOT NULL, noted_at timestamptz NOT NULL);
INSERT INTO exchange_rates VALUES
    ('EUR', 1, '2026-01-01T00:00:00Z'), ('USD', 1.0835, '2026-01-01T00:00:00Z'), ('GBP', 0.8421, '2026-01-01T00:00:00Z');
CREATE TABLE crm_contacts (contact_id integer PRIMARY KEY, customer_id integer NOT NULL, channel text NOT NULL);
INSERT INTO crm_contacts SELECT n, n * 7, (ARRAY['phone', 'mail', 'visit'])[1 + n % 3] FROM generate_series(1, 1000) AS n;
RESET ROLE;
CREATE PUBLICATION rates FOR TABLE exchange_rates;
GRANT SELECT ON exchange_rates TO rates_subscriber;
