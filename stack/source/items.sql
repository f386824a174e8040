SET ROLE app;
INSERT INTO order_items
SELECT n,
       line,
       1 + pick(n * 8 + line, 30, 10000),
       1 + pick(n * 8 + line, 31, 4),
       199 + pick(1 + pick(n * 8 + line, 30, 10000), 4, 49800),
       CASE WHEN pick(n * 8 + line, 32, 10) = 0 THEN 10 ELSE 0 END,
       (ARRAY[19.00, 20.00, 7.00])[1 + pick(n, 33, 3)],
       'Item ' || line || ' of order ' || n || ', batch ' || lpad(to_hex(pick(n * 8 + line, 34, 4294967296)), 8, '0')
FROM generate_series(1, 2000000) AS n, generate_series(1, 1 + pick(n, 35, 5)) AS line;
