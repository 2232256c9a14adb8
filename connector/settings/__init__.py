"""Every setting once: its kind, unit, default and the reason for the number.

Settings come from flags, the environment, a YAML file and defaults, in this order of precedence. What
cannot be used is refused before anything starts, with its name, where it came from and a cure.
"""

from connector.settings.load import Flag, SettingsError, load_settings
from connector.settings.model import Settings

__all__ = ["Flag", "Settings", "SettingsError", "load_settings"]
