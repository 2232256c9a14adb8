"""The declarative subscriptions file: read, checked, watched."""
