"""Sends webhooks: the fast HTTP/1.1 sender, its connections, and the guard on where they may go."""
