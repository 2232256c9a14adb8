"""DECIDES: pure, synchronous, told the time. Standard library and orjson only."""
