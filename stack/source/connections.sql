-- What a careless copy of this database would reach out to, each with a password inside.
\connect ledger
SELECT pg_create_logical_replication_slot('largedb_rates', 'pgoutput');
\connect largedb
CREATE SERVER crm FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '10.0.1.54', port '5432', dbname 'ledger', connect_timeout '3');
CREATE USER MAPPING FOR app SERVER crm OPTIONS (user 'app', password :'app_password');
CREATE FOREIGN TABLE crm_contacts (contact_id integer, customer_id integer, channel text) SERVER crm;
ALTER FOREIGN TABLE crm_contacts OWNER TO app;
SELECT format(
    'CREATE SUBSCRIPTION largedb_rates CONNECTION %L PUBLICATION rates WITH (connect = false, slot_name = ''largedb_rates'')',
    'host=10.0.1.54 port=5432 dbname=ledger user=rates_subscriber connect_timeout=3 password=' || :'rates_subscriber_password') \gexec
ALTER SUBSCRIPTION largedb_rates ENABLE;
ALTER SUBSCRIPTION largedb_rates REFRESH PUBLICATION;
