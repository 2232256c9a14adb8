"""What people declare in files, and how mistakes in it are told: with file, line and cure.

Shared by settings and subscriptions. It knows YAML and pydantic, and nothing of what is declared.
"""
