-- Every hold pays for each index, and the first expiry of a row is asked for once a second at most: it is found in
-- `holds_open`, which is in the order of time, by passing over what other rows promise until then.
DROP INDEX holds_first_expiry;
