-- The first delivery. Prices are cents; the last three are scarce.
INSERT INTO products (sku, position, name, price, received) VALUES
    ('mug-enamel',        1, 'Enamel mug, midnight blue',          1490,  20000),
    ('tea-darjeeling',    2, 'Darjeeling first flush, 100 g',      1290,  20000),
    ('coffee-yirga',      3, 'Yirgacheffe coffee beans, 250 g',    1150,  20000),
    ('notebook-dots',     4, 'Dotted notebook, A5',                 990,  50000),
    ('pencil-cedar',      5, 'Cedar pencils, box of twelve',        850,  50000),
    ('pen-brass',         6, 'Brass fountain pen',                 6400,  15000),
    ('candle-beeswax',    7, 'Beeswax candle',                     1850,  20000),
    ('soap-olive',        8, 'Olive oil soap',                      620,  50000),
    ('towel-linen',       9, 'Linen tea towel, striped',           1690,  20000),
    ('bag-canvas',       10, 'Canvas bag, waxed',                  7900,  15000),
    ('blanket-wool',     11, 'Wool blanket, moss green',          12900,  12000),
    ('lamp-desk',        12, 'Desk lamp, powder white',           18900,  10000),
    ('radio-walnut',     13, 'Table radio, walnut',               24900,  10000),
    ('bicycle-city',     14, 'City bicycle, seven gears',        109000,    200),
    ('print-harbour',    15, 'Harbour by night, signed print',     4500,     40),
    ('calendar-press',   16, 'Letterpress calendar',               3200,     12),
    ('compass-brass',    17, 'Brass compass, restored',            8900,      3);
