SET ROLE app;
INSERT INTO products
SELECT n,
       'SKU-' || lpad(n::text, 6, '0'),
       (ARRAY['Oak', 'Steel', 'Linen', 'Glass', 'Cedar', 'Copper', 'Wool', 'Slate'])[1 + pick(n, 1, 8)] || ' '
           || (ARRAY['chair', 'lamp', 'table', 'shelf', 'vase', 'rug', 'clock', 'bench', 'mirror', 'basket'])[1 + pick(n, 2, 10)],
       (ARRAY['furniture', 'lighting', 'textiles', 'kitchen', 'garden'])[1 + pick(n, 3, 5)],
       199 + pick(n, 4, 49800)
FROM generate_series(1, 10000) AS n;
INSERT INTO customers
SELECT n,
       first || ' ' || last,
       lower(first) || '.' || lower(last) || '.' || n || '@example.com',
       '+49 30 ' || lpad(pick(n, 12, 10000000)::text, 7, '0'),
       (ARRAY['Main Street', 'Mill Lane', 'Station Road', 'Park Avenue', 'High Street', 'Garden Row'])[1 + pick(n, 13, 6)]
           || ' ' || (1 + pick(n, 14, 180)),
       (ARRAY['Berlin', 'Hamburg', 'Wien', 'Zürich', 'Lyon', 'Gdańsk', 'Malmö', 'Porto'])[1 + pick(n, 15, 8)],
       (ARRAY['DE', 'DE', 'AT', 'CH', 'FR', 'PL', 'SE', 'PT'])[1 + pick(n, 15, 8)],
       pick(n, 16, 3) = 0,
       timestamptz '2019-01-01T00:00:00Z' + pick(n, 17, 200000000) * interval '1 second'
FROM generate_series(1, 300000) AS n,
     LATERAL (SELECT (ARRAY['Ada', 'Bruno', 'Clara', 'David', 'Elif', 'Farid', 'Greta', 'Hugo', 'Ines', 'Jonas', 'Kira', 'Łukasz'])[1 + pick(n, 10, 12)] AS first,
                     (ARRAY['Adler', 'Baum', 'Costa', 'Dietz', 'Eriksson', 'Fuchs', 'Groß', 'Haas', 'Ivanov', 'Jensen', 'Kraus', 'Lindt', 'Moreau'])[1 + pick(n, 11, 13)] AS last) AS person;
INSERT INTO orders
SELECT n,
       1 + pick(n, 20, 300000),
       (ARRAY['delivered', 'delivered', 'delivered', 'delivered', 'shipped', 'paid', 'new', 'returned', 'cancelled'])[1 + pick(n, 21, 9)],
       (ARRAY['EUR', 'EUR', 'EUR', 'USD', 'GBP'])[1 + pick(n, 22, 5)],
       placed,
       CASE WHEN pick(n, 21, 9) < 5 THEN placed + pick(n, 24, 400000) * interval '1 second' END,
       CASE WHEN pick(n, 21, 9) < 5 THEN (ARRAY['post', 'parcel', 'courier'])[1 + pick(n, 25, 3)] END,
       CASE WHEN pick(n, 26, 12) = 0 THEN 'Leave at the door, ring twice; reference ' || md5(n::text) END
FROM generate_series(1, 2000000) AS n,
     LATERAL (SELECT timestamptz '2021-01-01T00:00:00Z' + n * interval '85 seconds' + pick(n, 23, 3600) * interval '1 second' AS placed) AS moment;
