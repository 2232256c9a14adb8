"""The demo: what a person sees who tries the connector for the first time."""
