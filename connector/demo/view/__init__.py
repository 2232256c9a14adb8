"""How the demo is shown: a live picture on a terminal, lines elsewhere, a summary at the end."""
