"""The composition root: the only place where settings, adapters and the engine meet."""
