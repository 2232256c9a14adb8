"""ARRANGES: asyncio and the ports in :mod:`connector.engine.ports`. No outside library."""
