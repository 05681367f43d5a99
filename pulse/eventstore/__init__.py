"""The embedded event store: ClickHouse's engine behind ClickHouse's HTTP interface.

One process owns the data folder. Everybody else uses ``clickhouse_connect`` as against a
ClickHouse server, so that production only changes the address.
"""
